"""By when a report that is waited for is likely to be sent, learnt from earlier ones of its subscription."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timedelta

from reporting_pipeline.domain.jobs import JobRecord, JobState

#: Of a hundred earlier ones so many took no longer.
SHARE = 90
WAITED_FOR = frozenset({JobState.PENDING, JobState.PROCESSING, JobState.RENDERED, JobState.DELIVERING})


def expected_by(job: JobRecord, earlier: Iterable[JobRecord]) -> datetime | None:
    """The instant by which nine in ten of the `earlier` jobs would have been sent. It may have passed.

    None when the job is not waited for, or nothing was sent yet to learn from. Jobs are records; those that
    a person asked for are held against their like, and so are those of an edition.
    """
    if JobState(job["state"]) not in WAITED_FOR:
        return None
    kind = _asked(job)
    took = sorted(
        ended - begun
        for one in earlier
        if _asked(one) is kind
        and one["state"] == JobState.COMPLETED.value
        and (ended := one.get("completed_at")) is not None
        and (begun := _begin(one)) <= ended
    )
    if not took:
        return None
    usual: timedelta = took[math.ceil(len(took) * SHARE / 100) - 1]
    return _begin(job) + usual


def _begin(job: JobRecord) -> datetime:
    """Since when somebody waits: it is due, and known of."""
    begun: datetime = max(job["due_at"], job["created_at"])
    return begun


def _asked(job: JobRecord) -> bool:
    return job.get("requested_by") is not None
