"""Holds: reports that no rule deletes, because of a duty or because they are needed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from reporting_pipeline.api.deps import Caller, Deployment, may
from reporting_pipeline.api.models.base import READ, WRITE
from reporting_pipeline.api.models.holds import Hold, HoldPage, HoldRequest
from reporting_pipeline.api.pagination import Cursor, Limit
from reporting_pipeline.domain.access import Action, ResourceKind
from reporting_pipeline.stores.mongo import Record
from reporting_pipeline.usecases.callers import holds as usecase
from reporting_pipeline.usecases.callers.context import scoped

router = APIRouter(prefix="/api/holds", tags=["operations"])

ReportId = Annotated[str, Path(pattern=r"^rep_[0-9a-f]{20}$", examples=["rep_0a1b2c3d4e5f60718293"])]


@router.get("", responses=READ, dependencies=[may(Action.READ, ResourceKind.HOLD)])
def list_holds(caller: Caller, deployment: Deployment, limit: Limit = 50, cursor: Cursor = None) -> HoldPage:
    """What is held of the reports that are open to the caller, by the report's id."""
    scope = f"holds:{caller.organisation}"
    position = deployment.cursors.read(scope, cursor)
    found = scoped(deployment, caller).holds(after=position[0] if position else None, limit=limit + 1)
    page = found[:limit]
    return HoldPage(
        items=[_shown(one) for one in page],
        next_cursor=deployment.cursors.write(scope, [page[-1]["_id"]]) if len(found) > limit else None,
    )


@router.put("/{report_id}", responses=WRITE, dependencies=[may(Action.CREATE, ResourceKind.HOLD)])
def hold_report(report_id: ReportId, body: HoldRequest, caller: Caller, deployment: Deployment) -> Hold:
    """Keep a report, all its renderings and what its period's reports were made from, whatever its age.

    Again with another kind or reason changes the hold; a legal hold of somebody else only an admin changes.
    """
    return _shown(usecase.hold(deployment, caller, report_id, body.kind, body.reason))


@router.delete(
    "/{report_id}", status_code=204, responses=WRITE, dependencies=[may(Action.DELETE, ResourceKind.HOLD)]
)
def lift(report_id: ReportId, caller: Caller, deployment: Deployment) -> None:
    """Let retention have the report again. A legal hold is lifted by who placed it, or by an admin."""
    usecase.lift(deployment, caller, report_id)


def _shown(hold: Record) -> Hold:
    return Hold(
        report=hold["_id"],
        kind=hold["kind"],
        reason=hold["reason"],
        edition=f"{hold['cadence']}:{hold['period']}",
        subscription=hold["subscription"],
        by=hold["by"],
        at=hold["at"],
    )
