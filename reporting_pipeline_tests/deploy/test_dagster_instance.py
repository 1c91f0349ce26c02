"""Both instance files are what Dagster accepts and does: real instances, a real run, its logs read back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus, execute_job, reconstructable
from dagster._core.events import RunFailureReason
from dagster._core.execution.retries import auto_reexecution_should_retry_run
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator
from dagster._core.storage.tags import RUN_FAILURE_REASON_TAG
from dagster._core.workspace.load import location_origins_from_yaml_paths
from dagster_aws.s3.compute_log_manager import S3ComputeLogManager
from dagster_postgres import PostgresRunStorage, PostgresScheduleStorage

from reporting_pipeline.automation.tags import BULK, PROMPT, stage_tags
from reporting_pipeline.dagster_instance.postgres import BatchedPostgresEventLog
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.deploy.tiny import LINE, tiny_job
from reporting_pipeline_tests.postgres import postgres_variables

ROOT = Path(__file__).parents[2]


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterInstance]:
    """The instance of dagster.yaml, on an empty DAGSTER_HOME."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def production(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    postgres_url: str,
    endpoints: Endpoints,
    objects: ObjectStore,
) -> Iterator[DagsterInstance]:
    """The instance of deploy/dagster.yaml, on PostgreSQL and S3."""
    environment = {
        **postgres_variables(postgres_url),
        "REPORTING_S3_BUCKET": objects.bucket,
        "AWS_ENDPOINT_URL_S3": endpoints.s3_endpoint_url,
        "AWS_ACCESS_KEY_ID": endpoints.s3_access_key_id,
        "AWS_SECRET_ACCESS_KEY": endpoints.s3_secret_access_key,
    }
    for name, value in environment.items():
        assert value
        monkeypatch.setenv(name, value)
    shutil.copy(ROOT / "deploy/dagster.yaml", tmp_path)
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


def run_and_read_back(instance: DagsterInstance) -> tuple[list[str], str]:
    """The event types that the instance stored of a run, and what its first step printed."""
    with execute_job(reconstructable(tiny_job), instance=instance) as result:
        assert result.success
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.status is DagsterRunStatus.SUCCESS
    events = [
        entry.dagster_event for entry in instance.all_logs(result.run_id) if entry.dagster_event is not None
    ]
    captured = [event.logs_captured_data for event in events if event.event_type_value == "LOGS_CAPTURED"]
    printed = ""
    for data in captured:
        key = instance.compute_log_manager.build_log_key_for_run(result.run_id, data.file_key)
        printed += (instance.compute_log_manager.get_log_data(key).stdout or b"").decode()
    return [event.event_type_value for event in events], printed


def test_the_local_instance_keeps_a_runs_events_and_logs(local: DagsterInstance) -> None:
    events, printed = run_and_read_back(local)
    assert {DagsterEventType.STEP_SUCCESS.value, DagsterEventType.RUN_SUCCESS.value} <= set(events)
    assert LINE in printed


def test_the_production_instance_keeps_events_in_postgres_and_logs_encrypted_in_s3(
    production: DagsterInstance, objects: ObjectStore, tmp_path: Path
) -> None:
    assert isinstance(production.run_storage, PostgresRunStorage)
    assert isinstance(production.event_log_storage, BatchedPostgresEventLog)
    assert isinstance(production.schedule_storage, PostgresScheduleStorage)
    assert isinstance(production.compute_log_manager, S3ComputeLogManager)
    events, printed = run_and_read_back(production)
    assert {DagsterEventType.STEP_SUCCESS.value, DagsterEventType.RUN_SUCCESS.value} <= set(events)
    assert LINE in printed

    stored = {key: objects.get(key).decode() for key in objects.keys("compute-logs/")}
    assert [key for key, text in stored.items() if key.endswith(".out") and LINE in text]
    for key in stored:
        head = objects.client.head_object(Bucket=objects.bucket, Key=key)
        assert head["ServerSideEncryption"] == "AES256"

    with DagsterInstance.from_config(str(tmp_path)) as another:
        assert [run.job_name for run in another.get_runs()] == ["tiny_job"]


@pytest.fixture(params=["local", "production"])
def either(request: pytest.FixtureRequest) -> DagsterInstance:
    instance: DagsterInstance = request.getfixturevalue(request.param)
    return instance


def test_runs_wait_in_a_queue_and_a_stage_never_takes_all_places(either: DagsterInstance) -> None:
    assert isinstance(either.run_coordinator, QueuedRunCoordinator)
    concurrency = either.get_concurrency_config()
    queue, pools = concurrency.run_queue_config, concurrency.pool_config
    assert queue is not None
    assert pools.pool_granularity is not None
    assert pools.pool_granularity.value == "run"
    assert pools.default_pool_limit is not None
    assert 0 < pools.default_pool_limit < queue.max_concurrent_runs
    backfills, unhurried, in_bulk = queue.tag_concurrency_limits
    assert backfills == {"key": "dagster/backfill", "limit": {6: 2, 14: 4}[queue.max_concurrent_runs]}
    most = unhurried["limit"]
    usual = stage_tags("weekly:2026-11-16", "render")[PROMPT]
    assert unhurried == {"key": PROMPT, "value": usual, "limit": most}
    assert pools.default_pool_limit < most < queue.max_concurrent_runs, "who waits finds a place"
    prompt = stage_tags("weekly:2026-11-16", "render", prompt=True)
    assert prompt[PROMPT] != unhurried["value"]
    assert stage_tags("weekly:2026-11-16", "render")[BULK] == "render"
    assert in_bulk == {"key": BULK, "value": {"applyLimitPerUniqueValue": True}, "limit": in_bulk["limit"]}
    assert 0 < in_bulk["limit"] < pools.default_pool_limit, "who waits finds a place in the pool"
    assert BULK not in prompt


def test_crashed_runs_are_retried_and_failed_steps_are_not(either: DagsterInstance) -> None:
    assert either.run_retries_max_retries == 3
    for reason, retried in (
        (RunFailureReason.STEP_FAILURE, False),
        (RunFailureReason.START_TIMEOUT, True),
        (RunFailureReason.RUN_EXCEPTION, True),
    ):
        run = either.create_run_for_job(
            tiny_job, status=DagsterRunStatus.FAILURE, tags={RUN_FAILURE_REASON_TAG: reason.value}
        )
        assert auto_reexecution_should_retry_run(either, run, reason) is retried, reason


def test_runs_are_watched_and_nothing_is_reported_home(either: DagsterInstance) -> None:
    assert either.run_monitoring_enabled
    assert either.run_monitoring_max_runtime_seconds == 14_400
    assert not either.telemetry_enabled
    assert not either.nux_enabled
    assert either.get_settings("sensors")["use_threads"]
    assert either.get_settings("schedules")["use_threads"]


def test_the_workspace_names_the_definitions() -> None:
    (origin,) = location_origins_from_yaml_paths([str(ROOT / "workspace.yaml")])
    assert origin.location_name == "reporting_pipeline"
    assert origin.loadable_target_origin.module_name == "reporting_pipeline.definitions"
