"""What an answer tells of a job beside its own record: report, deliveries, by when it is expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from reporting_pipeline.domain.access import User, may_have
from reporting_pipeline.domain.job_history import JobHistory, history_of
from reporting_pipeline.domain.jobs import JobRecord, JobState
from reporting_pipeline.stores.deliveries.reads import deliveries_of
from reporting_pipeline.stores.reports import StoredReport, rendering_at, reports_by_id
from reporting_pipeline.usecases.callers.context import Context
from reporting_pipeline.usecases.expecting import expected_of


def histories(deployment: Context, caller: User, jobs: Sequence[JobRecord]) -> list[JobHistory]:
    """The history of each job, in their order, as the caller may read it; two look-ups for all of them.

    Who may know of a job, and not have its report, hears nothing of what is in that: neither how much, nor
    what it leaves out.
    """
    reports = reports_by_id(deployment.database, [str(job.get("report") or "") for job in jobs])
    open_ones = {name: one for name, one in reports.items() if _is_open(caller, one)}
    deliveries = deliveries_of(deployment.database, (job["_id"] for job in jobs))
    told = [
        history_of(job, _told(open_ones.get(str(job.get("report") or ""))), deliveries.get(job["_id"], ()))
        for job in jobs
    ]
    expected = expected_of(deployment.database, jobs)
    return [
        replace(
            one,
            expected_by=expected.get(job["_id"]),
            supersedes=_supersedes(job, reports.get(str(job.get("report") or ""))),
            superseded_by=_superseded_by(job, reports.get(str(job.get("report") or ""))),
            omissions=one.omissions if str(job.get("report") or "") in open_ones else (),
        )
        for job, one in zip(jobs, told, strict=True)
    ]


def _is_open(caller: User, report: StoredReport) -> bool:
    """Whether the caller may have the report; one that a hand broke is nobody's, and stops no list."""
    try:
        return bool(may_have(caller, report.organisation, report.extent))
    except (LookupError, TypeError, ValueError, AttributeError):
        return False


def _supersedes(job: JobRecord, report: StoredReport | None) -> str | None:
    """The file that was sent and whose place the job's own took, or is to take, whoever asked for the job.

    A run that somebody asks for takes in what arrived since, and restates as much as one that was planned.
    One that was skipped has no file.
    """
    if job["state"] == JobState.SKIPPED.value:
        return None
    if job.get("restates"):
        return job["restates"]
    restates = (_rendering_of(job, report) or {}).get("restates")
    return str(restates["sha256"]) if isinstance(restates, Mapping) and "sha256" in restates else None


def _rendering_of(job: JobRecord, report: StoredReport | None) -> Mapping[str, Any] | None:
    made_at = job.get("rendered_at")
    if report is None or not isinstance(made_at, datetime):
        return None
    return rendering_at(report.__dict__, made_at)


def _superseded_by(job: JobRecord, report: StoredReport | None) -> str | None:
    """The file that took the place of the job's own, made from other data; None where its own stands."""
    if report is None or report.awaiting_release:  # one that waits took no place
        return None
    was = _rendering_of(job, report)
    if was is None or dict(was["dataset_versions"]) == dict(report.dataset_versions):
        return None
    return report.sha256


def _told(report: Any) -> dict[str, Any] | None:
    return None if report is None else dict(report.__dict__)
