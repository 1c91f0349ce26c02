"""Giving a report whose rendering failed back to work.

A requeued job runs or is refused: in its edition while that is open, by itself when it is over. One whose
subscription or period no run serves any more is refused, with what to do instead.
"""

from __future__ import annotations

from datetime import datetime

from reporting_pipeline.domain.jobs import EditionState, JobRecord
from reporting_pipeline.domain.periods import Cadence, Period, oldest_start
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import audit, editions, jobs, lifecycle, subscriptions
from reporting_pipeline.stores.mongo import Database


class CannotRun(ValueError):
    """No run would serve the job; the message says why and what to do."""


def requeue_job(database: Database, settings: Settings, job: JobRecord, actor: str, now: datetime) -> bool:
    """Let a job whose rendering failed wait again. False when it has not failed (any more).

    Raises CannotRun.
    """
    reason = _stands_against(database, settings, job, now)
    if reason is not None:
        raise CannotRun(reason)
    if not jobs.requeue(database, [job["_id"]], now, on_demand=not _is_open(database, job["edition"])):
        return False
    # What closed or ended between the look and the write is looked at again.
    if not _is_open(database, job["edition"]):
        lifecycle.serve_without_edition(database, [job["edition"]])
    lifecycle.end_unserved(database, job["edition"], [job["subscription"]], now)
    audit.record(
        database,
        audit.AuditAction.REQUEUED,
        actor,
        job["_id"],
        now,
        organisation=job["organisation"],
        details={"was": job["state"]},
    )
    return True


def _stands_against(database: Database, settings: Settings, job: JobRecord, now: datetime) -> str | None:
    standing = subscriptions.standing_of(database, [job["subscription"]]).get(job["subscription"])
    if standing is None or standing["status"] == "ended":
        return "its subscription has ended; make a new one"
    if standing["status"] == "paused":
        return "its subscription is paused; resume it first"
    cadence = Cadence(job["edition"].partition(":")[0])
    if standing["window"] != cadence.value:
        return (
            f"its subscription reports {standing['window']} now, and the job is of a {cadence.value} report; "
            "run the subscription instead"
        )
    period = Period.from_key(cadence, job["period"], settings.timezone)
    if period.start < oldest_start(cadence, settings.retention_days, now, settings.timezone):
        return f"its {cadence.noun} is older than the {settings.retention_days} days that are kept"
    return None


def _is_open(database: Database, edition: str) -> bool:
    try:
        return editions.get_edition(database, edition).state is EditionState.OPEN
    except editions.EditionMissing:
        return False
