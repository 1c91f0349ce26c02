"""What an answer tells of a job beside its own record: its report and its deliveries, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reporting_pipeline.api.deps import Context
from reporting_pipeline.domain.jobs import JobHistory, history_of
from reporting_pipeline.stores.deliveries.reads import deliveries_of
from reporting_pipeline.stores.mongo import Record
from reporting_pipeline.stores.reports import reports_by_id


def histories(deployment: Context, jobs: Sequence[Record]) -> list[JobHistory]:
    """The history of each job, in their order; two look-ups for all of them."""
    reports = reports_by_id(deployment.database, [str(job.get("report") or "") for job in jobs])
    deliveries = deliveries_of(deployment.database, (job["_id"] for job in jobs))
    return [
        history_of(job, _told(reports.get(str(job.get("report") or ""))), deliveries.get(job["_id"], ()))
        for job in jobs
    ]


def _told(report: Any) -> dict[str, Any] | None:
    return None if report is None else dict(report.__dict__)
