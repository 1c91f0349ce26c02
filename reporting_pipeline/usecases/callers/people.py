"""People as somebody who asks may read, add and change them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from reporting_pipeline.domain.access import Action, Resource, ResourceKind, User, normal_address, reach_of
from reporting_pipeline.domain.entitlements import ALL, Entitlements
from reporting_pipeline.domain.own_records import WITHHELD_SUBJECT, person_shown
from reporting_pipeline.domain.schedules import checked_timezone
from reporting_pipeline.domain.user_changes import refused_change
from reporting_pipeline.reports.types import LANGUAGES
from reporting_pipeline.stores import audit, organisations, users
from reporting_pipeline.usecases.callers.context import Context, require
from reporting_pipeline.usecases.callers.problems import FieldError, Problem, invalid, not_found
from reporting_pipeline.usecases.callers.shapes.people import UserRequest
from reporting_pipeline.usecases.changed_addresses import NotAsked, ask_for_address, withdraw
from reporting_pipeline.usecases.timezones import move_schedules

#: Words that stand in records where nobody did it.
_NOBODY = frozenset({"anonymous", "schedule", "system", "command-line"})


def replace_person(
    deployment: Context, caller: User, user_id: str, body: UserRequest
) -> tuple[bool, User, int | None]:
    """Add a person or replace one whole: (is new, as stored, how many schedules moved with a timezone).

    Nobody gives away roles or trials they do not have. Another address is asked for, not set
    (`usecases.changed_addresses`).
    """
    if user_id in _NOBODY:
        raise Problem("validation", f"user_id: {user_id!r} is no id of a person; choose another.")
    before = _wish_that_stands(users.get_user(deployment.database, user_id), deployment.now)
    if before is None and reach_of(caller, Action.CREATE, ResourceKind.USER) is None:
        raise not_found("user")  # as of somebody there is: who adds nobody learns of nobody
    resource = Resource(
        ResourceKind.USER, before.organisation if before else caller.organisation, owner=user_id
    )
    require(caller, Action.CHANGE if before else Action.CREATE, resource, "user")
    after = _wanted(deployment, caller, before, user_id, body)
    refusal = refused_change(caller, before, after)
    if refusal is not None:
        field, reason = refusal
        raise Problem("forbidden", f"{field}: {reason}", [FieldError(f"#/{field}", reason)])
    _check_trials(deployment, caller, body)
    _check_address(before, after)
    try:
        _ask_for_address(deployment, caller, before, after)
        stored, moved = _store_user(deployment, before, after), None
        if before is not None and before.timezone != after.timezone:
            stored, moved = _move(deployment, caller, stored, after.timezone)
    except users.AddressTaken as error:
        raise Problem("conflict", f"{str(error).capitalize()}.") from None
    except users.UserMissing:
        raise not_found("user") from None
    except NotAsked as error:
        raise Problem("conflict", f"The address stays as it is: {error}.") from None
    audit.record(
        deployment.database,
        "user.changed" if before else "user.created",
        caller.id,
        user_id,
        deployment.now,
        organisation=caller.organisation,
        details=rights_changed(deployment, before, stored),
    )
    return before is None, stored, moved


def _wish_that_stands(user: User | None, now: datetime) -> User | None:
    """The user without an asked address that nobody can confirm any more: it may be asked for again."""
    if user is None or user.email_asked_until is None or user.email_asked_until > now:
        return user
    return replace(user, email_asked="")


def _check_address(before: User | None, after: User) -> None:
    if before is None or after.active:
        return
    if after.email not in (before.email, before.email_asked):
        raise invalid("#/email", "of somebody deactivated it stays as it is; nobody could confirm another")


def _ask_for_address(deployment: Context, caller: User, before: User | None, after: User) -> None:
    """See to it that the address that is wanted is asked for, and no other."""
    if before is None or after.email == before.email_asked:
        return
    if after.email == before.email:
        if before.email_asked_until is not None:
            withdraw(deployment.database, before, caller.id, deployment.now)
        return
    deployment.limits.address(caller.id)
    ask_for_address(deployment.database, deployment.settings, before, after.email, caller.id, deployment.now)


def _move(deployment: Context, caller: User, user: User, timezone: str) -> tuple[User, int]:
    """Somebody's schedules, then themselves, so that a move that was cut off is finished by the next."""
    moved = move_schedules(
        deployment.database,
        deployment.settings,
        user.organisation,
        user.id,
        (user.timezone, timezone),
        caller.id,
        deployment.now,
    )
    changes = {"timezone": timezone}
    there = users.change_user(deployment.database, user.organisation, user.id, changes, deployment.now)
    return there, len(moved)


