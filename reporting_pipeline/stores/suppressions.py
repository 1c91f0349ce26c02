"""Who is not written to: addresses that bounced or complained, and recipients that unsubscribed.

A suppressed address stays so for every subscription of its organisation until a person lifts it; what one
tenant's mails met says nothing of another's. An unsubscription holds for one subscription only. A record
whose id is the address alone was written before there was an organisation in it, and holds for all.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from reporting_pipeline.domain.deliveries import short_error
from reporting_pipeline.stores.audit import process_keys
from reporting_pipeline.stores.mongo import Database, Record, find_any

#: (organisation, recipient as the ledger spells it)
Mailbox = tuple[str, str]


def suppress_address(
    database: Database,
    organisation: str,
    address: str,
    reason: str,
    now: datetime,
    delivery: str | None = None,
) -> bool:
    """Write to `address` (a recipient as the ledger spells it) no more. True when it is new.

    The first reason stays.
    """
    key = _key(organisation, address)
    fields = {"reason": short_error(reason), "at": now, "delivery": delivery, "lifted_at": None}
    created = database.suppressions.update_one(
        {"_id": key},
        {"$setOnInsert": {"organisation": organisation, "address": address, **fields}},
        upsert=True,
    )
    if created.upserted_id is not None:
        return True
    again = database.suppressions.update_one(
        {"_id": key, "lifted_at": {"$ne": None, "$lt": now}}, {"$set": fields}
    )
    return again.modified_count == 1


def lift_suppression(
    database: Database, address: str, actor: str, now: datetime, organisation: str | None = None
) -> bool:
    """A person says the address is good again, in one organisation or in all. False when it was good."""
    query: Record = {"$or": [{"address": address}, {"_id": address}], "lifted_at": None}
    if organisation is not None:
        query["organisation"] = organisation
    changed = database.suppressions.update_many(query, {"$set": {"lifted_at": now, "lifted_by": actor}})
    return changed.modified_count > 0


def suppressed_among(database: Database, mailboxes: Iterable[Mailbox]) -> dict[Mailbox, str]:
    """The suppressed ones of `mailboxes`, with the reason; also those known by their mark alone."""
    ids = {each: _ids(*each) for each in set(mailboxes)}
    wanted = {one for some in ids.values() for one in some}
    rows = find_any(database.suppressions, "_id", wanted, {"lifted_at": None}, {"reason": 1})
    reasons = {row["_id"]: str(row["reason"]) for row in rows}
    found = {each: next((reasons[one] for one in some if one in reasons), None) for each, some in ids.items()}
    return {each: reason for each, reason in found.items() if reason is not None}


def _ids(organisation: str, address: str) -> list[str]:
    """Under which ids a mailbox may be suppressed: in its organisation, or in all; by address or by mark."""
    spellings = [address, *opt_out_marks(address)]
    return [*(_key(organisation, each) for each in spellings), address]


def opt_out_marks(address: str) -> list[str]:
    """What stands for an address whose owner was erased, under each key: a keyed hash, the current first."""
    ring = process_keys().derived("opt-out")
    names = [ring.current, *(name for name in ring.keys if name != ring.current)]
    return [f"mark:{ring.sign(address.encode(), name).hex()}" for name in names]


def hash_suppression(database: Database, organisation: str, address: str, *, shared: bool) -> None:
    """Keep that the organisation does not write to an address, without the address.

    A record that holds for all stays where the address is `shared` with another organisation.
    """
    mark = opt_out_marks(address)[0]
    for identifier in (_key(organisation, address), address):
        found = database.suppressions.find_one({"_id": identifier})
        if found is None:
            continue
        kept = {name: found.get(name) for name in ("at", "lifted_at")}
        kept |= {
            "organisation": organisation,
            "reason": "it was suppressed",
            "address": mark,
            "delivery": None,
        }
        database.suppressions.replace_one({"_id": _key(organisation, mark)}, kept, upsert=True)
        if identifier != address or not shared:
            database.suppressions.delete_one({"_id": identifier})


def forget_opt_out(database: Database, row: Record) -> None:
    """Keep that a recipient (a record of `unsubscribes`) opted out of a subscription, without the address."""
    mark = opt_out_marks(str(row["recipient"]))[0]
    query = {"subscription": row["subscription"], "recipient": mark}
    kept = {"at": row.get("at"), "delivery": row.get("delivery")}
    database["unsubscribes"].update_one(query, {"$setOnInsert": kept}, upsert=True)
    database["unsubscribes"].delete_one({"_id": row["_id"]})


def list_suppressions(
    database: Database, limit: int = 200, after: str | None = None, organisation: str | None = None
) -> list[Record]:
    """Suppressed addresses by `_id`, `after` the last one of the page before; of one organisation or all.

    Each has `address` and `organisation`, None where it holds for all.
    """
    query: Record = {"lifted_at": None}
    if organisation is not None:
        query["organisation"] = organisation
    if after is not None:
        query["_id"] = {"$gt": after}
    rows = database.suppressions.find(query).sort("_id", 1).limit(limit)
    return [{"address": row["_id"], "organisation": None} | row for row in rows]


def record_unsubscription(
    database: Database, subscription: str, recipient: str, delivery: str, now: datetime
) -> bool:
    """Note that `recipient` (normalised) wants no more of `subscription`. True for the first time."""
    changed = database.unsubscribes.update_one(
        {"subscription": subscription, "recipient": recipient},
        {"$setOnInsert": {"at": now, "delivery": delivery}},
        upsert=True,
    )
    return changed.upserted_id is not None


def unsubscribed_among(database: Database, subscriptions: Iterable[str]) -> set[tuple[str, str]]:
    """The (subscription, recipient) pairs of `subscriptions` that are unsubscribed."""
    shown = {"subscription": 1, "recipient": 1}
    rows = find_any(database.unsubscribes, "subscription", subscriptions, None, shown)
    return {(row["subscription"], row["recipient"]) for row in rows}


def _key(organisation: str, address: str) -> str:
    return f"{organisation}|{address}"
