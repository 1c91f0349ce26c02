"""What became of jobs: rendered, failed, passed over, delivered, asked for again.

Every change of a job's state that follows from work is made here; what a person's wish or the end of a
subscription does to its jobs is in `stores.lifecycle`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from reporting_pipeline.domain.jobs import JobRecord, JobState
from reporting_pipeline.domain.planning import RUN_NOW_PRIORITY
from reporting_pipeline.stores.jobs.states import (
    FOR_REFUSAL,
    FOR_RIGHTS,
    FOR_SAMENESS,
    UNSENT,
    WAITING,
    as_skipped,
)
from reporting_pipeline.stores.mongo import Database, Record, Update, find_any, job_records, update_any


def mark_processing(database: Database, subscriptions: Iterable[str], period: str, now: datetime) -> int:
    """Note on the jobs that wait for these reports that they are worked on from `now`.

    Who makes a report is claimed elsewhere (`stores.partition_claims`). A run that dies leaves its jobs so,
    which counts as waiting.
    """
    return update_any(
        database.jobs,
        "subscription",
        subscriptions,
        {"period": period, "state": {"$in": WAITING}},
        {"$set": {"state": JobState.PROCESSING.value, "started_at": now}},
    )


def mark_rendered(
    database: Database,
    reports: Iterable[tuple[str, str]],
    now: datetime,
    omissions: Mapping[tuple[str, str], Sequence[Mapping[str, str]]] | None = None,
    awaiting: Mapping[tuple[str, str], Sequence[Mapping[str, str]]] | None = None,
) -> int:
    """Note the reports of (subscription, period key) on the jobs that wait. Returns how many changed.

    `omissions` are what the reports leave out, as {trial, part, reason}; `awaiting` those that a person
    must release, and why: they are sent by nobody before.

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
    left_out, waiting = omissions or {}, awaiting or {}
    changes = _alike(
        {
            report: [
                {"$set": update | _omitted(left_out.get(report, ())) | _awaiting(waiting.get(report), now)}
            ]
            for report in reports
        }
    )
    # In this order: a job that fails between the two is found by the second.
    return _change_unsent(database, changes) + _change_failed(database, changes)


def _omitted(omissions: Sequence[Mapping[str, str]]) -> Record:
    """What a job keeps of its report's omissions. Literal: a reason may look like a field's name."""
    found = [{name: one[name] for name in ("trial", "part", "reason")} for one in omissions]
    return {"omissions": {"$literal": found}, "has_omissions": bool(found)}


def _awaiting(reasons: Sequence[Mapping[str, str]] | None, now: datetime) -> Record:
    if reasons is None:
        return {"awaiting_release": None}
    said = [dict(one) for one in reasons]
    return {
        "state": JobState.AWAITING_RELEASE.value,
        "awaiting_release": {"reasons": {"$literal": said}, "at": now},
    }


def release(
    database: Database, subscription: str, period: str, report: str, now: datetime
) -> list[JobRecord]:
    """Let the jobs that await a report's release be sent: at once when they are due. Returns them."""
    is_due = {"$lte": ["$due_at", now]}
    state = {"$cond": [is_due, JobState.DELIVERING.value, JobState.RENDERED.value]}
    whose: Record = {"subscription": subscription, "period": period, "report": report}
    awaiting: Record = whose | {"state": JobState.AWAITING_RELEASE.value}
    ids = [job["_id"] for job in database.jobs.find(awaiting, {"_id": 1})]
    update_any(database.jobs, "_id", ids, awaiting, [{"$set": {"state": state, "awaiting_release": None}}])
    # One that a pause has skipped awaits no release any more when it waits again.
    database.jobs.update_many(
        whose | {"awaiting_release": {"$ne": None}}, {"$set": {"awaiting_release": None}}
    )
    return list(find_any(job_records(database), "_id", ids))


def awaiting_release_of(database: Database, subscription: str, period: str, report: str) -> list[JobRecord]:
    """The jobs of a report that wait for a person."""
    query: Record = {"subscription": subscription, "period": period, "report": report}
    return list(job_records(database).find(query | {"state": JobState.AWAITING_RELEASE.value}))


def refuse(
    database: Database, subscription: str, period: str, report: str, reason: str, now: datetime
) -> int:
    """End the jobs of a report that await its release: it goes to nobody. Returns how many."""
    query: Record = {
        "subscription": subscription,
        "period": period,
        "report": report,
        "state": JobState.AWAITING_RELEASE.value,
    }
    answer = database.jobs.update_many(query, {"$set": as_skipped(reason, now, FOR_REFUSAL)})
    return answer.modified_count


