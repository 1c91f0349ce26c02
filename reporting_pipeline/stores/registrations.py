"""Registered users: an address of an organisation that gets a cadence's report.

A registration points to a subscription; it is what makes "one address, one cadence" unique, also
between two workers. What is sent, and when, is the subscription's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError

from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.stores.mongo import Database, Record


class AddressRegistered(ValueError):
    """The address is registered for this cadence; `registration` is the one that stands."""

    def __init__(self, registration: Registration) -> None:
        super().__init__("this address is registered already")
        self.registration = registration


@dataclass(frozen=True)
class Registration:
    id: str  # "reg_" + the subscription's own part
    organisation: str
    address: str  # normal spelling
    cadence: Cadence
    user: str
    subscription: str
    registered_at: datetime


def register(
    database: Database,
    organisation: str,
    address: str,
    cadence: Cadence,
    user: str,
    subscription: str,
    now: datetime,
) -> Registration:
    """Keep that `subscription` serves `address` (normal spelling). Raises AddressRegistered."""
    record: Record = {
        "_id": f"reg_{subscription.removeprefix('sub_')}",
        "organisation": organisation,
        "address": address,
        "cadence": cadence.value,
        "user": user,
        "subscription": subscription,
        "registered_at": now,
    }
    try:
        database.registrations.insert_one(record)
    except DuplicateKeyError:
        standing = find_registrations(database, organisation, address, cadence)
        if not standing:
            raise
        raise AddressRegistered(standing[0]) from None
    return _registration(record)


def find_registrations(
    database: Database, organisation: str, address: str, cadence: Cadence | None = None
) -> list[Registration]:
    """What an address is registered for."""
    query: Record = {"organisation": organisation, "address": address}
    if cadence is not None:
        query["cadence"] = cadence.value
    return [_registration(record) for record in database.registrations.find(query)]


def list_registrations(
    database: Database,
    organisation: str,
    after: tuple[str, str] | None = None,
    limit: int = 50,
    *,
    user: str | None = None,
) -> list[Registration]:
    """By address and cadence; with `user`, theirs alone. `after` is (address, cadence) of the last read."""
    query: Record = {"organisation": organisation}
    if user is not None:
        query["user"] = user
    if after is not None:
        address, cadence = after
        query["$or"] = [{"address": {"$gt": address}}, {"address": address, "cadence": {"$gt": cadence}}]
    found = database.registrations.find(query).sort([("address", ASCENDING), ("cadence", ASCENDING)])
    return [_registration(record) for record in found.limit(limit)]


def forget_registrations(database: Database, organisation: str, subscriptions: Sequence[str]) -> int:
    """Remove the registrations that point to these subscriptions. Returns how many."""
    query = {"organisation": organisation, "subscription": {"$in": list(subscriptions)}}
    return database.registrations.delete_many(query).deleted_count


def forget_user(database: Database, organisation: str, user: str) -> int:
    """Remove what a user's address was registered for; the subscriptions are ended by others."""
    return database.registrations.delete_many({"organisation": organisation, "user": user}).deleted_count


def _registration(record: Record) -> Registration:
    return Registration(
        id=record["_id"],
        organisation=record["organisation"],
        address=record["address"],
        cadence=Cadence(record["cadence"]),
        user=record["user"],
        subscription=record["subscription"],
        registered_at=record["registered_at"],
    )
