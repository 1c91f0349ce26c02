"""A subscription is changed while its report waits for its day: what is sent is what is asked for by then."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Filters, Format
from reporting_pipeline.stores import lifecycle
from reporting_pipeline.stores.reports import StoredReport, reports_by_id
from reporting_pipeline_tests.automation.crank import ORGANISATION, Crank, usual_documents

ALPHA = Filters(trials=("T-ALPHA",))
FRIDAY = Schedule(cadence="weekly", day_of_week=5, time="07:00")


@pytest.fixture
def waiting(empty: Crank) -> Crank:
    """A report of two trials that was made on Monday and is sent on Friday."""
    for trial in ("T-ALPHA", "T-BETA"):
        empty.add_trial(trial)
        empty.arrive(*usual_documents(trial, empty.period()))
    empty.subscribe("one", schedule=FRIDAY)
    empty.complete()
    assert (empty.jobs()["sub_one"]["state"], empty.mailed()) == ("rendered", [])
    return empty


def change(crank: Crank, **changes: Any) -> None:
    lifecycle.change(crank.database, crank.subscription("one"), changes, crank.clock.at, "UTC")


def report(crank: Crank) -> StoredReport:
    name = crank.jobs()["sub_one"]["report"]
    return reports_by_id(crank.database, [name])[name]


def friday(crank: Crank) -> None:
    crank.clock.at = crank.jobs()["sub_one"]["due_at"] + timedelta(minutes=1)


def test_it_is_made_again_and_sent_once_on_its_day(waiting: Crank) -> None:
    change(waiting, filters=ALPHA, format=Format.CSV)
    waiting.settle()
    assert (waiting.jobs()["sub_one"]["state"], waiting.mailed()) == ("rendered", [])
    made = report(waiting)
    assert (set(made.dataset_versions), made.format) == ({"T-ALPHA"}, "csv")
    change(waiting, description="Of no matter to what it shows")
    assert waiting.jobs()["sub_one"]["state"] == "rendered"
    friday(waiting)
    waiting.settle()
    assert waiting.mailed() == ["one@example.org"]
    assert waiting.jobs()["sub_one"]["state"] == "completed"


def test_nobody_gets_what_it_was_before_when_the_change_comes_at_the_last_moment(waiting: Crank) -> None:
    friday(waiting)
    change(waiting, filters=ALPHA)
    for request in waiting.sensor("report_email_sensor"):
        waiting.execute(request)
    assert waiting.mailed() == []
    waiting.settle()
    waiting.clock.at += timedelta(minutes=1)
    waiting.settle()
    assert waiting.mailed() == ["one@example.org"]
    assert set(report(waiting).dataset_versions) == {"T-ALPHA"}


def test_whoever_takes_it_over_gets_it_as_their_own(waiting: Crank) -> None:
    waiting.add_user("two", organisation=ORGANISATION)
    change(waiting, owner="usr_two", recipients=())
    waiting.settle()
    friday(waiting)
    waiting.settle()
    assert waiting.mailed() == ["two@example.org"]
    assert waiting.jobs()["sub_one"]["owner"] == "usr_two"
    assert report(waiting).worded["owner_name"] == waiting.database.users.find_one({"_id": "usr_two"})["name"]  # type: ignore[index]