def list_people(deployment: Context, caller: User, after: str | None, limit: int) -> list[User]:
    """People of the caller's organisation behind the id `after`, by id; oneself for who reads no others."""
    reach = reach_of(caller, Action.READ, ResourceKind.USER)
    if reach is None:
        raise Problem("forbidden", "None of your roles may read a user.")
    if reach == "own":
        return [caller] if after is None else []
    return users.list_users(deployment.database, caller.organisation, after=after, limit=limit)


def find_user(deployment: Context, caller: User, user_id: str, action: Action) -> User:
    found = users.get_user(deployment.database, user_id, caller.organisation)
    resource = Resource(ResourceKind.USER, caller.organisation, owner=user_id)
    require(caller, action, resource, "user")
    if found is None:
        raise not_found("user")
    return found


def _wanted(deployment: Context, caller: User, before: User | None, user_id: str, body: UserRequest) -> User:
    try:
        email = normal_address(body.email)
    except ValueError as error:
        raise invalid("#/email", str(error)) from None
    try:
        timezone = checked_timezone(body.timezone or _timezone_of(deployment, caller, before))
    except ValueError as error:
        raise invalid("#/timezone", str(error)) from None
    return User(
        id=user_id,
        organisation=caller.organisation,
        roles=frozenset(body.roles),
        entitlements=Entitlements(
            ALL if body.trials == ALL else tuple(sorted(set(body.trials))),
            {trial: tuple(sorted(set(sites))) for trial, sites in body.sites.items()},
            _subject(caller, body, before),
            body.audience,
        ),
        active=body.active,
        email=email,
        name=body.name,
        timezone=timezone,
        language=_language(body, before),
        combine_minutes=_combine_minutes(body, before),
    )


def _subject(caller: User, body: UserRequest, before: User | None) -> str:
    """As asked for; where it is withheld from the caller, as it is: no guess is told whether it is right."""
    withheld = before is not None and person_shown(caller, before) != before
    if body.subject != WITHHELD_SUBJECT:
        if withheld:
            reason = f"is not told to you; send {WITHHELD_SUBJECT} to leave it as it is"
            raise Problem("forbidden", f"subject: {reason}", [FieldError("#/subject", reason)])
        return body.subject
    if before is None:
        raise invalid("#/subject", "is not told here; write the subject id")
    return before.entitlements.subject


def _language(body: UserRequest, before: User | None) -> str:
    """As asked for; left out, as it is."""
    if body.language is None:
        return before.language if before else ""
    if body.language and body.language not in LANGUAGES:
        raise invalid("#/language", f"reports are not in it; they are in {', '.join(LANGUAGES)}")
    return body.language


def _combine_minutes(body: UserRequest, before: User | None) -> int:
    """As asked for; left out, as it is."""
    if body.combine_minutes is None:
        return before.combine_minutes if before else 0
    return body.combine_minutes


def _timezone_of(deployment: Context, caller: User, before: User | None) -> str:
    if before is not None:
        return before.timezone
    return organisations.timezone_of(organisations.get(deployment.database, caller.organisation))


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
            language=after.language,
            combine_minutes=after.combine_minutes,
            user_id=after.id,
        )
        if after.active:
            return made
    changes = {
        "name": after.name,
        "roles": sorted(after.roles),
        "entitlements": after.entitlements,
        "active": after.active,
        "language": after.language,
        "combine_minutes": after.combine_minutes,
    }  # the timezone last, with what goes by it: `_move`
    return users.change_user(deployment.database, after.organisation, after.id, changes, deployment.now)


def _changed_fields(before: User | None, after: User) -> list[str]:
    standing = before or replace(after, roles=frozenset(), entitlements=Entitlements(), email="", name="")
    names = ("name", "email", "roles", "entitlements", "timezone", "language", "combine_minutes", "active")
    return [name for name in names if getattr(standing, name) != getattr(after, name)]


def rights_changed(deployment: Context, before: User | None, after: User) -> dict[str, Any]:
    """What changed, with the old and the new values of rights. Addresses are marks, names are not kept."""

    def rights(user: User) -> dict[str, Any]:
        address = audit.address_mark(deployment.database, user.organisation, user.email)
        own = user.entitlements.as_record()
        return {"roles": sorted(user.roles), **own, "active": user.active, "address": address}

    details: dict[str, Any] = {"fields": _changed_fields(before, after), "after": rights(after)}
    if before is not None:
        details["before"] = rights(before)
    return details
