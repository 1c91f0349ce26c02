"""One retention: its stores, its rules, its moment; and what came of each kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from reporting_pipeline.domain.retention import RetentionRules
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore

#: So many records are looked at and deleted in one request.
BATCH = 500


@dataclass
class Removed:
    """What came of one kind: counts of what went (in a dry run: would go), and what stayed for a reason."""

    kind: str
    records: int = 0
    objects: int = 0
    files: int = 0  # on this machine
    bytes: int = 0
    kept: dict[str, int] = field(default_factory=dict)  # reason -> how many past their time stay
    error: str = ""

    def keep(self, reason: str, count: int = 1) -> None:
        if count:
            self.kept[reason] = self.kept.get(reason, 0) + count

    def as_record(self) -> Record:
        return {
            "kind": self.kind,
            "records": self.records,
            "objects": self.objects,
            "files": self.files,
            "bytes": self.bytes,
            "kept": dict(self.kept),
            "error": self.error,
        }


@dataclass(frozen=True)
class Retention:
    """What a kind's function works with."""

    database: Database
    objects: ObjectStore
    settings: Settings
    rules: RetentionRules
    now: datetime
    dry_run: bool
    #: Periods of which a report is held, as (cadence, period): what they were made from stays whole.
    held_periods: frozenset[tuple[str, str]]
    #: (cadence, period, subscription) of every held report.
    held_reports: frozenset[tuple[str, str, str]]


def pages(collection: Any, query: Mapping[str, Any], shown: Mapping[str, int]) -> Iterator[list[Record]]:
    """The records that match, once each, in batches by `_id`: deleting what was read loses no place."""
    last: Any = None
    while True:
        beyond = {} if last is None else {"_id": {"$gt": last}}
        found = list(collection.find({**query, **beyond}, dict(shown)).sort("_id", 1).limit(BATCH))
        if found:
            yield found
        if len(found) < BATCH:
            return
        last = found[-1]["_id"]


def delete_ids(collection: Any, ids: list[Any]) -> int:
    return int(collection.delete_many({"_id": {"$in": ids}}).deleted_count) if ids else 0
