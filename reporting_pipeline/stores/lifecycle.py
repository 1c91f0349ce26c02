"""The life of a subscription, and of the jobs and deliveries that hang on it: moved here together.

    create --> active <--pause, resume--> paused      active, paused --end--> ended, for good

Whoever asks (API, link in a mail, erasure, console, command line, a trial or an organisation that was
closed), the change is made here: status, `next_due_at`, the jobs that wait and the deliveries that wait.
The subscription first, then its jobs, then their deliveries: what is planned between two of these steps
is found by `end_unserved`, which the sensors call at each look. A job that nobody serves any more
therefore ends, with its reason in `error` and its cause in `skipped_for`.

Who may ask, and what is noted in the audit log, is not here but in `usecases`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from pymongo import DESCENDING, ReturnDocument

from reporting_pipeline import tracing
from reporting_pipeline.domain.deliveries import RECIPIENT_LEFT, mailbox
from reporting_pipeline.domain.jobs import DeliveryState, JobRecord, JobState
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.planning import (
    asked_for,
    due_today,
    end_of_day,
    job_record,
    period_of,
    run_now_record,
)
from reporting_pipeline.domain.schedules import occurrences
from reporting_pipeline.domain.subscriptions import Recipient, Subscription
from reporting_pipeline.stores import subscriptions
from reporting_pipeline.stores.deliveries.plan import UNTRIED, plan_for_jobs
from reporting_pipeline.stores.deliveries.settle import suppress_waiting
from reporting_pipeline.stores.jobs.plan import add_job, plan_new
from reporting_pipeline.stores.jobs.states import ACTIVE, UNSENT, WAITING, as_skipped, as_unmade
from reporting_pipeline.stores.mongo import Database, Record, job_records, update_any

OLD_SCHEDULE = "the schedule was changed before it was due"
IS_PAUSED = "the subscription is paused"


class NotActive(ValueError):
    """The subscription is paused or has ended, so nothing is made for it."""


class JobUnderWay(ValueError):
    """The job is being sent or is over, so there is nothing to stop; `state` is its."""

    def __init__(self, state: str) -> None:
        super().__init__(f"the job is {state}")
        self.state = state


class AlreadyRunning(ValueError):
    """A run of this subscription that a person asked for is under way; `job` is its record."""

    def __init__(self, job: JobRecord) -> None:
        super().__init__(f"job {job['_id']} of this subscription is {job['state']}")
        self.job = job


# --- the subscription itself -------------------------------------------------------------------


def create(database: Database, subscription: Subscription, now: datetime, timezone: str) -> Subscription:
    """Store a new one and plan its first job at once. Raises SubscriptionExists.

    `timezone` is the deployment's, in which the periods are.
    """
    stored = subscriptions.create_subscription(database, subscription, now)
    plan_new(database, stored, now, timezone)
    return stored


def change(
    database: Database,
    current: Subscription,
    changes: Mapping[str, Any],
    now: datetime,
    timezone: str,
) -> Subscription:
    """Set fields of `current`, if it is still what stands, and fit its jobs and deliveries to them.

    Who left the recipients gets nothing of what waits; who came gets what is not sent yet. Raises as
    `subscriptions.change_subscription`.
    """
    changed = subscriptions.change_subscription(
        database, current.organisation, current.id, changes, now, current.version
    )
    if changed.schedule != current.schedule or changed.status != current.status:
        sync_jobs(database, changed, now, timezone)
    if changed.owner != current.owner:
        _fit_owner(database, changed)
    if _recipients(changed) != _recipients(current):
        _fit_recipients(database, current, changed, now)
    if _content(changed) != _content(current):  # last: what stands is planned for those who came
        _make_anew(database, changed)
    return changed


def _content(subscription: Subscription) -> tuple[object, ...]:
    """What of it decides what a report shows."""
    one = subscription
    return one.owner, one.name, one.report_type, one.format, one.filters, one.parameters


def _make_anew(database: Database, changed: Subscription) -> None:
    """What was made and is not due yet waits to be made again: else it would be sent as it was asked for
    before, for up to a whole window. Its deliveries stay as they are planned."""
    made = {"$in": [JobState.RENDERED.value, JobState.AWAITING_RELEASE.value]}
    waits = {"state": JobState.PENDING.value, "rendered_at": None, "awaiting_release": None}
    database.jobs.update_many({"subscription": changed.id, "state": made}, {"$set": waits})


def _fit_owner(database: Database, changed: Subscription) -> None:
    """What is not sent yet is the new owner's; what was sent stays with whom it was made for."""
    query = {
        "organisation": changed.organisation,
        "subscription": changed.id,
        "state": {"$in": UNSENT},
    }
    waiting = [job["_id"] for job in job_records(database).find(query, {"_id": 1})]
    mine = {"$set": {"owner": changed.owner}}
    database.jobs.update_many({**query, "_id": {"$in": waiting}}, mine)
    for job in waiting:
        database.deliveries.update_many({"job": job, "state": DeliveryState.PENDING.value}, mine)


