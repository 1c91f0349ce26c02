"""A store is away for a moment in each stage: the edition completes, nobody is mailed twice, no traceback.

Away is either: the port is closed, or the server takes what is sent and does not answer; of the disk under
Dagster's home, that it is full. For a moment, which
shows every path; with DRILL_SECONDS=60 in the environment for as long as that (docs/operations.md, "Drills").
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from dagster import DagsterInstance, RunRequest
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from reporting_pipeline.api.app import create_app
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.embedded import seaweed, secantus
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database, mongo_client, open_database
from reporting_pipeline.stores.objects import ObjectStore, open_object_store
from reporting_pipeline_tests.api.conftest import Server
from reporting_pipeline_tests.automation.crank import Crank, dagster_instance, open_crank, usual_documents
from reporting_pipeline_tests.end_to_end.gate import Gate, stopped
from reporting_pipeline_tests.end_to_end.small_disk import full, small_disk
from reporting_pipeline_tests.waiting import PATIENCE, wait_until

READERS = ("one", "two")
STAGES = ("documents", "trial_dataset", "trial_media", "subscriber_reports", "delivery")
#: Seconds that a store is away at the beginning of each stage.
MOMENT = float(os.environ.get("DRILL_SECONDS", "0.7"))
#: Of an answer that may not wait for the store to come back: it does not come back before.
SOON = 60


class Stores:
    """The stores of the tests behind gates."""

    def __init__(self, endpoints: Endpoints, home: Path) -> None:
        self._home = home
        self.disk = Path()  # under Dagster's home, in the test that fills it
        self.gates = {
            "mongodb": Gate(_port(endpoints.mongodb_uri)),
            "s3": Gate(_port(endpoints.s3_endpoint_url)),
        }
        inside, outside = _port(endpoints.mongodb_uri), self.gates["mongodb"].port
        self.mongodb_uri = endpoints.mongodb_uri.replace(str(inside), str(outside))
        self.s3_url = f"http://127.0.0.1:{self.gates['s3'].port}"

    def through(self, settings: Settings) -> Settings:
        """The same deployment, going through the gates."""
        changed = {"mongodb_uri": SecretStr(self.mongodb_uri), "s3_endpoint_url": self.s3_url}
        return settings.model_copy(update=changed | {"heartbeat_seconds": 1})

    def away(self, store: str, how: str) -> AbstractContextManager[None]:
        if how == "full":
            return full(self.disk)
        if how == "closed":
            return self._closed(store)
        return stopped(self._home / {"mongodb": secantus.NAME, "s3": seaweed.NAME}[store])

    @contextmanager
    def _closed(self, store: str) -> Iterator[None]:
        self.gates[store].shut()
        try:
            yield
        finally:
            self.gates[store].open()

    def close(self) -> None:
        mongo_client(self.mongodb_uri).close()
        for gate in self.gates.values():
            gate.close()


def _port(address: str | None) -> int:
    port = urlsplit(address or "").port
    assert port is not None
    return port


@pytest.fixture(scope="module")
def stores(endpoints: Endpoints, servers_home: Path) -> Iterator[Stores]:
    made = Stores(endpoints, servers_home)
    yield made
    made.close()


@contextmanager
def postgres_instance(gate: Gate, url: str) -> Iterator[DagsterInstance]:
    """Dagster's storages as in production, behind a gate."""
    parts = make_url(url)
    config = {
        "postgres_db": {
            "hostname": "127.0.0.1",
            "port": gate.port,
            "db_name": parts.database,
            "username": parts.username,
            "password": parts.password,
            "scheme": "postgresql+psycopg2",
        }
    }
    named = {
        "run_storage": ("dagster_postgres.run_storage", "PostgresRunStorage"),
        "event_log_storage": ("reporting_pipeline.dagster_instance.postgres", "BatchedPostgresEventLog"),
        "schedule_storage": ("dagster_postgres.schedule_storage", "PostgresScheduleStorage"),
    }
    overrides: dict[str, Any] = {
        name: {"module": module, "class": kind, "config": config} for name, (module, kind) in named.items()
    }
    with (
        TemporaryDirectory(prefix="reporting-dagster-") as home,
        DagsterInstance.local_temp(home, overrides=overrides | {"telemetry": {"enabled": False}}) as opened,
    ):
        yield opened


@contextmanager
def home_instance(home: Path) -> Iterator[DagsterInstance]:
    """Dagster's storages as on one machine: files of its home."""
    named = {"run_storage": "SqliteRuns", "event_log_storage": "BatchedSqliteEventLog"}
    named["schedule_storage"] = "SqliteSchedules"
    module, config = "reporting_pipeline.dagster_instance.sqlite", {"home": str(home)}
    overrides: dict[str, Any] = {
        name: {"module": module, "class": kind, "config": config} for name, kind in named.items()
    }
    with DagsterInstance.local_temp(
        str(home), overrides=overrides | {"telemetry": {"enabled": False}}
    ) as opened:
        yield opened


