"""What becomes a job, what is passed over and why."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.planning import (
    NORMAL_PRIORITY,
    RUN_NOW_PRIORITY,
    PlanRules,
    due_today,
    end_of_day,
    follow_up_record,
    job_id,
    period_of,
    plan_due,
    plan_first,
    plan_jobs,
    plan_period,
    report_id,
    restatement_record,
    run_now_record,
)
from reporting_pipeline.domain.restatements import OnRestatement
from reporting_pipeline.domain.schedules import Schedule, next_occurrences, occurrences, window_of
from reporting_pipeline.domain.subscriptions import CatchUp, Subscription
from reporting_pipeline_tests.record_types import check_job

WEEK = Period(Cadence.WEEKLY, date(2026, 11, 16))  # closes on Monday 2026-11-23, 00:00 UTC
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
CLOSED = datetime(2026, 11, 23, tzinfo=UTC)
WEEKDAYS = Schedule(cadence="cron", cron_expression="0 7 * * MON-FRI")


def subscription(schedule: Schedule, created_at: datetime = LONG_AGO, **fields: Any) -> Subscription:
    return Subscription(
        id=fields.pop("id", "sub_1"),
        organisation="org_1",
        owner="usr_1",
        name="Weekly",
        schedule=schedule,
        window=window_of(schedule),
        created_at=created_at,
        updated_at=created_at,
        **fields,
    )


def planned(one: Subscription, now: datetime, **rules: Any) -> list[tuple[str, datetime, str]]:
    return [
        (each.occurrence.key, each.due_at, each.skipped)
        for each in plan_period(one, WEEK, now, PlanRules(**rules))
    ]


@pytest.mark.parametrize("timezone", ["UTC", "Pacific/Auckland", "America/Los_Angeles", "Asia/Kathmandu"])
def test_a_weekly_report_is_due_on_the_subscribers_own_monday_but_not_before_the_week_closed(
    timezone: str,
) -> None:
    schedule = Schedule(cadence="weekly", day_of_week=1, time="07:00", timezone=timezone)

    ((key, due_at, skipped),) = planned(subscription(schedule), CLOSED)

    (occurrence,) = occurrences(schedule, date(2026, 11, 23), date(2026, 11, 24))
    assert (key, skipped) == ("2026-11-23", "")
    assert due_at == max(occurrence.due_at, CLOSED)


def test_a_cron_subscription_is_attached_to_its_window_and_sent_at_each_occurrence() -> None:
    found = planned(subscription(WEEKDAYS), CLOSED)

    assert [key for key, _, _ in found] == [f"2026-11-{day}T07:00" for day in range(23, 28)]
    assert not any(skipped for _, _, skipped in found)


def test_a_subscription_made_after_the_week_closed_still_gets_its_report_at_once() -> None:
    """Made on Wednesday for Mondays at 00:00: the next Monday brings the next week's report."""
    made_at = datetime(2026, 11, 25, 10, tzinfo=UTC)
    late = subscription(Schedule(time="00:00"), created_at=made_at)

    assert planned(late, made_at + timedelta(minutes=5)) == [("2026-11-23", made_at, "")]


def test_a_subscription_made_before_its_time_waits_for_it() -> None:
    made_at = datetime(2026, 11, 23, 0, 3, tzinfo=UTC)
    monday = subscription(Schedule(time="07:00"), created_at=made_at)

    assert planned(monday, made_at) == [("2026-11-23", datetime(2026, 11, 23, 7, tzinfo=UTC), "")]


def test_nothing_is_made_up_for_the_time_before_a_subscription_was_made() -> None:
    made_at = datetime(2026, 11, 25, 12, tzinfo=UTC)

    found = planned(subscription(WEEKDAYS, created_at=made_at), made_at)

    assert [key for key, _, _ in found] == ["2026-11-26T07:00", "2026-11-27T07:00"]


