"""What can be mended without a loss. Nothing here deletes an object or a record that cannot be made again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from botocore.exceptions import ClientError
from pymongo import UpdateOne

from reporting_pipeline.domain.reconciliation import DifferenceKind, Source, Stored
from reporting_pipeline.operations.reconciliation.findings import Difference, Findings
from reporting_pipeline.operations.reconciliation.names import belonging, collection_of, period_of
from reporting_pipeline.stores.alerts import close_alert, open_alerts, raise_alert
from reporting_pipeline.stores.holds import holds
from reporting_pipeline.stores.mongo import Database, find_any
from reporting_pipeline.stores.objects import (
    DERIVED_PREFIXES,
    HELD,
    ORPHAN,
    RETENTION_TAG,
    STANDARD,
    ObjectStore,
)

BATCH = 500
ALERT = "reconciliation:"
_SHOWN_IN_ALERT = 3
#: Source -> the field by which a record is forgotten only while it names the same object still.
_FORGOTTEN_BY: Mapping[Source, str] = {
    Source.PICTURE: "key",
    Source.SNAPSHOT: "detail.key",
    Source.MEDIA_LIST: "detail.key",
}


def forget_what_is_gone(database: Database, finding: Difference) -> bool:
    """Forget a record whose object is gone and can be made again; the next look asks for it. True: done."""
    if finding.kind is not DifferenceKind.MISSING or finding.source is None:
        return False
    if finding.source is Source.DATASET:
        condition = {"detail.prefix": finding.key.rpartition("/")[0]}
    elif finding.source in _FORGOTTEN_BY:
        condition = {_FORGOTTEN_BY[finding.source]: finding.key}
    else:
        return False
    collection = database[collection_of(finding.source)]
    return collection.delete_one({"_id": finding.record, **condition}).deleted_count == 1


def known_orphans(database: Database, suspects: Sequence[Stored]) -> set[str]:
    """Those that an earlier reconciliation noted."""
    found = find_any(database.orphans, "_id", (one.key for one in suspects), None, {"_id": 1})
    return {record["_id"] for record in found}


def why_it_stays(objects: ObjectStore, key: str, held_periods: frozenset[tuple[str, str]]) -> str:
    """Why an object that nothing names is not an orphan for retention; "" where it is one."""
    if period_of(key) in held_periods:
        return "its period is held"
    tag = _tag(objects, key)
    if tag is None:
        return "gone meanwhile"
    return "held" if tag == HELD else ""


def tag_orphan(database: Database, objects: ObjectStore, orphan: Stored, now: datetime) -> bool:
    """Tag and note an object, for retention to delete after its time; never an uploaded file. True: done.

    The tag first: a note without one would have retention pass the object by, and forget it.
    """
    if not orphan.key.startswith(DERIVED_PREFIXES):
        return False
    try:
        objects.mark(orphan.key, ORPHAN)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return False
        raise
    note = {"size": orphan.size, "modified_at": orphan.modified_at, "tagged_at": now}
    database.orphans.bulk_write([UpdateOne({"_id": orphan.key}, {"$setOnInsert": note}, upsert=True)])
    return True


def release_orphans(database: Database, objects: ObjectStore) -> int:
    """Take the tag from what was noted as an orphan and is named again, and forget what is gone.

    Returns how many notes went.
    """
    released = 0
    last = ""
    while True:
        page = database.orphans.find({"_id": {"$gt": last}}, {"_id": 1}).sort("_id", 1).limit(BATCH)
        keys = [record["_id"] for record in page]
        if not keys:
            return released
        gone, named = objects.missing(keys), belonging(database, keys)
        for key in sorted(named - gone):
            if _tag(objects, key) == ORPHAN:
                objects.mark(key, STANDARD)
        for key in gone | named:
            released += database.orphans.delete_one({"_id": key}).deleted_count
        last = keys[-1]


def tell_a_person(database: Database, findings: Findings, now: datetime) -> None:
    """One open alert for each kind that only a person can mend; one that is mended is closed."""
    wanted = {f"{ALERT}{kind}:{source}": (kind, source) for kind, source in findings.for_a_person}
    for key, group in sorted(wanted.items()):
        kind, source = group
        some = [one.record for one in findings.examples[group][:_SHOWN_IN_ALERT]]
        more = " …" if findings.found[group] > len(some) else ""
        count = findings.found[group]
        told = f"{kind} of {source}: {count} ({', '.join(some)}{more})"
        raise_alert(database, key, f"{told}; `reporting-pipeline reconcile` lists them", now)
    for alert in open_alerts(database):
        if alert["_id"].startswith(ALERT) and alert["_id"] not in wanted:
            close_alert(database, alert["_id"], "reconciliation", now)


def held_periods(database: Database) -> frozenset[tuple[str, str]]:
    """(cadence, period) of every edition of which a report is held: all that it was made from stays."""
    return frozenset((one["cadence"], one["period"]) for one in holds(database))


def _tag(objects: ObjectStore, key: str) -> str | None:
    """The object's retention tag; None where there is no object."""
    try:
        return objects.tags(key).get(RETENTION_TAG, STANDARD)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return None
        raise
