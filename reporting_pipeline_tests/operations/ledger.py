"""Weeks of a deployment as records and files, without a report being made: what retention looks at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.planning import report_id
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore

FIRST_WEEK = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday


@dataclass
class Ledger:
    """Writes what an edition leaves behind. `files`: of so many reports a week the file stands in S3, too."""

    database: Database
    objects: ObjectStore
    files: int = 5

    def week(self, number: int, reports: int = 5, sent_after: timedelta = timedelta(hours=1)) -> Period:
        """Edition number `number`: everything it left, finished an hour after its period ended."""
        period = Period.last_closed(Cadence.WEEKLY, FIRST_WEEK + timedelta(weeks=number, hours=1), "UTC")
        at = period.end_at + sent_after
        names = [f"sub_{n:05}" for n in range(reports)]
        self._inputs(period, at)
        self.database.editions.insert_one(
            {
                "_id": f"weekly:{period.key}",
                "cadence": "weekly",
                "period": period.key,
                "state": "completed",
                "opened_at": period.end_at,
            }
        )
        self.database.reports.insert_many([self._report(period, name, at) for name in names])
        self.database.jobs.insert_many([self._job(period, name, at) for name in names])
        self.database.deliveries.insert_many([self._delivery(period, name, at) for name in names])
        self.database.delivery_events.insert_many(
            [
                {
                    "_id": f"ev-{self.delivery(period, name)}",
                    "delivery": self.delivery(period, name),
                    "at": at,
                }
                for name in names
            ]
        )
        self.database.asset_results.insert_many(
            [
                {
                    "_id": f"weekly/subscriber_reports/{period.key}|{name}",
                    "asset": "weekly/subscriber_reports",
                    "period": period.key,
                    "item": name,
                    "state": "done",
                }
                for name in names
            ]
        )
        for name in names[: self.files]:
            self.objects.put(self.key(period, name), self.content(period, name))
        return period

    def _inputs(self, period: Period, at: datetime) -> None:
        for key in (
            f"snapshots/weekly/{period.key}/T1/v1.bson.gz",
            f"datasets/weekly/{period.key}/T1/v1/dataset.json",
            f"media/manifests/weekly/{period.key}/T1/v1.json",
        ):
            self.objects.put(key, b"inputs of " + period.key.encode())
        picture = sha256(period.key.encode()).hexdigest()
        self.objects.put(f"media/{picture[:2]}/{picture}-1.jpg", b"picture")
        self.database.media.insert_one(
            {
                "_id": picture,
                "key": f"media/{picture[:2]}/{picture}-1.jpg",
                "code_version": "1",
                "remembered_at": at,
            }
        )
        for asset in ("documents", "trial_dataset", "trial_media"):
            self.database.asset_results.insert_one(
                {
                    "_id": f"weekly/{asset}/{period.key}|T1",
                    "asset": f"weekly/{asset}",
                    "period": period.key,
                    "item": "T1",
                    "state": "done",
                }
            )

    @staticmethod
    def content(period: Period, name: str) -> bytes:
        return f"report {period.key} {name}".encode()

    def key(self, period: Period, name: str) -> str:
        digest = sha256(self.content(period, name)).hexdigest()
        return f"reports/weekly/{period.key}/{name}/{digest[:16]}.pdf"

    @staticmethod
    def report(period: Period, name: str) -> str:
        return report_id(Cadence.WEEKLY, period.key, name)

    @staticmethod
    def delivery(period: Period, name: str) -> str:
        return "dlv_" + sha256(f"{period.key}{name}".encode()).hexdigest()[:24]

    def _report(self, period: Period, name: str, at: datetime) -> dict[str, Any]:
        content = self.content(period, name)
        return {
            "_id": self.report(period, name),
            "subscription": name,
            "organisation": "default",
            "cadence": "weekly",
            "period": period.key,
            "key": self.key(period, name),
            "sha256": sha256(content).hexdigest(),
            "size": len(content),
            "format": "pdf",
            "rendered_at": at,
        }

    def _job(self, period: Period, name: str, at: datetime) -> dict[str, Any]:
        return {
            "_id": f"job_{period.key}_{name}",
            "edition": f"weekly:{period.key}",
            "organisation": "default",
            "subscription": name,
            "period": period.key,
            "occurrence": period.key,
            "state": "completed",
            "due_at": at,
            "completed_at": at,
        }

    def _delivery(self, period: Period, name: str, at: datetime) -> dict[str, Any]:
        return {
            "_id": self.delivery(period, name),
            "job": f"job_{period.key}_{name}",
            "edition": f"weekly:{period.key}",
            "cadence": "weekly",
            "organisation": "default",
            "subscription": name,
            "period": period.key,
            "report": self.report(period, name),
            "channel": "email",
            "recipient": f"{name}@example.org",
            "state": "delivered",
            "due_at": at,
            "sending_at": at,
            "settled_at": at,
        }


COUNTED = ("reports", "jobs", "deliveries", "delivery_events", "asset_results", "media", "editions")


def sizes(database: Database, objects: ObjectStore) -> dict[str, int]:
    """How much there is of everything that grows."""
    counts = {name: database[name].count_documents({}) for name in COUNTED}
    return counts | {"objects": sum(1 for _ in objects.listing(""))}