def test_an_old_edition_is_not_for_those_who_came_later_unless_opened_by_hand() -> None:
    made_at = datetime(2026, 12, 9, tzinfo=UTC)
    newcomer = subscription(Schedule(), created_at=made_at)

    assert planned(newcomer, made_at) == []
    assert [key for key, _, _ in planned(newcomer, made_at, by_hand=True)] == ["2026-11-23"]


def test_latest_serves_the_newest_missed_occurrence_and_says_why_not_the_others() -> None:
    wednesday = datetime(2026, 11, 25, 12, tzinfo=UTC)

    found = planned(subscription(WEEKDAYS), wednesday)

    assert [key for key, _, skipped in found if not skipped] == [
        "2026-11-25T07:00",
        "2026-11-26T07:00",
        "2026-11-27T07:00",
    ]
    assert [skipped for _, _, skipped in found if skipped] == [
        "it was missed, and a newer occurrence, that of 2026-11-25T07:00, is served instead"
    ] * 2


def test_all_serves_every_missed_occurrence() -> None:
    found = planned(subscription(WEEKDAYS, catch_up=CatchUp.ALL), datetime(2026, 11, 25, 12, tzinfo=UTC))

    assert [skipped for _, _, skipped in found] == [""] * 5


def test_skip_serves_none_that_was_missed_and_says_so() -> None:
    found = planned(subscription(WEEKDAYS, catch_up=CatchUp.SKIP), datetime(2026, 11, 25, 12, tzinfo=UTC))

    assert [bool(skipped) for _, _, skipped in found] == [True, True, True, False, False]
    assert found[2][2] == "it came up 5 hours late, and the subscription skips what was missed"


def test_an_edition_that_opens_minutes_after_the_window_is_not_missed() -> None:
    midnight = subscription(Schedule(time="00:00"), catch_up=CatchUp.SKIP)

    assert planned(midnight, CLOSED + timedelta(minutes=5)) == [("2026-11-23", CLOSED, "")]


@pytest.mark.parametrize("catch_up", list(CatchUp))
def test_the_lateness_limit_bounds_every_rule(catch_up: CatchUp) -> None:
    limited = subscription(Schedule(), catch_up=catch_up, lateness_hours=24)

    ((_, _, skipped),) = planned(limited, datetime(2026, 11, 26, 7, tzinfo=UTC))

    assert skipped == "it came up 72 hours late; the subscription's limit is 24 hours"


@pytest.mark.parametrize(("minutes", "words"), [(119, "119 minutes"), (120, "2 hours"), (150, "2 hours")])
def test_how_late_it_was_is_said_in_whole_words(minutes: int, words: str) -> None:
    limited = subscription(Schedule(time="07:00"), lateness_hours=1)

    ((_, _, skipped),) = planned(limited, CLOSED.replace(hour=7) + timedelta(minutes=minutes))

    assert skipped.startswith(f"it came up {words} late; ")


def test_after_three_lost_weeks_only_the_last_one_is_sent() -> None:
    now = datetime(2026, 12, 7, 8, tzinfo=UTC)
    weekly = subscription(Schedule())
    weeks = [WEEK, WEEK.next(), WEEK.next().next()]

    found = [plan_period(weekly, week, now)[0].skipped for week in weeks]

    assert found == [
        "it was missed, and a newer occurrence, that of a later period, is served instead"
    ] * 2 + [""]


def test_what_fell_into_a_pause_is_not_sent() -> None:
    resumed = datetime(2026, 11, 25, 12, tzinfo=UTC)
    paused = subscription(WEEKDAYS, resumed_at=resumed, catch_up=CatchUp.ALL)

    found = planned(paused, resumed)

    assert [skipped for _, _, skipped in found] == ["the subscription was paused when it was due"] * 3 + [
        ""
    ] * 2


def test_occurrences_that_come_down_to_one_moment_are_one_report() -> None:
    """Saturday, Sunday and Monday all move to Monday 07:00, with the same week's data."""
    schedule = Schedule(cadence="cron", cron_expression="0 7 * * *", business_days="previous")

    found = planned(subscription(schedule), CLOSED)

    served = [due_at for _, due_at, skipped in found if not skipped]
    assert len(served) == len(set(served)) == 5
    assert [key for key, _, skipped in found if skipped] == ["2026-11-27T07:00", "2026-11-28T07:00"]
    assert "one report is sent" in found[4][2]


