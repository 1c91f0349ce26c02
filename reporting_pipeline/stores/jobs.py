"""The `jobs` collection: planned in bulk, exactly once, and moved from state to state.

What becomes a job is decided in `domain.planning`. A job's id follows from its subscription, period
and occurrence, and a unique index stands behind that: planning again, or twice at once, adds nothing.

    pending --> rendered --> delivering --> completed | failed   (its deliveries: stores.deliveries)
       |  \\------ if due ------/
       \\--> failed (rendering) --requeue--> pending      any waiting one --> skipped, with a reason

A rendered report is a fact, whoever made it, so nothing here is claimed: a run renders a range of
subscriptions, and two that render the same one make the same file. `processing` counts as waiting; it
is a word for others, nothing here sets it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeVar

from pymongo import ASCENDING, DESCENDING, ReturnDocument
from pymongo.errors import DuplicateKeyError

from reporting_pipeline.domain.editions import Edition
from reporting_pipeline.domain.jobs import DeliveryState, EditionState, JobState
from reporting_pipeline.domain.periods import Period
from reporting_pipeline.domain.planning import (
    Planned,
    PlanRules,
    asked_for,
    due_today,
    end_of_day,
    job_record,
    period_of,
    plan_due,
    plan_first,
    plan_jobs,
    run_now_record,
)
from reporting_pipeline.domain.schedules import occurrences
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.stores.deliveries import FOR_RIGHTS, suppress_waiting
from reporting_pipeline.stores.mongo import Database, Record, Update, find_any, insert_missing, update_any
from reporting_pipeline.stores.subscriptions import active_of, advance, due_subscriptions

BATCH = 1_000
OLD_SCHEDULE = "the schedule was changed before it was due"
OPENED_BY_SCHEDULE = "schedule"
# Clocks of several machines differ; a change within this of the last planning is looked at again.
CLOCK_MARGIN = timedelta(minutes=10)
# So long after a window closed, an edition that nobody opened is not coming any more.
EDITION_IS_LATE = timedelta(hours=1)

_WAITING = [JobState.PENDING.value, JobState.PROCESSING.value]
_UNSENT = [*_WAITING, JobState.RENDERED.value]
_ACTIVE = [*_UNSENT, JobState.DELIVERING.value]

T = TypeVar("T")


class AlreadyRunning(ValueError):
    """A run of this subscription that a person asked for is under way; `job` is its record."""

    def __init__(self, job: Record) -> None:
        super().__init__(f"job {job['_id']} of this subscription is {job['state']}")
        self.job = job


# --- planning ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlanOutcome:
    """What one look at the due subscriptions did."""

    subscriptions: int  # that were due
    jobs: int  # added, skipped ones included
    moved: int  # subscriptions whose next_due_at went forward


def save_jobs(database: Database, records: Iterable[Record]) -> int:
    """Add those job records that do not stand yet, in bounded batches. Returns how many were added."""
    return sum(_add_missing(database, batch) for batch in _batches(records))


def plan_edition(database: Database, edition: Edition, period: Period, now: datetime) -> int:
    """Plan the jobs of an edition for every active subscription of its window. Returns how many were added.

    May be called at each tick: after the first time only subscriptions changed since are looked at.
    An edition that a person opened is planned as `PlanRules.by_hand`.
    """
    by_hand = OPENED_BY_SCHEDULE not in (edition.opened_by, edition.reopened_by)
    mark = database.editions.find_one({"_id": edition.id}, {"planned_at": 1, "planned_forced": 1}) or {}
    is_first = mark.get("planned_at") is None or mark.get("planned_forced") != edition.forced
    since = None if is_first else mark["planned_at"] - CLOCK_MARGIN
    subscriptions = active_of(database, period.cadence, changed_since=since)
    added = save_jobs(database, plan_jobs(subscriptions, period, now, PlanRules(by_hand)))
    # After the jobs: a planner that dies before this plans again, which adds nothing.
    database.editions.update_one(
        {"_id": edition.id}, {"$set": {"planned_at": now, "planned_forced": edition.forced}}
    )
    return added


def plan_due_jobs(database: Database, now: datetime, timezone: str, limit: int | None = None) -> PlanOutcome:
    """Plan what no edition has: new subscriptions, changed schedules, time in which nothing ran.

    `timezone` is the deployment's. One indexed query finds the due subscriptions (the longest due
    first, `limit` at most); the writes are bulk writes of at most BATCH. Jobs whose edition is over,
    or was never opened, are marked `on_demand`: the edition sensor does not see them.
    """
    due = jobs = moved = 0
    for batch in _batches(due_subscriptions(database, now, limit)):
        records = [
            job_record(subscription, planned, now)
            for subscription, since in batch
            for planned in _planned(subscription, since, now, timezone)
        ]
        jobs += save_jobs(database, _for_those_without_edition(database, records, timezone, now))
        moved += advance(database, batch, now)
        due += len(batch)
    return PlanOutcome(due, jobs, moved)


def run_now(
    database: Database, subscription: Subscription, period: Period, requested_by: str, now: datetime
) -> Record:
    """The job of a run that a person asked for, due at once and ahead of the edition.

    A scheduled job of `period` that is due by the end of the subscriber's day, or was, and is not
    being sent yet is brought forward: the same report is not sent twice in a day. One that is not
    planned yet is planned by this, under its own occurrence, so that planning finds it standing.
    Otherwise it is a job of its own.

    Raises AlreadyRunning when one of this subscription is under way. Of two callers at once one gets
    the job: a run added before the count is seen by the last look, and one added after the count has
    taken the number, which the unique index gives once; an occurrence is brought forward once.
    """
    runs = {**_asked_for(subscription), "period": period.key}
    number = database.jobs.count_documents(runs) + 1
    _refuse_while_running(database, subscription, period)
    taken = _bring_forward(database, subscription, period, requested_by, now)
    planned = due_today(subscription, period, now)
    if taken is None and planned is not None:
        record = job_record(subscription, planned, now) | asked_for(requested_by, now)
        if _insert(database, record):
            return record
        # Planned meanwhile, or served already.
        taken = _bring_forward(database, subscription, period, requested_by, now)
    if taken is not None:
        return taken
    _refuse_while_running(database, subscription, period)
    record = run_now_record(subscription, period, number, requested_by, now)
    if not _insert(database, record):
        raise AlreadyRunning(database.jobs.find_one({"_id": record["_id"]}) or record)
    return record


def sync_jobs(database: Database, subscription: Subscription, now: datetime, timezone: str) -> int:
    """Fit the jobs that wait to a subscription as it stands now. Call it after every change of one.

    Ended or paused: they are skipped with that reason. Active: those still to come move to their new
    time, those the schedule no longer holds are skipped, and those that were skipped for a pause or
    an older schedule and are still to come wait again. Returns how many changed.
    """
    if subscription.status != "active":
        word = "was ended" if subscription.status == "ended" else "is paused"
        return cancel_jobs(database, subscription.id, f"the subscription {word}", now, subscription.status)
    return _reschedule(database, subscription, now, timezone)


def cancel_jobs(
    database: Database, subscription_id: str, reason: str, now: datetime, cause: str = "ended"
) -> int:
    """Skip every job of a subscription that is not being sent yet, and its waiting deliveries."""
    changed = database.jobs.update_many(
        {"subscription": subscription_id, "state": {"$in": _UNSENT}}, {"$set": _skipped(reason, now, cause)}
    )
    # After the jobs, so that they keep this reason and not that nobody was left to send to.
    suppress_waiting(database, {"subscription": subscription_id}, reason, now)
    return changed.modified_count


# --- rendering ---------------------------------------------------------------------------------


def pending_subscriptions(database: Database, edition: str) -> list[str]:
    """The subscriptions of an edition whose report is still to be rendered, by id."""
    query = {"edition": edition, "state": {"$in": _WAITING}}
    return sorted(database.jobs.distinct("subscription", query))


def any_in(database: Database, edition: str, states: Iterable[JobState]) -> bool:
    """Whether a job of the edition is in one of `states`: where none is, cheaper than counting."""
    query = {"edition": edition, "state": {"$in": [state.value for state in states]}}
    return database.jobs.find_one(query, {"_id": 1}) is not None


def mark_rendered(database: Database, reports: Iterable[tuple[str, str]], now: datetime) -> int:
    """Note the reports of (subscription, period key) on the jobs that wait. Returns how many changed.

    Those that are due are being delivered from here on; the others are rendered and wait for their
    time. A job whose rendering had failed is mended by this; one that is being sent, was sent or
    skipped is left as it is.
    """
    is_due = {"$lte": ["$due_at", now]}
    update = {
        "state": {"$cond": [is_due, JobState.DELIVERING.value, JobState.RENDERED.value]},
        "rendered_at": now,
        "error": None,
        "completed_at": None,
    }
    changes = _alike({report: [{"$set": update}] for report in reports})
    # In this order: a job that fails between the two is found by the second.
    return _change_unsent(database, changes) + _change_failed(database, changes)


def mark_failed(database: Database, failures: Iterable[tuple[str, str, str, bool]], now: datetime) -> int:
    """Note (subscription, period key, reason, permanent) of renderings that failed."""
    changes = _alike(
        {
            (subscription, period): {
                "$set": {
                    "state": JobState.FAILED.value,
                    "failed_in": "rendering",
                    "error": reason,
                    "permanent": permanent,
                    "completed_at": now,
                },
                "$inc": {"attempts": 1},
            }
            for subscription, period, reason, permanent in failures
        }
    )
    # In this order: what fails only now is not counted twice.
    return _change_failed(database, changes) + _change_unsent(database, changes)


def mark_skipped(database: Database, skipped: Iterable[tuple[str, str, str]], now: datetime) -> int:
    """Note (subscription, period key, reason) of reports that must not be made any more."""
    changes = _alike(
        {
            (subscription, period): {"$set": _skipped(reason, now, FOR_RIGHTS)}
            for subscription, period, reason in skipped
        }
    )
    return _change_unsent(database, changes) + _change_failed(database, changes)


def requeue(database: Database, job_ids: Sequence[str], now: datetime) -> int:
    """Let jobs whose rendering failed wait again, with their attempts forgotten. Returns how many."""
    changed = database.jobs.update_many(
        {"_id": {"$in": list(job_ids)}, "state": JobState.FAILED.value, "failed_in": "rendering"},
        {
            "$set": {
                "state": JobState.PENDING.value,
                "attempts": 0,
                "error": None,
                "completed_at": None,
                "requeued_at": now,
            }
        },
    )
    return changed.modified_count


# --- looking -----------------------------------------------------------------------------------


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
    database: Database, organisation: str, after: str | None = None, limit: int = 50
) -> list[Record]:
    """The dead letters among jobs, by id; those among deliveries are the delivery ledger's."""
    query: Record = {
        "organisation": organisation,
        "state": JobState.FAILED.value,
        "failed_in": "rendering",
    }
    if after is not None:
        query["_id"] = {"$gt": after}
    return list(database.jobs.find(query).sort("_id", ASCENDING).limit(limit))


