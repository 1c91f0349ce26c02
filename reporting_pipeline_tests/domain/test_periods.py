"""Windows: closed, without gaps, whatever the calendar and the clocks do."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporting_pipeline.domain.periods import Cadence, Period

ZONES = ["UTC", "America/New_York", "Europe/Zurich", "Pacific/Apia", "Asia/Kathmandu", "America/Sao_Paulo"]
instants = st.datetimes(datetime(2005, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(instants, st.sampled_from(list(Cadence)), st.sampled_from(ZONES))
def test_every_instant_lies_in_exactly_one_window_and_windows_touch(
    instant: datetime, cadence: Cadence, zone: str
) -> None:
    period = Period.containing(cadence, instant, zone)
    assert period.start_at <= instant < period.end_at
    assert period.next().start_at == period.end_at
    assert period.previous().end_at == period.start_at
    assert period.previous().next() == period
    assert Period.from_key(cadence, period.key, zone) == period
    days = period.days()
    assert (days[0], days[-1]) == (period.start, period.last_day)
    assert all(later - earlier == timedelta(days=1) for earlier, later in pairwise(days))


@given(instants, st.sampled_from(list(Cadence)), st.sampled_from(ZONES))
def test_the_last_closed_window_is_over_and_the_one_after_it_is_not(
    instant: datetime, cadence: Cadence, zone: str
) -> None:
    period = Period.last_closed(cadence, instant, zone)
    assert period.is_closed(instant)
    assert not period.next().is_closed(instant)


def test_a_window_closes_at_its_end_and_not_before() -> None:
    week = Period(Cadence.WEEKLY, date(2026, 11, 16))
    assert not week.is_closed(week.end_at - timedelta(microseconds=1))
    assert week.is_closed(week.end_at)
    assert Period.last_closed(Cadence.WEEKLY, week.end_at) == week


@pytest.mark.parametrize(
    ("cadence", "key", "start"),
    [
        (Cadence.WEEKLY, "2026-11-17", "2026-11-16"),
        (Cadence.WEEKLY, "2026-01-01", "2025-12-29"),
        (Cadence.MONTHLY, "2026-11-02", "2026-11-01"),
    ],
)
def test_a_key_inside_a_window_is_refused_with_the_windows_start(
    cadence: Cadence, key: str, start: str
) -> None:
    with pytest.raises(ValueError, match=f"{key} does not start a .* starts on {start}"):
        Period.from_key(cadence, key)


@pytest.mark.parametrize(
    "key", ["", "2026-W47", "20261116", "2026-11", "16.11.2026", "2026-11-16T00:00", "nonsense"]
)
def test_a_key_that_is_no_date_is_refused_with_the_key(key: str) -> None:
    with pytest.raises(ValueError, match="is not a date like 2026-11-16"):
        Period.from_key(Cadence.WEEKLY, key)


@pytest.mark.parametrize(
    ("zone", "monday", "hours"),
    [
        ("America/New_York", date(2026, 3, 2), 167),
        ("America/New_York", date(2026, 10, 26), 169),
        ("Europe/Zurich", date(2026, 3, 23), 167),
        ("Europe/Zurich", date(2026, 10, 19), 169),
        ("UTC", date(2026, 3, 2), 168),
    ],
)
def test_a_week_across_a_clock_change_has_an_hour_less_or_more(zone: str, monday: date, hours: int) -> None:
    week = Period(Cadence.WEEKLY, monday, zone)
    assert week.end_at - week.start_at == timedelta(hours=hours)
    assert len(week.days()) == 7


def test_a_day_without_a_midnight_begins_when_the_gap_ends() -> None:
    """São Paulo's clocks went from 23:59 on 3 November 2018 to 01:00."""
    day = Period(Cadence.DAILY, date(2018, 11, 4), "America/Sao_Paulo")
    local = day.start_at.astimezone(ZoneInfo("America/Sao_Paulo"))
    assert (local.date(), local.hour) == (date(2018, 11, 4), 1)
    assert day.end_at - day.start_at == timedelta(hours=23)


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (None, "2026-11-22"),
        ("2026-11-18T00:00+01:00", "2026-11-17"),
        ("2026-11-18T00:01+01:00", "2026-11-18"),
        ("2026-11-17T23:30+00:00", "2026-11-18"),
        ("2026-11-30T12:00+01:00", "2026-11-22"),
    ],
)
def test_of_an_open_week_the_days_that_have_begun_count(moment: str | None, day: str) -> None:
    week = Period(Cadence.WEEKLY, date(2026, 11, 16), "Europe/Zurich")
    assert week.last_day_by(datetime.fromisoformat(moment) if moment else None).isoformat() == day


@pytest.mark.parametrize(
    ("start", "days"), [("2024-02-01", 29), ("2026-02-01", 28), ("2026-12-01", 31), ("2100-02-01", 28)]
)
def test_a_month_has_its_own_length(start: str, days: int) -> None:
    month = Period.from_key(Cadence.MONTHLY, start)
    assert len(month.days()) == days
    assert month.next().start.day == 1