def pause(
    database: Database,
    organisation: str,
    subscription_id: str,
    now: datetime,
    version: int | None = None,
    until: date | None = None,
) -> Subscription:
    """Nothing is sent until it is resumed, or the day `until` begins: what waits is skipped for that."""
    paused = subscriptions.pause_subscription(database, organisation, subscription_id, now, version, until)
    cancel_jobs(database, paused.id, IS_PAUSED, now, "paused")
    return paused


def resume(
    database: Database,
    organisation: str,
    subscription_id: str,
    now: datetime,
    timezone: str,
    version: int | None = None,
) -> Subscription:
    """Send again from the next occurrence; what fell into the pause is not made up for."""
    resumed = subscriptions.resume_subscription(database, organisation, subscription_id, now, version)
    # From the end of the pause on, which may lie before this look.
    sync_jobs(database, resumed, resumed.resumed_at or now, timezone)
    return resumed


def end(
    database: Database,
    organisation: str,
    subscription_id: str,
    now: datetime,
    version: int | None = None,
    reason: str = "the subscription was ended",
) -> Subscription:
    """For good. The record stays for what was sent; what waits is skipped with `reason`."""
    ended = subscriptions.end_subscription(database, organisation, subscription_id, now, version)
    cancel_jobs(database, ended.id, reason, now)
    return ended


def end_whatever_stands(database: Database, ids: Sequence[str], reason: str, now: datetime) -> int:
    """End these subscriptions at whatever version they are; ended ones only lose what still waits.

    For endings that nobody may refuse: a link in a mail, an erasure, a trial or an organisation that was
    closed. May be repeated, also after a crash. Returns how many ended now.
    """
    ended = subscriptions.end_many(database, ids, now)
    for each in ids:
        cancel_jobs(database, each, reason, now)
    return ended


def end_for_trial(database: Database, organisation: str, trial: str, now: datetime) -> int:
    """End the subscriptions that name no trial but `trial`, which was closed. Returns how many ended.

    Those that name others, too, or all of them, go on with what is left.
    """
    only = [one.id for one in subscriptions.naming_only(database, organisation, [trial])]
    return end_whatever_stands(database, only, f"trial {trial} was closed", now)


def end_for_organisation(database: Database, organisation: str, now: datetime) -> int:
    """End every subscription of an organisation that was closed. Returns how many ended."""
    return end_whatever_stands(
        database, subscriptions.all_live_ids(database, organisation), "the organisation was closed", now
    )


def end_unserved(database: Database, edition: str, subscription_ids: Iterable[str], now: datetime) -> int:
    """End the jobs of an edition that wait for a report which no run will make. Returns how many ended.

    Of those named: whose subscription is gone, ended or paused, or has moved to another window. The
    others are left alone. Level-triggered: it finds what a race or a hand in the database left.
    """
    wanted = sorted(set(subscription_ids))
    cadence = Cadence(edition.partition(":")[0])
    standing = subscriptions.standing_of(database, wanted)
    reasons: dict[tuple[str, str], list[str]] = {}
    for each in wanted:
        why = _unserved(standing.get(each), cadence)
        if why is not None:
            reasons.setdefault(why, []).append(each)
    query: Record = {"edition": edition, "state": {"$in": WAITING}}
    return sum(
        update_any(database.jobs, "subscription", ids, query, {"$set": as_skipped(reason, now, cause)})
        for (reason, cause), ids in reasons.items()
    )


