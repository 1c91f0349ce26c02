"""The audit log, and users."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from reporting_pipeline.api.deps import Caller, Context, Deployment, may, require
from reporting_pipeline.api.errors import FieldError, Problem, invalid, not_found
from reporting_pipeline.api.models.base import READ, WRITE, Identifier
from reporting_pipeline.api.models.operations import (
    AuditEvent,
    AuditPage,
    UserAnswer,
    UserRequest,
)
from reporting_pipeline.api.pagination import Cursor, Limit
from reporting_pipeline.domain.access import Action, Kind, Resource, User, normal_address
from reporting_pipeline.domain.entitlements import ALL, Entitlements
from reporting_pipeline.domain.schedules import checked_timezone
from reporting_pipeline.domain.user_changes import refused_change
from reporting_pipeline.stores import audit, users
from reporting_pipeline.stores.mongo import Record

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
#: Words that stand in records where nobody did it.
_NOBODY = frozenset({"anonymous", "schedule", "system", "command-line"})


# --- audit -------------------------------------------------------------------------------------


@router.get("/audit", responses=READ, dependencies=[may(Action.READ, Kind.AUDIT)])
def list_audit(
    caller: Caller,
    deployment: Deployment,
    actor: Annotated[Identifier | None, Query()] = None,
    action: audit.Action | None = None,
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
    page = [_event(one) for one in found[:limit]]
    return AuditPage(
        items=page,
        next_cursor=deployment.cursors.write(scope, [page[-1].sequence]) if len(found) > limit else None,
    )


# --- users -------------------------------------------------------------------------------------


@router.get("/users/{user_id}", responses=READ, dependencies=[may(Action.READ, Kind.USER)])
def get_user(user_id: UserId, caller: Caller, deployment: Deployment) -> UserAnswer:
    """One user: oneself, or of the organisation for managers."""
    return _user(find_user(deployment, caller, user_id, Action.READ))


@router.put(
    "/users/{user_id}",
    responses={201: {"model": UserAnswer, "description": "Added."}, **WRITE},
    dependencies=[may(Action.CHANGE, Kind.USER)],
)
def replace_user(
    user_id: UserId, body: UserRequest, caller: Caller, deployment: Deployment, response: Response
) -> UserAnswer:
    """Add a user or replace one whole. Nobody gives away roles or trials they do not have."""
    if user_id in _NOBODY:
        raise Problem("validation", f"user_id: {user_id!r} is no id of a person; choose another.")
    before = users.get_user(deployment.database, user_id)
    resource = Resource(Kind.USER, before.organisation if before else caller.organisation, owner=user_id)
    require(caller, Action.CHANGE if before else Action.CREATE, resource, "user")
    after = _wanted(caller, user_id, body)
    refusal = refused_change(caller, before, after)
    if refusal is not None:
        field, reason = refusal
        raise Problem("forbidden", f"{field}: {reason}", [FieldError(f"#/{field}", reason)])
    _check_trials(deployment, caller, body)
    try:
        stored = _store_user(deployment, before, after)
    except users.AddressTaken as error:
        raise Problem("conflict", f"{str(error).capitalize()}.") from None
    except users.UserMissing:
        raise not_found("user") from None
    response.status_code = 200 if before else 201
    audit.record(
        deployment.database,
        "user.changed" if before else "user.created",
        caller.id,
        user_id,
        deployment.now,
        organisation=caller.organisation,
        details=_changes(deployment, before, stored),
    )
    return _user(stored)


def find_user(deployment: Context, caller: User, user_id: str, action: Action) -> User:
    found = users.get_user(deployment.database, user_id, caller.organisation)
    resource = Resource(Kind.USER, caller.organisation, owner=user_id)
    require(caller, action, resource, "user")
    if found is None:
        raise not_found("user")
    return found


def _wanted(caller: User, user_id: str, body: UserRequest) -> User:
    try:
        email = normal_address(body.email)
    except ValueError as error:
        raise invalid("#/email", str(error)) from None
    try:
        timezone = checked_timezone(body.timezone)
    except ValueError as error:
        raise invalid("#/timezone", str(error)) from None
    return User(
        id=user_id,
        organisation=caller.organisation,
        roles=frozenset(body.roles),
        entitlements=Entitlements(
            ALL if body.trials == ALL else tuple(sorted(set(body.trials))),
            {trial: tuple(sorted(set(sites))) for trial, sites in body.sites.items()},
            body.subject,
            body.audience,
        ),
        active=body.active,
        email=email,
        name=body.name,
        timezone=timezone,
    )


def _check_trials(deployment: Context, caller: User, body: UserRequest) -> None:
    known = {
        trial["_id"]: {site["id"] for site in trial.get("sites") or ()}
        for trial in users.trials_of(deployment.database, caller.organisation)
    }
    named = () if body.trials == ALL else body.trials
    found = [
        FieldError(f"#/trials/{position}", "there is no such trial")
        for position, trial in enumerate(named)
        if trial not in known
    ]
    found += [
        FieldError(f"#/sites/{trial}/{position}", "the trial has no such site")
        for trial, sites in body.sites.items()
        for position, site in enumerate(sites)
        if site not in known.get(trial, ())
    ]
    if found:
        raise Problem("validation", f"{found[0].pointer}: {found[0].detail}", found)


def _store_user(deployment: Context, before: User | None, after: User) -> User:
    if before is None:
        made = users.create_user(
            deployment.database,
            after.organisation,
            after.email,
            deployment.now,
            name=after.name,
            roles=sorted(after.roles),
            entitlements=after.entitlements,
            timezone=after.timezone,
            user_id=after.id,
        )
        if after.active:
            return made
    changes = {
        "name": after.name,
        "email": after.email,
        "roles": sorted(after.roles),
        "entitlements": after.entitlements,
        "timezone": after.timezone,
        "active": after.active,
    }
    return users.change_user(deployment.database, after.organisation, after.id, changes, deployment.now)


def _changed_fields(before: User | None, after: User) -> list[str]:
    standing = before or replace(after, roles=frozenset(), entitlements=Entitlements(), email="", name="")
    names = ("name", "email", "roles", "entitlements", "timezone", "active")
    return [name for name in names if getattr(standing, name) != getattr(after, name)]


def _changes(deployment: Context, before: User | None, after: User) -> dict[str, Any]:
    """What changed, with the old and the new values of rights. Addresses are marks, names are not kept."""

    def rights(user: User) -> dict[str, Any]:
        address = audit.address_mark(deployment.database, user.organisation, user.email)
        own = user.entitlements.as_record()
        return {"roles": sorted(user.roles), **own, "active": user.active, "address": address}

    details: dict[str, Any] = {"fields": _changed_fields(before, after), "after": rights(after)}
    if before is not None:
        details["before"] = rights(before)
    return details


def _user(user: User) -> UserAnswer:
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
        active=user.active,
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
