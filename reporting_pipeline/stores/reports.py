"""Stored reports: the file in S3 first, then the record in `reports` that names it.

The record holds what makes a report checkable later: SHA-256, size, pages, data-as-of, the versions
of the datasets and of the code it was made from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pymongo import UpdateOne

from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.stores.mongo import Database, Record


@dataclass(frozen=True)
class StoredReport:
    """A report of one subscription and period, as kept in `reports` (`_id` is `id` there)."""

    id: str
    subscription: str
    organisation: str
    cadence: str
    period: str
    key: str
    sha256: str
    size: int  # bytes
    pages: int
    format: str
    content_type: str
    file_name: str
    data_as_of: datetime
    dataset_versions: Mapping[str, str]
    code_version: str
    rendered_at: datetime


def report_id(cadence: Cadence, period_key: str, subscription: str) -> str:
    """The document id printed on the report: the same for every rendering of it."""
    digest = hashlib.sha256(f"{cadence}|{period_key}|{subscription}".encode()).hexdigest()
    return f"rep_{digest[:20]}"


def report_key(period: Period, subscription: str, sha256: str, extension: str) -> str:
    """The S3 key; it holds the content's hash, so a new rendering never overwrites what was sent."""
    return f"reports/{period.cadence}/{period.key}/{subscription}/{sha256[:16]}.{extension}"


def save_reports(database: Database, reports: Iterable[StoredReport]) -> None:
    """Write records in one bulk request; the newest rendering of a subscription and period stands."""
    writes = []
    for report in reports:
        record: Record = {**report.__dict__, "dataset_versions": dict(report.dataset_versions)}
        identifier = record.pop("id")
        writes.append(UpdateOne({"_id": identifier}, {"$set": record}, upsert=True))
    if writes:
        database.reports.bulk_write(writes, ordered=False)


def reports_by_id(database: Database, ids: Sequence[str]) -> dict[str, StoredReport]:
    found = database.reports.find({"_id": {"$in": list(ids)}})
    return {record["_id"]: _report(record) for record in found}


def _report(record: Record) -> StoredReport:
    fields = {name: record[name] for name in StoredReport.__dataclass_fields__ if name != "id"}
    return StoredReport(id=record["_id"], **fields)
