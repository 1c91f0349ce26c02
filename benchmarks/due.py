"""How long the due work takes: python -m benchmarks.due --schedules 10000 --due 1000

Fills an empty database with active subscriptions (all cadences and zones in turn), of which `--due`
are due, and measures one look of the planner: the indexed scan, the rules, and the bulk writes of
jobs and of the next due times. Prints one JSON object; times are seconds.

Runs on MONGODB_URI when set (in a database of its own, dropped afterwards), otherwise on the embedded
server in a temporary home.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from time import perf_counter
from typing import Any
from uuid import uuid4

from benchmarks import measuring
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.schedules import Schedule, window_of
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.embedded import servers
from reporting_pipeline.settings import load_settings
from reporting_pipeline.stores.editions import open_edition
from reporting_pipeline.stores.jobs import plan_due_jobs, plan_edition
from reporting_pipeline.stores.mongo import Database, Record, open_database
from reporting_pipeline.stores.subscriptions import to_record

CREATED = datetime(2026, 11, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 23, 7, tzinfo=UTC)
ZONES = ("UTC", "Europe/Zurich", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe")


def schedule(number: int) -> Schedule:
    """Weekly, weekly on business days, daily, monthly and cron, over five zones."""
    zone = ZONES[number % len(ZONES)]
    time = f"{number % 24:02}:{number % 60:02}"
    kinds: tuple[dict[str, Any], ...] = (
        {"cadence": "weekly", "day_of_week": number % 7 + 1, "time": time},
        {"cadence": "weekly", "time": time, "business_days": "next", "holidays": "US"},
        {"cadence": "daily", "time": time},
        {"cadence": "monthly", "day_of_month": number % 31 + 1, "time": time},
        {"cadence": "cron", "cron_expression": f"{number % 60} {number % 24} * * MON-FRI"},
    )
    return Schedule(timezone=zone, **kinds[number // len(ZONES) % len(kinds)])


def subscriptions(count: int) -> Iterator[Subscription]:
    for number in range(count):
        yield Subscription(
            id=f"sub_{number:08}",
            organisation=f"org_{number % 20}",
            owner=f"usr_{number % 1000}",
            name="Benchmark",
            schedule=schedule(number),
            created_at=CREATED,
            updated_at=CREATED,
        )


def records(schedules: int, due: int) -> Iterator[Record]:
    """Subscriptions as the store keeps them; `due` of them, evenly spread, have one occurrence due now."""
    every = schedules // due if due else 0
    for number, subscription in enumerate(subscriptions(schedules)):
        if every and number % every == 0 and number // every < due:
            daily = Schedule(cadence="daily", time=subscription.schedule.time, timezone=ZONES[number % 5])
            subscription = subscription.model_copy(update={"schedule": daily, "window": Cadence.DAILY})
            yield to_record(subscription, NOW - timedelta(days=1))
        else:
            window = window_of(subscription.schedule)
            yield to_record(subscription.model_copy(update={"window": window}), NOW)


def measure(database: Database, schedules: int, due: int, with_edition: bool) -> dict[str, Any]:
    started = perf_counter()
    rows = records(schedules, due)
    while batch := list(islice(rows, 1_000)):
        database.subscriptions.insert_many(batch, ordered=False)
    filled = perf_counter() - started

    started = perf_counter()
    outcome = plan_due_jobs(database, NOW, "UTC")
    planned = perf_counter() - started
    started = perf_counter()
    again = plan_due_jobs(database, NOW, "UTC")
    idle = perf_counter() - started
    assert (outcome.subscriptions, outcome.jobs, again.subscriptions) == (due, due, 0)
    return {
        "schedules": schedules,
        "due": outcome.subscriptions,
        "jobs": outcome.jobs,
        "due_planned_seconds": round(planned, 3),
        "nothing_due_seconds": round(idle, 4),
        "filled_seconds": round(filled, 3),
    } | (_edition(database) if with_edition else {})


def _edition(database: Database) -> dict[str, Any]:
    """Planning a whole weekly edition, and looking at it again."""
    period = Period.last_closed(Cadence.WEEKLY, NOW)
    edition = open_edition(database, period.cadence, period.key, "schedule", NOW)
    started = perf_counter()
    jobs = plan_edition(database, edition, period, NOW)
    first = perf_counter() - started
    started = perf_counter()
    plan_edition(database, edition, period, NOW)
    return {
        "edition_jobs": jobs,
        "edition_planned_seconds": round(first, 3),
        "edition_planned_again_seconds": round(perf_counter() - started, 3),
    }


@contextmanager
def database_for_a_while() -> Iterator[Database]:
    """An empty database on MONGODB_URI or on an embedded server; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="reporting-benchmark-") as home:
        local = load_settings({**_server(), "REPORTING_ENVIRONMENT": "test", "REPORTING_HOME": home})
        with servers.running(local) as endpoints:
            database = open_database(endpoints.mongodb_uri, f"benchmark_{uuid4().hex[:12]}")
            try:
                yield database
            finally:
                # The embedded one goes with its home; to drop 100,000 records took it minutes.
                if local.mongodb_uri is not None:
                    database.client.drop_database(database.name)
                database.client.close()


def _server() -> dict[str, str]:
    names = ("MONGODB_URI", "S3_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--due", type=int, default=1_000)
    parser.add_argument("--edition", action="store_true", help="also plan a whole weekly edition")
    chosen = parser.parse_args()
    if not 0 <= chosen.due <= chosen.schedules:
        parser.error("--due must lie between 0 and --schedules")
    with database_for_a_while() as database:
        measuring.show("due", measure(database, chosen.schedules, chosen.due, chosen.edition))


if __name__ == "__main__":
    main()
