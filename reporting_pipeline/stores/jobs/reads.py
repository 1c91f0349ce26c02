"""Looking at jobs; nothing here writes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pymongo import ASCENDING, DESCENDING

from reporting_pipeline.domain.jobs import JobState
from reporting_pipeline.stores.jobs.states import WAITING, WITH_REPORT
from reporting_pipeline.stores.mongo import Database, Record, find_any, narrowed


def pending_subscriptions(database: Database, edition: str) -> list[str]:
    """The subscriptions of an edition whose report is still to be rendered, by id."""
    query = {"edition": edition, "state": {"$in": WAITING}}
    return sorted(database.jobs.distinct("subscription", query))


def any_in(database: Database, edition: str, states: Iterable[JobState]) -> bool:
    """Whether a job of the edition is in one of `states`: where none is, cheaper than counting."""
    query = {"edition": edition, "state": {"$in": [state.value for state in states]}}
    return database.jobs.find_one(query, {"_id": 1}) is not None


_SHOWN_TO_SENSORS = {"edition": 1, "period": 1, "subscription": 1, "state": 1, "asked_at": 1, "created_at": 1}


def waiting_on_demand(database: Database) -> list[Record]:
    """Every job that is to be rendered by itself and waits, the longest due first: id and what a sensor asks.

    All of them: a window of the oldest would be filled by what cannot be served, and starve the rest.
    """
    query: Record = {"on_demand": True, "state": {"$in": WAITING}}
    return list(database.jobs.find(query, _SHOWN_TO_SENSORS).sort("due_at", ASCENDING))


def failed_on_demand(database: Database, since: datetime) -> list[Record]:
    """Jobs that failed since, to be rendered by themselves, for a reason that may pass or be mended."""
    query: Record = {
        "on_demand": True,
        "state": JobState.FAILED.value,
        "failed_in": "rendering",
        "permanent": False,
        "completed_at": {"$gt": since},
    }
    return list(database.jobs.find(query, _SHOWN_TO_SENSORS).sort("due_at", DESCENDING))


def with_omissions(database: Database, edition: str) -> list[tuple[str, set[str], datetime]]:
    """(subscription, trials that its report leaves out something of, when it was made); few among many."""
    query: Record = {"edition": edition, "has_omissions": True}
    shown = {"subscription": 1, "omissions": 1, "rendered_at": 1, "looked_at": 1}
    return [
        (
            job["subscription"],
            {one["trial"] for one in job["omissions"]},
            job.get("looked_at") or job["rendered_at"],
        )
        for job in database.jobs.find(query, shown)
    ]


def subscriptions_of(database: Database, edition: str) -> list[str]:
    """Every subscription that has a job in the edition, whatever became of it."""
    return sorted(database.jobs.distinct("subscription", {"edition": edition}))


def editions_waited_for(database: Database, editions: Iterable[str]) -> list[str]:
    """Those of `editions` in which a job waits that is left to its edition."""
    query: Record = {"state": {"$in": WAITING}, "on_demand": {"$ne": True}}
    found = find_any(database.jobs, "edition", editions, query, {"edition": 1})
    return sorted({row["edition"] for row in found})


def jobs_with_report(database: Database, period: str, subscriptions: Iterable[str]) -> list[Record]:
    """The jobs of a period key that have their report and whose sending is not over."""
    query: Record = {"period": period, "state": {"$in": WITH_REPORT}}
    return list(find_any(database.jobs, "subscription", subscriptions, query))


def jobs_without_deliveries(database: Database, rendered_before: datetime, limit: int) -> list[Record]:
    """Jobs that got their report before then and whose deliveries nobody has planned yet."""
    query: Record = {
        "state": {"$in": WITH_REPORT},
        "rendered_at": {"$lt": rendered_before},
        "deliveries_planned": {"$ne": True},
    }
    return list(database.jobs.find(query).limit(limit))


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


def last_rendered(database: Database, subscriptions: Iterable[str]) -> dict[str, datetime]:
    """When the newest report of each of these subscriptions was made; those without one are left out."""
    found: dict[str, datetime] = {}
    query: Record = {"rendered_at": {"$ne": None}}
    for job in find_any(
        database.jobs, "subscription", subscriptions, query, {"subscription": 1, "rendered_at": 1}
    ):
        at = job["rendered_at"]
        found[job["subscription"]] = max(found.get(job["subscription"], at), at)
    return found


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
