"""An edition over Celery's queues: each stage in its own, a worker is killed, and nothing happens twice."""

from __future__ import annotations

import base64
import importlib
import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import policy
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import redis
import yaml
from dagster import (
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    RunsFilter,
    reconstructable,
)
from dagster._config import resolve_to_config_type, validate_config
from dagster._core.launcher import LaunchRunContext
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_QUEUE_TAG, DAGSTER_CELERY_TASK_ID_TAG

from reporting_pipeline.automation.control import DEAD_RUN
from reporting_pipeline.automation.tags import EDITION, MAX_RUNTIME, PRIORITIES, STAGE
from reporting_pipeline.cli.local.processes import Child, program, running
from reporting_pipeline.domain.jobs import DeliveryState, EditionState, JobState
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Filters, Format, Recipient, Subscription
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.samples import synthetic_trial
from reporting_pipeline.samples.files import WeekOfFiles, pending
from reporting_pipeline.samples.subscribers import (
    organisation_record,
    subscription_record,
    user_record,
)
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.documents import Arrival, document_id, ingest_many, upsert_trial
from reporting_pipeline.stores.editions import open_edition
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.deploy import redis_server
from reporting_pipeline_tests.deploy.slow import slow_job
from reporting_pipeline_tests.postgres import postgres_variables
from reporting_pipeline_tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
CELERY = ROOT / "deploy/celery"
STAGES = tuple(PRIORITIES)
TRIALS = ("CEL-A", "CEL-B", "CEL-C")
SUBSCRIPTIONS = 24
RANGE_SIZE = 6
#: Where the two instance files differ, and may.
LAUNCHING = {"run_launcher", "concurrency", "run_monitoring"}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    with redis_server.running(tmp_path / "redis") as url:
        yield url


@pytest.fixture
def environment(
    settings: Settings, endpoints: Endpoints, postgres_url: str, broker: str, tmp_path: Path
) -> dict[str, str]:
    """What the daemon and the workers are started with, DAGSTER_HOME laid out."""
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text((CELERY / "dagster.yaml").read_text())
    deployment = {
        "REPORTING_ENVIRONMENT": "test",
        "REPORTING_HOME": str(settings.home),
        "REPORTING_MONGODB_DATABASE": settings.mongodb_database,
        "REPORTING_S3_BUCKET": settings.s3_bucket,
        "REPORTING_RANGE_SIZE": str(RANGE_SIZE),
        "REPORTING_SENSOR_INTERVAL_SECONDS": "2",
        "REPORTING_HEARTBEAT_SECONDS": "1",
        **endpoints.as_environment(),
        "DAGSTER_HOME": str(home),
        **postgres_variables(postgres_url),
        "AWS_ENDPOINT_URL_S3": str(endpoints.s3_endpoint_url),
        "CELERY_BROKER_URL": broker,
        "CELERY_RESULT_BACKEND": broker,
    }
    return {**os.environ, **deployment}


@pytest.fixture
def instance(environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterInstance]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with DagsterInstance.from_config(environment["DAGSTER_HOME"]) as opened:
        yield opened


