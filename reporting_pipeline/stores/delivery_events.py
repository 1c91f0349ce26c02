"""What a provider told of deliveries: each event once, by the provider's id of it."""

from __future__ import annotations

from datetime import datetime, timedelta

from pymongo.errors import DuplicateKeyError

from reporting_pipeline.domain.deliveries import Channel, DeliveryRecord
from reporting_pipeline.stores.measures import MEASURES
from reporting_pipeline.stores.mongo import Database, Record, delivery_records

#: A receiving server may refuse days after it took a mail; none does after so long.
LATEST = timedelta(days=14)
#: What is counted for the share of mails that come back.
_BOUNCES = ("bounce", "dropped", "spamreport")


def is_known(database: Database, event: str) -> bool:
    return database.delivery_events.find_one({"_id": event}, {"_id": 1}) is not None


def keep(
    database: Database,
    event: str,
    kind: str,
    at: datetime,
    now: datetime,
    *,
    delivery: str | None,
    reason: str,
) -> bool:
    """Keep an event; `delivery` is None where none could be told. False when it was known already."""
    record: Record = {"_id": event, "delivery": delivery, "kind": kind}
    record |= {"at": at, "received_at": now, "reason": reason}
    try:
        database.delivery_events.insert_one(record)
    except DuplicateKeyError:
        return False
    if kind in _BOUNCES:
        MEASURES.count("bounces", kind=kind)
    return True


def mailed_to(database: Database, address: str, until: datetime) -> list[DeliveryRecord]:
    """The e-mail deliveries to an address (normalised) in the two weeks before, newest first."""
    query: Record = {
        "recipient": address,
        "channel": Channel.EMAIL.value,
        "due_at": {"$gte": until - LATEST, "$lte": until},
    }
    return sorted(
        delivery_records(database).find(query), key=lambda row: (row["due_at"], row["_id"]), reverse=True
    )