def _unserved(standing: Mapping[str, Any] | None, cadence: Cadence) -> tuple[str, str] | None:
    """(reason, cause) why a subscription's jobs of `cadence` cannot be served; None when they can."""
    if standing is None:
        return "the subscription does not exist any more", "ended"
    if standing["status"] == "ended":
        return "the subscription was ended", "ended"
    if standing["status"] == "paused":
        return IS_PAUSED, "paused"
    if standing["window"] != cadence.value:
        return f"the subscription was moved from {cadence.value} to {standing['window']}", "schedule"
    return None


def end_failed(database: Database, edition: str, reason: str, now: datetime) -> int:
    """End every job of an edition that still waits for its report, as failed. Returns how many ended."""
    answer = database.jobs.update_many(
        {"edition": edition, "state": {"$in": WAITING}}, {"$set": as_unmade(reason, now)}
    )
    return answer.modified_count


def serve_without_edition(database: Database, editions: Iterable[str]) -> int:
    """Let what waits in these editions, which are over or never opened, be served on demand.

    Returns how many jobs were handed over. Without this they would wait for runs that nobody asks for.
    """
    query: Record = {"state": {"$in": WAITING}, "on_demand": {"$ne": True}}
    return update_any(database.jobs, "edition", editions, query, {"$set": {"on_demand": True}})


# --- runs and jobs -----------------------------------------------------------------------------


def run_now(
    database: Database, subscription: Subscription, period: Period, requested_by: str, now: datetime
) -> JobRecord:
    """The job of a run that a person asked for, due at once and ahead of the edition.

    A scheduled job of `period` that is due by the end of the subscriber's day, or was, and is not
    being sent yet is brought forward: the same report is not sent twice in a day. One that is not
    planned yet is planned by this, under its own occurrence, so that planning finds it standing.
    Otherwise it is a job of its own.

    Raises NotActive when the subscription ends meanwhile, AlreadyRunning when one of it is under way.
    Of two callers at once one gets the job: a run added before the count is seen by the last look, and
    one added after the count has taken the number, which the unique index gives once; an occurrence is
    brought forward once.
    """
    runs = {**_asked_for(subscription), "period": period.key}
    number = database.jobs.count_documents(runs) + 1
    _refuse_while_running(database, subscription, period)
    taken = _bring_forward(database, subscription, period, requested_by, now)
    planned = due_today(subscription, period, now)
    if taken is None and planned is not None:
        record: JobRecord = {**job_record(subscription, planned, now), **asked_for(requested_by, now)}
        if add_job(database, record):
            return _if_still_active(database, subscription, record, now)
        # Planned meanwhile, or served already.
        taken = _bring_forward(database, subscription, period, requested_by, now)
    if taken is not None:
        return taken
    _refuse_while_running(database, subscription, period)
    record = run_now_record(subscription, period, number, requested_by, now)
    if not add_job(database, record):
        raise AlreadyRunning(job_records(database).find_one({"_id": record["_id"]}) or record)
    return _if_still_active(database, subscription, record, now)


def _if_still_active(
    database: Database, subscription: Subscription, record: JobRecord, now: datetime
) -> JobRecord:
    """`record`, just added, unless the subscription ended meanwhile: its ending has not seen the job."""
    standing = subscriptions.standing_of(database, [subscription.id]).get(subscription.id)
    if standing is not None and standing["status"] == "active":
        return record
    end_unserved(database, record["edition"], [subscription.id], now)
    raise NotActive(subscription.id)


def sync_jobs(database: Database, subscription: Subscription, now: datetime, timezone: str) -> int:
    """Fit the jobs that wait to a subscription as it stands now. Call it after every change of one.

    Ended or paused: they are skipped with that reason. Active: those still to come move to their new
    time, those the schedule no longer holds are skipped, and those that were skipped for a pause or
    an older schedule and are still to come wait again. Returns how many changed.
    """
    if subscription.status != "active":
        reason = "the subscription was ended" if subscription.status == "ended" else IS_PAUSED
        return cancel_jobs(database, subscription.id, reason, now, subscription.status)
    return _reschedule(database, subscription, now, timezone) + _leave_window(database, subscription, now)