@pytest.mark.parametrize(
    ("store", "how"),
    [
        ("mongodb", "closed"),
        ("mongodb", "stopped"),
        ("s3", "closed"),
        ("s3", "stopped"),
        ("postgres", "closed"),
        ("dagster's home", "full"),
    ],
)
def test_a_store_that_is_away_in_every_stage_costs_a_try_at_most_and_no_mail(
    store: str,
    how: str,
    stores: Stores,
    settings: Settings,
    database: Database,
    objects: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    settings = stores.through(settings)
    database = open_database(stores.mongodb_uri, settings.mongodb_database)
    with ExitStack() as stack:
        if store == "postgres":
            url = request.getfixturevalue("postgres_url")
            stores.gates["postgres"] = Gate(make_url(url).port or 0)
            instance = stack.enter_context(postgres_instance(stores.gates["postgres"], url))
        elif how == "full":
            stores.disk = stack.enter_context(small_disk(tmp_path / "disk", 40))
            instance = stack.enter_context(home_instance(stores.disk))
        else:
            instance = stack.enter_context(dagster_instance())
        crank = open_crank(settings, database, open_object_store(settings), instance, monkeypatch)
        crank.add_trial("T-ALPHA")
        crank.arrive(*usual_documents("T-ALPHA", crank.period()))
        for name in READERS:
            crank.subscribe(name, Filters(trials=("T-ALPHA",)))
        hit: list[str] = []
        back = threading.Event()
        back.set()

        def comes_back(gone: AbstractContextManager[None]) -> None:
            gone.__exit__(None, None, None)
            back.set()

        def goes_away(asked: RunRequest) -> None:
            """With the stage's first run, and back in a moment; by itself, as the run waits for it."""
            (stage,) = (one for one in STAGES if one in str(asked.job_name))
            if stage in hit:
                return
            hit.append(stage)
            gone = stores.away(store, how)
            gone.__enter__()
            back.clear()
            threading.Timer(MOMENT, comes_back, (gone,)).start()

        crank.before_run = goes_away
        turn_as_a_daemon_does(crank, back)
        assert back.wait(MOMENT + PATIENCE), "the store is there again for whoever comes next"
    assert set(hit) == set(STAGES)
    assert sorted(crank.mailed()) == [f"{name}@example.org" for name in READERS]
    assert {job["state"] for job in crank.jobs().values()} == {"completed"}
    assert database.deliveries.count_documents({}) == len(READERS)
    ours = [one for one in caplog.records if one.name.startswith("reporting_pipeline")]
    assert [one.getMessage() for one in ours if one.exc_info] == []


def turn_as_a_daemon_does(crank: Crank, back: threading.Event) -> None:
    """A tick or run that raises is logged, and the next one comes; time goes on meanwhile.

    While the store is not `back` ticks come by the machine's clock: they cost no try of those below.
    """
    crank.clock.follow_the_machine()
    opened, looks = False, 20
    while looks:
        try:
            if not opened:
                crank.open()
                opened = True
            for name in ("subscription_sync", "on_demand_sensor", "edition_sensor", "report_email_sensor"):
                for asked in crank.sensor(name):
                    crank.execute(asked)
            if crank.edition_state() == "completed":
                return
        except Exception as error:
            logging.getLogger("the daemon").warning("a tick or run ended: %s", type(error).__name__)
            if not back.is_set():
                time.sleep(0.1)
                continue
            opened = crank.database.editions.count_documents({}) > 0
        looks -= 1
        crank.clock.forward(minutes=10)
    raise AssertionError(f"the edition does not complete: {crank.ran}")


@pytest.mark.parametrize(
    ("store", "how"), [("mongodb", "closed"), ("mongodb", "stopped"), ("s3", "closed"), ("s3", "stopped")]
)
def test_readiness_and_metrics_tell_the_truth_while_a_store_is_away(
    store: str, how: str, stores: Stores, settings: Settings, database: Database, objects: ObjectStore
) -> None:
    app = create_app(stores.through(settings))
    with Server(app) as server:

        def ready() -> tuple[int, dict[str, str]]:
            answer = requests.get(f"{server.base}/readyz", timeout=PATIENCE)
            return answer.status_code, answer.json()["stores"]

        assert ready() == (200, {"mongodb": "ok", "s3": "ok"})
        with stores.away(store, how):
            said = requests.get(f"{server.base}/readyz", timeout=SOON)
            assert said.status_code == 503
            other = {"mongodb": "s3", "s3": "mongodb"}[store]
            assert said.json()["stores"] == {store: "failing", other: "ok"}
            assert requests.get(f"{server.base}/healthz", timeout=SOON).status_code == 200
            metrics = requests.get(f"{server.base}/metrics", timeout=SOON)
            assert metrics.status_code == (503 if store == "mongodb" else 200)
        wait_until("it is ready again", lambda: ready()[0] == 200)
