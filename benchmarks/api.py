"""What the API serves beside a bare route: python -m benchmarks.api --subscriptions 100000 --seconds 10

Fills embedded servers in a temporary home with subscriptions of 1,000 users in 20 organisations,
starts the real API (uvicorn, 2 workers) and beside it `benchmarks.bare_api`, and asks both for the same
things with the same client: create one, read one, list a page of 50 of an organisation. The two take
turns within each operation, so that what else the machine does falls on both. Prints one JSON object;
for each operation

    rps, p50_ms, p99_ms   of the API, over as many connections as `connections` says
    bare_rps, bare_p99_ms of the bare route
    ratio                 rps / bare_rps
    cpu_ms, bare_cpu_ms   CPU of the service's processes per request, without the database
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from http.client import HTTPConnection, HTTPException
from itertools import islice
from operator import attrgetter
from random import Random
from statistics import median, quantiles
from typing import Any
from uuid import uuid4

from benchmarks import due, measuring
from reporting_pipeline.cli.local.processes import HOST, Child, program, running
from reporting_pipeline.embedded import servers
from reporting_pipeline.embedded.processes import free_ports
from reporting_pipeline.settings import Settings, child_environment, load_settings
from reporting_pipeline.stores.mongo import Database, Record, mongo_client, open_database
from reporting_pipeline.stores.objects import open_object_store
from reporting_pipeline.stores.subscriptions import create_subscriptions
from reporting_pipeline.usecases.callers.tokens import mint_token

USERS, ORGANISATIONS = 1_000, 20  # as `due.subscriptions` spreads them
PAGE = 50
WORKERS = 2
TURNS = 2  # of each service within an operation
MOST_REQUESTS = 200_000  # of one turn
WARM_UP = 40
START_SECONDS = 60
UNLIMITED = "1000000000"
#: Twice the default: an analyst here asks ten times a second.
REQUESTS_PER_MINUTE = "1200"
API, BARE = "reporting_pipeline.api.app:app_from_environment", "benchmarks.bare_api:app_from_environment"
SERVICES = {"api": (API, "/readyz"), "bare": (BARE, "/healthz")}


@dataclass(frozen=True)
class Ask:
    """One request and the status it must have."""

    method: str
    path: str
    expected: int
    token: str = ""
    body: bytes | None = None

    @property
    def headers(self) -> dict[str, str]:
        found = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return found | ({"Content-Type": "application/json"} if self.body else {})


@dataclass
class Turn:
    """What came back: seconds of each answer, and of the whole turns."""

    latencies: list[float] = field(default_factory=list)
    wall: float = 0.0
    cpu: float = 0.0

    def add(self, other: Turn) -> None:
        self.latencies += other.latencies
        self.wall += other.wall
        self.cpu += other.cpu

    def figures(self, prefix: str = "") -> dict[str, float]:
        count = len(self.latencies)
        return {
            f"{prefix}rps": count / self.wall,
            f"{prefix}p50_ms": median(self.latencies) * 1000,
            f"{prefix}p99_ms": quantiles(self.latencies, n=100)[98] * 1000,
            f"{prefix}cpu_ms": self.cpu / count * 1000,
        }


Asks = Callable[[Random], Ask]


def measure(subscriptions: int, seconds: float, connections: int) -> dict[str, Any]:
    """The figures of one run; see the module."""
    with _services() as (settings, database, services):
        with measuring.Watch() as filling:
            fill(database, subscriptions)
        operations = {}
        for name, kinds in _operations(settings, subscriptions).items():
            turns = {service: Turn() for service in services}
            for _ in range(TURNS):
                for service in services:
                    turns[service].add(_turn(services[service], kinds[service], seconds / TURNS, connections))
            api, bare = turns["api"].figures(), turns["bare"].figures("bare_")
            operations[name] = {**api, **bare, "ratio": api["rps"] / bare["bare_rps"]}
        stored = database.subscriptions.estimated_document_count()
    return {
        "subscriptions": subscriptions,
        "subscriptions_at_the_end": stored,
        "users": USERS,
        "organisations": ORGANISATIONS,
        "page": PAGE,
        "workers": WORKERS,
        "connections": connections,
        "seconds": seconds,
        "filled_s": filling.wall,
        **operations,
    }


# --- the deployment ------------------------------------------------------------------------------


@contextmanager
def _services() -> Iterator[tuple[Settings, Database, dict[str, tuple[Child, int]]]]:
    """Embedded servers of a temporary home, the API and the bare service: (process, port) by name."""
    with tempfile.TemporaryDirectory(prefix="reporting-benchmark-") as home, ExitStack() as stack:
        local = load_settings({"REPORTING_ENVIRONMENT": "test", "REPORTING_HOME": home})
        endpoints = stack.enter_context(servers.running(local))
        environment = child_environment(
            {
                **endpoints.as_environment(),
                "REPORTING_ENVIRONMENT": "test",
                "REPORTING_HOME": home,
                "REPORTING_REQUESTS_PER_MINUTE": REQUESTS_PER_MINUTE,
                "REPORTING_SUBSCRIPTIONS_PER_USER": UNLIMITED,
                "REPORTING_SUBSCRIPTIONS_PER_ORGANISATION": UNLIMITED,
            }
        )
        settings = load_settings(environment)
        open_object_store(settings).ensure_bucket()
        database = open_database(endpoints.mongodb_uri, settings.mongodb_database)
        stack.callback(mongo_client.cache_clear)
        stack.callback(database.client.close)
        services = {}
        for name, (factory, health) in SERVICES.items():
            port = free_ports(1)[0]
            command = [program("uvicorn"), factory, "--factory", "--host", HOST, "--port", str(port)]
            command += ["--workers", str(WORKERS), "--no-server-header", "--no-access-log"]
            child = stack.enter_context(
                running(name, command, environment, local.home / "logs" / f"{name}.log")
            )
            await_health(child, port, health)
            services[name] = (child, port)
        yield settings, database, services


def await_health(child: Child, port: int, path: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        child.check()
        connection = HTTPConnection(HOST, port, timeout=10)
        try:
            connection.request("GET", path)
            if connection.getresponse().status < 300:
                return
        except (OSError, HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.2)
    raise TimeoutError(f"{child.name} was not ready after {START_SECONDS} s")


def fill(database: Database, count: int) -> None:
    """`count` subscriptions as `due` spreads them, and who and what they need."""
    now = datetime.now(UTC)
    organisations = [f"org_{number}" for number in range(ORGANISATIONS)]
    database.trials.insert_many(
        trial(f"TRIAL-{number}", organisation) for number, organisation in enumerate(organisations)
    )
    people = [
        (f"usr_{number}", organisations[number % ORGANISATIONS], "subscriber") for number in range(USERS)
    ]
    people += [(f"usr_analyst_{number}", one, "analyst") for number, one in enumerate(organisations)]
    database.users.insert_many(person(user, organisation, role, now) for user, organisation, role in people)
    numbered = (
        one.model_copy(update={"id": id_of(number)}) for number, one in enumerate(due.subscriptions(count))
    )
    # In the order of their ids: the embedded server's small cache stalls over so many in another order.
    create_subscriptions(database, sorted(numbered, key=attrgetter("id")), now)


def trial(identifier: str, organisation: str) -> Record:
    return {
        "_id": identifier,
        "organisation": organisation,
        "title": "Benchmark",
        "sponsor": "Example",
        "phase": "III",
        "sites": [{"id": str(site), "name": f"Site {site}"} for site in range(17)],
        "synthetic": True,
        "shifted_weeks": 0,
    }


def person(user: str, organisation: str, role: str, now: datetime) -> Record:
    return {
        "_id": user,
        "organisation": organisation,
        "name": user,
        "email": f"{user}@example.org",
        "roles": [role],
        "trials": "all",
        "audience": "monitor",
        "timezone": "Europe/Zurich",
        "active": True,
        "created_at": now,
        "updated_at": now,
    }


def id_of(number: int) -> str:
    """The id of a subscription, spread as the API spreads them."""
    return f"sub_{sha256(str(number).encode()).hexdigest()[:24]}"


# --- what is asked -------------------------------------------------------------------------------


def _operations(settings: Settings, subscriptions: int) -> dict[str, dict[str, Asks]]:
    """Each operation as asked of the API and of the bare service. Every caller counts for itself."""
    now = datetime.now(UTC)
    users = [mint_token(settings, f"usr_{number}", now) for number in range(USERS)]
    analysts = [mint_token(settings, f"usr_analyst_{number}", now) for number in range(ORGANISATIONS)]

    def create(random: Random) -> Ask:
        number = random.randrange(USERS)
        body = {
            "userId": f"usr_{number}",
            "reportType": "weekly",
            "filters": {"trials": [f"TRIAL-{number % ORGANISATIONS}"]},
            "name": f"Report {uuid4().hex}",  # the same one twice would be refused
        }
        return Ask("POST", "/api/subscriptions", 201, users[number], json.dumps(body).encode())

    def bare_create(random: Random) -> Ask:
        number = random.randrange(USERS)
        body = {"userId": f"usr_{number}", "organisation": f"org_{number % ORGANISATIONS}"}
        return Ask("POST", "/subscriptions", 201, body=json.dumps(body).encode())

    def read(random: Random) -> Ask:
        number = random.randrange(subscriptions)
        return Ask("GET", f"/api/subscriptions/{id_of(number)}", 200, users[number % USERS])

    def bare_read(random: Random) -> Ask:
        number = random.randrange(subscriptions)
        return Ask("GET", f"/subscriptions/{id_of(number)}?organisation=org_{number % ORGANISATIONS}", 200)

    def page(random: Random) -> Ask:
        return Ask("GET", f"/api/subscriptions?limit={PAGE}", 200, random.choice(analysts))

    def bare_page(random: Random) -> Ask:
        organisation = random.randrange(ORGANISATIONS)
        return Ask("GET", f"/subscriptions?organisation=org_{organisation}&limit={PAGE}", 200)

    return {
        "read": {"api": read, "bare": bare_read},
        "list": {"api": page, "bare": bare_page},
        "create": {"api": create, "bare": bare_create},  # last: it adds to what the others read
    }


# --- the client ----------------------------------------------------------------------------------


def _turn(service: tuple[Child, int], asks: Asks, seconds: float, connections: int) -> Turn:
    """Ask for `seconds` over `connections` kept open. RuntimeError for an answer of another status."""
    child, port = service
    _ask_all(port, asks, WARM_UP, START_SECONDS, connections)
    turn = Turn()
    before = measuring.cpu_seconds(child.process.pid)
    with measuring.Watch() as watch:
        turn.latencies = _ask_all(port, asks, MOST_REQUESTS, seconds, connections)
    turn.wall, turn.cpu = watch.wall, measuring.cpu_seconds(child.process.pid) - before
    return turn


def _ask_all(port: int, asks: Asks, most: int, seconds: float, connections: int) -> list[float]:
    latencies: list[float] = []
    failures: list[Exception] = []
    deadline = time.perf_counter() + seconds

    def work(seed: int) -> None:
        try:
            latencies.extend(islice(_answers(port, asks, Random(seed), deadline), most // connections))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return latencies


def _answers(port: int, asks: Asks, random: Random, deadline: float) -> Iterator[float]:
    """Ask on one connection until the deadline; the seconds each answer took to its last byte."""
    connection = HTTPConnection(HOST, port, timeout=30)
    try:
        while (started := time.perf_counter()) < deadline:
            ask = asks(random)
            connection.request(ask.method, ask.path, ask.body, ask.headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != ask.expected:
                raise RuntimeError(f"{ask.method} {ask.path}: {answer.status} {content[:300]!r}")
            yield time.perf_counter() - started
    finally:
        connection.close()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--subscriptions", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=3, help="for each operation and service")
    parser.add_argument("--connections", type=int, default=8)
    chosen = parser.parse_args(arguments)
    if not 1 <= chosen.connections <= 64 or not 0 < chosen.seconds <= 60 or chosen.subscriptions < PAGE:
        parser.error(f"1 to 64 connections, up to 60 seconds, at least {PAGE} subscriptions")
    measuring.show("api", measure(chosen.subscriptions, chosen.seconds, chosen.connections))


if __name__ == "__main__":
    main()
