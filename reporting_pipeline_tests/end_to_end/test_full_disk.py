"""A full disk under the object store: reports fail with that reason, and follow when there is room."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import RunRequest

from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.embedded import seaweed, servers
from reporting_pipeline.embedded.processes import Launch
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.settings import Settings, load_settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore, open_object_store
from reporting_pipeline_tests.automation.crank import Crank, dagster_instance, open_crank, usual_documents
from reporting_pipeline_tests.guardian import guarding


class ObjectServer:
    """A SeaweedFS of the test's own, whose disk can be full: it then refuses every write, as it would."""

    def __init__(self, home: Path, mongodb_uri: str, patch: pytest.MonkeyPatch) -> None:
        self.settings = load_settings(
            {"REPORTING_ENVIRONMENT": "test", "REPORTING_HOME": str(home), "MONGODB_URI": mongodb_uri}
        )
        self._patch = patch
        self._plan = seaweed.plan
        self.endpoints = servers.start(self.settings)

    def restart(self, *, full: bool) -> None:
        """On the same data and ports; `full` asks it to keep more free than any disk has."""

        def plan(folder: Path, ports: dict[str, int]) -> Launch:
            usual = self._plan(folder, ports)
            return dataclasses.replace(usual, arguments=(*usual.arguments, "-volume.minFreeSpace=100"))

        servers.stop(self.settings)
        self._patch.setattr(seaweed, "plan", plan if full else self._plan)
        assert servers.start(self.settings).s3_endpoint_url == self.endpoints.s3_endpoint_url


@pytest.fixture
def server(endpoints: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    home = tmp_path / "disk"
    home.mkdir()
    with guarding(home):
        started = ObjectServer(home, endpoints.mongodb_uri, monkeypatch)
        yield started
        servers.stop(started.settings)


@pytest.fixture
def crank(
    server: ObjectServer, settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Crank]:
    own = server.endpoints.applied_to(settings)
    objects: ObjectStore = open_object_store(own)
    objects.ensure_bucket()
    with dagster_instance() as instance:
        crank = open_crank(own, database, objects, instance, monkeypatch)
        crank.add_trial("T-ALPHA")
        crank.arrive(*usual_documents("T-ALPHA", crank.period()))
        for name in ("one", "two", "three"):
            crank.subscribe(name, Filters(trials=("T-ALPHA",)))
        yield crank
    objects.client.close()
    open_object_store.cache_clear()


def test_reports_that_meet_a_full_disk_fail_with_that_reason_and_are_sent_once_there_is_room(
    crank: Crank, server: ObjectServer
) -> None:
    def fill_the_disk(request: RunRequest) -> None:
        if request.job_name == "weekly_subscriber_reports_job" and not full:
            full.append(True)
            server.restart(full=True)

    full: list[bool] = []
    crank.before_run = fill_the_disk
    crank.complete()
    results = crank.results("subscriber_reports")
    assert set(results) == {"sub_one", "sub_two", "sub_three"}
    for result in results.values():
        assert (result.state, result.permanent, result.attempts) == ("failed", False, 1)
        assert "PutObject" in result.reason
        assert "InternalError" in result.reason
    assert {job["state"] for job in crank.jobs().values()} == {"failed"}
    assert all("PutObject" in job["error"] for job in crank.jobs().values())
    assert crank.database.reports.count_documents({}) == 0, "no record names a file that is not there"
    assert crank.mailed() == []
    assert crank.edition_state() == "open"

    server.restart(full=False)
    crank.clock.forward(minutes=1)
    crank.settle()
    assert crank.edition_state() == "completed"
    assert crank.mailed() == [f"{name}@example.org" for name in ("one", "three", "two")]
    crank.clock.forward(hours=1)
    assert crank.settle() == 0
    assert len(crank.mailed()) == 3
