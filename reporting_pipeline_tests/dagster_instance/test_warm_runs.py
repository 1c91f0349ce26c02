"""Runs as forks of one process: what they have, how they end, and who can tell."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import Pipe
from pathlib import Path

import psutil
import pytest
import yaml
from dagster import (
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    in_process_executor,
    job,
    op,
    reconstructable,
)
from dagster._core.launcher import LaunchRunContext, WorkerStatus

from reporting_pipeline.automation.tags import stage_tags
from reporting_pipeline.dagster_instance.warm_runs import PROCESS_TAG, WarmRunLauncher, _execute
from reporting_pipeline_tests.dagster_instance import preloaded

OWN = Path(__file__).parents[2] / "dagster.yaml"
NICER = 3
PATIENCE = 120.0  # seconds; on a busy machine a fork server takes long to start


@op
def say_where(context) -> None:  # type: ignore[no-untyped-def]
    context.instance.add_run_tags(
        context.run.run_id,
        {
            "imported_in": str(preloaded.IMPORTED_IN),
            "parent": str(os.getppid()),
            "own": str(os.getpid()),
            "niceness": str(os.nice(0)),
        },
    )


@job(executor_def=in_process_executor)
def telling_job() -> None:
    say_where()


@op
def wait() -> None:
    time.sleep(600)


@job(executor_def=in_process_executor)
def slow_job() -> None:
    wait()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("warm")
    named = {
        "module": WarmRunLauncher.__module__,
        "class": WarmRunLauncher.__name__,
        "config": {
            "preload": [preloaded.__name__],
            "niceness": {"key": "hurry", "value": "no", "by": NICER},
        },
    }
    (home / "dagster.yaml").write_text(
        yaml.safe_dump({"run_launcher": named, "telemetry": {"enabled": False}})
    )
    return home


@pytest.fixture(scope="module")
def instance(home: Path) -> Iterator[DagsterInstance]:
    with DagsterInstance.from_config(str(home)) as opened:
        yield opened


def _launched(instance: DagsterInstance, kind: object, tags: Mapping[str, str] | None = None) -> str:
    run = instance.create_run_for_job(
        kind,  # type: ignore[arg-type]
        status=DagsterRunStatus.STARTING,
        tags=tags,
        job_code_origin=reconstructable(kind).get_python_origin(),  # type: ignore[arg-type]
    )
    instance.run_launcher.launch_run(LaunchRunContext(run, None))
    return run.run_id


def _run(instance: DagsterInstance, run_id: str) -> DagsterRun:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _begun(instance: DagsterInstance, run_id: str) -> DagsterRun:
    _until(lambda: bool(instance.all_logs(run_id, of_type=DagsterEventType.STEP_START)))
    return _run(instance, run_id)


def _ended(instance: DagsterInstance, run_id: str) -> DagsterRun:
    _until(lambda: _run(instance, run_id).is_finished)
    return _run(instance, run_id)


def _process(run: DagsterRun) -> psutil.Process:
    return psutil.Process(int(run.tags[PROCESS_TAG].partition("/")[0]))


def test_runs_are_forks_of_one_process_that_has_imported_what_they_need(instance: DagsterInstance) -> None:
    runs = [_ended(instance, _launched(instance, telling_job)) for _ in range(2)]
    assert {run.status for run in runs} == {DagsterRunStatus.SUCCESS}
    parents = {run.tags["parent"] for run in runs}
    assert len(parents) == 1
    assert {run.tags["imported_in"] for run in runs} == parents
    assert len({run.tags["own"] for run in runs}) == 2
    assert all(run.tags[PROCESS_TAG].startswith(run.tags["own"] + "/") for run in runs)


def test_a_run_that_nobody_waits_for_leaves_the_processors_to_the_others(instance: DagsterInstance) -> None:
    launched = [_launched(instance, telling_job, {"hurry": hurry}) for hurry in ("no", "yes")]
    patient, prompt = (int(_ended(instance, run).tags["niceness"]) for run in launched)
    assert patient == min(prompt + NICER, 19), "19 is the most there is"


def test_a_run_whose_process_is_killed_has_failed_and_says_so(instance: DagsterInstance) -> None:
    run = _begun(instance, _launched(instance, slow_job))
    assert instance.run_launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    _process(run).kill()
    assert _ended(instance, run.run_id).status is DagsterRunStatus.FAILURE
    told = [entry.message for entry in instance.all_logs(run.run_id)]
    assert any("killed by SIGKILL" in message for message in told), told
    assert instance.run_launcher.check_run_worker_health(run).status is WorkerStatus.NOT_FOUND


def test_whoever_opens_the_instance_can_end_a_run(instance: DagsterInstance, home: Path) -> None:
    run = _begun(instance, _launched(instance, slow_job))
    with DagsterInstance.from_config(str(home)) as another:
        assert another.run_launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
        assert another.run_launcher.terminate(run.run_id)
        assert _ended(another, run.run_id).status is DagsterRunStatus.CANCELED
        assert not another.run_launcher.terminate(run.run_id), "it is over"


def test_a_process_that_has_the_number_of_a_run_by_now_is_left_alone(instance: DagsterInstance) -> None:
    run = instance.create_run_for_job(
        slow_job, status=DagsterRunStatus.STARTED, tags={PROCESS_TAG: f"{os.getpid()}/1.00"}
    )
    asked: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    try:
        assert instance.run_launcher.check_run_worker_health(run).status is WorkerStatus.NOT_FOUND
        assert not instance.run_launcher.terminate(run.run_id)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not asked


@pytest.mark.parametrize("named", ["", "none", "0/", "99999999999/1.00"])
def test_a_run_that_names_no_process_has_none(instance: DagsterInstance, named: str) -> None:
    run = instance.create_run_for_job(slow_job, tags={PROCESS_TAG: named} if named else {})
    assert instance.run_launcher.check_run_worker_health(run).status is WorkerStatus.NOT_FOUND


def test_a_run_does_not_begin_when_nobody_wrote_down_its_process() -> None:
    may_begin, begin = Pipe(duplex=False)
    begin.close()
    _execute(["api", "execute_run", "not even read"], may_begin, 0)


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"no module named reporting_pipeline\.cold"):
        WarmRunLauncher(["reporting_pipeline.cold"])


def test_the_deployment_of_one_machine_uses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text(OWN.read_text())
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        assert isinstance(instance.run_launcher, WarmRunLauncher)
        nicer = {
            is_prompt: instance.run_launcher._niceness_of(run)
            for is_prompt in (True, False)
            if (run := DagsterRun("any", tags=stage_tags("weekly:2026-11-16", "render", prompt=is_prompt)))
        }
        assert nicer == {True: 0, False: 10}, "a person waits for the one"
        assert instance.run_monitoring_max_resume_run_attempts == 0, "a range is asked for again, not resumed"
