"""A report read by somebody who is signed in: its file, its pages, or its edition for the browser.

Each reading is in the audit log before it is given out. Which reports somebody may have is in `reports`.
"""

from __future__ import annotations

from reporting_pipeline.domain.access import User
from reporting_pipeline.stores import audit, users
from reporting_pipeline.stores.reports import StoredReport, reports_by_id
from reporting_pipeline.usecases.callers.context import Context
from reporting_pipeline.usecases.callers.problems import not_found
from reporting_pipeline.usecases.callers.reports import find_job, readable_report
from reporting_pipeline.usecases.html_edition import NotReadable


def note_read(deployment: Context, caller: User, report: StoredReport, job_id: str, **details: str) -> None:
    """One reading in the console, in the audit log. `details`: what of the report was given out, and how."""
    audit.record(
        deployment.database,
        audit.AuditAction.REPORT_DOWNLOADED,
        caller.id,
        report.id,
        deployment.now,
        organisation=report.organisation,
        details={"job": job_id, "by": "console", **details},
    )


def edition_to_read(deployment: Context, caller: User, job_id: str) -> bytes:
    """A PDF report as one HTML file, by the rights of the moment at which it is given out.

    Raises NotReadable; Problem where the report is not, or not any more, the caller's to read.
    """
    report = readable_report(deployment, caller, find_job(deployment, caller, job_id))
    if _standing(deployment, report) != report.sha256:
        raise NotReadable("a newer rendering waits for its release")  # its record tells of the newer alone
    edition = deployment.html_editions.edition(report)
    reader = users.get_user(
        deployment.database, caller.id
    )  # making it takes seconds; a right may end meanwhile
    if reader is None or not reader.active:
        raise not_found("report")
    again = readable_report(deployment, reader, find_job(deployment, reader, job_id))
    if again.sha256 != report.sha256:
        raise NotReadable("it was made anew meanwhile", later=True)
    note_read(deployment, reader, report, job_id, edition="html", sha256=report.sha256)
    return edition


def _standing(deployment: Context, report: StoredReport) -> str:
    """The SHA-256 of the newest rendering."""
    found = reports_by_id(deployment.database, [report.id]).get(report.id)
    return found.sha256 if found else ""
