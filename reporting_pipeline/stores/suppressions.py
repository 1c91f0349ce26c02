"""Who is not written to: addresses that bounced or complained, and recipients that unsubscribed.

A suppressed address stays so for every subscription until a person lifts it; an unsubscription holds
for one subscription only.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from reporting_pipeline.domain.deliveries import short_error
from reporting_pipeline.stores.mongo import Database, Record, find_any


def suppress_address(
    database: Database, address: str, reason: str, now: datetime, delivery: str | None = None
) -> bool:
    """Write to `address` (a recipient as the ledger spells it) no more. True when it is new.

    The first reason stays.
    """
    key = address
    created = database["suppressions"].update_one(
        {"_id": key},
        {"$setOnInsert": {"reason": short_error(reason), "at": now, "delivery": delivery, "lifted_at": None}},
        upsert=True,
    )
    if created.upserted_id is not None:
        return True
    again = database["suppressions"].update_one(
        {"_id": key, "lifted_at": {"$ne": None, "$lt": now}},
        {"$set": {"reason": short_error(reason), "at": now, "delivery": delivery, "lifted_at": None}},
    )
    return again.modified_count == 1


def lift_suppression(database: Database, address: str, actor: str, now: datetime) -> bool:
    """A person says the address is good again. False when it was not suppressed."""
    changed = database["suppressions"].update_one(
        {"_id": address, "lifted_at": None}, {"$set": {"lifted_at": now, "lifted_by": actor}}
    )
    return changed.modified_count == 1


def suppressed_among(database: Database, addresses: Iterable[str]) -> dict[str, str]:
    """The suppressed ones of `addresses`, with the reason."""
    rows = find_any(database["suppressions"], "_id", addresses, {"lifted_at": None}, {"reason": 1})
    return {row["_id"]: row["reason"] for row in rows}


def list_suppressions(database: Database, limit: int = 200, after: str | None = None) -> list[Record]:
    """Suppressed addresses in alphabetical order, `after` an address for the next page."""
    query: Record = {"lifted_at": None}
    if after is not None:
        query["_id"] = {"$gt": after}
    return list(database["suppressions"].find(query).sort("_id", 1).limit(limit))


def record_unsubscription(
    database: Database, subscription: str, recipient: str, delivery: str, now: datetime
) -> bool:
    """Note that `recipient` (normalised) wants no more of `subscription`. True for the first time."""
    changed = database["unsubscribes"].update_one(
        {"subscription": subscription, "recipient": recipient},
        {"$setOnInsert": {"at": now, "delivery": delivery}},
        upsert=True,
    )
    return changed.upserted_id is not None


def unsubscribed_among(database: Database, subscriptions: Iterable[str]) -> set[tuple[str, str]]:
    """The (subscription, recipient) pairs of `subscriptions` that are unsubscribed."""
    shown = {"subscription": 1, "recipient": 1}
    rows = find_any(database["unsubscribes"], "subscription", subscriptions, None, shown)
    return {(row["subscription"], row["recipient"]) for row in rows}
