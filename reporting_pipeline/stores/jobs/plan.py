"""Planning: jobs are added in bulk, exactly once.

What becomes a job is decided in `domain.planning`. A job's id follows from its subscription, period
and occurrence, and a unique index stands behind that: planning again, or twice at once, adds nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import TypeVar

from pymongo.errors import DuplicateKeyError

from reporting_pipeline.domain.editions import Edition
from reporting_pipeline.domain.jobs import EditionState, JobRecord, JobState, left_out
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.planning import (
    Planned,
    PlanRules,
    follow_up_record,
    job_record,
    plan_due,
    plan_first,
    plan_jobs,
    restatement_record,
)
from reporting_pipeline.domain.restatements import OnRestatement
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.stores.jobs.states import SENT, UNSENT
from reporting_pipeline.stores.mongo import Database, Record, find_any, insert_missing, job_records
from reporting_pipeline.stores.subscriptions import active_of, advance, due_subscriptions
from reporting_pipeline.tracing import begun

_log = logging.getLogger(__name__)

BATCH = 1_000
OPENED_BY_SCHEDULE = "schedule"
# Clocks of several machines differ; a change within this of the last planning is looked at again.
CLOCK_MARGIN = timedelta(minutes=10)
# So long after a window closed, an edition that nobody opened is not coming any more.
EDITION_IS_LATE = timedelta(hours=1)
T = TypeVar("T")


@dataclass(frozen=True)
class PlanOutcome:
    """What one look at the due subscriptions did."""

    subscriptions: int  # that were due
    jobs: int  # added, skipped ones included
    moved: int  # subscriptions whose next_due_at went forward


def save_jobs(database: Database, records: Iterable[JobRecord]) -> int:
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
    rules = PlanRules(by_hand)
    records = _each(
        subscriptions,
        lambda one: _not_served(database, one, edition.id, list(plan_jobs([one], period, now, rules))),
    )
    added = save_jobs(database, records)
    # After the jobs: a planner that dies before this plans again, which adds nothing.
    database.editions.update_one(
        {"_id": edition.id}, {"$set": {"planned_at": now, "planned_forced": edition.forced}}
    )
    return added


def _not_served(
    database: Database, one: Subscription, edition: str, records: list[JobRecord]
) -> list[JobRecord]:
    """Without what its schedule was changed too late for, where another job serves or served the period."""
    since = one.rescheduled_at
    if since is None or all(record["due_at"] >= since for record in records):
        return records
    others: Record = {
        "subscription": one.id,
        "edition": edition,
        "state": {"$ne": JobState.SKIPPED.value},
        "_id": {"$nin": [record["_id"] for record in records]},
    }
    if job_records(database).find_one(others, {"_id": 1}) is None:
        return records
    return [record for record in records if record["due_at"] >= since]


def plan_new(database: Database, subscription: Subscription, now: datetime, timezone: str) -> int:
    """Plan a subscription that was just made, so that its first job is there from the start."""
    records = [
        job_record(subscription, planned, now)
        for planned in _planned(subscription, subscription.created_at, now, timezone)
    ]
    added = save_jobs(database, _for_those_without_edition(database, records, timezone, now))
    advance(database, [(subscription, subscription.created_at)], now)
    return added


def plan_follow_ups(
    database: Database,
    reports: Mapping[tuple[str, str], Sequence[Mapping[str, str]]],
    wanted_by: Callable[[str], bool],
    now: datetime,
) -> int:
    """Jobs for reports, (subscription, period key) -> what they leave out, that mend one that was sent.

    Whoever got a report with omissions gets the one that was made after the data was mended, once: the
    new job's id follows from the old one's. `wanted_by` says of a subscription whether it is to. Call it
    before the reports are noted on the jobs that wait. Returns how many were added.
    """
    added = 0
    by_period: dict[str, list[str]] = {}
    for subscription, period in reports:
        by_period.setdefault(period, []).append(subscription)
    for period, ids in by_period.items():
        query: Record = {"period": period, "has_omissions": True, "state": {"$in": SENT}}
        for job in list(find_any(job_records(database), "subscription", ids, query)):
            left = {(one["trial"], one["part"]) for one in reports[job["subscription"], period]}
            mended = left_out(job) - left
            if mended and wanted_by(job["subscription"]):
                added += _add_made_of(database, job, lambda one: follow_up_record(one, now))
            looked = {"has_omissions": not mended, "looked_at": now}
            job_records(database).update_one({"_id": job["_id"]}, {"$set": looked})
    return added


def plan_restatements(
    database: Database,
    cadence: Cadence,
    period: str,
    reports: Mapping[str, tuple[str, datetime | None]],
    policy_of: Callable[[str], OnRestatement],
    now: datetime,
) -> int:
    """Jobs for the reports of a closed period whose data changed since they were sent.

    `reports`: subscription -> (SHA-256 as it stands, when its data changed last; None where no time is left).
    Whoever got such a report gets what takes its place, once a change: while a job of the period waits or
    failed, or where one was made for this change, none is added, whatever became of it. `policy_of` says what
    an organisation wants. Returns how many were added.
    """
    sent: dict[str, JobRecord] = {}
    numbers: dict[str, int] = {}
    busy: set[str] = set()
    query: Record = {"cadence": cadence.value, "period": period}
    for job in find_any(job_records(database), "subscription", sorted(reports), query):
        subscription = job["subscription"]
        numbers[subscription] = numbers.get(subscription, 0) + bool(job.get("restates"))
        if not isinstance(job.get("created_at"), datetime):
            _log.error("job %s has no time at which it was made and is passed over", job["_id"])
            continue
        if job["state"] in SENT:
            before = sent.get(subscription)
            if before is None or (job["created_at"], job["_id"]) > (before["created_at"], before["_id"]):
                sent[subscription] = job
        elif job["state"] in UNSENT or (job["state"] == JobState.FAILED.value and job.get("restates")):
            busy.add(subscription)
        changed_at = reports[subscription][1]
        if job.get("restates") and changed_at is not None and job["created_at"] >= changed_at:
            busy.add(subscription)
    added = 0
    for subscription, job in sent.items():
        policy = policy_of(job["organisation"])
        if subscription in busy or policy is OnRestatement.OFF:
            continue
        sha256, number = reports[subscription][0], numbers[subscription] + 1
        made = partial(restatement_record, sha256=sha256, number=number, policy=policy, now=now)
        added += _add_made_of(database, job, made)
    return added


def plan_due_jobs(database: Database, now: datetime, timezone: str, limit: int | None = None) -> PlanOutcome:
    """Plan what no edition has: new subscriptions, changed schedules, time in which nothing ran.

    `timezone` is the deployment's. One indexed query finds the due subscriptions (the longest due
    first, `limit` at most); the writes are bulk writes of at most BATCH. Jobs whose edition is over,
    or was never opened, are marked `on_demand`: the edition sensor does not see them.
    """
    due = jobs = moved = 0
    for batch in _batches(due_subscriptions(database, now, limit)):
        since = {subscription.id: was_due_at for subscription, was_due_at in batch}

        def records_of(one: Subscription, since: Mapping[str, datetime] = since) -> list[JobRecord]:
            return [job_record(one, each, now) for each in _planned(one, since[one.id], now, timezone)]

        records = list(_each((subscription for subscription, _ in batch), records_of))
        jobs += save_jobs(database, _for_those_without_edition(database, records, timezone, now))
        moved += advance(database, batch, now)
        due += len(batch)
    return PlanOutcome(due, jobs, moved)


def add_job(database: Database, record: JobRecord) -> bool:
    """Add one job. False when a job of this occurrence stands already."""
    try:
        job_records(database).insert_one(_traced(record))
    except DuplicateKeyError:
        return False
    return True


def _add_made_of(database: Database, job: JobRecord, made: Callable[[JobRecord], JobRecord]) -> int:
    """Add the job that follows on one that was sent. How many were added: one that somebody broke by hand is
    said and has none."""
    try:
        record = made(job)
    except (LookupError, TypeError, ValueError):
        _log.error("nothing can follow on job %s, which is passed over", job["_id"], exc_info=True)
        return 0
    return add_job(database, record)


def _planned(subscription: Subscription, since: datetime, now: datetime, timezone: str) -> list[Planned]:
    if since <= subscription.created_at:
        return plan_first(subscription, now, timezone)
    return plan_due(subscription, since, now, timezone)


def _each(
    subscriptions: Iterable[Subscription], records_of: Callable[[Subscription], list[JobRecord]]
) -> Iterator[JobRecord]:
    """The jobs of each. One that cannot be planned is said and passed over: it stops nobody else's."""
    for subscription in subscriptions:
        try:
            yield from records_of(subscription)
        except (ArithmeticError, LookupError, TypeError, ValueError):
            _log.error("subscription %s cannot be planned and is passed over", subscription.id, exc_info=True)


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def _add_missing(database: Database, records: Sequence[JobRecord]) -> int:
    """Look first, since planning again is the usual case; the index settles what comes between."""
    ids = (record["_id"] for record in records)
    standing = {row["_id"] for row in find_any(job_records(database), "_id", ids, None, {"_id": 1})}
    return insert_missing(
        job_records(database), [_traced(one) for one in records if one["_id"] not in standing]
    )


def _traced(job: JobRecord) -> JobRecord:
    """The job with the trace that its report is followed by."""
    return begun(job, "plan job", job=job["_id"], edition=job["edition"])


def _for_those_without_edition(
    database: Database, records: list[JobRecord], timezone: str, now: datetime
) -> list[JobRecord]:
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