def test_ended_paused_and_other_windows_are_not_planned() -> None:
    others = [
        subscription(Schedule(), id="sub_ended", status="ended"),
        subscription(Schedule(), id="sub_paused", status="paused"),
        subscription(Schedule(cadence="daily"), id="sub_daily"),
        subscription(Schedule(), id="sub_weekly"),
    ]

    assert [job["subscription"] for job in plan_jobs(others, WEEK, CLOSED)] == ["sub_weekly"]


def test_a_job_record_holds_what_the_pipeline_needs() -> None:
    (job,) = plan_jobs([subscription(Schedule(time="00:00"))], WEEK, CLOSED)

    assert job["_id"] == job_id("sub_1", "2026-11-16", "2026-11-23")
    assert (job["edition"], job["period"], job["occurrence"]) == (
        "weekly:2026-11-16",
        "2026-11-16",
        "2026-11-23",
    )
    assert (job["state"], job["due_at"], job["attempts"], job["error"]) == ("pending", CLOSED, 0, None)


def test_every_way_to_a_job_gives_a_whole_record() -> None:
    one = subscription(Schedule(time="00:00"))
    (job,) = plan_jobs([one], WEEK, CLOSED)
    run = run_now_record(one, WEEK, 1, "usr_2", CLOSED)
    whole = follow_up_record(job, CLOSED)
    restated = restatement_record(whole, "9f" * 32, 1, OnRestatement.TELL, CLOSED)

    for record in (job, run, whole, restated):
        check_job(record)
    assert (run["requested_by"], run["occurrence"], run["on_demand"]) == ("usr_2", "run-1", True)
    assert (whole["follows"], restated["restates"]) == (job["_id"], "9f" * 32)
    assert (whole["on_demand"], restated["on_demand"]) == (True, True), "their edition may be over"
    assert whole["priority"] == job["priority"] == NORMAL_PRIORITY < run["priority"] == RUN_NOW_PRIORITY
    assert len({job["_id"], run["_id"], whole["_id"], restated["_id"]}) == 4


@pytest.mark.parametrize("change", [{"due": 1}, {"due_at": "soon"}, {"period": None}])
def test_a_record_of_another_type_is_told_from_one(change: dict[str, Any]) -> None:
    (job,) = plan_jobs([subscription(Schedule(time="00:00"))], WEEK, CLOSED)

    with pytest.raises(ValidationError, match=next(iter(change))):
        check_job({**job, **change})


def test_ids_are_of_one_form_and_follow_from_what_they_name() -> None:
    """Deliveries, addresses and what was printed name them: another length would be another id."""
    assert job_id("sub_1", "2026-11-16", "2026-11-23") == "job_eef1336b8eef092eb2cdd7ef"
    assert report_id(Cadence.WEEKLY, "2026-11-16", "sub_1") == "rep_aa64c3833221c08269cc"


def test_what_is_due_the_moment_a_subscription_is_made_is_its_first_report() -> None:
    seven = datetime(2026, 11, 25, 7, tzinfo=UTC)

    assert planned(subscription(WEEKDAYS, created_at=seven), seven)[0] == ("2026-11-25T07:00", seven, "")


def test_by_hand_the_newest_that_is_due_is_served_also_at_its_very_moment() -> None:
    seven = datetime(2026, 11, 25, 7, tzinfo=UTC)

    found = planned(subscription(WEEKDAYS), seven, by_hand=True)

    assert [key for key, _, _ in found] == ["2026-11-25T07:00", "2026-11-26T07:00", "2026-11-27T07:00"]


