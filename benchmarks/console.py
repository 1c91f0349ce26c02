"""How long the console's pages take: python -m benchmarks.console --subscriptions 100000

Fills embedded servers in a temporary home with subscriptions of 1,000 people in one organisation, which
is the worst case of a list, with a job of the newest edition for each of `jobs` of them; ten of the people
have left, and 1,000 of the schedules wait for a word. Starts the real sidecar (uvicorn, one worker) and asks
for the first page of each list as a browser would, one after the other. Prints one JSON object:

    pages       {address: {p50_ms, worst_ms}}, to the last byte
    slowest_ms  the largest p50_ms, and `slowest` its address
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from itertools import islice
from statistics import median
from typing import Any

from starlette.responses import Response

from benchmarks import api, due, measuring
from reporting_pipeline.cli.local.processes import HOST, Child, program, running
from reporting_pipeline.console.sessions import Cookies
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.domain.subscriptions import name_key
from reporting_pipeline.embedded import servers
from reporting_pipeline.embedded.processes import free_ports
from reporting_pipeline.settings import Settings, child_environment, load_settings
from reporting_pipeline.stores.editions import keep_counts, open_edition
from reporting_pipeline.stores.mongo import Database, Record, mongo_client, open_database
from reporting_pipeline.stores.objects import open_object_store
from reporting_pipeline.stores.sessions import begin_session
from reporting_pipeline.stores.subscriptions import to_record

ORGANISATION = "org_0"
PEOPLE = 1_000
LEFT = 10  # of the people
ASKED = 1_000  # schedules wait for a word
SCHEDULES = 200
PERIOD = "2026-11-16"
WARM_UP = 2
MANAGERS_PAGES = (
    "/console/schedules",
    "/console/schedules?status=paused",
    "/console/schedules?owner=usr_20",
    "/console/schedules?owner=admin",
    "/console/schedules?q=999",
    "/console/schedules?left=1",
    "/console/schedules?left=1&q=999",
    "/console/confirm?everybody=1",
    "/console/operate",
    f"/console/editions/weekly:{PERIOD}",
    "/console/people",
    "/console/trials",
    "/console/documents",
    "/console/audit",
)
SUBSCRIBERS_PAGES = ("/console/", "/console/subscribe")


def measure(subscriptions: int, jobs: int, times: int) -> dict[str, Any]:
    """The figures of one run; see the module."""
    with _sidecar() as (settings, database, port):
        with measuring.Watch() as filling:
            fill(database, subscriptions, jobs)
        pages: dict[str, dict[str, float]] = {}
        for user, addresses in (("usr_admin", MANAGERS_PAGES), ("usr_20", SUBSCRIBERS_PAGES)):
            cookie = _cookie(settings, database, user)
            for address in addresses:
                pages[address] = _asked(port, address, cookie, times)
    slowest = max(pages, key=lambda address: pages[address]["p50_ms"])
    return {
        "subscriptions": subscriptions,
        "jobs": jobs,
        "people": PEOPLE,
        "times": times,
        "filled_s": filling.wall,
        "pages": pages,
        "slowest": slowest,
        "slowest_ms": pages[slowest]["p50_ms"],
    }


@contextmanager
def _sidecar() -> Iterator[tuple[Settings, Database, int]]:
    with tempfile.TemporaryDirectory(prefix="reporting-benchmark-") as home, ExitStack() as stack:
        local = load_settings({"REPORTING_ENVIRONMENT": "test", "REPORTING_HOME": home})
        endpoints = stack.enter_context(servers.running(local))
        environment = child_environment(
            {
                **endpoints.as_environment(),
                "REPORTING_ENVIRONMENT": "test",
                "REPORTING_HOME": home,
                "REPORTING_ORGANISATION": ORGANISATION,
            }
        )
        settings = load_settings(environment)
        open_object_store(settings).ensure_bucket()
        database = open_database(endpoints.mongodb_uri, settings.mongodb_database)
        stack.callback(mongo_client.cache_clear)
        stack.callback(database.client.close)
        port = free_ports(1)[0]
        command = [program("uvicorn"), "reporting_pipeline.sidecar:app_from_environment", "--factory"]
        command += ["--host", HOST, "--port", str(port), "--no-server-header", "--no-access-log"]
        child: Child = stack.enter_context(
            running("sidecar", command, environment, local.home / "logs" / "sidecar.log")
        )
        api.await_health(child, port, "/readyz")
        yield settings, database, port


def fill(database: Database, subscriptions: int, jobs: int) -> None:
    """One organisation with all of it; of the edition one half is done."""
    now = datetime.now(UTC)
    people = [(f"usr_{number}", "subscriber") for number in range(PEOPLE)] + [("usr_admin", "admin")]
    database.users.insert_many(api.person(user, ORGANISATION, role, now) for user, role in people)
    database.users.update_many(
        {"_id": {"$in": [f"usr_{number}" for number in range(500, 500 + LEFT)]}}, {"$set": {"active": False}}
    )
    database.trials.insert_one(api.trial("TRIAL-0", ORGANISATION))
    records = _records(subscriptions, now)
    while batch := list(islice(records, 1_000)):
        database.subscriptions.insert_many(batch, ordered=False)
    edition = open_edition(database, Cadence.WEEKLY, PERIOD, "schedule", now)
    of_edition = (
        {
            "_id": f"job_{number:08}",
            "subscription": identifier,
            "organisation": ORGANISATION,
            "owner": f"usr_{number % PEOPLE}",
            "edition": edition.id,
            "period": PERIOD,
            "occurrence": "1",
            "state": "completed" if number % 2 else "pending",
            "error": None,
            "due_at": now,
            "created_at": now,
        }
        for number, identifier in enumerate(islice(_ids(subscriptions), jobs))
    )
    while batch := list(islice(of_edition, 1_000)):
        database.jobs.insert_many(batch, ordered=False)
    keep_counts(database, edition.id, now)  # as the edition sensor does at its ticks


def _ids(count: int) -> list[str]:
    """In their order: the embedded server's small cache stalls over so many in another."""
    return sorted(api.id_of(number) for number in range(count))


