"""The API and the console under SIGTERM: what was answered stands, what was not can be sent again, once."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest
import requests

from reporting_pipeline.cli.local.processes import api_command
from reporting_pipeline.embedded.processes import free_ports
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.settings import Settings, child_environment
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.usecases.callers.tokens import mint_token
from reporting_pipeline_tests.api.conftest import organisations, weekly
from reporting_pipeline_tests.api.world import populate
from reporting_pipeline_tests.console.conftest import House
from reporting_pipeline_tests.waiting import PATIENCE, wait_until

__all__ = ["organisations"]

pytestmark = pytest.mark.slow

WRITERS, EACH = 4, 12
PATIENT_SECONDS = "2"  # an open page is cut off after so long; 20 in a deployment


@contextmanager
def serving(port: int, environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [*api_command(port)[:-1], PATIENT_SECONDS]
    with (
        log.open("ab") as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process,
    ):
        try:
            wait_until("it serves", lambda: is_served(port), every=0.2)
            yield process
        finally:
            process.kill()


def is_served(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5).ok
    except requests.RequestException:
        return False


def write(base: str, token: str, writer: int, some: Event | None) -> dict[str, int]:
    """Key -> status of each request that was answered; the others were not heard of."""
    heard = {}
    for number in range(EACH):
        key = f"w{writer}-{number}"
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
        try:
            answer = requests.post(
                f"{base}/api/subscriptions", json={**weekly(), "name": key}, headers=headers, timeout=PATIENCE
            )
        except requests.RequestException:
            continue
        heard[key] = answer.status_code
        if some is not None:
            some.set()
    return heard


def test_sigterm_under_requests_ends_it_and_each_wish_is_done_once(
    endpoints: Endpoints,
    settings: Settings,
    database: Database,
    objects: ObjectStore,
    organisations: None,
    tmp_path: Path,
) -> None:
    job, log = populate(database, objects)["job"], tmp_path / "api.log"
    before = database.subscriptions.count_documents({})
    environment = child_environment(
        {
            **endpoints.as_environment(),
            "REPORTING_ENVIRONMENT": "test",
            "REPORTING_HOME": str(settings.home),
            "REPORTING_MONGODB_DATABASE": settings.mongodb_database,
            "REPORTING_S3_BUCKET": settings.s3_bucket,
            "REPORTING_REQUESTS_PER_MINUTE": "100000",
        }
    )
    (port,) = free_ports(1)
    base, now = f"http://127.0.0.1:{port}", datetime.now(UTC)
    token = mint_token(settings, "usr_default_manager", now)
    with serving(port, environment, log) as process, ThreadPoolExecutor(WRITERS) as pool:
        name, value = House(base, settings, database).cookie_of("usr_default_manager")
        database.console_sessions.update_many({}, {"$set": {"begun_at": now, "seen_at": now}})
        page = requests.get(
            f"{base}/console/changes?job={job}", cookies={name: value}, stream=True, timeout=PATIENCE
        )
        assert page.status_code == 200, page.text
        some = Event()
        writing = [pool.submit(write, base, token, writer, some) for writer in range(WRITERS)]
        assert some.wait(PATIENCE)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) in (0, -signal.SIGTERM)
        heard = {key: status for one in writing for key, status in one.result().items()}
    assert set(heard.values()) <= {201, 503}
    done = [key for key, status in heard.items() if status == 201]
    standing = {row["name"] for row in database.subscriptions.find({"name": {"$regex": "^w"}})}
    assert set(done) <= standing, "what was answered stands"
    with serving(port, environment, log), ThreadPoolExecutor(WRITERS) as pool:
        again = [pool.submit(write, base, token, writer, None) for writer in range(WRITERS)]
        assert {status for one in again for status in one.result().values()} == {201}
    assert database.subscriptions.count_documents({}) == before + WRITERS * EACH
    assert "Traceback" not in log.read_text()
