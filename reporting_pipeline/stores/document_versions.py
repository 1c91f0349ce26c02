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

from collections.abc import Iterable, Sequence
from datetime import datetime

from pymongo import ASCENDING, DESCENDING, ReplaceOne

from reporting_pipeline.stores.mongo import Database, Record, find_any


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
    """Keep `records` as they stand, before they are replaced or removed."""
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
        writes.append(ReplaceOne({"_id": kept["_id"]}, kept, upsert=True))
    if writes:
        database.document_versions.bulk_write(writes, ordered=False)


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


def versions_of(database: Database, organisation: str, document: str) -> list[Record]:
    """The versions that were replaced or withdrawn, the newest first."""
    found = database.document_versions.find({"document": document, "organisation": organisation})
    return list(found.sort("version", DESCENDING))


def last_version(database: Database, document: str) -> int:
    """The number of the newest version that is kept; 0 when there is none."""
    found = database.document_versions.find_one({"document": document}, sort=[("version", DESCENDING)])
    return int(found["version"]) if found else 0


def withdrawn_of(database: Database, documents: Iterable[str]) -> set[str]:
    """Those of `documents` that were withdrawn."""
    found = find_any(
        database.document_versions, "document", documents, {"withdrawn": True}, {"document": ASCENDING}
    )
    return {one["document"] for one in found}


def _as_it_was(before: Record) -> Record:
    return {name: before[name] for name in ("_id", "updated_at", "version") if name in before}
