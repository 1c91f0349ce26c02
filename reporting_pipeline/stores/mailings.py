"""Starting the mails of an edition by hand: what was not sent yet goes now; with force, also what was.

The ledger of deliveries, its states and its claims are in `stores.deliveries`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from reporting_pipeline.domain.deliveries import DeliveryRecord
from reporting_pipeline.domain.jobs import DeliveryState, JobRecord, JobState
from reporting_pipeline.stores.deliveries import UNTRIED, plan_deliveries
from reporting_pipeline.stores.jobs.settle import deliver_again
from reporting_pipeline.stores.mongo import Database, Record, delivery_records, job_records, narrowed

BATCH = 500
_WITH_REPORT = [
    JobState.RENDERED.value,
    JobState.DELIVERING.value,
    JobState.COMPLETED.value,
    JobState.FAILED.value,
]
# Never by force: what nobody wants (suppressed), and what is on its way or may have arrived.
_SENT_BEFORE = [DeliveryState.SENT.value, DeliveryState.DELIVERED.value]
_NOT_ARRIVED = [DeliveryState.FAILED.value, DeliveryState.BOUNCED.value]


@dataclass(frozen=True)
class Mailing:
    """What one start did."""

    planned: int  # deliveries that go out because of it
    skipped: int  # deliveries that went out before and stay as they are


def start_mailing(
    database: Database, organisation: str, edition: str, now: datetime, force: bool = False
) -> Mailing:
    """Plan what is missing of the organisation's rendered jobs, and make what waits due now.

    Without `force` nobody who was reached, or given up on, is written to again, however often this is
    called. With `force` each of them gets one more copy.
    """
    for jobs in _jobs_with_report(database, organisation, edition):
        wanted = sorted({job["subscription"] for job in jobs})
        found = {row["_id"]: row for row in database.subscriptions.find({"_id": {"$in": wanted}})}
        plan_deliveries(database, [job for job in jobs if job["subscription"] in found], found, now)
    ours: Record = {"organisation": organisation, "edition": edition}
    repeated = _SENT_BEFORE + _NOT_ARRIVED
    if force:
        database.deliveries.update_many({**ours, "state": {"$in": repeated}}, _another_copy(now))
    pending = {**ours, "state": DeliveryState.PENDING.value}
    database.deliveries.update_many(
        {**pending, "next_attempt_at": {"$gt": now}, **UNTRIED},
        {"$set": {"next_attempt_at": now, "due_at": now}},
    )
    planned = database.deliveries.count_documents({**pending, "next_attempt_at": {"$lte": now}})
    skipped = database.deliveries.count_documents({**ours, "state": {"$in": repeated}})
    return Mailing(planned, skipped)


def another_copy(database: Database, delivery: DeliveryRecord, now: datetime) -> bool:
    """One more copy to one recipient who was reached, or given up on. False for whoever was not, or not yet.

    However many ask at once: one copy, and the job is over when it is.
    """
    asked = {"_id": delivery["_id"], "state": delivery["state"], "copy": delivery.get("copy", 0)}
    if delivery["state"] not in _SENT_BEFORE + _NOT_ARRIVED:
        return False
    # Who asks for this one names whom it goes to, whomever the subscription names by now.
    by_name = _another_copy(now)
    by_name["$unset"]["of_recipients"] = ""
    if not database.deliveries.update_one(asked, by_name).modified_count:
        return False
    deliver_again(database, delivery["job"])
    return True


def _another_copy(now: datetime) -> Record:
    """A new copy has another id on the wire, so that its events are told apart from the first one's.

    It goes without what it may have been in one mail with.
    """
    return {
        "$set": {
            "state": DeliveryState.PENDING.value,
            "next_attempt_at": now,
            "lease_token": None,
            "lease_until": None,
            "failures": 0,
            "error": None,
            "settled_at": None,
        },
        "$inc": {"copy": 1},
        "$unset": {"mail": ""},
    }


def _jobs_with_report(database: Database, organisation: str, edition: str) -> Iterator[list[JobRecord]]:
    after = ""
    while True:
        query = {
            "edition": edition,
            "organisation": organisation,
            "state": {"$in": _WITH_REPORT},
            "rendered_at": {"$ne": None},
            "_id": {"$gt": after},
        }
        found = list(job_records(database).find(query).sort("_id", 1).limit(BATCH))
        if not found:
            return
        yield found
        after = found[-1]["_id"]


def list_deliveries(
    database: Database,
    organisation: str,
    edition: str,
    owner: str | None = None,
    state: DeliveryState | None = None,
    after: str | None = None,
    limit: int = 50,
    within: Record | None = None,
) -> list[DeliveryRecord]:
    """The organisation's deliveries of an edition, by id; `owner` is the subscription's."""
    query: Record = {"organisation": organisation, "edition": edition}
    if owner is not None:
        query["owner"] = owner
    if state is not None:
        query["state"] = state.value
    if after is not None:
        query["_id"] = {"$gt": after}
    return list(delivery_records(database).find(narrowed(query, within)).sort("_id", 1).limit(limit))
