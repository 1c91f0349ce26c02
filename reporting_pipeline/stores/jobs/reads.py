"""Looking at jobs; nothing here writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pymongo import ASCENDING, DESCENDING

from reporting_pipeline.domain.jobs import JobRecord, JobState, left_out
from reporting_pipeline.stores.jobs.states import UNSENT, WAITING, WITH_REPORT
from reporting_pipeline.stores.mongo import Database, Record, find_any, job_records, narrowed


def any_in(database: Database, edition: str, states: Iterable[JobState]) -> bool:
    """Whether a job of the edition is in one of `states`: where none is, cheaper than counting."""
    query = {"edition": edition, "state": {"$in": [state.value for state in states]}}
    return job_records(database).find_one(query, {"_id": 1}) is not None


_SHOWN_TO_SENSORS = {
    name: 1 for name in ("edition", "period", "subscription", "state", "asked_at", "created_at", "trace")
}


def waiting_in(database: Database, edition: str) -> list[JobRecord]:
    """Every job of an edition whose report is to be rendered with the others': id and what a sensor asks.

    What somebody asked for by itself is not among them (`waiting_on_demand`): a sensor of its own asks for
    it, and a run of the edition beside that would only find it made.
    """
    query: Record = {"state": {"$in": WAITING}, "edition": edition, "on_demand": {"$ne": True}}
    return list(job_records(database).find(query, _SHOWN_TO_SENSORS))


def waiting_on_demand(database: Database) -> list[JobRecord]:
    """Every job that is to be rendered by itself and waits, the longest due first: id and what a sensor asks.

    All of them: a window of the oldest would be filled by what cannot be served, and starve the rest.
    """
    query: Record = {"on_demand": True, "state": {"$in": WAITING}}
    return list(job_records(database).find(query, _SHOWN_TO_SENSORS).sort("due_at", ASCENDING))


def newest_on_demand(database: Database) -> str | None:
    """The id of the job that was asked for last among those that wait; None where none does."""
    query: Record = {"on_demand": True, "state": {"$in": WAITING}}
    newest = job_records(database).find_one(query, {"_id": 1}, sort=[("due_at", DESCENDING)])
    return str(newest["_id"]) if newest else None


def failed_on_demand(database: Database, since: datetime) -> list[JobRecord]:
    """Jobs that failed since, to be rendered by themselves, for a reason that may pass or be mended."""
    query: Record = {
        "on_demand": True,
        "state": JobState.FAILED.value,
        "failed_in": "rendering",
        "permanent": False,
        "completed_at": {"$gt": since},
    }
    return list(job_records(database).find(query, _SHOWN_TO_SENSORS).sort("due_at", DESCENDING))


def with_omissions(database: Database, edition: str) -> list[tuple[str, set[str], datetime]]:
    """(subscription, trials that its report leaves out something of, when it was made); few among many."""
    query: Record = {"edition": edition, "has_omissions": True}
    shown = {"subscription": 1, "omissions": 1, "rendered_at": 1, "looked_at": 1}
    return [
        (job["subscription"], {trial for trial, _ in left_out(job)}, looked_at)
        for job in job_records(database).find(query, shown)
        if isinstance(looked_at := job.get("looked_at") or job.get("rendered_at"), datetime)
    ]


@dataclass(frozen=True)
class Short:
    """How many jobs of some editions have no whole report on its way."""

    failed: int  # their report could not be made
    with_omissions: int  # it leaves something out whose data was not mended yet
    waiting: int  # a person must release it


def short_of_a_whole_report(database: Database, editions: Iterable[str]) -> Short:
    """Counted by index, so at the cost of what is short alone."""
    among: Record = {"edition": {"$in": list(editions)}}
    failed: Record = {"state": JobState.FAILED.value, "failed_in": {"$ne": "delivery"}}
    jobs = job_records(database)
    return Short(
        failed=jobs.count_documents(failed | among),
        with_omissions=jobs.count_documents({"has_omissions": True} | among),
        waiting=jobs.count_documents({"state": JobState.AWAITING_RELEASE.value} | among),
    )


def subscriptions_of(database: Database, edition: str) -> list[str]:
    """Every subscription that has a job in the edition, whatever became of it."""
    found = job_records(database).distinct("subscription", {"edition": edition})
    return sorted(one for one in found if isinstance(one, str))


def editions_waited_for(database: Database, editions: Iterable[str]) -> list[str]:
    """Those of `editions` in which a job waits that is left to its edition."""
    query: Record = {"state": {"$in": WAITING}, "on_demand": {"$ne": True}}
    found = find_any(job_records(database), "edition", editions, query, {"edition": 1})
    return sorted({row["edition"] for row in found})


def jobs_with_report(database: Database, period: str, subscriptions: Iterable[str]) -> list[JobRecord]:
    """The jobs of a period key that have their report and whose sending is not over."""
    query: Record = {"period": period, "state": {"$in": WITH_REPORT}}
    return list(find_any(job_records(database), "subscription", subscriptions, query))


def traced_jobs(database: Database, period: str, subscriptions: Iterable[str]) -> list[JobRecord]:
    """The jobs of a period key that wait for their report or whose rendering failed, as far as traced."""
    query: Record = {
        "period": period,
        "state": {"$in": [*UNSENT, JobState.FAILED.value]},
        "trace": {"$gt": ""},
    }
    return list(find_any(job_records(database), "subscription", subscriptions, query))


def jobs_without_deliveries(database: Database, rendered_before: datetime, limit: int) -> list[JobRecord]:
    """Jobs that got their report before then and whose deliveries nobody has planned yet."""
    query: Record = {
        "state": {"$in": WITH_REPORT},
        "rendered_at": {"$lt": rendered_before},
        "deliveries_planned": {"$ne": True},
    }
    return list(job_records(database).find(query).limit(limit))


def get_job(database: Database, organisation: str, job_id: str) -> JobRecord | None:
    """The job's record; None when the organisation has none of this id."""
    return job_records(database).find_one({"_id": job_id, "organisation": organisation})


