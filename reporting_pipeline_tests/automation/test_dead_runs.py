"""A run whose process is gone is buried and its range asked for again; a living one is left alone."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from dagster import DagsterRun, RunRequest, RunsFilter
from dagster._core.events import DagsterEvent, DagsterEventType

from reporting_pipeline.automation.control import end_dead_runs
from reporting_pipeline.automation.tags import RANGE_END, RANGE_START
from reporting_pipeline.stores.mongo import server_time
from reporting_pipeline_tests.automation.crank import Crank


def started(crank: Crank, request: RunRequest, ago: timedelta = timedelta(0)) -> DagsterRun:
    """The run of a request, started by a process that then says nothing more."""
    assert request.job_name is not None
    run = crank.instance.create_run_for_job(
        crank.repository.get_job(request.job_name), tags=dict(request.tags), run_config=request.run_config
    )
    event = DagsterEvent(event_type_value=DagsterEventType.RUN_START.value, job_name=run.job_name)
    crank.instance.report_dagster_event(event, run.run_id, timestamp=time.time() - ago.total_seconds())
    return run


def beat(crank: Crank, run: DagsterRun, beats_ago: float = 0) -> None:
    """The run's last heartbeat, so many ago by the server's clock."""
    at = server_time(crank.database) - timedelta(seconds=crank.settings.heartbeat_seconds * beats_ago)
    crank.database.heartbeats.update_one({"_id": run.run_id}, {"$set": {"at": at}}, upsert=True)


def status(crank: Crank, run: DagsterRun) -> str:
    found = crank.instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status.value


@pytest.fixture
def request_(crank: Crank) -> RunRequest:
    """What the schedule asks for when it opens the edition."""
    answer = crank.schedule()
    assert not isinstance(answer, str)
    return answer[0]


def test_a_run_whose_heartbeat_stopped_is_buried_and_its_range_asked_for_again(
    crank: Crank, request_: RunRequest
) -> None:
    run = started(crank, request_)
    beat(crank, run)
    assert crank.sensor("edition_sensor") == [], "what a living run works on is not asked for twice"
    beat(crank, run, 11)
    assert crank.sensor("edition_sensor") == []
    beat(crank, run, 13)
    again = crank.sensor("edition_sensor")
    assert status(crank, run) == "FAILURE"
    assert [one.job_name for one in again] == [request_.job_name]
    assert [again[0].tags[end] for end in (RANGE_START, RANGE_END)] == [
        request_.tags[end] for end in (RANGE_START, RANGE_END)
    ]
    assert crank.database.heartbeats.count_documents({}) == 0
    crank.settle()
    assert crank.edition_state() == "completed"


@pytest.mark.parametrize("hours", [1, -1])
def test_a_daemon_whose_clock_is_an_hour_off_buries_no_living_run_and_each_dead_one(
    crank: Crank, request_: RunRequest, hours: int
) -> None:
    run = started(crank, request_)
    beat(crank, run)
    crank.clock.machines_ahead = timedelta(hours=hours)
    assert crank.sensor("edition_sensor") == []
    assert status(crank, run) == "STARTED"
    beat(crank, run, 13)
    crank.sensor("edition_sensor")
    assert status(crank, run) == "FAILURE"


def test_a_queued_run_is_not_asked_for_again(crank: Crank, request_: RunRequest) -> None:
    assert request_.job_name is not None
    crank.instance.create_run_for_job(crank.repository.get_job(request_.job_name), tags=dict(request_.tags))
    assert crank.sensor("edition_sensor") == []


def test_a_run_killed_before_its_first_heartbeat_is_buried_too(crank: Crank, request_: RunRequest) -> None:
    run = started(crank, request_, ago=timedelta(minutes=6))
    crank.clock.follow_the_machine()
    assert len(crank.sensor("edition_sensor")) == 1
    assert status(crank, run) == "FAILURE"


def test_how_long_a_run_may_take_to_start_is_a_setting(crank: Crank, request_: RunRequest) -> None:
    run = started(crank, request_, ago=timedelta(seconds=40))
    crank.clock.follow_the_machine()
    records = crank.instance.get_run_records(RunsFilter(run_ids=[run.run_id]))
    quick = crank.settings.model_copy(update={"start_up_seconds": 30})
    assert end_dead_runs(crank.instance, crank.database, records, crank.settings) == set()
    assert end_dead_runs(crank.instance, crank.database, records, quick) == {run.run_id}


def test_a_long_run_that_has_just_removed_its_heartbeat_is_not_buried_while_it_ends(
    crank: Crank, request_: RunRequest
) -> None:
    """Between a run's last heartbeat and its end it still writes events."""
    run = started(crank, request_, ago=timedelta(minutes=30))
    crank.instance.report_engine_event("Finished steps in process", run)
    crank.clock.follow_the_machine()
    assert crank.sensor("edition_sensor") == []
    assert status(crank, run) == "STARTED"


def test_a_delivery_run_killed_before_its_first_heartbeat_holds_no_mail_back(crank: Crank) -> None:
    lost: list[DagsterRun] = []

    def lose_delivery(request: RunRequest) -> None:
        if request.job_name == "weekly_delivery_job" and not lost:
            lost.append(started(crank, request, ago=timedelta(minutes=6)))
            raise InterruptedError

    crank.before_run = lose_delivery
    crank.open()
    with pytest.raises(InterruptedError):
        crank.settle()
    assert crank.mailed() == []
    crank.clock.follow_the_machine()
    crank.settle()
    assert status(crank, lost[0]) == "FAILURE"
    assert len(crank.mailed()) == 6
    assert crank.edition_state() == "completed"
