"""What a caller may hold and let go: reports that no rule deletes, for a duty or because they are needed."""

from __future__ import annotations

from reporting_pipeline.domain.access import Action, Resource, ResourceKind, Role, User
from reporting_pipeline.stores.holds import HoldKind, hold_of, lift_hold, place_hold
from reporting_pipeline.stores.mongo import Record
from reporting_pipeline.usecases.callers.context import Context, require, scoped
from reporting_pipeline.usecases.callers.problems import Problem, checked_lines, invalid, not_found


def hold(deployment: Context, caller: User, report_id: str, kind: HoldKind, reason: str) -> Record:
    """Keep a report that is open to the caller; again with another kind or reason changes the hold.

    Raises Problem: no such report, a reason that says nothing, somebody else's legal hold.
    """
    _open_report(deployment, caller, report_id, Action.CREATE)
    _may_change(caller, hold_of(deployment.database, report_id, caller.organisation))
    checked_lines(reason, "#/reason")
    try:
        return place_hold(
            deployment.database,
            deployment.objects,
            report_id,
            kind,
            reason,
            caller.id,
            deployment.now,
            caller.organisation,
        )
    except ValueError as error:
        field, _, problem = str(error).partition(": ")
        raise invalid(f"#/{field}", problem) from None


def lift(deployment: Context, caller: User, report_id: str) -> None:
    """Let retention have the report again. Raises Problem: no such hold, somebody else's legal hold."""
    _open_report(deployment, caller, report_id, Action.DELETE)
    standing = hold_of(deployment.database, report_id, caller.organisation)
    if standing is None:
        raise not_found("hold")
    _may_change(caller, standing)
    lift_hold(
        deployment.database, deployment.objects, report_id, caller.id, deployment.now, caller.organisation
    )


def _open_report(deployment: Context, caller: User, report_id: str, action: Action) -> None:
    require(caller, action, Resource(ResourceKind.HOLD, caller.organisation), "report")
    if scoped(deployment, caller).report(report_id) is None:
        raise not_found("report")


def _may_change(caller: User, standing: Record | None) -> None:
    """Refuse who would loosen somebody else's legal hold."""
    if standing is None or standing["kind"] != "legal_hold" or standing["by"] == caller.id:
        return
    if Role.ADMIN.value not in caller.roles:
        raise Problem("forbidden", "A legal hold is changed and lifted by who placed it, or by an admin.")
