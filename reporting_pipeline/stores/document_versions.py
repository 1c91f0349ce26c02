"""What documents said before: a version for each correction, and the last one of what was withdrawn.

`documents` holds what counts today, and nothing else: whoever reads it sees corrections and never what
was withdrawn. The version that is replaced is written first and the document after it, so that a crash
between the two leaves a version too many (the same one is written again) and never one too few.

_id, document, version    "doc_…:2"; versions count from 1
organisation, trial       of the document
record                    the document as it was, whole
until, actor, reason      when it was replaced, by whom and why
withdrawn                 True: nothing came after it
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import bson
from pymongo import ASCENDING, DESCENDING, InsertOne, ReplaceOne
from pymongo.errors import BulkWriteError

from reporting_pipeline.stores.mongo import Database, Record, find_any

_DUPLICATE_KEY = 11000


class DocumentChanged(ValueError):
    """Somebody else changed the document meanwhile; read it again."""


def version_of(record: Record) -> int:
    return int(record.get("version", 1))


def keep(
    database: Database,
    records: Sequence[Record],
    actor: str,
    reason: str,
    now: datetime,
    withdrawn: bool = False,
) -> None:
    """Keep `records` as they stand, before they are replaced or removed.

    One that somebody else withdrew meanwhile stays kept as withdrawn.
    """
    writes = []
    for record in records:
        version = version_of(record)
        kept = {
            "_id": f"{record['_id']}:{version}",
            "document": record["_id"],
            "version": version,
            "organisation": record["organisation"],
            "trial": record["trial"],
            "record": record,
            "until": now,
            "actor": actor,
            "reason": reason,
            "withdrawn": withdrawn,
        }
        own = {"_id": kept["_id"]} if withdrawn else {"_id": kept["_id"], "withdrawn": {"$ne": True}}
        writes.append(ReplaceOne(own, kept, upsert=True))
    if not writes:
        return
    try:
        database.document_versions.bulk_write(writes, ordered=False)
    except BulkWriteError as error:
        _raise_unless_taken(error)


def correct(
    database: Database, before: Record, after: Record, actor: str, reason: str, now: datetime
) -> Record:
    """Put `after` in the place of `before`; the document as it stands now.

    `updated_at` becomes `now`, by which every dataset of its window is out of date. Raises
    DocumentChanged when the document is not `before` any more.
    """
    keep(database, [before], actor, reason, now)
    kept = {**after, "version": version_of(before) + 1, "updated_at": now}
    done = database.documents.replace_one(_as_it_was(before), kept)
    if not done.matched_count:
        raise DocumentChanged(f"{before['_id']} was changed meanwhile; read it again")
    return kept


def withdraw(database: Database, before: Record, actor: str, reason: str, now: datetime) -> None:
    """Take the document out of what counts; its versions stay. Raises DocumentChanged."""
    keep(database, [before], actor, reason, now, withdrawn=True)
    if not database.documents.delete_one(_as_it_was(before)).deleted_count:
        raise DocumentChanged(f"{before['_id']} was changed meanwhile; read it again")


def put_all(database: Database, kept: Mapping[str, Record], standing: Mapping[str, Record]) -> set[str]:
    """Put each of `kept` (id -> document) in the place of what stands; the ids of those that are not there.

    These were added, changed or withdrawn since `standing` was read, and stay as they are.
    """
    writes: list[InsertOne[Record] | ReplaceOne[Record]] = [
        ReplaceOne(_as_it_was(standing[identifier]), record) if identifier in standing else InsertOne(record)
        for identifier, record in kept.items()
    ]
    if not writes:
        return set()
    try:
        done = database.documents.bulk_write(writes, ordered=False)
    except BulkWriteError as error:
        _raise_unless_taken(error)
    else:
        if done.inserted_count + done.matched_count == len(writes):
            return set()
    found = {one["_id"]: one for one in find_any(database.documents, "_id", kept)}
    return {one for one, record in kept.items() if one not in found or not _is_same(found[one], record)}


def _raise_unless_taken(error: BulkWriteError) -> None:
    """Raise `error`, unless all that is wrong is that ids are taken."""
    if any(one.get("code") != _DUPLICATE_KEY for one in (error.details or {}).get("writeErrors", ())):
        raise error


def _is_same(found: Record, record: Record) -> bool:
    """Compared as BSON, in which NaN equals itself and instants are cut to milliseconds."""
    first, second = (bson.encode(dict(sorted(one.items()))) for one in (found, record))
    return first == second


def versions_of(database: Database, organisation: str, document: str) -> list[Record]:
    """The versions that were replaced or withdrawn, the newest first."""
    found = database.document_versions.find({"document": document, "organisation": organisation})
    return list(found.sort("version", DESCENDING))


def withdrawn_of(database: Database, documents: Iterable[str]) -> set[str]:
    """Those of `documents` that were withdrawn."""
    found = find_any(
        database.document_versions, "document", documents, {"withdrawn": True}, {"document": ASCENDING}
    )
    return {one["document"] for one in found}


def _as_it_was(before: Record) -> Record:
    return {name: before[name] for name in ("_id", "updated_at", "version") if name in before}
