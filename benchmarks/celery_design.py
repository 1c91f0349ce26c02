"""The usual design, for comparison: a queue, three workers, a plain document for each report.

What teams build first: a message for each subscription on a Celery queue in Redis; a worker reads the
subscription and its owner, computes the figures, draws the charts, sets the document with platypus
(`benchmarks.platypus`), stores it in S3, writes a mail, and notes both in MongoDB. It runs for real on the
edition's own servers and data, over a sample of its subscriptions. It is favoured where that was
simpler: datasets and thumbnails are cached in each worker, nothing is retried or audited, no right is
looked at, and no mail is put to disk for certain.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import lru_cache
from typing import Any

from celery import Celery

from benchmarks import platypus
from benchmarks.unorchestrated import Inputs
from reporting_pipeline.cli.local.home import Deployment
from reporting_pipeline.cli.local.processes import Child, running
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.reports.images import ThumbnailCache
from reporting_pipeline.settings import Settings, load_settings
from reporting_pipeline.stores.mongo import Database, mongo_client
from reporting_pipeline.stores.objects import ObjectStore, open_object_store
from reporting_pipeline.stores.subscriptions import from_record
from reporting_pipeline_tests.deploy import redis_server

WORKERS = 3
BROKER = "CELERY_BROKER_URL"
#: Where the design keeps what it did, beside the edition's own collections.
COLLECTION = "plain_reports"
#: The first documents of a worker read fonts, datasets and pictures; they are not measured.
WARM_UP = 2 * WORKERS

app = Celery("benchmarks.celery_design", broker=os.environ.get(BROKER))
app.conf.update(
    task_ignore_result=True, worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True
)


def seconds_per_report(
    deployment: Deployment, period: Period, subscriptions: Sequence[str], patience: float
) -> float:
    """Wall seconds of a report with WORKERS at work, from a real run over `subscriptions`."""
    with redis_server.running(deployment.settings.home / "celery-redis") as broker:
        environment = deployment.environment(**{BROKER: broker})
        command = [
            *(sys.executable, "-m", "celery", "-A", "benchmarks.celery_design", "worker"),
            *("--concurrency", str(WORKERS), "--loglevel", "warning"),
        ]
        log = deployment.settings.home / "logs" / "celery.log"
        with (
            running("celery", command, environment, log) as worker,
            Celery(broker=broker).connection() as connection,
        ):
            database = deployment.database
            _serve(connection, database, worker, period, list(subscriptions)[:WARM_UP], patience)
            _serve(connection, database, worker, period, subscriptions, patience)
        rows = list(database[COLLECTION].find({}, {"started_at": 1, "finished_at": 1}))
    begun, ended = min(row["started_at"] for row in rows), max(row["finished_at"] for row in rows)
    return float((ended - begun).total_seconds()) / len(rows)


def _serve(
    connection: Any,
    database: Database,
    worker: Child,
    period: Period,
    subscriptions: Sequence[str],
    patience: float,
) -> None:
    """Put one message for each subscription on the queue and wait until all reports stand."""
    database[COLLECTION].delete_many({})
    for one in subscriptions:
        report.apply_async((one, period.key, period.timezone), connection=connection)
    deadline = time.monotonic() + patience
    while database[COLLECTION].count_documents({}) < len(subscriptions):
        worker.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(subscriptions)} plain reports were not done after {patience:.0f} s")
        time.sleep(0.2)


@app.task(name="report")  # type: ignore[untyped-decorator]  # Celery has no types
def report(subscription: str, period_key: str, timezone: str) -> None:
    """One report from its message to its mail."""
    started = datetime.now(UTC)
    settings, database, objects = _stores()
    record = database.subscriptions.find_one({"_id": subscription})
    assert record is not None, f"no subscription {subscription}"
    owner = database.users.find_one({"_id": record["owner"]})
    assert owner is not None, f"subscription {subscription} has no owner"
    request = _inputs(period_key, timezone).request(from_record(record), owner["name"])
    with platypus.as_installed():
        content = platypus.document(request, _thumbnails())
    stored = objects.put(f"plain/{period_key}/{subscription}.pdf", content, "application/pdf")
    database[COLLECTION].insert_one(
        {"_id": subscription, "key": stored.key, "size": len(content), "started_at": started}
    )
    (settings.home / "plain-mails").mkdir(exist_ok=True)
    link = objects.presigned_url(stored.key, "report.pdf")
    mail = _mail(settings, str(owner["email"]), str(record["name"]), link)
    (settings.home / "plain-mails" / f"{subscription}.eml").write_bytes(mail.as_bytes())
    database[COLLECTION].update_one({"_id": subscription}, {"$set": {"finished_at": datetime.now(UTC)}})


def _mail(settings: Settings, to: str, subject: str, link: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = settings.email_from, to, subject
    mail.set_content(f"Your report is ready: {link}\n")
    mail.add_alternative(f'<p>Your report is ready: <a href="{link}">open it</a></p>', subtype="html")
    return mail


@lru_cache(maxsize=1)
def _stores() -> tuple[Settings, Database, ObjectStore]:
    settings = load_settings()
    assert settings.mongodb_uri is not None
    database = mongo_client(settings.mongodb_uri.get_secret_value())[settings.mongodb_database]
    return settings, database, open_object_store(settings)


@lru_cache(maxsize=1)
def _inputs(period_key: str, timezone: str) -> Inputs:
    _, database, objects = _stores()
    return Inputs(database, objects, Period.from_key(Cadence.WEEKLY, period_key, timezone))


@lru_cache(maxsize=1)
def _thumbnails() -> ThumbnailCache:
    settings, _, objects = _stores()
    return ThumbnailCache(objects.get, settings.home / "cache" / "thumbnails")
