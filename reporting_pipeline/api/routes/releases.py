"""Reports that wait for a person before they are sent: the list, release, refusal."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from reporting_pipeline.api.deps import Caller, Deployment, may
from reporting_pipeline.api.models.base import READ, WRITE
from reporting_pipeline.api.models.releases import (
    RejectRequest,
    ReleaseAnswer,
    ReleaseRequest,
    ReportAwaitingRelease,
    ReportsAwaitingRelease,
)
from reporting_pipeline.api.pagination import Cursor, Limit
from reporting_pipeline.domain.access import Action, ResourceKind
from reporting_pipeline.usecases.callers.context import scoped
from reporting_pipeline.usecases.callers.releases import release_or_refuse

router = APIRouter(prefix="/api", tags=["operations"])

JobId = Annotated[str, Path(min_length=1, max_length=64, examples=["job_0d5a3c1e7b9f42a6c8e01357"])]
RELEASE = may(Action.RELEASE, ResourceKind.REPORT)


@router.get("/reports-awaiting-release", responses=READ, dependencies=[RELEASE])
@router.get(
    "/held-reports",
    responses=READ,
    dependencies=[RELEASE],
    operation_id="list_awaiting_release_by_its_former_name",
    deprecated=True,
)
def list_awaiting_release(
    caller: Caller, deployment: Deployment, limit: Limit = 50, cursor: Cursor = None
) -> ReportsAwaitingRelease:
    """Reports that wait for their release, of those that are open to the caller, by the execution's id.

    `/api/held-reports` is its former name.
    """
    scope = f"awaiting-release:{caller.organisation}"
    position = deployment.cursors.read(scope, cursor)
    found = scoped(deployment, caller).jobs_awaiting_release(
        after=position[0] if position else None, limit=limit + 1
    )
    page = found[:limit]
    return ReportsAwaitingRelease(
        items=[ReportAwaitingRelease.of(one) for one in page],
        next_cursor=deployment.cursors.write(scope, [page[-1]["_id"]]) if len(found) > limit else None,
    )


@router.post("/report-executions/{job_id}/release", responses=WRITE, dependencies=[RELEASE])
def release_report(
    job_id: JobId, body: ReleaseRequest, caller: Caller, deployment: Deployment
) -> ReleaseAnswer:
    """Let a report go to whom it is for. By a second person, within ten minutes of signing in."""
    signed_in = caller.authenticated_at
    return ReleaseAnswer.of(
        release_or_refuse(deployment, caller, job_id, body.sha256, body.meaning, body.reason, signed_in)
    )


@router.post("/report-executions/{job_id}/reject", responses=WRITE, dependencies=[RELEASE])
def reject_report(
    job_id: JobId, body: RejectRequest, caller: Caller, deployment: Deployment
) -> ReleaseAnswer:
    """Keep a report from everybody, for good: its execution ends, its code says revoked."""
    signed_in = caller.authenticated_at
    return ReleaseAnswer.of(
        release_or_refuse(deployment, caller, job_id, body.sha256, None, body.reason, signed_in)
    )
