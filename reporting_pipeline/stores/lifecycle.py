"""What a person's wish, or a change of a subscription, does to its jobs and their deliveries together.

Jobs and deliveries each have a writer of their own (`stores.jobs`, `stores.deliveries`); what moves both
stands here, above them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pymongo import DESCENDING, ReturnDocument

from reporting_pipeline.domain.jobs import DeliveryState, JobState
from reporting_pipeline.domain.periods import Period
from reporting_pipeline.domain.planning import (
    asked_for,
    due_today,
    end_of_day,
    job_record,
    period_of,
    run_now_record,
)
from reporting_pipeline.domain.schedules import occurrences
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.stores.deliveries.settle import suppress_waiting
from reporting_pipeline.stores.jobs.plan import add_job
from reporting_pipeline.stores.jobs.states import ACTIVE, UNSENT, as_skipped
from reporting_pipeline.stores.mongo import Database, Record

OLD_SCHEDULE = "the schedule was changed before it was due"


class AlreadyRunning(ValueError):
    """A run of this subscription that a person asked for is under way; `job` is its record."""

    def __init__(self, job: Record) -> None:
        super().__init__(f"job {job['_id']} of this subscription is {job['state']}")
        self.job = job


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
        if add_job(database, record):
            return record
        # Planned meanwhile, or served already.
        taken = _bring_forward(database, subscription, period, requested_by, now)
    if taken is not None:
        return taken
    _refuse_while_running(database, subscription, period)
    record = run_now_record(subscription, period, number, requested_by, now)
    if not add_job(database, record):
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
        {"subscription": subscription_id, "state": {"$in": UNSENT}}, {"$set": as_skipped(reason, now, cause)}
    )
    # After the jobs, so that they keep this reason and not that nobody was left to send to.
    suppress_waiting(database, {"subscription": subscription_id}, reason, now)
    return changed.modified_count


def _asked_for(subscription: Subscription) -> Record:
    return {"subscription": subscription.id, "on_demand": True, "requested_by": {"$exists": True}}


def _refuse_while_running(database: Database, subscription: Subscription, period: Period) -> None:
    asked = {**_asked_for(subscription), "state": {"$in": ACTIVE}}
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


def _reschedule(database: Database, subscription: Subscription, now: datetime, timezone: str) -> int:
    """See sync_jobs. Runs that a person asked for are left alone."""
    query = {
        "subscription": subscription.id,
        "requested_by": {"$exists": False},
        "$or": [
            {"state": {"$in": UNSENT}},
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
        change = as_skipped(OLD_SCHEDULE, now, "schedule")
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
