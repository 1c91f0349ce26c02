"""By when jobs are expected, from what became of their subscriptions' last ones (`domain.expectations`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from reporting_pipeline.domain.expectations import WAITED_FOR, expected_by
from reporting_pipeline.domain.jobs import JobRecord, JobState
from reporting_pipeline.stores.jobs import lately_of
from reporting_pipeline.stores.mongo import Database

#: So many of a subscription's last jobs say how long one takes.
LEARNT_FROM = 20


def expected_of(database: Database, jobs: Sequence[JobRecord]) -> dict[str, datetime]:
    """{job id: instant} of those that are waited for and whose time is known; a look-up per subscription."""
    waited_for = [job for job in jobs if JobState(job["state"]) in WAITED_FOR]
    earlier = {
        subscription: lately_of(database, organisation, subscription, LEARNT_FROM)
        for organisation, subscription in {(job["organisation"], job["subscription"]) for job in waited_for}
    }
    found = {job["_id"]: expected_by(job, earlier[job["subscription"]]) for job in waited_for}
    return {job: at for job, at in found.items() if at is not None}