def end_forgotten(database: Database, asked_before: datetime, reason: str, now: datetime) -> int:
    """End the jobs whose release was asked for before then: a job always ends. Returns how many."""
    query: Record = {
        "state": JobState.AWAITING_RELEASE.value,
        "awaiting_release.at": {"$lt": asked_before},
    }
    answer = database.jobs.update_many(query, {"$set": as_skipped(reason, now, FOR_REFUSAL)})
    return answer.modified_count


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
            (subscription, period): {"$set": as_skipped(reason, now, FOR_RIGHTS)}
            for subscription, period, reason in skipped
        }
    )
    return _change_unsent(database, changes) + _change_failed(database, changes)


def skip_unchanged(
    database: Database,
    reports: Mapping[tuple[str, str], str],
    alike: Collection[tuple[str, str]],
    now: datetime,
) -> int:
    """Skip what was to tell of a changed report, where the file is the one that was sent, or shows no more.

    `reports`: (subscription, period key) -> SHA-256 of the file; `alike`: those in which nothing changed that
    the reader sees. Call it before they are noted on the jobs.
    """
    skipped = as_skipped("nothing that the report shows has changed", now, FOR_SAMENESS)
    changed = 0
    waiting: Record = {
        "period": {"$in": sorted({period for _, period in reports})},
        "restates": {"$gt": ""},
        "state": {"$in": UNSENT},
    }
    subscriptions = sorted({subscription for subscription, _ in reports})
    found = find_any(database.jobs, "subscription", subscriptions, waiting)
    for job in list(found):
        place = (job["subscription"], job["period"])
        if place in reports and (place in alike or reports[place] == job["restates"]):
            query: Record = {"_id": job["_id"], "state": {"$in": UNSENT}}
            changed += database.jobs.update_one(query, {"$set": skipped}).modified_count
    return changed


def requeue(database: Database, job_ids: Sequence[str], now: datetime, *, on_demand: bool = False) -> int:
    """Let jobs whose rendering failed wait again, with their attempts forgotten. Returns how many.

    `on_demand` where their edition is over: nobody else would ask for them. Whether they may wait again
    at all is decided in `usecases.requeueing`.
    """
    served = {"on_demand": True, "priority": RUN_NOW_PRIORITY} if on_demand else {}
    changed = database.jobs.update_many(
        {"_id": {"$in": list(job_ids)}, "state": JobState.FAILED.value, "failed_in": "rendering"},
        {
            "$set": {
                "state": JobState.PENDING.value,
                "attempts": 0,
                "error": None,
                "completed_at": None,
                "requeued_at": now,
                "started_at": None,
                **served,
            }
        },
    )
    return changed.modified_count


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
            {"period": change.period, "state": {"$in": UNSENT}},
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


def jobs_begin(database: Database, jobs: Iterable[JobRecord]) -> None:
    """Note on those of `jobs` that are rendered that they are being delivered."""
    rendered = JobState.RENDERED.value
    update_any(
        database.jobs,
        "_id",
        (job["_id"] for job in jobs if job.get("state") == rendered),
        {"state": rendered},
        {"$set": {"state": JobState.DELIVERING.value}},
    )


def deliver_again(database: Database, job: str) -> None:
    """One of the job's deliveries was lost and goes out again: the job is over when that is."""
    over = [JobState.FAILED.value, JobState.COMPLETED.value]
    again = {"state": JobState.DELIVERING.value, "error": None, "failed_in": None, "completed_at": None}
    database.jobs.update_one(
        {"_id": job, "state": {"$in": over}, "rendered_at": {"$ne": None}}, {"$set": again}
    )


def deliveries_stand(database: Database, jobs: Iterable[JobRecord]) -> None:
    """Note on these jobs that their deliveries are planned: they are not looked after again."""
    update_any(database.jobs, "_id", (job["_id"] for job in jobs), {}, {"$set": {"deliveries_planned": True}})


_OPEN_TO_DELIVERY = [
    JobState.RENDERED.value,
    JobState.DELIVERING.value,
    # A requeued dead letter that arrives mends its job; a late bounce breaks it.
    JobState.FAILED.value,
    JobState.COMPLETED.value,
    JobState.SKIPPED.value,
]


def finish_jobs(
    database: Database, ids: Sequence[str], state: JobState, reason: str | None, now: datetime
) -> int:
    """All jobs that end alike together: an edition's thousands end as completed."""
    ended = {
        "state": state.value,
        "error": reason,
        "failed_in": "delivery" if state is JobState.FAILED else None,
        "completed_at": now,
    }
    others: Record = {"state": {"$in": [one for one in _OPEN_TO_DELIVERY if one != state.value]}}
    changed = update_any(database.jobs, "_id", ids, others, {"$set": ended})
    if reason:  # a late bounce of one that ended so already
        same: Record = {"state": state.value, "error": {"$ne": reason}}
        changed += update_any(database.jobs, "_id", ids, same, {"$set": {"error": reason}})
    return changed
