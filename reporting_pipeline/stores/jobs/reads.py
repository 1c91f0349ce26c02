"""Looking at jobs; nothing here writes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pymongo import ASCENDING, DESCENDING

from reporting_pipeline.domain.jobs import JobState
from reporting_pipeline.stores.jobs.states import WAITING
from reporting_pipeline.stores.mongo import Database, Record, narrowed


def pending_subscriptions(database: Database, edition: str) -> list[str]:
    """The subscriptions of an edition whose report is still to be rendered, by id."""
    query = {"edition": edition, "state": {"$in": WAITING}}
    return sorted(database.jobs.distinct("subscription", query))


def any_in(database: Database, edition: str, states: Iterable[JobState]) -> bool:
    """Whether a job of the edition is in one of `states`: where none is, cheaper than counting."""
    query = {"edition": edition, "state": {"$in": [state.value for state in states]}}
    return database.jobs.find_one(query, {"_id": 1}) is not None


def get_job(database: Database, organisation: str, job_id: str) -> Record | None:
    """The job's record; None when the organisation has none of this id."""
    return database.jobs.find_one({"_id": job_id, "organisation": organisation})


def jobs_of(
    database: Database,
    organisation: str,
    subscription_id: str,
    after: tuple[datetime, str] | None = None,
    skip: int = 0,
    limit: int = 50,
) -> list[Record]:
    """A subscription's jobs, the latest due first. `after` is (due_at, id) of the last one already read."""
    query: Record = {"subscription": subscription_id, "organisation": organisation}
    if after is not None:
        due_at, last = after
        query["$or"] = [{"due_at": {"$lt": due_at}}, {"due_at": due_at, "_id": {"$lt": last}}]
    found = database.jobs.find(query).sort([("due_at", DESCENDING), ("_id", DESCENDING)])
    return list(found.skip(skip).limit(limit))


def count_jobs_of(database: Database, organisation: str, subscription_id: str) -> int:
    """How many `jobs_of` would go through."""
    return database.jobs.count_documents({"subscription": subscription_id, "organisation": organisation})


def failed_renderings(
    database: Database,
    organisation: str,
    after: str | None = None,
    limit: int = 50,
    within: Record | None = None,
) -> list[Record]:
    """The dead letters among jobs, by id; those among deliveries are the delivery ledger's."""
    query: Record = {
        "organisation": organisation,
        "state": JobState.FAILED.value,
        "failed_in": "rendering",
    }
    if after is not None:
        query["_id"] = {"$gt": after}
    return list(database.jobs.find(narrowed(query, within)).sort("_id", ASCENDING).limit(limit))
