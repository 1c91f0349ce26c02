"""Limits over two real uvicorn workers: what one counts, the other knows."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import requests
from pymongo import MongoClient

from reporting_pipeline.delivery.links.tokens import link_token
from reporting_pipeline.embedded.processes import free_ports
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.rate_counters import PORTIONS, Portions, hit
from reporting_pipeline.usecases.callers.limits import MINUTE
from reporting_pipeline_tests.api.conftest import Api, weekly
from reporting_pipeline_tests.stores.commands import CommandsSeen
from reporting_pipeline_tests.waiting import PATIENCE

PER_MINUTE = 30
PER_USER = 5


@pytest.fixture
def two_workers(settings: Settings, organisations: None, objects: object) -> Iterator[Api]:
    """`uvicorn --workers 2` as it is deployed, on the test's servers."""
    environment = {
        "REPORTING_ENVIRONMENT": "test",
        "REPORTING_HOME": str(settings.home),
        "REPORTING_MONGODB_DATABASE": settings.mongodb_database,
        "REPORTING_S3_BUCKET": settings.s3_bucket,
        "REPORTING_REQUESTS_PER_MINUTE": str(PER_MINUTE),
        "REPORTING_SUBSCRIPTIONS_PER_USER": str(PER_USER),
        "MONGODB_URI": settings.mongodb_uri.get_secret_value() if settings.mongodb_uri else "",
        "S3_ENDPOINT_URL": settings.s3_endpoint_url or "",
        "AWS_ACCESS_KEY_ID": settings.s3_access_key_id or "",
        "AWS_SECRET_ACCESS_KEY": (
            settings.s3_secret_access_key.get_secret_value() if settings.s3_secret_access_key else ""
        ),
    }
    (port,) = free_ports(1)
    command = [
        sys.executable,
        *("-m", "uvicorn", "--factory", "reporting_pipeline.sidecar:app_from_environment"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "2", "--log-level", "warning"),
    ]
    process = subprocess.Popen(command, env={"PATH": os.environ["PATH"], **environment})
    api = Api(f"http://127.0.0.1:{port}", settings)
    try:
        wait_until_ready(api, process)
        yield api
    finally:
        process.terminate()
        process.wait(PATIENCE)


def wait_until_ready(api: Api, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        assert process.poll() is None, "uvicorn ended"
        assert time.monotonic() < deadline, "uvicorn did not start"
        try:
            if api.get("/readyz").status_code == 200:
                return
        except requests.ConnectionError:
            time.sleep(0.2)


def test_two_workers_count_together(two_workers: Api) -> None:
    subscriber = two_workers.as_("usr_default_subscriber")
    with ThreadPoolExecutor(12) as pool:
        created = list(pool.map(lambda _: subscriber.post("/api/subscriptions", json=weekly()), range(24)))
    statuses = Counter(answer.status_code for answer in created)
    assert set(statuses) == {201, 429}
    assert statuses[201] == PER_USER, "creations that race over two workers fill the quota and no more"
    listed = [subscriber.get("/api/subscriptions") for _ in range(PER_MINUTE)]
    refused = [answer for answer in listed if answer.status_code == 429]
    assert 24 + len(listed) - len(refused) == PER_MINUTE, "each worker alone has seen about half of them"
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 60
    assert refused[0].json()["type"].endswith(":rate-limited")
    other = two_workers.as_("usr_default_manager")
    assert other.get("/api/subscriptions").status_code == 200, "limits are per caller"


def test_of_many_hits_at_once_as_many_pass_as_may_in_each_window(database: Database) -> None:
    def passes(now: datetime) -> int:
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: hit(database, "requests/one", 20, MINUTE, now), range(40)))
        assert {answer for answer in answers if answer is not None} == {opened + MINUTE}
        return answers.count(None)

    opened = datetime(2126, 11, 23, 8, 0, tzinfo=UTC)  # the server removes what is over by its own clock
    assert passes(opened) == 20
    assert hit(database, "requests/one", 20, MINUTE, opened + MINUTE / 2) == opened + MINUTE
    assert hit(database, "requests/another", 20, MINUTE, opened) is None
    opened += MINUTE
    assert passes(opened) == 20


