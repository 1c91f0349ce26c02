"""The states of a job as queries name them, and what skipping or giving up one writes."""

from __future__ import annotations

from datetime import datetime

from reporting_pipeline.domain.jobs import JobState
from reporting_pipeline.stores.mongo import Record

WAITING = [JobState.PENDING.value, JobState.PROCESSING.value]
UNSENT = [*WAITING, JobState.RENDERED.value, JobState.AWAITING_RELEASE.value]
ACTIVE = [*UNSENT, JobState.DELIVERING.value]
SENT = [JobState.DELIVERING.value, JobState.COMPLETED.value]
WITH_REPORT = [JobState.RENDERED.value, JobState.DELIVERING.value]
FOR_SAMENESS = "unchanged"  # what skipped the job of a restatement that would have told nothing new
FOR_REFUSAL = "refused"  # what skipped a job whose report nobody released
FOR_RIGHTS = "rights"  # what skipped a job or suppressed a delivery; others have other causes


def as_skipped(reason: str, now: datetime, cause: str) -> Record:
    return {
        "state": JobState.SKIPPED.value,
        "error": reason,
        "skipped_for": cause,
        "completed_at": now,
    }


def as_unmade(reason: str, now: datetime) -> Record:
    """Failed for good before its report was made."""
    return {
        "state": JobState.FAILED.value,
        "failed_in": "rendering",
        "error": reason,
        "permanent": True,
        "completed_at": now,
    }
