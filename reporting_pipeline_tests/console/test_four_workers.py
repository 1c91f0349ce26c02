"""Nothing is kept in a process: what one of four workers began, the next ones go on with.

The requests go to the four in turn, as a balancer would send them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle
from typing import Any

import pytest
import requests

from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.settings import Settings, child_environment
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.usecases.callers.tokens import mint_token
from reporting_pipeline_tests.api.conftest import weekly
from reporting_pipeline_tests.console.conftest import csrf_in
from reporting_pipeline_tests.console.subscribing import WEEKLY
from reporting_pipeline_tests.waiting import PATIENCE

A_MINUTE = 60


@dataclass
class RoundRobin:
    """One browser, or one client, whose every request another worker answers."""

    ports: list[int]
    settings: Settings
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self._turn = cycle(self.ports)

    def call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        base = f"http://127.0.0.1:{next(self._turn)}"
        return self.session.request(method, base + path, timeout=PATIENCE, allow_redirects=False, **arguments)

    def another(self) -> RoundRobin:
        return RoundRobin(self.ports, self.settings)

    def as_user(self, user: str) -> RoundRobin:
        client = self.another()
        token = mint_token(self.settings, user, datetime.now(UTC))
        client.session.headers["Authorization"] = f"Bearer {token}"
        return client

    def form(self, path: str, fields: dict[str, str], page: str = "/console/") -> requests.Response:
        token = csrf_in(self.call("GET", page).text)
        return self.call("POST", path, data={**fields, "csrf": token})


@pytest.fixture
def workers(
    endpoints: Endpoints, settings: Settings, database: Database, objects: ObjectStore, organisations: None
) -> Iterator[RoundRobin]:
    environment = child_environment(
        {
            **endpoints.as_environment(),
            "REPORTING_ENVIRONMENT": "test",
            "REPORTING_HOME": str(settings.home),
            "REPORTING_MONGODB_DATABASE": settings.mongodb_database,
            "REPORTING_S3_BUCKET": settings.s3_bucket,
            "REPORTING_REQUESTS_PER_MINUTE": str(A_MINUTE),
        }
    )
    command = [sys.executable, "-m", "reporting_pipeline_tests.console.four_workers"]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield RoundRobin(json.loads(process.stdout.readline()), settings)
        process.stdin.close()


def test_what_one_worker_began_the_others_go_on_with(workers: RoundRobin, database: Database) -> None:
    signed_in = workers.form(
        "/console/sign-in/local", {"role": "subscriber", "next": "/console/"}, "/console/sign-in"
    )
    assert signed_in.status_code == 303
    # A form of one worker is taken by the next, and what it made is shown by the others.
    made = workers.form("/console/subscribe", {**WEEKLY, "trials": "T1"})
    assert made.status_code == 303, made.text
    address = made.headers["location"].partition("?")[0]
    assert all("My trial" in workers.call("GET", "/console/").text for _ in workers.ports)
    # Two tabs: the second sees what the first one, at another worker, has saved.
    tab = workers.call("GET", f"{address}/change").text
    version = tab.partition('name="version" value="')[2].partition('"')[0]
    assert (
        workers.form(f"{address}/change", {**WEEKLY, "version": version, "name": "First"}).status_code == 303
    )
    second = workers.form(f"{address}/change", {**WEEKLY, "version": version, "name": "Second"})
    assert second.status_code == 412
    assert "First" in second.text
    assert "Second" in second.text
    # What moves is heard of at every worker.
    workers.form(f"{address}/run", {})
    job = (database.jobs.find_one({"requested_by": {"$ne": None}}) or {})["_id"]
    for _ in workers.ports:
        with workers.call("GET", f"/console/changes?job={job}", stream=True) as answer:
            assert next(line for line in answer.iter_lines() if line.startswith(b"data:"))
    # A token of another session is refused wherever it comes from.
    other = workers.another()
    other.form("/console/sign-in/local", {"role": "manager"}, "/console/sign-in")
    stolen = csrf_in(workers.call("GET", "/console/").text)
    assert other.call("POST", f"{address}/pause", data={"csrf": stolen}).status_code == 403
    # Signing out at one worker is so at all.
    assert workers.form("/console/sign-out", {}).status_code == 303
    assert {workers.call("GET", "/console/").status_code for _ in workers.ports} == {303}


def test_a_key_makes_one_subscription_and_a_limit_is_one_for_all(
    workers: RoundRobin, database: Database
) -> None:
    client = workers.as_user("usr_default_subscriber")
    body = weekly(name="Once")
    answers = [
        client.call("POST", "/api/subscriptions", json=body, headers={"Idempotency-Key": "one"})
        for _ in workers.ports
    ]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert database.subscriptions.count_documents({"name": "Once"}) == 1
    other = client.call(
        "POST", "/api/subscriptions", json=weekly(name="Twice"), headers={"Idempotency-Key": "one"}
    )
    assert other.status_code == 409
    limited = workers.as_user("usr_default_analyst")
    began, good = time.monotonic(), 0
    while limited.call("GET", "/api/report-types").status_code == 200:
        good += 1
    # What has come back meanwhile is let through, too, however slow the machine.
    assert good <= A_MINUTE * (2 + (time.monotonic() - began) / 60), "four limits let twice as many through"
