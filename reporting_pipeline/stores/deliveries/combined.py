"""Deliveries of one reader that go in one mail: which could, which do, and which leave it.

A delivery bears its mail's id from before it is begun. Whoever begins the first of a mail has all of them;
what could not be begun with it leaves before anything is sent. So what bears the id afterwards was in the
mail, and goes in it again after a worker's end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from reporting_pipeline.domain.deliveries import Channel, DeliveryRecord
from reporting_pipeline.domain.jobs import DeliveryState, JobState
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.stores.mongo import (
    Database,
    Record,
    delivery_records,
    find_any,
    job_records,
    update_any,
)

#: Of one reader, looked at together.
LOOKED_AT = 200
_ON_THE_WAY = [JobState.PENDING.value, JobState.PROCESSING.value, JobState.RENDERED.value]


def waiting_with(database: Database, record: DeliveryRecord) -> list[DeliveryRecord]:
    """The mails that wait for the same reader and are in none with others yet, by id; of any cadence."""
    query: Record = {
        **{name: record.get(name) for name in ("organisation", "recipient", "user")},
        "cadence": {"$in": [one.value for one in Cadence]},
        "channel": Channel.EMAIL.value,
        "state": DeliveryState.PENDING.value,
        "mail": None,
        "suspect": {"$ne": True},
    }
    return list(delivery_records(database).find(query).sort("_id", 1).limit(LOOKED_AT))


def jobs_on_the_way(
    database: Database, record: DeliveryRecord, but: Collection[str], until: datetime
) -> bool:
    """Whether a report for the same reader is due by `until` and has no delivery yet; not counting `but`."""
    user = record.get("user")
    mine = {"$in": [user, record["recipient"]]}
    query: Record = {
        "organisation": record["organisation"],
        "status": "active",
        "$or": [{"owner": user, "recipients": []}, {"recipients.value": mine}],
    }
    subscriptions = [row["_id"] for row in database.subscriptions.find(query, {"_id": 1})]
    due: Record = {"state": {"$in": _ON_THE_WAY}, "due_at": {"$lte": until}, "on_demand": {"$ne": True}}
    found = find_any(job_records(database), "subscription", subscriptions, due, {"_id": 1})
    return any(job["_id"] not in but for job in found)


def put_in_one_mail(database: Database, records: Sequence[DeliveryRecord], mail: str, now: datetime) -> None:
    """Let these go together now. What somebody else began or put in another mail since stays where it is."""
    free = {"state": DeliveryState.PENDING.value, "mail": None}
    change = {"$set": {"mail": mail, "next_attempt_at": now}}
    update_any(delivery_records(database), "_id", (one["_id"] for one in records), free, change)


def in_mail(database: Database, mail: str) -> list[DeliveryRecord]:
    """All that bear a mail's id, in any state, by id."""
    return list(delivery_records(database).find({"mail": mail}).sort("_id", 1))


def leave_mail(database: Database, mail: str, but: Iterable[str] = ()) -> None:
    """Those of a mail that wait, but for these, go another time and without it."""
    waiting: Record = {"mail": mail, "state": DeliveryState.PENDING.value, "_id": {"$nin": sorted(but)}}
    delivery_records(database).update_many(waiting, {"$unset": {"mail": ""}})
