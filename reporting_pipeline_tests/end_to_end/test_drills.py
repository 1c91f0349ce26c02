"""What an operator's bad day brings: the edition completes all the same, and nobody is mailed twice."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.embedded.processes import HOST, free_ports
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.editions import get_edition, open_edition
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.end_to_end.deployment import (
    ROOT,
    bare_environment,
    daemon,
    dagster_home_of,
    program,
    recipients,
    wait_until,
)
from reporting_pipeline_tests.end_to_end.test_killed_run import SUBSCRIPTIONS, fill
from reporting_pipeline_tests.waiting import PATIENCE

pytestmark = pytest.mark.slow

EVERYBODY = [f"reader{number:02}@example.org" for number in range(SUBSCRIPTIONS)]


def variables(settings: Settings, endpoints: Endpoints, **changes: str) -> dict[str, str]:
    return {
        **endpoints.as_environment(),
        "REPORTING_ENVIRONMENT": "test",
        "REPORTING_HOME": str(settings.home),
        "REPORTING_MONGODB_DATABASE": settings.mongodb_database,
        "REPORTING_S3_BUCKET": settings.s3_bucket,
        "REPORTING_HEARTBEAT_SECONDS": "1",
        "REPORTING_SENSOR_INTERVAL_SECONDS": "1",
        **changes,
    }


@pytest.fixture
def edition(settings: Settings, database: Database, objects: ObjectStore) -> str:
    """An edition of everybody, open, with nothing done yet."""
    now = datetime.now(UTC)
    period = Period.last_closed(Cadence.WEEKLY, now, settings.timezone)
    fill(database, objects, period, now)
    return open_edition(database, Cadence.WEEKLY, period.key, "schedule", now).id


def all_have_one_mail(database: Database, settings: Settings) -> None:
    assert recipients(settings.outbox) == EVERYBODY
    assert database.jobs.count_documents({"state": "completed"}) == SUBSCRIPTIONS
    assert database.deliveries.count_documents({}) == SUBSCRIPTIONS
    assert database.deliveries.count_documents({"state": "sent"}) == SUBSCRIPTIONS


def test_two_daemons_by_accident_make_one_edition(
    endpoints: Endpoints, settings: Settings, database: Database, edition: str, tmp_path: Path
) -> None:
    """Dagster's daemons end each other where they notice; whatever starts one again then finds it whole."""
    environment, log = bare_environment(**variables(settings, endpoints)), tmp_path / "daemon.log"

    def is_complete() -> bool:
        return get_edition(database, edition).state.value == "completed"

    with ExitStack() as stack:
        both = [stack.enter_context(daemon(tmp_path, environment)) for _ in range(2)]

        def is_over() -> bool:
            return is_complete() or all(one.poll() is not None for one in both)

        wait_until("the edition completes, or both daemons end", is_over, PATIENCE, log)
        if not is_complete():  # as a supervisor does
            stack.enter_context(daemon(tmp_path, environment))
            wait_until("the edition completes", is_complete, PATIENCE, log)
    all_have_one_mail(database, settings)


def test_a_daemon_that_is_told_to_end_mid_run_ends_and_the_next_one_completes_the_edition(
    endpoints: Endpoints, settings: Settings, database: Database, edition: str, tmp_path: Path
) -> None:
    environment, log = bare_environment(**variables(settings, endpoints)), tmp_path / "daemon.log"

    def renders() -> bool:
        return database.heartbeats.find_one({"stage": "render"}) is not None

    with daemon(tmp_path, environment) as first:
        wait_until("a render run beats", renders, PATIENCE, log)
        first.send_signal(signal.SIGTERM)
        assert first.wait(PATIENCE) in (0, -signal.SIGTERM)
    with daemon(tmp_path, environment):
        wait_until(
            "the edition completes",
            lambda: get_edition(database, edition).state.value == "completed",
            PATIENCE,
            log,
        )
    all_have_one_mail(database, settings)


@contextmanager
def code_server(home: Path, environment: dict[str, str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """As docs/operations.md starts it: runs are processes of its own."""
    with (home / "code-server.log").open("ab") as log:
        process = subprocess.Popen(
            [program("reporting-pipeline"), "code-server", "-p", str(port)],
            env={**environment, "DAGSTER_HOME": str(dagster_home_of(home))},
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


def test_a_code_server_that_is_killed_mid_run_and_started_again_costs_no_report_and_no_mail(
    endpoints: Endpoints, settings: Settings, database: Database, edition: str, tmp_path: Path
) -> None:
    environment, log = bare_environment(**variables(settings, endpoints)), tmp_path / "daemon.log"
    of_one_machine = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    of_one_machine.pop("run_launcher")  # Dagster's own, as in production: the code server starts the runs
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster/dagster.yaml").write_text(yaml.safe_dump(of_one_machine))
    (port,) = free_ports(1)
    named = {"host": HOST, "port": port, "location_name": "reporting_pipeline"}
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": named}]}))

    def renders() -> bool:
        return database.heartbeats.find_one({"stage": "render"}) is not None

    with ExitStack() as stack:
        first = stack.enter_context(code_server(tmp_path, environment, port))
        stack.enter_context(daemon(tmp_path, environment, workspace))
        wait_until("a render run beats", renders, PATIENCE, log)
        first.kill()
        first.wait(PATIENCE)
        stack.enter_context(code_server(tmp_path, environment, port))
        wait_until(
            "the edition completes",
            lambda: get_edition(database, edition).state.value == "completed",
            PATIENCE,
            log,
        )
    all_have_one_mail(database, settings)
