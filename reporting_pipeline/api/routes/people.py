"""The audit log, and users."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from reporting_pipeline.api.deps import Caller, Deployment, may
from reporting_pipeline.api.models.base import READ, WRITE
from reporting_pipeline.api.models.operations import AuditEvent, AuditPage
from reporting_pipeline.api.pagination import Cursor, Limit
from reporting_pipeline.domain.access import Action, ResourceKind, User
from reporting_pipeline.domain.entitlements import ALL
from reporting_pipeline.domain.own_records import event_shown, person_shown
from reporting_pipeline.stores import audit
from reporting_pipeline.stores.mongo import Record
from reporting_pipeline.usecases.callers.people import find_user, list_people, replace_person
from reporting_pipeline.usecases.callers.shapes.base import Identifier
from reporting_pipeline.usecases.callers.shapes.people import UserAnswer, UserPage, UserRequest

router = APIRouter(prefix="/api", tags=["operations"])

#: Ours begin with "usr_"; a deployment may give its own.
UserId = Annotated[
    str,
    Path(
        pattern=r"^[0-9A-Za-z][0-9A-Za-z_:-]*(\.[0-9A-Za-z_:-]+)*$",
        max_length=64,
        examples=["usr_demo", "123456"],
    ),
]

# --- audit -------------------------------------------------------------------------------------


@router.get("/audit", responses=READ, dependencies=[may(Action.READ, ResourceKind.AUDIT)])
def list_audit(
    caller: Caller,
    deployment: Deployment,
    actor: Annotated[Identifier | None, Query()] = None,
    action: audit.AuditAction | None = None,
    subject: Annotated[Identifier | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> AuditPage:
    """The organisation's events, the newest first."""
    scope = f"audit:{caller.organisation}:{actor}:{action}:{subject}"
    after = deployment.cursors.read(scope, cursor)
    found = audit.events_of(
        deployment.database,
        caller.organisation,
        actor=actor,
        action=action,
        subject=subject,
        before=after[0] if after else None,
        limit=limit + 1,
    )
    page = [_event(event_shown(caller, one)) for one in found[:limit]]
    return AuditPage(
        items=page,
        next_cursor=deployment.cursors.write(scope, [page[-1].sequence]) if len(found) > limit else None,
    )


# --- users -------------------------------------------------------------------------------------


@router.get("/users", responses=READ, dependencies=[may(Action.READ, ResourceKind.USER)])
def list_users(caller: Caller, deployment: Deployment, limit: Limit = 50, cursor: Cursor = None) -> UserPage:
    """The organisation's people by id, deactivated ones too; oneself for who manages nobody."""
    scope = f"users:{caller.organisation}"
    after = deployment.cursors.read(scope, cursor)
    found = list_people(deployment, caller, after[0] if after else None, limit + 1)
    page = found[:limit]
    return UserPage(
        items=[_user(caller, one) for one in page],
        next_cursor=deployment.cursors.write(scope, [page[-1].id]) if len(found) > limit else None,
    )


@router.get("/users/{user_id}", responses=READ, dependencies=[may(Action.READ, ResourceKind.USER)])
def get_user(user_id: UserId, caller: Caller, deployment: Deployment) -> UserAnswer:
    """One user: oneself, or of the organisation for managers."""
    return _user(caller, find_user(deployment, caller, user_id, Action.READ))


@router.put(
    "/users/{user_id}",
    responses={201: {"model": UserAnswer, "description": "Added."}, **WRITE},
    dependencies=[may(Action.CHANGE, ResourceKind.USER)],
)
def replace_user(
    user_id: UserId, body: UserRequest, caller: Caller, deployment: Deployment, response: Response
) -> UserAnswer:
    """Add a user or replace one whole. Nobody gives away roles or trials they do not have.

    Another address is asked by mail whether it is the one, and the one that stands is told; until it is
    confirmed (`email_asked`) reports go where they went. With the one that stands nothing is asked any more.
    """
    new, stored, moved = replace_person(deployment, caller, user_id, body)
    response.status_code = 201 if new else 200
    return _user(caller, stored, moved=moved)


def _user(caller: User, person: User, moved: int | None = None) -> UserAnswer:
    user = person_shown(caller, person)
    return UserAnswer(
        id=user.id,
        organisation=user.organisation,
        name=user.name,
        email=user.email,
        roles=sorted(user.roles),
        trials=ALL if user.entitlements.trials == ALL else list(user.entitlements.trials),
        sites={trial: list(sites) for trial, sites in user.entitlements.sites.items()},
        subject=user.entitlements.subject,
        audience=user.entitlements.audience,
        timezone=user.timezone,
        language=user.language,
        combine_minutes=user.combine_minutes,
        active=user.active,
        email_asked=user.email_asked or None,
        schedules_moved=moved,
    )


def _event(row: Record) -> AuditEvent:
    return AuditEvent(
        sequence=row["seq"],
        at=row["at"],
        actor=row["actor"],
        action=row["action"],
        subject=row["subject"],
        details=row["details"],
        hash=row["hash"],
    )
