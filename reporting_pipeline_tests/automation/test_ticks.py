"""What a tick does not look at: sensors tick every few seconds, and an edition has tens of thousands."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from reporting_pipeline.assets.emails import PART
from reporting_pipeline.assets.scope import NOTIFY, RENDER
from reporting_pipeline.automation import edition_sensor, report_email_sensor, subscription_sync, watching
from reporting_pipeline.automation.tags import STAGE
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.stores.deliveries import halt_channel
from reporting_pipeline.stores.editions import get_edition, open_edition
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.subscriptions import active_ids, end_subscription
from reporting_pipeline_tests.automation.crank import ORGANISATION, Crank
from reporting_pipeline_tests.automation.test_dead_runs import started


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Cadence]:
    """The windows of which all subscriptions were read."""
    found: list[Cadence] = []
    original = active_ids

    def counted(database: Database, window: Cadence) -> list[str]:
        found.append(window)
        return original(database, window)

    monkeypatch.setattr(subscription_sync, "active_ids", counted)
    return found


def _partitions(crank: Crank) -> list[str]:
    return list(crank.instance.get_dynamic_partitions("weekly_subscriptions"))


def test_subscriptions_are_compared_when_one_was_changed_and_every_five_minutes(
    crank: Crank, looks: list[Cadence]
) -> None:
    crank.sensor("subscription_sync")
    crank.clock.forward(minutes=4)
    looks.clear()
    crank.sensor("subscription_sync")
    assert looks == [], "nothing was changed"

    end_subscription(crank.database, ORGANISATION, "sub_alpha", crank.clock.at)
    assert "sub_alpha" in _partitions(crank)
    crank.sensor("subscription_sync")
    assert looks
    assert "sub_alpha" not in _partitions(crank)

    crank.clock.forward(minutes=5)
    looks.clear()
    # Written past the door: nothing says that it was changed.
    crank.database.subscriptions.delete_one({"_id": "sub_beta"})
    crank.sensor("subscription_sync")
    assert looks
    assert "sub_beta" not in _partitions(crank)


def test_a_subscription_without_its_partition_gets_one_before_its_report_is_asked_for(crank: Crank) -> None:
    crank.complete()
    crank.clock.forward(minutes=1)
    crank.subscribe("late", made=crank.clock.at)
    crank.instance.delete_dynamic_partition("weekly_subscriptions", "sub_late")
    crank.sensor("on_demand_sensor")
    assert "sub_late" in _partitions(crank)


def test_a_large_edition_is_counted_as_seldom_as_it_is_large_and_a_small_one_at_each_tick(
    crank: Crank, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = crank.clock.at
    opened = open_edition(crank.database, Cadence.WEEKLY, crank.period().key, "schedule", now)

    def counted(after: timedelta) -> bool:
        edition = get_edition(crank.database, opened.id)
        return edition_sensor._count(crank.database, edition, now + after)

    def known() -> dict[str, int]:
        return dict(get_edition(crank.database, opened.id).counts)

    assert counted(timedelta())
    crank.database.jobs.insert_one({"_id": "job_1", "edition": opened.id, "state": "pending"})
    assert counted(timedelta(seconds=1))
    assert known() == {"pending": 1}
    monkeypatch.setattr(edition_sensor, "COUNTED_EACH_TICK", 0)
    monkeypatch.setattr(edition_sensor, "COUNT_AFTER", timedelta(seconds=10))
    crank.database.jobs.update_one({"_id": "job_1"}, {"$set": {"state": "completed"}})
    assert not counted(timedelta(seconds=2))
    assert known() == {"pending": 1}
    assert counted(timedelta(seconds=11))
    assert known() == {"completed": 1}
    # Two jobs: twice as long.
    crank.database.jobs.insert_one(
        {"_id": "job_2", "subscription": "sub_2", "edition": opened.id, "state": "pending"}
    )
    assert counted(timedelta(seconds=21))
    assert not counted(timedelta(seconds=40))
    assert counted(timedelta(seconds=41))


def test_deliveries_that_no_materialization_led_to_are_swept_up_once_a_minute(crank: Crank) -> None:
    """An event log that was purged, or a cursor set by hand past what was never read."""
    crank.subscribe("later", schedule=Schedule(cadence="weekly", day_of_week=5, time="09:00"))
    crank.open()
    for _ in range(5):
        for request in crank.sensor("edition_sensor"):
            crank.execute(request)
    states = {name: job["state"] for name, job in crank.jobs().items()}
    assert states.pop("sub_later") == "rendered"
    assert set(states.values()) == {"delivering"}
    past_all = {"weekly": 10**9, "swept": crank.clock.at.timestamp()}
    crank.cursors["report_email_sensor"] = json.dumps(past_all)

    crank.clock.forward(seconds=59)
    crank.sensor("report_email_sensor")
    assert crank.database.deliveries.count_documents({}) == 0
    crank.clock.forward(minutes=2)
    crank.sensor("report_email_sensor")
    planned = [row["subscription"] for row in crank.database.deliveries.find()]
    assert sorted(planned) == sorted(crank.jobs())

    crank.settle()
    assert crank.mailed() == sorted(f"{name.removeprefix('sub_')}@example.org" for name in states)
    assert {job["state"] for name, job in crank.jobs().items() if name != "sub_later"} == {"completed"}


def test_much_that_is_due_gets_several_delivery_runs_and_little_gets_one(
    crank: Crank, monkeypatch: pytest.MonkeyPatch
) -> None:
    crank.open()
    for _ in range(5):
        for request in crank.sensor("edition_sensor"):
            crank.execute(request)
    (little,) = crank.sensor("report_email_sensor")
    assert little.tags[PART] == "0"
    monkeypatch.setattr(report_email_sensor, "DUE_FOR_ANOTHER", 1)
    requests = crank.sensor("report_email_sensor")
    assert [request.tags[PART] for request in requests] == ["0", "1"]
    for request in reversed(requests):
        assert crank.execute(request).success
    assert crank.mailed() == sorted(f"{name.removeprefix('sub_')}@example.org" for name in crank.jobs())
    assert crank.sensor("report_email_sensor") == []


def test_the_jobs_of_an_edition_are_planned_while_its_documents_are_fetched(crank: Crank) -> None:
    assert not isinstance(crank.schedule(), str)
    crank.sensor("subscription_sync")
    assert {job["state"] for job in crank.jobs().values()} == {"pending"}
    planned = crank.jobs_by_id()
    crank.settle()
    assert crank.edition_state() == "completed"
    assert crank.jobs_by_id().keys() == planned.keys()


@pytest.mark.parametrize("lost", ["plan_for_jobs", "_sweep"])
def test_what_a_look_could_not_plan_is_planned_by_the_next_and_what_is_due_is_sent_meanwhile(
    crank: Crank, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    crank.open()
    for _ in range(3):  # up to the reports
        for name in ("subscription_sync", "edition_sensor"):
            for request in crank.sensor(name):
                crank.execute(request)

    def away(*_: object) -> None:
        raise ConnectionError("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(report_email_sensor, lost, away)
        first = crank.sensor("report_email_sensor")
    requests = first or crank.sensor("report_email_sensor")

    assert bool(first) == (lost == "_sweep")
    assert [request.job_name for request in requests] == ["weekly_delivery_job"]


def test_a_sweep_does_not_stop_at_the_same_jobs_again(crank: Crank, monkeypatch: pytest.MonkeyPatch) -> None:
    """The jobs of a halted channel wait for days and have their deliveries; they hide no other job."""
    monkeypatch.setattr(report_email_sensor, "MISSED_PER_SWEEP", 1)
    halt_channel(crank.database, "email", "401", crank.clock.at)
    crank.complete()
    crank.database.deliveries.delete_many({})
    jobs = len(crank.jobs())
    for _ in range(jobs):
        crank.clock.forward(minutes=3)
        crank.sensor("report_email_sensor")
    assert crank.database.deliveries.count_documents({}) == jobs


def test_a_count_of_a_few_seconds_ago_closes_no_edition_over_a_newer_job(
    crank: Crank, monkeypatch: pytest.MonkeyPatch
) -> None:
    edition = f"weekly:{crank.period().key}"
    crank.complete()
    assert crank.edition_state() == "completed"
    monkeypatch.setattr(edition_sensor, "COUNTED_EACH_TICK", 0)
    done = dict(get_edition(crank.database, edition).counts)
    assert set(done) == {"completed"}
    crank.database.editions.update_one(
        {"_id": edition}, {"$set": {"state": "open", "counts": done, "counted_at": crank.clock.at}}
    )
    crank.database.jobs.update_one({"subscription": "sub_alpha"}, {"$set": {"state": "delivering"}})
    crank.sensor("edition_sensor")
    assert crank.edition_state() == "open"
    crank.database.jobs.update_one({"subscription": "sub_alpha"}, {"$set": {"state": "completed"}})
    crank.sensor("edition_sensor")
    assert crank.edition_state() == "completed"


@pytest.mark.parametrize(
    "cursor", ["nonsense", "[]", "7", '{"weekly": null}', '{"weekly": "x"}', '{"a": {}}']
)
def test_a_mail_cursor_that_somebody_set_by_hand_begins_anew_and_mails_nobody_twice(
    crank: Crank, cursor: str
) -> None:
    crank.complete()
    mailed = crank.mailed()
    assert mailed
    crank.cursors["report_email_sensor"] = cursor
    assert crank.sensor("report_email_sensor") == []
    assert crank.cursors["report_email_sensor"] != cursor
    assert crank.mailed() == mailed


def test_an_edition_whose_jobs_cannot_be_planned_holds_up_no_other(crank: Crank) -> None:
    open_edition(crank.database, Cadence.WEEKLY, "0-is-no-date", "usr_1", crank.clock.at)
    assert not isinstance(crank.schedule(), str)
    crank.sensor("subscription_sync")
    assert {job["edition"] for job in crank.jobs().values()} == {crank.edition()}


@pytest.mark.parametrize(
    "cursor", ["nonsense", "2026-11-23", "a b", "2026-11-23T00:00:00 2026-11-23T00:00:00"]
)
def test_a_cursor_that_somebody_set_by_hand_stops_no_sensor(crank: Crank, cursor: str) -> None:
    for name in ("subscription_sync", "edition_sensor"):
        crank.cursors[name] = cursor
        crank.sensor(name)
        assert crank.cursors[name] != cursor


def test_an_edition_goes_on_as_soon_as_a_run_that_it_waits_for_has_ended(
    crank: Crank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster begins a tick every five seconds: one that finds nothing stays, while runs are under way."""
    glances: list[float] = []

    def meanwhile(seconds: float) -> None:
        glances.append(seconds)
        if len(glances) == 3:
            crank.instance.report_run_canceled(run)

    monkeypatch.setattr(watching, "sleep", meanwhile)
    monkeypatch.setitem(crank.settings.__dict__, "watch_seconds", 600.0)
    assert crank.sensor("edition_sensor") == []
    assert glances == [], "no run is under way: there is nothing to watch for"
    answer = crank.schedule()
    assert not isinstance(answer, str)
    (request,) = answer
    run = started(crank, request)
    again = crank.sensor("edition_sensor")
    assert [one.job_name for one in again] == [request.job_name]
    assert len(glances) == 3

    # A run that does not end holds a tick for a time only: the daemon's other sensors have its thread.
    run = started(crank, again[0])
    glances.clear()
    monkeypatch.setitem(crank.settings.__dict__, "watch_seconds", watching.GLANCE)
    assert crank.sensor("edition_sensor") == []
    assert glances == []


