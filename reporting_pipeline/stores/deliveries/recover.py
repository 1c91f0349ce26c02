"""Bringing back what nobody holds any more.

From `sending` on there is doubt, and an expired one becomes `unknown` unless its channel can be given the
same delivery twice without harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from reporting_pipeline.domain.jobs import DeliveryState
from reporting_pipeline.stores.deliveries.settle import ATTEMPTS_KEPT, settle_jobs
from reporting_pipeline.stores.mongo import Database, Record

CUT_OFF = "the worker ended while this was being sent"


def rescue(
    database: Database,
    now: datetime,
    *,
    repeatable: Sequence[str],
    unknown_resend: timedelta,
    max_attempts: int,
    cadence: str | None = None,
) -> Record:
    """Bring back what nobody holds any more. Returns counts: recovered, unknown, resent, given_up.

    An expired `sending` of a `repeatable` channel is due again, of any other it is unknown. Where it was
    taken alone, the attempt counts, so that a delivery which ends its worker is not tried for ever. Where it
    was taken with others, one of them may be the cause and the rest are innocent: nothing counts, and each
    is `suspect` and taken alone from then on.
    An unknown one that no event settled in time is due again, and counted in `resends`; with its
    attempts used up it becomes a dead letter.
    """
    collection = database.deliveries
    expired: Record = {"state": DeliveryState.SENDING.value, "next_attempt_at": {"$lte": now}}
    waited: Record = {"state": DeliveryState.UNKNOWN.value, "next_attempt_at": {"$lte": now}}
    if cadence is not None:
        expired["cadence"] = waited["cadence"] = cadence
    freed = {"lease_token": None, "lease_until": None}
    cut_off = {"at": now, "outcome": "unknown", "error": CUT_OFF}
    noted = {"attempts": {"$each": [cut_off], "$slice": -ATTEMPTS_KEPT}}
    alone: Record = {"alone": True}
    together: Record = {"alone": {"$ne": True}}
    counted: Record = {"$inc": {"failures": 1}, "$push": noted}
    suspected: Record = {"$push": noted}
    again = expired | {"channel": {"$in": list(repeatable)}}
    doubtful = expired | {"channel": {"$nin": list(repeatable)}}
    deadly = again | alone | {"failures": {"$gte": max_attempts - 1}}
    jobs = collection.distinct("job", deadly)
    ended = collection.update_many(
        deadly,
        {"$set": freed | _lost(now, f"{CUT_OFF}, at the last of {max_attempts} attempts"), **counted},
    )
    due = freed | {"state": DeliveryState.PENDING.value, "next_attempt_at": now}
    unsure = freed | {
        "state": DeliveryState.UNKNOWN.value,
        "was_unknown": True,
        "next_attempt_at": now + unknown_resend,
        "error": CUT_OFF,
    }
    recovered, unknown = (
        collection.update_many(which | alone, {"$set": change, **counted}).modified_count
        + collection.update_many(
            which | together, {"$set": change | {"suspect": True}, **suspected}
        ).modified_count
        for which, change in ((again, due), (doubtful, unsure))
    )
    hopeless = waited | {"failures": {"$gte": max_attempts}}
    jobs += collection.distinct("job", hopeless)
    given_up = collection.update_many(
        hopeless,
        {"$set": freed | _lost(now, "sent several times, and never known to have been accepted")},
    )
    resent = collection.update_many(
        waited,
        {
            "$set": freed | {"state": DeliveryState.PENDING.value, "next_attempt_at": now},
            "$inc": {"resends": 1},
        },
    )
    settle_jobs(database, jobs, now)
    return {
        "recovered": recovered,
        "unknown": unknown,
        "resent": resent.modified_count,
        "given_up": given_up.modified_count + ended.modified_count,
    }


def _lost(now: datetime, error: str) -> Record:
    return {
        "state": DeliveryState.FAILED.value,
        "next_attempt_at": None,
        "settled_at": now,
        "error": error,
    }