def _records(count: int, now: datetime) -> Iterator[Record]:
    """As the store keeps them, made from a few of each schedule: what is measured is not the making."""
    forms = [to_record(one, now) for one in due.subscriptions(SCHEDULES)]
    for number, identifier in enumerate(_ids(count)):
        name = f"Report {number}"
        own = {"_id": identifier, "owner": f"usr_{number % PEOPLE}", "name": name, "name_key": name_key(name)}
        asked = {"confirmation_asked_at": now} if number % (count // ASKED or 1) == 0 else {}
        yield {**forms[number % SCHEDULES], **own, **asked, "organisation": ORGANISATION}


def _cookie(settings: Settings, database: Database, user: str) -> str:
    answer = Response()
    Cookies(settings).write(answer, begin_session(database, user, datetime.now(UTC)))
    return answer.headers["set-cookie"].split(";")[0]


def _asked(port: int, address: str, cookie: str, times: int) -> dict[str, float]:
    """Milliseconds of a page, asked for again and again on one connection."""
    connection = HTTPConnection(HOST, port, timeout=120)
    taken = []
    try:
        for number in range(WARM_UP + times):
            started = time.perf_counter()
            connection.request("GET", address, headers={"Cookie": cookie})
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{address}: {answer.status} {content[:300]!r}")
            if number >= WARM_UP:
                taken.append((time.perf_counter() - started) * 1000)
    finally:
        connection.close()
    return {"p50_ms": median(taken), "worst_ms": max(taken)}


def main(arguments: Sequence[str] | None = None) -> None:
    measuring.end_cleanly()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--subscriptions", type=int, default=2_000)
    parser.add_argument(
        "--jobs", type=int, default=None, help="of the newest edition; as many where not said"
    )
    parser.add_argument("--times", type=int, default=5, help="each page")
    chosen = parser.parse_args(arguments)
    jobs = chosen.subscriptions if chosen.jobs is None else chosen.jobs
    if not 1 <= chosen.times <= 100 or chosen.subscriptions < 1 or not 0 <= jobs <= chosen.subscriptions:
        parser.error("1 to 100 times, at least one subscription, no more jobs than these")
    measuring.show("console", measure(chosen.subscriptions, jobs, chosen.times))


if __name__ == "__main__":
    main()
