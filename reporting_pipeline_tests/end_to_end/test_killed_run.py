"""kill -9 of a run in the middle of an edition that Dagster's own daemon runs."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Filters, Recipient, Subscription
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.documents import Arrival, ingest_many, upsert_trial
from reporting_pipeline.stores.editions import get_edition, open_edition
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.subscriptions import create_subscription
from reporting_pipeline_tests.automation.crank import usual_documents
from reporting_pipeline_tests.end_to_end.deployment import (
    bare_environment,
    daemon,
    recipients,
    wait_until,
)
from reporting_pipeline_tests.waiting import PATIENCE

pytestmark = pytest.mark.slow

SUBSCRIPTIONS = 40
TRIAL = "T-KILLED"


def fill(
    database: Database, objects: ObjectStore, period: Period, now: datetime, readers: int = SUBSCRIPTIONS
) -> None:
    """A trial, and subscriptions that share no report with one another, so that rendering takes its time."""
    upsert_trial(
        database,
        {"_id": TRIAL, "organisation": "default", "title": "Killed", "sites": [{"id": "S1", "name": "S1"}]},
    )
    ingest_many(database, objects, [Arrival(record) for record in usual_documents(TRIAL, period)], now)
    kinds = list(Kind)
    for number in range(readers):
        name = f"reader{number:02}"
        chosen = tuple(kind for bit, kind in enumerate(kinds) if (number + 1) >> bit & 1)
        database.users.insert_one(
            {
                "_id": f"usr_{name}",
                "organisation": "default",
                "name": name,
                "email": f"{name}@example.org",
                "roles": ["subscriber"],
                "trials": "all",
                "audience": "monitor",
                "timezone": "UTC",
                "active": True,
            }
        )
        made = period.start_at - timedelta(days=1)
        create_subscription(
            database,
            Subscription(
                id=f"sub_{name}",
                organisation="default",
                owner=f"usr_{name}",
                name=name,
                filters=Filters(trials=(TRIAL,), kinds=chosen),
                schedule=Schedule(cadence="weekly", day_of_week=1, time="00:00"),
                recipients=(Recipient(value=f"{name}@example.org"),),
                created_at=made,
                updated_at=made,
            ),
            made,
        )
    # What was due before this edition was served in its time.
    database.subscriptions.update_many({}, {"$set": {"next_due_at": period.end_at}})


def test_an_edition_whose_render_run_is_killed_completes_and_mails_everybody_once(
    endpoints: Endpoints, settings: Settings, database: Database, objects: ObjectStore, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    period = Period.last_closed(Cadence.WEEKLY, now, settings.timezone)
    fill(database, objects, period, now)
    edition = open_edition(database, Cadence.WEEKLY, period.key, "schedule", now)
    environment = bare_environment(
        **endpoints.as_environment(),
        REPORTING_ENVIRONMENT="test",
        REPORTING_HOME=str(settings.home),
        REPORTING_MONGODB_DATABASE=settings.mongodb_database,
        REPORTING_S3_BUCKET=settings.s3_bucket,
        REPORTING_HEARTBEAT_SECONDS="1",
        REPORTING_SENSOR_INTERVAL_SECONDS="1",
    )
    log = tmp_path / "daemon.log"

    def beats() -> list[dict[str, object]]:
        return list(database.heartbeats.find({"stage": "render"}))

    with daemon(tmp_path, environment):
        wait_until("a render run beats", lambda: bool(beats()), PATIENCE, log)
        (beat,) = beats()
        os.kill(int(str(beat["pid"])), signal.SIGKILL)
        killed = str(beat["_id"])
        assert database.heartbeats.find_one({"_id": killed}) is not None, "it was killed while it worked"
        wait_until(
            "the edition completes",
            lambda: get_edition(database, edition.id).state.value == "completed",
            PATIENCE,
            log,
        )
    assert recipients(settings.outbox) == [
        f"reader{number:02}@example.org" for number in range(SUBSCRIPTIONS)
    ]
    assert database.jobs.count_documents({"state": "completed"}) == SUBSCRIPTIONS
    assert database.jobs.count_documents({}) == SUBSCRIPTIONS
    assert database.deliveries.count_documents({}) == SUBSCRIPTIONS
    runs = {row["run_id"] for row in database.asset_results.find({"asset": "weekly/subscriber_reports"})}
    assert runs, "reports were made"
    assert runs != {killed}, "what the killed run left was made by another"
