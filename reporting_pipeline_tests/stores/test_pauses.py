"""A pause that ends by itself: on its day, once, and nothing of that day is lost."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from reporting_pipeline.domain.jobs import JobState
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import lifecycle
from reporting_pipeline.stores.jobs import plan_due_jobs
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.subscriptions import get_subscription
from reporting_pipeline.usecases.subscriptions import pause, resume_what_is_over

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
UNTIL = date(2026, 11, 26)
#: Midnight of that day in Zurich.
OVER = datetime(2026, 11, 25, 23, tzinfo=UTC)


def paused(database: Database, time: str = "00:00", until: date | None = UNTIL) -> Subscription:
    made = Subscription(
        id="sub_pause",
        organisation="default",
        owner="usr_a",
        name="Daily",
        schedule=Schedule(cadence="daily", time=time, timezone="Europe/Zurich"),
        created_at=NOW,
        updated_at=NOW,
    )
    stored = lifecycle.create(database, made, NOW, "Europe/Zurich")
    return pause(database, stored, "usr_a", NOW, until=until)


def standing(database: Database) -> Subscription:
    found = get_subscription(database, "default", "sub_pause")
    assert found is not None
    return found


def test_it_goes_on_at_the_beginning_of_its_day_and_not_before(
    database: Database, settings: Settings
) -> None:
    assert paused(database).paused_until == UNTIL
    assert resume_what_is_over(database, settings, OVER - timedelta(milliseconds=1)) == 0
    assert resume_what_is_over(database, settings, OVER) == 1
    assert resume_what_is_over(database, settings, OVER) == 0
    assert (standing(database).status, standing(database).paused_until) == ("active", None)
    rows = {row["action"]: row for row in database.audit.find()}
    assert rows["subscription.paused"]["details"] == {"until": "2026-11-26"}
    assert rows["subscription.resumed"]["actor"] == "schedule"


@pytest.mark.parametrize("late", [timedelta(0), timedelta(seconds=5), timedelta(hours=3)])
def test_what_is_due_on_that_day_is_sent_however_late_somebody_looks(
    database: Database, settings: Settings, late: timedelta
) -> None:
    paused(database)
    resume_what_is_over(database, settings, OVER + late)
    plan_due_jobs(database, OVER + late, "Europe/Zurich")
    waits = database.jobs.find({"state": JobState.PENDING.value})
    assert [job["occurrence"] for job in waits] == ["2026-11-26"]


def test_what_fell_into_the_pause_is_not_sent(database: Database, settings: Settings) -> None:
    paused(database, time="20:00")  # due in it on three evenings
    resume_what_is_over(database, settings, OVER + timedelta(minutes=1))
    plan_due_jobs(database, OVER + timedelta(minutes=1), "Europe/Zurich")
    assert database.jobs.count_documents({"state": JobState.PENDING.value}) == 0
    evening = datetime(2026, 11, 26, 19, tzinfo=UTC)
    plan_due_jobs(database, evening, "Europe/Zurich")
    assert database.jobs.count_documents({"state": JobState.PENDING.value}) == 1


def test_a_pause_for_good_and_one_that_somebody_ended_go_on_by_nobody_else(
    database: Database, settings: Settings
) -> None:
    forever = paused(database, until=None)
    assert resume_what_is_over(database, settings, OVER + timedelta(days=999)) == 0
    again = pause(database, forever, "usr_a", NOW, until=UNTIL)  # another end of the same pause
    assert (again.paused_until, again.version) == (UNTIL, forever.version + 1)
    assert pause(database, again, "usr_a", NOW, until=UNTIL).version == again.version
    resumed = lifecycle.resume(database, "default", "sub_pause", NOW, "Europe/Zurich")
    assert (resumed.paused_until, resumed.resumed_at) == (None, NOW)
    assert resume_what_is_over(database, settings, OVER) == 0


@pytest.mark.parametrize("until", [date(2026, 11, 23), date(2020, 1, 1), date(2029, 1, 1)])
def test_a_day_that_is_not_ahead_is_refused(database: Database, until: date) -> None:
    with pytest.raises(ValueError, match="no day ahead"):
        paused(database, until=until)
