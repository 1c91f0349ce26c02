"""A report's release as somebody who asks may decide of it: what is open to them, refusals as problems."""

from __future__ import annotations

from datetime import datetime

from reporting_pipeline.domain.access import Action, Resource, ResourceKind, User
from reporting_pipeline.stores.mongo import Record
from reporting_pipeline.stores.releases import DecidedAlready, Meaning
from reporting_pipeline.usecases.callers.context import Context, require, scoped
from reporting_pipeline.usecases.callers.problems import Problem, checked_lines, not_found
from reporting_pipeline.usecases.releasing import NotReleasable, SignInAgain, refuse, release


def release_or_refuse(
    deployment: Context,
    caller: User,
    job_id: str,
    sha256: str,
    meaning: Meaning | None,
    reason: str,
    authenticated_at: datetime | None,
) -> Record:
    """Release the report of a job with a signature of this meaning; None refuses it. The decision's record.

    `sha256`: of the file that the caller has looked at; a signature is under that one and no other.

    Raises Problem: 404 for what is not open to the caller, 403 where the sign-in is too long ago, 409 where
    it is not theirs to decide, was decided, or was made again since.
    """
    checked_lines(reason, "#/reason")
    handle = scoped(deployment, caller)
    job = handle.job(job_id)
    report = handle.report(str(job.get("report") or "")) if job else None
    if job is None or report is None:
        raise not_found("report")
    resource = Resource(
        ResourceKind.REPORT, report.organisation, owner=job.get("owner"), extent=report.extent
    )
    require(caller, Action.RELEASE, resource, "report")
    if report.sha256 != sha256:
        raise Problem("conflict", "It was made again since you looked at it; look at the new one.")
    database, now = deployment.database, deployment.now
    try:
        if meaning is None:
            return refuse(database, job, report, caller, authenticated_at, reason, now)
        return release(database, job, report, caller, authenticated_at, meaning, reason, now)
    except SignInAgain as problem:
        raise Problem("forbidden", f"{str(problem).capitalize()}.") from None
    except NotReleasable as problem:
        raise Problem("conflict", f"{str(problem).capitalize()}.") from None
    except DecidedAlready as earlier:
        raise Problem("conflict", f"{earlier.record['name']} has decided: {earlier}.") from None
