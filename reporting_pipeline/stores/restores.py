"""The mark of a restore, and the deliveries that await a release after it: nobody is mailed twice.

`restores`, one record each: `_id` opaque, `backup_at` (what came later is not known), `at` (when the
database was restored). Whatever was due by `at` and is not settled may have been sent between the two. It
is `unknown` with `awaiting_release_after` the restore and no next attempt, so that no worker touches it; also
what is planned only after the restore but was due before it. A person releases it, or evidence settles it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import cast
from uuid import uuid4

from reporting_pipeline.domain.deliveries import DeliveryRecord
from reporting_pipeline.domain.jobs import DeliveryState
from reporting_pipeline.stores.mongo import Database, Record, parts

WHY = (
    "it may have been sent before the database was restored; `reporting-pipeline backup awaiting-release` "
    "lists these"
)
_OPEN = [DeliveryState.PENDING.value, DeliveryState.SENDING.value, DeliveryState.UNKNOWN.value]


def mark_restored(database: Database, backup_at: datetime, now: datetime) -> int:
    """Note a restore. What may have been sent since awaits a release: returns how many that are."""
    return let_nothing_go(database, note_restore(database, backup_at, now), now)


def note_restore(database: Database, backup_at: datetime, now: datetime) -> str:
    """Note a restore; its id. From here on what is planned and was due before awaits a release."""
    restore = f"rst_{uuid4().hex[:24]}"
    database["restores"].insert_one({"_id": restore, "backup_at": backup_at, "at": now})
    return restore


def let_nothing_go(database: Database, restore: str, now: datetime) -> int:
    """Deliveries that may have been sent since the backup await a release: returns how many they are."""
    return int(
        database["deliveries"]
        .update_many({"state": {"$in": _OPEN}, "due_at": {"$lte": now}}, {"$set": _awaiting(restore)})
        .modified_count
    )


def await_release_after_restore(database: Database, fresh: Sequence[DeliveryRecord]) -> None:
    """Newly planned deliveries that were due before the newest restore await a release. Changes them."""
    newest = _newest(database)
    if newest is None:
        return
    for delivery in fresh:
        if delivery["due_at"] <= newest["at"]:
            delivery.update(cast("DeliveryRecord", _awaiting(newest["_id"])))


def restore_after(database: Database, due_at: datetime) -> str | None:
    """The newest restore, where what was due at `due_at` may have gone out before it; else None."""
    newest = _newest(database)
    return str(newest["_id"]) if newest is not None and due_at <= newest["at"] else None


def _newest(database: Database) -> Record | None:
    return next(iter(database["restores"].find({}).sort("at", -1).limit(1)), None)


def deliveries_awaiting_release(database: Database) -> Iterator[Record]:
    """What awaits a release after a restore, all of it, by the time it was due."""
    query = {"awaiting_release_after": {"$ne": None}, "state": DeliveryState.UNKNOWN.value}
    yield from database["deliveries"].find(query).sort([("due_at", 1), ("_id", 1)])


def release_after_restore(database: Database, *, send: bool, edition: str | None, now: datetime) -> list[str]:
    """Decide over what awaits a release (of one edition, or all): send it now, or take it as sent before.

    Returns the jobs concerned, whose states follow from their deliveries.
    """
    query: Record = {"awaiting_release_after": {"$ne": None}, "state": DeliveryState.UNKNOWN.value}
    if edition is not None:
        query["edition"] = edition
    jobs = sorted(database["deliveries"].distinct("job", query))
    change: Record = (
        {"state": DeliveryState.PENDING.value, "next_attempt_at": now, "error": None}
        if send
        else {"state": DeliveryState.SENT.value, "settled_at": now, "error": None}
    )
    database["deliveries"].update_many(query, {"$set": {**change, "awaiting_release_after": None}})
    return jobs


def learn_what_was_sent(database: Database, was_sent: Callable[[str], bool], now: datetime) -> list[str]:
    """Settle as sent what awaits a release and `was_sent(delivery id)` shows, as a file in the outbox."""
    query = {"awaiting_release_after": {"$ne": None}, "state": DeliveryState.UNKNOWN.value}
    shown = [row for row in database["deliveries"].find(query, {"job": 1}) if was_sent(row["_id"])]
    for some in parts(row["_id"] for row in shown):
        database["deliveries"].update_many(
            {"_id": {"$in": some}, **query},
            {
                "$set": {
                    "state": DeliveryState.SENT.value,
                    "settled_at": now,
                    "error": None,
                    "awaiting_release_after": None,
                }
            },
        )
    return sorted({row["job"] for row in shown})


def _awaiting(restore: str) -> Record:
    return {
        "state": DeliveryState.UNKNOWN.value,
        "was_unknown": True,
        "awaiting_release_after": restore,
        "next_attempt_at": None,
        "lease_token": None,
        "lease_until": None,
        "error": WHY,
    }
