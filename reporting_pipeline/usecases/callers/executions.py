"""What an answer tells of a job beside its own record: report, deliveries, by when it is expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from reporting_pipeline.domain.job_history import JobHistory, history_of
from reporting_pipeline.domain.jobs import JobRecord
from reporting_pipeline.stores.deliveries.reads import deliveries_of
from reporting_pipeline.stores.reports import StoredReport, rendering_at, reports_by_id
from reporting_pipeline.usecases.callers.context import Context
from reporting_pipeline.usecases.expecting import expected_of


def histories(deployment: Context, jobs: Sequence[JobRecord]) -> list[JobHistory]:
    """The history of each job, in their order; two look-ups for all of them."""
    reports = reports_by_id(deployment.database, [str(job.get("report") or "") for job in jobs])
    deliveries = deliveries_of(deployment.database, (job["_id"] for job in jobs))
    told = [
        history_of(job, _told(reports.get(str(job.get("report") or ""))), deliveries.get(job["_id"], ()))
        for job in jobs
    ]
    expected = expected_of(deployment.database, jobs)
    return [
        replace(
            one,
            expected_by=expected.get(job["_id"]),
            supersedes=job.get("restates") or None,
            superseded_by=_superseded_by(job, reports.get(str(job.get("report") or ""))),
        )
        for job, one in zip(jobs, told, strict=True)
    ]


def _superseded_by(job: JobRecord, report: StoredReport | None) -> str | None:
    """The file that took the place of the job's own, made from other data; None where its own stands."""
    made_at = job.get("rendered_at")
    if (
        report is None or report.awaiting_release or not isinstance(made_at, datetime)
    ):  # one that waits took no place
        return None
    was = rendering_at(report.__dict__, made_at)
    if was is None or dict(was["dataset_versions"]) == dict(report.dataset_versions):
        return None
    return report.sha256


def _told(report: Any) -> dict[str, Any] | None:
    return None if report is None else dict(report.__dict__)
