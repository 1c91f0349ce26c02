"""One word for what waits until a person releases it: `awaiting_release`; `held` is of legal holds alone.

It was the state and a field `held` of jobs, a field `held` of reports and of the renderings before them, and
`held_for` of deliveries after a restore. The audit log keeps the words it was written with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pymongo import ASCENDING, UpdateOne

from reporting_pipeline.operations.migrations.step import Beat, Step
from reporting_pipeline.stores.mongo import Database, Record

BATCH = 1_000
HELD, AWAITING = "held", "awaiting_release"
HELD_FOR, AWAITING_AFTER = "held_for", "awaiting_release_after"


def _up(database: Database, beat: Beat) -> int:
    return sum(
        (
            _changed(database, "jobs", _jobs_of(HELD), HELD, AWAITING, beat),
            _changed(database, "reports", _reports_of(HELD), HELD, AWAITING, beat),
            _changed(database, "deliveries", _having(HELD_FOR), HELD_FOR, AWAITING_AFTER, beat),
        )
    )


def _down(database: Database, beat: Beat) -> int:
    return sum(
        (
            _changed(database, "jobs", _jobs_of(AWAITING), AWAITING, HELD, beat),
            _changed(database, "reports", _reports_of(AWAITING), AWAITING, HELD, beat),
            _changed(database, "deliveries", _having(AWAITING_AFTER), AWAITING_AFTER, HELD_FOR, beat),
        )
    )


def _count(database: Database) -> int:
    return (
        database.jobs.count_documents(_jobs_of(HELD))
        + database.reports.count_documents(_reports_of(HELD))
        + database.deliveries.count_documents(_having(HELD_FOR))
    )


def _having(field: str) -> Record:
    return {field: {"$exists": True}}


def _jobs_of(word: str) -> Record:
    return {"$or": [{"state": word}, _having(word)]}


def _reports_of(word: str) -> Record:
    return {"$or": [_having(word), _having(f"superseded.{word}")]}


def _changed(database: Database, name: str, query: Record, old: str, new: str, beat: Beat) -> int:
    """Rename in the records of a collection that match, a batch at a time by id. Returns how many changed."""
    changed, behind, shown = 0, query, {"state": 1, old: 1, "superseded": 1}
    while rows := list(database[name].find(behind, shown).sort("_id", ASCENDING).limit(BATCH)):
        writes = [
            UpdateOne({"_id": row["_id"]}, update) for row in rows if (update := _update(row, old, new))
        ]
        changed += database[name].bulk_write(writes, ordered=False).modified_count if writes else 0
        behind = {**query, "_id": {"$gt": rows[-1]["_id"]}}
        beat()
    return changed


def _update(row: Mapping[str, Any], old: str, new: str) -> Record:
    """The update of a record; {} of one that somebody broke by hand, which has nothing to rename."""
    values = dict(_values(row, old, new))
    gone = {"$unset": {old: ""}} if old in row else {}
    return {"$set": values, **gone} if values else {}


def _values(row: Mapping[str, Any], old: str, new: str) -> Iterator[tuple[str, Any]]:
    """What a record is to have under the new word."""
    if old in row:
        yield new, row[old]
    if row.get("state") == old:
        yield "state", new
    earlier = row.get("superseded")
    if isinstance(earlier, list) and any(isinstance(one, dict) and old in one for one in earlier):
        yield "superseded", [_renamed(one, old, new) if isinstance(one, dict) else one for one in earlier]


def _renamed(rendering: Mapping[str, Any], old: str, new: str) -> Record:
    return {new if name == old else name: value for name, value in rendering.items()}


STEP = Step(4, "what waits for a person is awaiting_release", _up, _count, _down)
