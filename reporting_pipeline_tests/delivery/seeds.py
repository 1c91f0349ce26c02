"""Rendered jobs with their subscriptions, users, reports and files, for the delivery tests and benchmark."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any, cast

from reporting_pipeline.domain.jobs import JobRecord
from reporting_pipeline.stores.deliveries import plan_deliveries
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
FILE = b"%PDF-1.4 a report\n" * 40


class Clock:
    """A clock the test moves; `pause` moves it as a sleep would."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **units: float) -> None:
        self.at += timedelta(**units)

    def pause(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def seed(
    database: Database,
    objects: ObjectStore | None,
    count: int,
    *,
    recipients: Sequence[Mapping[str, str]] = (),
    parameters: Mapping[str, Any] | None = None,
    name: str = "Weekly safety report",
    plan: bool = True,
) -> list[JobRecord]:
    """`count` rendered weekly jobs, due an hour before NOW; returns what deliveries look at of them."""
    digest = hashlib.sha256(FILE).hexdigest()
    jobs: list[JobRecord] = []
    subscriptions: dict[str, Record] = {}
    for trial in ("CDISCPILOT01", "ANOTHER"):
        database["trials"].update_one(
            {"_id": trial}, {"$set": {"organisation": "default", "title": trial}}, upsert=True
        )
    for number in range(count):
        mark = f"{number:05d}"
        owner: Record = {
            "_id": f"usr_{mark}",
            "organisation": "default",
            "name": f"Reader {number}",
            "email": f"reader{number}@example.org",
            "roles": ["subscriber"],
            "trials": "all",
            "audience": "monitor",
            "timezone": "UTC",
            "active": True,
        }
        subscription: Record = {
            "_id": f"sub_{mark}",
            "organisation": "default",
            "owner": owner["_id"],
            "name": name,
            "description": "",
            "status": "active",
            "report_type": "trial_activity",
            "filters": {},
            "schedule": {"cadence": "weekly", "time": "07:00", "timezone": "UTC", "day_of_week": 1},
            "window": "weekly",
            "recipients": list(recipients),
            "format": "pdf",
            "parameters": dict(parameters or {}),
            "created_at": NOW - timedelta(days=30),
            "updated_at": NOW - timedelta(days=30),
            "version": 1,
        }
        report: Record = {
            "_id": f"rep_{mark}",
            "subscription": subscription["_id"],
            "organisation": "default",
            "cadence": "weekly",
            "period": "2026-11-16",
            "key": f"reports/weekly/2026-11-16/{subscription['_id']}/x.pdf",
            "sha256": digest,
            "size": len(FILE),
            "pages": 4,
            "format": "pdf",
            "content_type": "application/pdf",
            "file_name": "weekly-2026-11-16.pdf",
            "data_as_of": NOW - timedelta(hours=8),
            "dataset_versions": {"CDISCPILOT01": "abc"},
            "code_version": "1",
            "rendered_at": NOW - timedelta(hours=2),
        }
        job: Record = {
            "_id": f"job_{mark}",
            "edition": "weekly:2026-11-16",
            "subscription": subscription["_id"],
            "organisation": "default",
            "period": "2026-11-16",
            "occurrence": "2026-11-23",
            "due_at": NOW - timedelta(hours=1),
            "state": "rendered",
            "attempts": 1,
            "error": None,
            "report": report["_id"],
            "created_at": NOW - timedelta(hours=3),
            "completed_at": None,
        }
        database["users"].replace_one({"_id": owner["_id"]}, owner, upsert=True)
        database["subscriptions"].insert_one(subscription)
        database["reports"].insert_one(report)
        database["jobs"].insert_one(job)
        if objects is not None:
            objects.put(report["key"], FILE, "application/pdf")
        subscriptions[subscription["_id"]] = subscription
        jobs.append(cast("JobRecord", job))
    if plan:
        plan_deliveries(database, jobs, subscriptions, NOW)
    return jobs


def seed_combining(
    database: Database,
    objects: ObjectStore | None,
    *,
    readers: int,
    each: int,
    plan: bool = True,
    cadences: Sequence[str] = ("weekly",),
) -> list[JobRecord]:
    """`each` jobs for each of `readers`, who want what is due within half an hour in one mail; the jobs are
    of `cadences` in turn."""
    jobs = seed(database, objects, readers * each, plan=False)
    for job, cadence in zip(jobs, cycle(cadences), strict=False):
        job["edition"] = f"{cadence}:{job['period']}"
        database["jobs"].update_one({"_id": job["_id"]}, {"$set": {"edition": job["edition"]}})
    for number in range(len(jobs)):
        mine: Record = {"owner": f"usr_{number // each:05d}", "name": f"Report {number}"}
        database["subscriptions"].update_one({"_id": f"sub_{number:05d}"}, {"$set": mine})
    database["users"].update_many({}, {"$set": {"combine_minutes": 30}})
    if plan:
        subscriptions = {row["_id"]: row for row in database["subscriptions"].find()}
        plan_deliveries(database, jobs, subscriptions, NOW)
    return jobs
