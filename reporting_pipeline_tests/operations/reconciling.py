"""A week's ledger in which nothing differs, and what of it tests take away or ask for."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from reporting_pipeline.operations.reconciliation.findings import Findings
from reporting_pipeline.operations.reconciliation.run import reconcile
from reporting_pipeline.stores.documents import file_key
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.operations.ledger import Ledger

REPORT, SUBSCRIPTION = "sub_00001", "sub_00000"
PICTURE = "c" * 64


def later(days: int = 3) -> datetime:
    """Past the grace period of what a test has just stored."""
    return datetime.now(UTC) + timedelta(days=days)


def whole_week(database: Database, objects: ObjectStore) -> Ledger:
    """A week's reports with all that they were made from, a document and a withdrawn one: nothing differs."""
    ledger = Ledger(database, objects)
    period = ledger.week(0)
    details: dict[str, Any] = {
        "documents": {"key": f"snapshots/weekly/{period.key}/T1/v1.bson.gz"},
        "trial_dataset": {"prefix": f"datasets/weekly/{period.key}/T1/v1", "rows": {}},
        "trial_media": {"key": f"media/manifests/weekly/{period.key}/T1/v1.json"},
    }
    for asset, detail in details.items():
        database.asset_results.update_one(
            {"_id": f"weekly/{asset}/{period.key}|T1"}, {"$set": {"detail": detail}}
        )
    for name in ("doc_1", "doc_2"):
        document(ledger, name)
    withdrawn = database.documents.find_one_and_delete({"_id": "doc_2"})
    database.document_versions.insert_one(
        {"_id": "doc_2:1", "document": "doc_2", "version": 1, "record": withdrawn, "withdrawn": True}
    )
    database.documents.insert_one({"_id": "doc_3", "trial": "T1", "file": None})
    return ledger


def document(ledger: Ledger, name: str) -> str:
    content = f"file of {name}".encode()
    digest = hashlib.sha256(content).hexdigest()
    key = file_key("T1", digest, "a.pdf")
    ledger.objects.put(key, content)
    file = {"key": key, "name": "a.pdf", "size": len(content), "sha256": digest}
    ledger.database.documents.insert_one({"_id": name, "trial": "T1", "file": file})
    return key


def reconciled(ledger: Ledger, now: datetime | None = None, **options: Any) -> Findings:
    return reconcile(ledger.database, ledger.objects, now or later(), **{"mending": True, **options})


def key_of(ledger: Ledger, name: str) -> str:
    return str(ledger.database.documents.find_one({"_id": name})["file"]["key"])  # type: ignore[index]


def period_key(ledger: Ledger) -> str:
    return str(ledger.database.reports.find_one({})["period"])  # type: ignore[index]


def report_key_of(ledger: Ledger, name: str = REPORT) -> str:
    return str(ledger.database.reports.find_one({"subscription": name})["key"])  # type: ignore[index]


def version_key_of(ledger: Ledger) -> str:
    return str(ledger.database.document_versions.find_one({})["record"]["file"]["key"])  # type: ignore[index]
