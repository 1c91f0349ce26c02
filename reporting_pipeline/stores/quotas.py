"""How many subscriptions there may be: a place is taken for each one before it is stored.

`subscription_counts` has a record for each organisation: `count` (places taken), `counted_at`, `changes`
(rises with whatever is done to it) and `pending`, the places whose subscription may not be stored yet:
{subscription id: {owner, asks, at}}. One that stands and gets another owner is there as {owner, at, moves}
meanwhile: one more of that owner's, and none more of the organisation's. A place is taken by one atomic
update of that record, so requests have an order, and each sees the places of those before it: nobody goes
over a quota, and of racers for the last place one has it. Subscriptions that end give nothing back: when an
organisation seems full, and every few minutes, its subscriptions are counted anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.subscriptions import count_subscriptions, live_ids

COUNTED_EVERY = timedelta(minutes=10)
#: A place that no subscription came for by then is free again (its worker was killed).
PENDING_FOR = timedelta(minutes=10)
SETTLED_AT = 32  # pending places, before those that are stored are taken off the record
# Each lost race means that another request got on; so many in a row is a fault and not bad luck.
MAX_RACES = 1_000
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_READ = 2**31 - 1


class QuotaFull(Exception):
    """There is no place left: `whose` is "user" or "organisation", `most` what it may have."""

    def __init__(self, whose: str, most: int) -> None:
        super().__init__(f"the {whose} has {most} subscriptions")
        self.whose = whose
        self.most = most


class Moving(Exception):
    """The subscription is being given to somebody else at this moment."""


@dataclass(frozen=True)
class Most:
    """How many a user and an organisation may have."""

    user: int
    organisation: int


@dataclass(frozen=True)
class SubscriptionPlace:
    """Room for one subscription of an owner. The id must not have been used before."""

    organisation: str
    owner: str
    subscription: str
    asks: str = ""  # equal for those that ask for the same; "" is like no other


def take_place(database: Database, place: SubscriptionPlace, most: Most, now: datetime) -> str | None:
    """Take a place for a subscription that is stored next. Raises QuotaFull.

    Returns the id of one that asks for the same, took its place before and is not stored yet, if there is
    one. What cannot or shall not be stored after all: `give_back`.
    """
    pending = _of_organisation(database, place, most.organisation, now)
    if len(pending) >= SETTLED_AT:
        _settle(database, place.organisation, pending)
    if _of_owner(database, place, pending, most.user) > most.user:
        give_back(database, place)
        raise QuotaFull("user", most.user)
    return _asking_the_same(database, place, pending, now)


def _asking_the_same(
    database: Database, place: SubscriptionPlace, pending: Mapping[str, Any], now: datetime
) -> str | None:
    since = now - PENDING_FOR
    same = {
        one: other
        for one, other in pending.items()
        if one != place.subscription
        and place.asks
        and other.get("asks") == place.asks
        and other["at"] > since
    }
    # Of what is stored the subscriptions themselves tell, also whether it ended or was changed since.
    stored = _stored(database, same)
    return next((one for one in same if one not in stored), None)  # the first taken stands first


def take_owners_place(database: Database, place: SubscriptionPlace, most: int, now: datetime) -> None:
    """Take one of the `most` places of an owner for a subscription that stands and is given to them next.

    Raises QuotaFull, and Moving while it is given to another. Afterwards, whatever came of it:
    `give_owners_place_back`.
    """
    _standing(database, place.organisation)
    own = f"pending.{place.subscription}"
    free: list[Record] = [
        {f"{own}.moves": {"$exists": False}},  # none, or the one it was made with
        {f"{own}.owner": place.owner},
        {f"{own}.at": {"$lte": now - PENDING_FOR}},
    ]
    moving = {"owner": place.owner, "at": now, "moves": True}
    taken = database.subscription_counts.find_one_and_update(
        {"_id": place.organisation, "$or": free},
        {"$inc": {"changes": 1}, "$set": {own: moving}},
        projection={"pending": 1},
        return_document=ReturnDocument.AFTER,
    )
    if taken is None:
        raise Moving(place.subscription)
    if _of_owner(database, place, taken["pending"], most) > most:
        give_owners_place_back(database, place)
        raise QuotaFull("user", most)


def give_owners_place_back(database: Database, place: SubscriptionPlace) -> None:
    """The subscription is its new owner's, or is not given to them after all."""
    own = f"pending.{place.subscription}"
    database.subscription_counts.update_one(
        {"_id": place.organisation, f"{own}.moves": True, f"{own}.owner": place.owner},
        {"$inc": {"changes": 1}, "$unset": {own: ""}},
    )


