"""What waits for a user goes where they have their mailbox now, once a changed address is confirmed."""

from __future__ import annotations

from datetime import datetime

from pymongo.errors import DuplicateKeyError

from reporting_pipeline.domain.deliveries import Channel, mailbox
from reporting_pipeline.domain.jobs import DeliveryState
from reporting_pipeline.stores.deliveries.settle import settle_jobs
from reporting_pipeline.stores.mongo import Database, Record, delivery_records, parts
from reporting_pipeline.stores.subscriptions import records_by_id


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
    overtaken. What was begun stays; what a subscription sends to the address itself stays, too.
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
        rows = list(database.deliveries.find({"_id": {"$in": some}, **waiting}))
        subscriptions = records_by_id(database, {row["subscription"] for row in rows})
        for row in rows:
            if not names_address(subscriptions.get(row["subscription"], {}), before):
                moved += _move(database, waiting | {"_id": row["_id"]}, row["job"], mailbox(after), now)
    return moved


def _move(database: Database, waiting: Record, job: str, address: str, now: datetime) -> int:
    change: Record = {"$set": {"recipient": address}, "$inc": {"attempt": 1}}
    try:
        return delivery_records(database).update_one(waiting, change).modified_count
    except DuplicateKeyError:  # its job sends to the new address already
        gone = {"state": DeliveryState.SUPPRESSED.value, "next_attempt_at": None, "settled_at": now}
        told = {"error": "the job sends to the user's new address already"}
        database.deliveries.update_one(waiting, {"$set": gone | told, "$inc": {"attempt": 1}})
        settle_jobs(database, [job], now)
        return 0
