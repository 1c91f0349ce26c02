"""How long reports of one reader wait for one another, and by which id they go together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reporting_pipeline.domain.combining import combine_minutes_of, mail_id, waits_until
from reporting_pipeline.domain.deliveries import from_wire_id, is_mail_id

EIGHT = datetime(2026, 11, 23, 8, tzinfo=UTC)


def minutes(*after: int | None) -> list[datetime | None]:
    return [None if one is None else EIGHT + timedelta(minutes=one) for one in after]


@pytest.mark.parametrize(
    ("due", "coming", "now", "until"),
    [
        ((0,), (), 0, None),  # nothing comes: nothing is waited for
        ((0,), (20,), 0, 20),  # one that is planned: until then
        ((0, 10), (20, 25), 12, 25),
        ((0,), (None,), 0, 30),  # one that is being made: the window
        ((0,), (None, 10), 0, 30),
        ((0,), (None,), 29, 30),
        ((0,), (None,), 30, None),  # and no longer
        ((0,), (None,), 300, None),  # after an outage they go at once
        ((0,), (31,), 0, None),  # beyond the window is not waited for
        ((5, 0), (30,), 6, 30),  # the window begins with the first
        ((0,), (20,), 20, None),
    ],
)
def test_reports_wait_for_what_comes_within_the_window_of_the_first(
    due: tuple[int, ...], coming: tuple[int | None, ...], now: int, until: int | None
) -> None:
    at = [EIGHT + timedelta(minutes=one) for one in due]
    found = waits_until(at, minutes(*coming), 30, EIGHT + timedelta(minutes=now))
    assert [found] == minutes(until)


@pytest.mark.parametrize(
    ("given", "kept"),
    [(30, 30), (60, 60), (0, 0), (-5, 0), (61, 0), (True, 0), ("30", 0), (None, 0), (1.5, 0)],
)
def test_a_window_that_nobody_could_have_saved_is_none(given: object, kept: int) -> None:
    assert combine_minutes_of({"combine_minutes": given}) == kept


def test_a_mail_has_one_id_for_the_same_deliveries_and_copies() -> None:
    both = [("dlv_1", 1), ("dlv_2", 1)]
    found = mail_id(both)
    assert found == mail_id(reversed(both))
    assert len({found, mail_id(both[:1]), mail_id([("dlv_1", 2), ("dlv_2", 1)])}) == 3
    assert is_mail_id(found)
    assert from_wire_id(found) == (found, 1)
    assert not is_mail_id("dlv_" + "0" * 24)