def give_back(database: Database, place: SubscriptionPlace) -> None:
    """The place that was taken is not used after all."""
    pending = f"pending.{place.subscription}"
    database.subscription_counts.update_one(
        {"_id": place.organisation, pending: {"$exists": True}},
        {"$inc": {"count": -1, "changes": 1}, "$unset": {pending: ""}},
    )


# --- the organisation ----------------------------------------------------------------------------


def _of_organisation(
    database: Database, place: SubscriptionPlace, most: int, now: datetime
) -> Mapping[str, Any]:
    """Take a place of the organisation; returns what was pending then, this place among it."""
    for _ in range(MAX_RACES):
        taken = _take(database, place, most, now)
        if taken is not None:
            pending: Mapping[str, Any] = taken["pending"]
            return pending
        # Full, not counted for a while, or never counted; some may have ended since.
        if _count_anew(database, place.organisation, now, most):
            raise QuotaFull("organisation", most)
    raise RuntimeError(f"{MAX_RACES} times in a row another request was faster")


def _take(database: Database, place: SubscriptionPlace, most: int, now: datetime) -> Record | None:
    return database.subscription_counts.find_one_and_update(
        {"_id": place.organisation, "count": {"$lt": most}, "counted_at": {"$gt": now - COUNTED_EVERY}},
        {
            "$inc": {"count": 1, "changes": 1},
            "$set": {f"pending.{place.subscription}": {"owner": place.owner, "asks": place.asks, "at": now}},
        },
        projection={"pending": 1},
        return_document=ReturnDocument.AFTER,
    )


def _count_anew(database: Database, organisation: str, now: datetime, most: int) -> bool:
    """Count and keep it, unless a place was taken or given back meanwhile. Whether it is full."""
    standing = _standing(database, organisation)
    missing = _missing(database, standing, now)
    count = count_subscriptions(database, organisation)
    if _missing(database, standing, now) != missing:
        return False  # one was stored while we counted: counted or not, nobody can say
    total = count + sum("moves" not in place for place in missing.values())
    kept = database.subscription_counts.update_one(
        {"_id": organisation, "changes": standing["changes"]},
        {"$set": {"count": total, "counted_at": now, "pending": missing}, "$inc": {"changes": 1}},
    )
    return kept.modified_count == 1 and total >= most


def _standing(database: Database, organisation: str) -> Record:
    record = database.subscription_counts.find_one({"_id": organisation})
    while record is None or "changes" not in record:
        with suppress(DuplicateKeyError):  # another request has just made it
            database.subscription_counts.update_one(
                {"_id": organisation, "changes": {"$exists": False}},
                {"$set": {"count": 0, "counted_at": _NEVER, "changes": 0, "pending": {}}},
                upsert=True,
            )
        record = database.subscription_counts.find_one({"_id": organisation})
    return record


def _missing(database: Database, standing: Record, now: datetime) -> dict[str, Any]:
    """The pending places without a subscription, but for those that were left behind."""
    since = now - PENDING_FOR
    fresh = {one: place for one, place in standing["pending"].items() if place["at"] > since}
    stored = _stored(database, fresh)
    return {one: place for one, place in fresh.items() if one not in stored}


def _settle(database: Database, organisation: str, pending: Mapping[str, Any]) -> None:
    """Take the places off `pending` whose subscriptions are stored: they count like all others now."""
    stored = _stored(database, pending)
    if stored:
        database.subscription_counts.update_one(
            {"_id": organisation}, {"$unset": {f"pending.{one}": "" for one in stored}}
        )


def _stored(database: Database, ids: Mapping[str, Any]) -> set[str]:
    """Those of `ids` (to their places) that have a subscription, also an ended one; with its new owner."""
    if not ids:
        return set()
    found = database.subscriptions.find({"_id": {"$in": list(ids)}}, {"owner": 1})
    return {
        row["_id"]
        for row in found
        if "moves" not in ids[row["_id"]] or ids[row["_id"]]["owner"] == row["owner"]
    }


# --- the user ------------------------------------------------------------------------------------


def _of_owner(database: Database, place: SubscriptionPlace, pending: Mapping[str, Any], most: int) -> int:
    """How many the owner has with this place and those that were taken before it."""
    waiting = {one for one, other in pending.items() if other["owner"] == place.owner}
    stored = live_ids(database, place.organisation, place.owner, min(most + 1, _MOST_READ))
    if len(stored | waiting) <= most:
        return len(stored | waiting)
    # Some that stand as pending may have been stored and ended since.
    return len(stored | (waiting - _ended(database, waiting - stored)))


def _ended(database: Database, ids: set[str]) -> set[str]:
    found = database.subscriptions.find({"_id": {"$in": list(ids)}}, {"status": 1})
    return {row["_id"] for row in found if row["status"] == "ended"}