# --- the steps ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Change:
    """One update for the jobs of several subscriptions in one period.

    It reaches those jobs that a rendering may still change: those not sent yet, and those whose
    rendering failed. Two plain filters and not one `$or`, which keeps the index from being used.
    """

    period: str
    subscriptions: list[str]
    update: Update


def _alike(updates: Mapping[tuple[str, str], Update]) -> list[_Change]:
    """Equal updates of (subscription, period key) together: an edition's thousands are mostly alike."""
    groups: dict[tuple[str, str], _Change] = {}
    for (subscription, period), update in updates.items():
        change = groups.setdefault((period, repr(update)), _Change(period, [], update))
        change.subscriptions.append(subscription)
    return list(groups.values())


def _change_unsent(database: Database, changes: Sequence[_Change]) -> int:
    return sum(
        update_any(
            database.jobs,
            "subscription",
            change.subscriptions,
            {"period": change.period, "state": {"$in": _UNSENT}},
            change.update,
        )
        for change in changes
    )


def _change_failed(database: Database, changes: Sequence[_Change]) -> int:
    failed: Record = {"state": JobState.FAILED.value, "failed_in": "rendering"}
    changed = 0
    for change in changes:
        query = {"period": change.period, **failed}
        found = find_any(database.jobs, "subscription", change.subscriptions, query, {"_id": 1})
        changed += update_any(database.jobs, "_id", (row["_id"] for row in found), failed, change.update)
    return changed