def _leave_window(database: Database, subscription: Subscription, now: datetime) -> int:
    """End what is due and waits in a window that the subscription has left: no run makes it any more."""
    query: Record = {
        "subscription": subscription.id,
        "state": {"$in": WAITING},
        "cadence": {"$ne": subscription.window.value},
    }
    return sum(
        end_unserved(database, edition, [subscription.id], now)
        for edition in database.jobs.distinct("edition", query)
    )


def cancel_job(database: Database, job: JobRecord, now: datetime) -> JobRecord:
    """Skip one job that is not being sent yet, for good, and its waiting deliveries. Raises JobUnderWay.

    A run that works on it may go on; what it makes is not sent.
    """
    reason = "it was cancelled"
    changed = job_records(database).find_one_and_update(
        {"_id": job["_id"], "state": {"$in": UNSENT}},
        {"$set": as_skipped(reason, now, "cancelled")},
        return_document=ReturnDocument.AFTER,
    )
    if changed is None:
        standing = job_records(database).find_one({"_id": job["_id"]}, {"state": 1})
        raise JobUnderWay(standing["state"] if standing else "gone")
    suppress_waiting(database, {"job": job["_id"]}, reason, now)
    return changed


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
        standing = job_records(database).find_one(query)
        if standing is not None:
            raise AlreadyRunning(standing)


def _bring_forward(
    database: Database, subscription: Subscription, period: Period, requested_by: str, now: datetime
) -> JobRecord | None:
    """The newest scheduled job of today that has not begun, now asked for; None when there is none."""
    today: Record = {
        "subscription": subscription.id,
        "period": period.key,
        "requested_by": {"$exists": False},
        "due_at": {"$lt": end_of_day(subscription, now)},
    }
    trace = tracing.current()
    wish: Record = {**asked_for(requested_by, now), **({"trace": trace} if trace else {})}
    again: Record = {"state": JobState.PENDING.value, "error": None, "completed_at": None, **wish}
    failed: Record = {"state": JobState.FAILED.value, "failed_in": "rendering"}
    waiting: Record = {"state": {"$in": [JobState.PENDING.value, JobState.RENDERED.value]}}
    for query, change in ((waiting, wish), (failed, again)):
        taken = job_records(database).find_one_and_update(
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
        "follows": {"$exists": False},  # due at once, and of no occurrence
        "$or": [
            {"state": {"$in": UNSENT}},
            {"state": JobState.SKIPPED.value, "skipped_for": {"$in": ["paused", "schedule"]}},
        ],
        "due_at": {"$gt": now},
    }
    waiting = list(job_records(database).find(query))
    if not waiting:
        return 0
    held = _occurrences_of(subscription, waiting, timezone)
    changed = 0
    for job in waiting:
        due_at = held.get((job["period"], job["occurrence"]))
        changed += _fit_as_it_stands(database, job, due_at, now)
    return changed


def _fit_as_it_stands(database: Database, job: JobRecord, due_at: datetime | None, now: datetime) -> int:
    """`_fit`, again where a run took the job up or ended with it meanwhile. 1 when it changed."""
    standing: JobRecord | None = job
    while standing is not None and standing["state"] in (*UNSENT, job["state"]):
        changed = _fit(database, standing, due_at, now)
        if changed is not None:
            return changed
        standing = job_records(database).find_one({"_id": job["_id"]})
    return 0


def _occurrences_of(
    subscription: Subscription, jobs: Sequence[JobRecord], timezone: str
) -> dict[tuple[str, str], datetime]:
    """(period key, occurrence key) -> due time, over the dates of `jobs`, by the schedule as it is."""
    days = sorted(datetime.fromisoformat(job["occurrence"]).date() for job in jobs)
    found = occurrences(subscription.schedule, days[0], days[-1] + timedelta(days=1))
    held = {}
    for each in found:
        period = period_of(subscription, each, timezone)
        held[period.key, each.key] = max(each.due_at, period.end_at)
    return held