@pytest.mark.parametrize(
    ("timezone", "now", "due"),
    [
        ("UTC", datetime(2026, 11, 25, 6, tzinfo=UTC), "2026-11-25T07:00"),
        ("UTC", datetime(2026, 11, 25, 12, tzinfo=UTC), "2026-11-25T07:00"),  # missed, and served
        ("UTC", datetime(2026, 11, 28, 12, tzinfo=UTC), "2026-11-27T07:00"),
        ("UTC", datetime(2026, 11, 22, 12, tzinfo=UTC), None),
        # It is Thursday there already.
        ("Asia/Tokyo", datetime(2026, 11, 25, 16, tzinfo=UTC), "2026-11-26T07:00"),
    ],
)
def test_what_is_due_today_is_by_the_subscribers_own_day(
    timezone: str, now: datetime, due: str | None
) -> None:
    one = subscription(WEEKDAYS.model_copy(update={"timezone": timezone}))

    found = due_today(one, WEEK, now)

    assert (found.occurrence.key if found else None) == due


def test_midnight_is_of_the_next_day() -> None:
    midnights = subscription(Schedule(cadence="cron", cron_expression="0 0 * * MON-FRI"))
    evening = datetime(2026, 11, 25, 20, tzinfo=UTC)

    found = due_today(midnights, WEEK, evening)

    assert end_of_day(midnights, evening) == datetime(2026, 11, 26, tzinfo=UTC)
    assert found is not None
    assert found.due_at == datetime(2026, 11, 25, tzinfo=UTC)


def test_what_is_passed_over_is_not_due_today() -> None:
    one = subscription(WEEKDAYS, catch_up=CatchUp.SKIP)

    assert due_today(one, WEEK, datetime(2026, 11, 25, 12, tzinfo=UTC)) is None


def test_a_daemon_that_slept_finds_each_period_of_what_it_missed() -> None:
    daily = subscription(Schedule(cadence="daily"), catch_up=CatchUp.ALL)
    since, now = datetime(2026, 11, 20, 7, tzinfo=UTC), datetime(2026, 11, 23, 8, tzinfo=UTC)

    found = plan_due(daily, since, now, "UTC")

    assert [(each.period.key, each.occurrence.key) for each in found] == [
        (f"2026-11-{day - 1}", f"2026-11-{day}") for day in (20, 21, 22, 23)
    ]


def test_a_new_subscription_gets_the_last_closed_window_even_when_its_edition_is_over() -> None:
    made_at = datetime(2026, 11, 25, 10, tzinfo=UTC)

    (found,) = plan_first(subscription(Schedule(), created_at=made_at), made_at, "UTC")

    assert (found.period, found.due_at, found.skipped) == (WEEK, made_at, "")


@settings(deadline=None, max_examples=80)
@given(
    zone=st.sampled_from(["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "America/Havana"]),
    deployment=st.sampled_from(["UTC", "Europe/Zurich", "Pacific/Auckland"]),
    cadence=st.sampled_from(["daily", "weekly", "monthly"]),
    hour=st.integers(0, 23),
    start=st.dates(date(2026, 1, 1), date(2026, 12, 31)),
)
def test_every_occurrence_belongs_to_exactly_one_period_and_is_never_due_before_it_closed(
    zone: str, deployment: str, cadence: Any, hour: int, start: date
) -> None:
    schedule = Schedule(cadence=cadence, time=f"{hour:02}:00", timezone=zone)
    one = subscription(schedule, catch_up=CatchUp.ALL)
    expected = occurrences(schedule, start, start + timedelta(days=70))
    if not expected:
        return
    period = period_of(one, expected[0], deployment)
    found = []
    while period.end < start + timedelta(days=70):
        found += plan_period(one, period, period.end_at)
        period = period.next()

    keys = [each.occurrence.key for each in found]
    assert len(keys) == len(set(keys))
    assert set(keys) >= {each.key for each in expected}
    for each in found:
        assert each.due_at >= each.period.end_at
        assert period_of(one, each.occurrence, deployment) == each.period


def test_what_the_preview_promises_becomes_a_job_at_that_time() -> None:
    schedule = Schedule(cadence="weekly", day_of_week=3, time="02:30", timezone="America/New_York")
    one = subscription(schedule)
    (promised,) = next_occurrences(schedule, CLOSED, 1)

    assert planned(one, CLOSED) == [(promised.key, promised.due_at, "")]