def _asked_for(subscription: Subscription) -> Record:
    return {"subscription": subscription.id, "on_demand": True, "requested_by": {"$exists": True}}


def _refuse_while_running(database: Database, subscription: Subscription, period: Period) -> None:
    asked = {**_asked_for(subscription), "state": {"$in": _ACTIVE}}
    begun = [JobState.PROCESSING.value, JobState.DELIVERING.value]
    scheduled = {"subscription": subscription.id, "period": period.key, "state": {"$in": begun}}
    for query in (asked, scheduled):
        standing = database.jobs.find_one(query)
        if standing is not None:
            raise AlreadyRunning(standing)


def _bring_forward(
    database: Database, subscription: Subscription, period: Period, requested_by: str, now: datetime
) -> Record | None:
    """The newest scheduled job of today that has not begun, now asked for; None when there is none."""
    today: Record = {
        "subscription": subscription.id,
        "period": period.key,
        "requested_by": {"$exists": False},
        "due_at": {"$lt": end_of_day(subscription, now)},
    }
    wish = asked_for(requested_by, now)
    again: Record = {"state": JobState.PENDING.value, "error": None, "completed_at": None, **wish}
    failed: Record = {"state": JobState.FAILED.value, "failed_in": "rendering"}
    waiting: Record = {"state": {"$in": [JobState.PENDING.value, JobState.RENDERED.value]}}
    for query, change in ((waiting, wish), (failed, again)):
        taken = database.jobs.find_one_and_update(
            {**today, **query},
            {"$set": change},
            sort=[("due_at", DESCENDING)],
            return_document=ReturnDocument.AFTER,
        )
        if taken is not None:
            _move_deliveries(database, taken, now)
            return taken
    return None