@pytest.fixture
def queues(broker: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(broker) as client:
        yield client


@pytest.fixture
def edition(database: Database, objects: ObjectStore) -> str:
    """An open edition of the week that closed last: three trials, 24 subscriptions that are due."""
    now = datetime.now(UTC)
    period = Period.last_closed(Cadence.WEEKLY, now, "UTC")
    database.organisations.insert_one(organisation_record("default"))
    for trial in TRIALS:
        upsert_trial(database, {**synthetic_trial.trial_record("default"), "_id": trial})
        ingest_many(database, objects, _arrivals(database, trial, period, now), now)
    users = [user_record(number, "Ada", "UTC", "default") for number in range(SUBSCRIPTIONS)]
    users = [{**user, "trials": "all"} for user in users]
    database.users.insert_many(users)
    database.subscriptions.insert_many(
        [subscription_record(_subscription(number, user, now)) for number, user in enumerate(users)]
    )
    return open_edition(database, Cadence.WEEKLY, period.key, "test", now).id


def _arrivals(database: Database, trial: str, period: Period, now: datetime) -> Iterator[Arrival]:
    zone = ZoneInfo("UTC")
    week = [
        {**record, "trial": trial, "_id": document_id(trial, record["_id"])}
        for record in synthetic_trial.week_records("default", period.start, zone)
    ]
    yield from (Arrival(record) for record in week)
    files = WeekOfFiles(trial, period.start, week, zone, "chest", synthetic_trial.note_of_site)
    yield from pending(database, files.documents(4, faults=False), now)


def _subscription(number: int, user: Mapping[str, Any], now: datetime) -> Subscription:
    """Each with filters of its own, so that every report is drawn in full."""
    site = synthetic_trial.SITES[number % 8].id
    trials = (TRIALS[number // 8],)
    return Subscription(
        id=f"sub_{number:016x}",
        organisation="default",
        owner=user["_id"],
        name=f"Subscription {number}",
        filters=Filters(trials=trials, sites=(site,)),
        schedule=Schedule(cadence="weekly", day_of_week=1, time="00:00", timezone="UTC"),
        window=Cadence.WEEKLY,
        recipients=(Recipient(type="email", value=user["email"]),),
        format=Format.PDF,
        created_at=now - timedelta(days=30),
        updated_at=now - timedelta(days=30),
    )


@dataclass(frozen=True)
class Processes:
    """The daemon and the workers of one deployment; all end with the test."""

    environment: Mapping[str, str]
    logs: Path
    stack: ExitStack
    children: list[Child]

    def daemon(self) -> Child:
        return self._start("daemon", [program("dagster-daemon"), "run", "-w", str(ROOT / "workspace.yaml")])

    def worker(self, name: str, *queues: str) -> Child:
        """The command that docs/operations.md shows."""
        return self._start(
            name,
            [
                *(program("celery"), "--app", "reporting_worker", "--workdir", str(CELERY), "worker"),
                *("--queues", ",".join(queues), "--concurrency", "1", "--hostname", f"{name}@%h"),
                *("--loglevel", "INFO"),
            ],
        )

    def kill(self, child: Child) -> None:
        """All of a worker at once, as when its machine is lost."""
        self.children.remove(child)
        os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait(PATIENCE)

    def wait_until(self, condition: Callable[[], bool], what: str, every: float = 0.2) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            for child in self.children:
                child.check()
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {PATIENCE} s: {what}\n{self._tails()}")
            time.sleep(every)

    def _start(self, name: str, command: list[str]) -> Child:
        log = self.logs / f"{name}.log"
        child = self.stack.enter_context(running(name, command, dict(self.environment), log))
        self.children.append(child)
        return child

    def _tails(self) -> str:
        return "\n".join(
            f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-25:])
            for log in sorted(self.logs.glob("*.log"))
        )


@pytest.fixture
def processes(environment: dict[str, str], tmp_path: Path) -> Iterator[Processes]:
    with ExitStack() as stack:
        started = Processes(environment, tmp_path / "logs", stack, [])
        yield started
        for child in started.children:  # all at once; the stack then waits for each
            os.killpg(child.process.pid, signal.SIGINT)


@pytest.mark.slow
def test_an_edition_survives_a_killed_worker_and_nothing_happens_twice(
    processes: Processes,
    instance: DagsterInstance,
    queues: redis.Redis,
    edition: str,
    database: Database,
    settings: Settings,
) -> None:
    processes.daemon()
    lost, kept = processes.worker("lost", "render"), processes.worker("kept", *STAGES)
    killed_run = _kill_while_it_renders(processes, lost, database)
    # Of the four runs one is lost, and the worker that is left works on one.
    processes.wait_until(lambda: queues.llen("render") > 0, "runs wait in their stage's queue", every=0.02)
    message = _unacknowledged(queues, instance, killed_run)
    _holds_no_secret(message, processes.environment)
    # The broker would hand the lost run's message out again after its visibility timeout: here at once.
    queues.rpush("render", json.dumps(message))

    def state() -> str:
        record = database.editions.find_one({"_id": edition})
        assert record is not None
        return str(record["state"])

    processes.wait_until(lambda: state() != EditionState.OPEN.value, "the edition ends")
    assert state() == EditionState.COMPLETED.value
    _everything_once(database, edition, settings)
    _the_dead_run_was_buried_and_never_ran_again(instance, killed_run, kept)
    _each_run_went_through_its_stages_queue(instance, lost)
    assert [queues.llen(stage) for stage in STAGES] == [0, 0, 0, 0]


def _holds_no_secret(message: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """The message names the variables that hold the secrets; the worker has its own."""
    body = base64.b64decode(message["body"]).decode()
    assert "DAGSTER_POSTGRES_PASSWORD" in body
    for name in ("DAGSTER_POSTGRES_PASSWORD", "AWS_SECRET_ACCESS_KEY"):
        assert environment[name] not in body


def _kill_while_it_renders(processes: Processes, worker: Child, database: Database) -> str:
    """SIGKILL the worker's whole process group while a run of its own renders; the run's id."""
    found: list[str] = []

    def rendering() -> bool:
        for beat in database.heartbeats.find({"stage": "render"}):
            if _group(beat["pid"]) == worker.process.pid:
                found.append(beat["_id"])
                return True
        return False

    processes.wait_until(rendering, "the worker renders", every=0.02)
    processes.kill(worker)
    assert database.heartbeats.find_one({"_id": found[0]}) is not None, "killed after its end"
    return found[0]


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _unacknowledged(queues: redis.Redis, instance: DagsterInstance, run_id: str) -> dict[str, Any]:
    """The message of a run that a worker took and has not acknowledged, as the broker keeps it."""
    task = _run(instance, run_id).tags[DAGSTER_CELERY_TASK_ID_TAG]
    kept_back = [json.loads(value)[0] for value in queues.hvals("unacked")]
    message: dict[str, Any]
    (message,) = [one for one in kept_back if one["headers"]["id"] == task]
    return message


def _everything_once(database: Database, edition: str, settings: Settings) -> None:
    jobs = list(database.jobs.find({"edition": edition}))
    assert Counter(job["state"] for job in jobs) == {JobState.COMPLETED.value: SUBSCRIPTIONS}
    assert len({job["subscription"] for job in jobs}) == SUBSCRIPTIONS
    deliveries = list(database.deliveries.find({"edition": edition}))
    assert Counter(one["state"] for one in deliveries) == {DeliveryState.SENT.value: SUBSCRIPTIONS}
    assert {len(one["attempts"]) for one in deliveries} == {1}
    assert len({one["recipient"] for one in deliveries}) == SUBSCRIPTIONS
    assert database.reports.count_documents({}) == SUBSCRIPTIONS
    recipients = Counter(
        BytesParser(policy=policy.default).parsebytes(mail.read_bytes())["To"]
        for mail in settings.outbox.glob("*.eml")
    )
    assert len(recipients) == SUBSCRIPTIONS
    assert set(recipients.values()) == {1}


def _the_dead_run_was_buried_and_never_ran_again(instance: DagsterInstance, run_id: str, kept: Child) -> None:
    assert _run(instance, run_id).status is DagsterRunStatus.FAILURE
    messages = [entry.user_message or entry.message for entry in instance.all_logs(run_id)]
    assert any(DEAD_RUN in message for message in messages), messages
    assert sum("Started execution of run" in message for message in messages) == 1
    task = _run(instance, run_id).tags[DAGSTER_CELERY_TASK_ID_TAG]
    assert f"execute_job[{task}] received" in kept.log.read_text(), "the second delivery was not taken"
    assert any(re.search(r"Ignoring a (duplicate run|run worker)", message) for message in messages)


def _each_run_went_through_its_stages_queue(instance: DagsterInstance, lost: Child) -> None:
    """What runs at night (upkeep) is of no edition, and may fall into any hour of the test."""
    everything = instance.get_runs(RunsFilter())
    assert all(run.tags[DAGSTER_CELERY_QUEUE_TAG] in STAGES for run in everything), "no worker would take it"
    runs = [run for run in everything if EDITION in run.tags]
    assert {run.tags[STAGE] for run in runs} == set(STAGES)
    assert all(run.tags[DAGSTER_CELERY_QUEUE_TAG] == run.tags[STAGE] for run in runs)
    # 24 subscriptions in ranges of 6, and the killed range once more.
    assert sum(run.tags[STAGE] == "render" for run in runs) >= SUBSCRIPTIONS / RANGE_SIZE + 1
    log = lost.log.read_text()
    taken = {run.tags[STAGE] for run in runs if f"[{run.tags[DAGSTER_CELERY_TASK_ID_TAG]}] received" in log}
    assert taken == {"render"}


def _run(instance: DagsterInstance, run_id: str) -> DagsterRun:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run


def _launch_slow_run(processes: Processes, instance: DagsterInstance) -> str:
    """A run that waits for ten minutes, launched by the instance's launcher and begun; its id."""
    run = instance.create_run_for_job(
        slow_job,
        status=DagsterRunStatus.STARTING,
        tags={DAGSTER_CELERY_QUEUE_TAG: "render"},
        job_code_origin=reconstructable(slow_job).get_python_origin(),
    )
    instance.run_launcher.launch_run(LaunchRunContext(run, None))

    def begun() -> bool:
        return bool(instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_START))

    processes.wait_until(begun, "the slow run begins")
    return run.run_id


@pytest.mark.slow
def test_a_run_that_is_terminated_ends(processes: Processes, instance: DagsterInstance) -> None:
    processes.worker("worker", "render")
    terminated = _launch_slow_run(processes, instance)
    assert instance.run_coordinator.cancel_run(terminated)
    processes.wait_until(lambda: _run(instance, terminated).is_finished, "the terminated run ends")
    assert _run(instance, terminated).status is DagsterRunStatus.FAILURE


@pytest.fixture
def celery_file() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((CELERY / "dagster.yaml").read_text())
    return loaded


def test_the_instance_differs_from_the_production_one_in_launching_alone(celery_file: dict[str, Any]) -> None:
    production = yaml.safe_load((ROOT / "deploy/dagster.yaml").read_text())
    assert set(celery_file) - set(production) == {"run_launcher"}
    for part in set(production) - LAUNCHING:
        assert celery_file[part] == production[part], part
    waiting = "start_timeout_seconds"
    ours, theirs = dict(celery_file["run_monitoring"]), dict(production["run_monitoring"])
    assert ours.pop(waiting) > theirs.pop(waiting)
    assert ours == theirs


def test_the_limits_fit_together(celery_file: dict[str, Any]) -> None:
    """A lost message comes back before its run is given up; a run's state outlives the run."""
    celery = celery_file["run_launcher"]["config"]["config_source"]
    monitoring, concurrency = celery_file["run_monitoring"], celery_file["concurrency"]
    visibility = celery["broker_transport_options"]["visibility_timeout"]
    assert visibility < monitoring["start_timeout_seconds"]
    assert celery["result_expires"] > max(monitoring["max_runtime_seconds"], MAX_RUNTIME.total_seconds())
    assert concurrency["pools"]["default_limit"] < concurrency["runs"]["max_concurrent_runs"]
    # Dagster ignores a second delivery of a started run only where it monitors runs.
    assert monitoring["enabled"]


def test_the_launcher_and_the_workers_share_one_configuration(instance: DagsterInstance) -> None:
    launcher = instance.run_launcher
    assert isinstance(launcher, CeleryRunLauncher)
    assert launcher.default_queue in STAGES
    assert launcher.celery.conf.task_acks_late
    assert launcher.celery.conf.worker_prefetch_multiplier == 1
    assert launcher.celery.conf.broker_transport_options["visibility_timeout"] == 900
    assert instance.run_monitoring_max_resume_run_attempts == 0, "a range is asked for again, not resumed"


def _documented_launchers() -> list[dict[str, Any]]:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/operations.md").read_text(), re.DOTALL)
    return [block["run_launcher"] for block in map(yaml.safe_load, blocks) if "run_launcher" in block]


@pytest.mark.parametrize("launcher", _documented_launchers(), ids=lambda launcher: launcher["class"])
def test_a_documented_launcher_is_one_that_dagster_accepts(launcher: dict[str, Any]) -> None:
    kind = getattr(importlib.import_module(launcher["module"]), launcher["class"])
    accepted = validate_config(resolve_to_config_type(kind.config_type()), launcher["config"])
    assert accepted.success, accepted.errors


def test_a_documented_worker_command_serves_each_queue() -> None:
    shown = re.findall(
        r"^celery --app reporting_worker --workdir deploy/celery worker --queues (\S+) +--concurrency \d+ "
        r"--hostname (\S+)$",
        (ROOT / "docs/operations.md").read_text(),
        re.MULTILINE,
    )
    assert shown == [(stage, f"{stage}@%h") for stage in ("fetch", "aggregate", "render", "notify")]
    assert {stage for stage, _ in shown} == set(STAGES)