def test_mails_are_asked_for_as_soon_as_reports_stand_and_when_a_run_has_ended(
    crank: Crank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the edition's sensor does: who waits for the daemon's next tick waits for seconds at each stage."""
    glances: list[float] = []
    third: list[Callable[[], object]] = []

    def meanwhile(seconds: float) -> None:
        glances.append(seconds)
        if len(glances) == 3:
            third.pop()()

    monkeypatch.setattr(watching, "sleep", meanwhile)
    asked = crank.schedule()
    assert not isinstance(asked, str)
    crank.sensor("subscription_sync")
    while not any(one.tags[STAGE] == RENDER for one in asked):
        for one in asked:
            crank.execute(one)
        asked = crank.sensor("edition_sensor")
    (rendering,) = asked
    monkeypatch.setitem(crank.settings.__dict__, "watch_seconds", 600.0)
    assert crank.sensor("report_email_sensor") == []
    assert glances == [], "nothing is made: there is nothing to watch for"

    another = started(crank, rendering)
    third.append(lambda: crank.execute(rendering))
    (delivering,) = crank.sensor("report_email_sensor")
    assert delivering.tags[STAGE] == NOTIFY
    assert len(glances) == 3

    # While a run delivers, what is new is left to it; when it has ended, what is left is asked for anew.
    glances.clear()
    run = started(crank, delivering)
    third.append(lambda: crank.instance.report_run_canceled(run))
    (again,) = crank.sensor("report_email_sensor")
    assert again.tags[STAGE] == NOTIFY
    assert len(glances) == 3
    crank.instance.report_run_canceled(another)