def _insert(database: Database, record: Record) -> bool:
    """False when a job of this occurrence stands already."""
    try:
        database.jobs.insert_one(record)
    except DuplicateKeyError:
        return False
    return True


def _planned(subscription: Subscription, since: datetime, now: datetime, timezone: str) -> list[Planned]:
    if since <= subscription.created_at:
        return plan_first(subscription, now, timezone)
    return plan_due(subscription, since, now, timezone)


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def _add_missing(database: Database, records: Sequence[Record]) -> int:
    """Look first, since planning again is the usual case; the index settles what comes between."""
    ids = (record["_id"] for record in records)
    standing = {row["_id"] for row in find_any(database.jobs, "_id", ids, None, {"_id": 1})}
    return insert_missing(database.jobs, [one for one in records if one["_id"] not in standing])


def _for_those_without_edition(
    database: Database, records: list[Record], timezone: str, now: datetime
) -> list[Record]:
    """Mark `on_demand` what no edition will pick up."""
    names = {record["edition"] for record in records}
    states = {
        row["_id"]: row["state"]
        for row in database.editions.find({"_id": {"$in": sorted(names)}}, {"state": 1})
    }
    for record in records:
        state = states.get(record["edition"])
        closed_at = record["period_end_at"]
        never_opened = state is None and closed_at + EDITION_IS_LATE <= now
        is_over = state is not None and state != EditionState.OPEN.value
        if record["state"] == JobState.PENDING.value and (never_opened or is_over):
            record["on_demand"] = True
    return records


def _skipped(reason: str, now: datetime, cause: str) -> Record:
    return {
        "state": JobState.SKIPPED.value,
        "error": reason,
        "skipped_for": cause,
        "completed_at": now,
    }


def _reschedule(database: Database, subscription: Subscription, now: datetime, timezone: str) -> int:
    """See sync_jobs. Runs that a person asked for are left alone."""
    query = {
        "subscription": subscription.id,
        "requested_by": {"$exists": False},
        "$or": [
            {"state": {"$in": _UNSENT}},
            {"state": JobState.SKIPPED.value, "skipped_for": {"$in": ["paused", "schedule"]}},
        ],
        "due_at": {"$gt": now},
    }
    waiting = list(database.jobs.find(query))
    if not waiting:
        return 0
    held = _occurrences_of(subscription, waiting, timezone)
    changed = 0
    for job in waiting:
        due_at = held.get((job["period"], job["occurrence"]))
        changed += _fit(database, job, due_at, now)
    return changed


def _occurrences_of(
    subscription: Subscription, jobs: Sequence[Record], timezone: str
) -> dict[tuple[str, str], datetime]:
    """(period key, occurrence key) -> due time, over the dates of `jobs`, by the schedule as it is."""
    days = sorted(datetime.fromisoformat(job["occurrence"]).date() for job in jobs)
    found = occurrences(subscription.schedule, days[0], days[-1] + timedelta(days=1))
    held = {}
    for each in found:
        period = period_of(subscription, each, timezone)
        held[period.key, each.key] = max(each.due_at, period.end_at)
    return held


def _fit(database: Database, job: Record, due_at: datetime | None, now: datetime) -> int:
    """Move one waiting job to `due_at`, or skip it when that is None or past. 1 when it changed."""
    was_skipped = job["state"] == JobState.SKIPPED.value
    if due_at is None or due_at <= now:
        if was_skipped:
            return 0
        change = _skipped(OLD_SCHEDULE, now, "schedule")
    elif was_skipped or job["due_at"] != due_at:
        state = JobState.RENDERED if job.get("rendered_at") else JobState.PENDING
        change = {"state": state.value, "error": None, "completed_at": None, "due_at": due_at}
        _move_deliveries(database, job, due_at)
    else:
        return 0
    answer = database.jobs.update_one({"_id": job["_id"], "state": job["state"]}, {"$set": change})
    if change["state"] == JobState.SKIPPED.value and answer.modified_count:
        suppress_waiting(database, {"job": job["_id"]}, OLD_SCHEDULE, now)
    return answer.modified_count


def _move_deliveries(database: Database, job: Record, due_at: datetime) -> None:
    """Deliveries planned for a job that is not due yet follow it; so do those its pause suppressed."""
    states = [DeliveryState.PENDING.value]
    if job["state"] == JobState.SKIPPED.value:
        states.append(DeliveryState.SUPPRESSED.value)
    database.deliveries.update_many(
        {"job": job["_id"], "state": {"$in": states}, "attempt": 0},
        {
            "$set": {
                "state": DeliveryState.PENDING.value,
                "due_at": due_at,
                "next_attempt_at": due_at,
                "error": None,
                "settled_at": None,
            }
        },
    )