def jobs_of(
    database: Database,
    organisation: str,
    subscription_id: str,
    after: tuple[datetime, str] | None = None,
    skip: int = 0,
    limit: int = 50,
    within: Record | None = None,
) -> list[JobRecord]:
    """A subscription's jobs, the latest due first. `after` is (due_at, id) of the last one already read."""
    query: Record = {"subscription": subscription_id, "organisation": organisation}
    if after is not None:
        due_at, last = after
        query["$or"] = [{"due_at": {"$lt": due_at}}, {"due_at": due_at, "_id": {"$lt": last}}]
    found = job_records(database).find(narrowed(query, within))
    found = found.sort([("due_at", DESCENDING), ("_id", DESCENDING)])
    return list(found.skip(skip).limit(limit))


def latest_of_each(
    database: Database, organisation: str, owner: str, subscriptions: Iterable[str], most: int
) -> dict[str, list[JobRecord]]:
    """{subscription: the `most` latest due jobs that were the owner's}, each as `jobs_of` gives them; who has
    none is left out.

    A page of subscriptions asks in bounded requests and not once for each; of what is not shown only the
    place in the order is read.
    """
    shown = {"subscription": 1, "due_at": 1}
    places: dict[str, list[tuple[datetime, str]]] = {}
    query: Record = {"organisation": organisation, "owner": owner}
    for job in find_any(job_records(database), "subscription", set(subscriptions), query, shown):
        due_at, id_ = job.get("due_at"), job["_id"]
        if isinstance(due_at, datetime) and isinstance(id_, str):  # else somebody broke it by hand
            places.setdefault(job["subscription"], []).append((due_at, id_))
    latest = {one: [id_ for _, id_ in sorted(of, reverse=True)[:most]] for one, of in places.items()}
    wanted = [id_ for ids in latest.values() for id_ in ids]
    found = {job["_id"]: job for job in find_any(job_records(database), "_id", wanted)}
    return {one: [found[id_] for id_ in ids if id_ in found] for one, ids in latest.items()}


def newest_of(
    database: Database, organisation: str, subscriptions: Iterable[str], since: datetime
) -> dict[str, JobRecord]:
    """The latest due job of each of these subscriptions: id, state, period.

    In bounded requests over what was due since; only who has nothing there is looked at alone.
    """
    wanted = set(subscriptions)
    shown = {"subscription": 1, "state": 1, "period": 1, "due_at": 1}
    query: Record = {"organisation": organisation, "due_at": {"$gte": since}}
    found: dict[str, JobRecord] = {}
    for job in find_any(job_records(database), "subscription", wanted, query, shown):
        standing = found.get(job["subscription"])
        if standing is None or (job["due_at"], job["_id"]) > (standing["due_at"], standing["_id"]):
            found[job["subscription"]] = job
    for subscription in wanted - found.keys():
        older = jobs_of(database, organisation, subscription, limit=1)
        if older:
            found[subscription] = older[0]
    return found


_SHOWN_TO_EXPECT = {"state": 1, "due_at": 1, "created_at": 1, "completed_at": 1, "requested_by": 1}


def lately_of(database: Database, organisation: str, subscription_id: str, limit: int) -> list[JobRecord]:
    """A subscription's last jobs, the latest due first: when each was due, ended and who asked."""
    query: Record = {"subscription": subscription_id, "organisation": organisation}
    return list(job_records(database).find(query, _SHOWN_TO_EXPECT).sort("due_at", DESCENDING).limit(limit))


def count_jobs_of(
    database: Database, organisation: str, subscription_id: str, within: Record | None = None
) -> int:
    """How many `jobs_of` would go through."""
    query: Record = {"subscription": subscription_id, "organisation": organisation}
    return job_records(database).count_documents(narrowed(query, within))


def last_rendered(database: Database, subscriptions: Iterable[str]) -> dict[str, datetime]:
    """When the newest report of each of these subscriptions was made; those without one are left out."""
    found: dict[str, datetime] = {}
    query: Record = {"rendered_at": {"$ne": None}}
    for job in find_any(
        job_records(database), "subscription", subscriptions, query, {"subscription": 1, "rendered_at": 1}
    ):
        at = job["rendered_at"]
        if at is not None:
            found[job["subscription"]] = max(found.get(job["subscription"], at), at)
    return found


def failed_renderings(
    database: Database,
    organisation: str,
    after: str | None = None,
    limit: int = 50,
    within: Record | None = None,
) -> list[JobRecord]:
    """The dead letters among jobs, by id; those among deliveries are the delivery ledger's."""
    query: Record = {
        "organisation": organisation,
        "state": JobState.FAILED.value,
        "failed_in": "rendering",
    }
    if after is not None:
        query["_id"] = {"$gt": after}
    return list(job_records(database).find(narrowed(query, within)).sort("_id", ASCENDING).limit(limit))