def _fit(database: Database, job: JobRecord, due_at: datetime | None, now: datetime) -> int | None:
    """Move one waiting job to `due_at`, or skip it when that is None or past. 1 when it changed; None when
    it is in another state by now."""
    was_skipped = job["state"] == JobState.SKIPPED.value
    if due_at is None or due_at <= now:
        if was_skipped:
            return 0
        change = as_skipped(OLD_SCHEDULE, now, "schedule")
    elif was_skipped or job["due_at"] != due_at:
        made = JobState.AWAITING_RELEASE if job.get("awaiting_release") else JobState.RENDERED
        state = made if job.get("rendered_at") else JobState.PENDING
        change = {"state": state.value, "error": None, "completed_at": None, "due_at": due_at}
        if was_skipped:  # recipients may have come since
            change["deliveries_planned"] = False
        _move_deliveries(database, job, due_at)
    else:
        return 0
    answer = database.jobs.update_one({"_id": job["_id"], "state": job["state"]}, {"$set": change})
    if not answer.matched_count:
        return None
    if change["state"] == JobState.SKIPPED.value:
        suppress_waiting(database, {"job": job["_id"]}, OLD_SCHEDULE, now)
    return 1


def _move_deliveries(database: Database, job: JobRecord, due_at: datetime) -> None:
    """Deliveries planned for a job that is not due yet follow it; so do those its pause suppressed, but of
    those who left the recipients."""
    states = [DeliveryState.PENDING.value]
    if job["state"] == JobState.SKIPPED.value:
        states.append(DeliveryState.SUPPRESSED.value)
    database.deliveries.update_many(
        {"job": job["_id"], "state": {"$in": states}, "error": {"$ne": RECIPIENT_LEFT}, **UNTRIED},
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


def _fit_recipients(database: Database, before: Subscription, after: Subscription, now: datetime) -> None:
    """Nothing of what waits goes to those who left; what is not sent yet is planned for those who came.

    Those who came first: a job whose last delivery is suppressed is over. Who left and comes back gets what
    was kept from them: its id is taken, so it cannot be planned anew.
    """
    come = list(_without(_recipients(after), _recipients(before)))
    if come:
        waiting: Record = {"subscription": after.id, "state": JobState.RENDERED.value}
        jobs = list(job_records(database).find(waiting))
        _give_back(database, after, come, [job["_id"] for job in jobs])
        plan_for_jobs(database, jobs, now)
    for gone in _without(_recipients(before), _recipients(after)):
        if _address(gone) not in map(_address, _recipients(after)):
            suppress_waiting(database, _deliveries_to(after, gone), RECIPIENT_LEFT, now)
            # What a pause holds back from them does not come back with its end.
            kept = _deliveries_to(after, gone) | {"state": DeliveryState.SUPPRESSED.value, **UNTRIED}
            database.deliveries.update_many(kept, {"$set": {"error": RECIPIENT_LEFT}})


def _give_back(
    database: Database, subscription: Subscription, come: Iterable[Recipient], jobs: Sequence[str]
) -> None:
    """Let what of `jobs` was kept from these, since they had left, wait again."""
    kept: Record = {"state": DeliveryState.SUPPRESSED.value, "error": RECIPIENT_LEFT, **UNTRIED}
    again: Record = {"state": DeliveryState.PENDING.value, "error": None, "settled_at": None}
    for one in come:
        whom = _deliveries_to(subscription, one) | {"job": {"$in": list(jobs)}, **kept}
        for row in list(database.deliveries.find(whom, {"due_at": 1})):
            change = {"$set": again | {"next_attempt_at": row["due_at"]}}
            database.deliveries.update_one({"_id": row["_id"], **kept}, change)


def _recipients(subscription: Subscription) -> tuple[Recipient, ...]:
    """Who gets it; of one that names nobody it is the owner."""
    return subscription.recipients or (Recipient(type="user", value=subscription.owner),)


def _address(recipient: Recipient) -> tuple[str, str]:
    """In one spelling, as deliveries have it."""
    value = recipient.value
    return recipient.type, mailbox(value) if recipient.type == "email" else value.strip()


def _deliveries_to(subscription: Subscription, recipient: Recipient) -> Record:
    kind, value = _address(recipient)
    return {"subscription": subscription.id, "user" if kind == "user" else "recipient": value}


def _without(some: Sequence[Recipient], others: Sequence[Recipient]) -> Iterator[Recipient]:
    return (one for one in some if one not in others)