def test_a_process_takes_a_portion_and_all_together_no_more_than_there_is(database: Database) -> None:
    """Each is asked until it refuses; what one has and another lacks is less than a portion each."""
    now = datetime(2126, 11, 23, 8, 0, tzinfo=UTC)
    most, processes = 600, [Portions(database) for _ in range(3)]

    def passes(at: datetime) -> int:
        count = 0
        for number in range(2 * most):
            count += processes[number % 2 or number % 3].hit("requests/one", most, MINUTE, at) is None
        return count

    for window in range(2):
        passed = passes(now + window * MINUTE)
        assert most - len(processes) * most // PORTIONS < passed <= most
    assert processes[0].hit("requests/another", most, MINUTE, now) is None


def test_what_is_left_is_given_to_the_last_one_and_nobody_who_is_refused_asks_the_database(
    endpoints: Endpoints, database: Database
) -> None:
    now = datetime(2126, 11, 23, 8, 0, tzinfo=UTC)
    seen = CommandsSeen()
    with MongoClient[Record](endpoints.mongodb_uri, tz_aware=True, event_listeners=[seen]) as client:
        watched = client.get_database(database.name, codec_options=database.codec_options)
        portions = Portions(watched)
        answers = [portions.hit("requests/one", 125, MINUTE, now) for _ in range(200)]
        assert answers.count(None) == 125
        assert set(answers[125:]) == {now + MINUTE}
        seen.seen.clear()
        assert portions.hit("requests/one", 125, MINUTE, now + MINUTE / 2) == now + MINUTE
        assert seen.seen == []
        assert portions.hit("requests/one", 125, MINUTE, now + MINUTE) is None
        assert len(seen.seen) <= 4


def test_threads_of_a_process_let_no_more_pass_than_there_is(database: Database) -> None:
    """What one of them has taken and not put down yet the others may miss: less than a portion each."""
    now = datetime(2126, 11, 23, 8, 0, tzinfo=UTC)
    portions, threads, most = Portions(database), 12, 240
    with ThreadPoolExecutor(threads) as pool:
        answers = list(pool.map(lambda _: portions.hit("requests/one", most, MINUTE, now), range(400)))
    assert most - threads * most // PORTIONS < answers.count(None) <= most


def test_x_forwarded_for_buys_nothing(serve: Callable[..., Api]) -> None:
    subscriber = serve(requests_per_minute=3).as_("usr_default_subscriber")
    statuses = [
        subscriber.get("/api/subscriptions", headers={"X-Forwarded-For": f"203.0.113.{n}"}).status_code
        for n in range(8)
    ]
    assert statuses.count(429) >= 2


def test_run_now_is_limited_by_the_hour(serve: Callable[..., Api]) -> None:
    subscriber = serve(run_now_per_hour=2).as_("usr_default_subscriber")
    made = [subscriber.post("/api/subscriptions", json=weekly()).json()["subscriptionId"] for _ in range(3)]
    statuses = [subscriber.post(f"/api/scheduled-reports/{one}/run").status_code for one in made]
    assert statuses == [202, 202, 429]


def test_clicks_on_one_link_are_limited(serve: Callable[..., Api]) -> None:
    """Of links that we signed: others cost no look at a store, so nothing is counted for them."""
    api = serve(link_clicks_per_minute=3)
    secret = api.settings.link_secret.get_secret_value()
    ends = datetime.now(UTC) + timedelta(days=1)
    one, another = (link_token(secret, f"dlv_{name}", "rep_x", ends) for name in ("one", "another"))
    assert 429 in [api.get(f"/r/{one}").status_code for _ in range(8)]
    assert api.get(f"/r/{another}").status_code == 404
    assert {api.get("/r/forged").status_code for _ in range(8)} == {404}
