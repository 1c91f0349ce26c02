"""What waits for a user goes where they have their mailbox now, once a changed address is confirmed.

Whoever looks first moves a delivery: the confirmation, for all that waits (`move_waiting`), or the worker
that draws one for a mailbox which is its user's no more (`follow`), whatever kept the confirmation from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pymongo.errors import DuplicateKeyError

from reporting_pipeline.domain.deliveries import Channel, DeliveryRecord, mailbox
from reporting_pipeline.domain.jobs import DeliveryState
from reporting_pipeline.stores.deliveries.settle import settle_jobs
from reporting_pipeline.stores.mongo import Database, Record, delivery_records, parts
from reporting_pipeline.stores.subscriptions import records_by_id

SENT_THERE_ALREADY = "the job sends to the user's new address already"


def names_address(subscription: Record, address: str) -> bool:
    """Whether a subscription itself names a mailbox as a recipient, and not the user who has it."""
    found = subscription.get("recipients")
    return any(
        isinstance(entry, dict)
        and entry.get("type", "email") == "email"
        and mailbox(str(entry.get("value", ""))) == mailbox(address)
        for entry in (found if isinstance(found, list) else ())
    )


def move_waiting(
    database: Database, organisation: str, user: str, before: str, after: str, now: datetime
) -> int:
    """Send to `after` what waits for this user at `before`. Returns how many were moved.

    One atomic change each, that counts as an attempt: a worker that has drawn one and not begun it is
    overtaken. What was begun stays until it waits again; what a subscription sends to the address itself
    stays, too.
    """
    waiting: Record = {
        "recipient": mailbox(before),
        "organisation": organisation,
        "user": user,
        "channel": Channel.EMAIL.value,
        "state": DeliveryState.PENDING.value,
    }
    moved = 0
    for some in parts(str(row["_id"]) for row in database.deliveries.find(waiting, {"_id": 1})):
        rows = list(delivery_records(database).find({"_id": {"$in": some}, **waiting}))
        subscriptions = records_by_id(database, {row["subscription"] for row in rows})
        addresses = {
            row["_id"]: mailbox(after)
            for row in rows
            if not names_address(subscriptions.get(row["subscription"], {}), before)
        }
        moved += follow(database, rows, addresses, now)
    return moved


def follow(
    database: Database, records: list[DeliveryRecord], addresses: Mapping[str, str], now: datetime
) -> int:
    """Send those of `records` that wait to their user's address of today: id -> address (normal spelling).

    What somebody else began, moved or settled since it was read stays as it is. Returns how many were moved.
    """
    moved = 0
    for row in records:
        if row["_id"] in addresses:
            moved += _move(database, row, addresses[row["_id"]], now)
    return moved


def _move(database: Database, record: DeliveryRecord, address: str, now: datetime) -> int:
    waiting = {
        "_id": record["_id"],
        "recipient": record["recipient"],
        "attempt": record["attempt"],
        "state": DeliveryState.PENDING.value,
    }
    counted: Record = {"$inc": {"attempt": 1}, "$addToSet": {"moved_from": record["recipient"]}}
    try:
        return (
            delivery_records(database)
            .update_one(waiting, {"$set": {"recipient": address}, **counted})
            .modified_count
        )
    except DuplicateKeyError:
        gone = {"state": DeliveryState.SUPPRESSED.value, "next_attempt_at": None, "settled_at": now}
        told = {"error": SENT_THERE_ALREADY}
        database.deliveries.update_one(waiting, {"$set": gone | told, "$inc": {"attempt": 1}})
        settle_jobs(database, [record["job"]], now)
        return 0
