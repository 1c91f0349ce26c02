"""What one user may change of another, or of themselves: nobody gives or takes over more than they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reporting_pipeline.domain.access import Action, ResourceKind, Role, User, reach_of
from reporting_pipeline.domain.entitlements import Audience, Entitlements, problem_of

_RANKS = {
    Role.SUBSCRIBER.value: 0,
    Role.ANALYST.value: 1,
    Role.MANAGER.value: 2,
    Role.SERVICE.value: 3,
    Role.ADMIN.value: 4,
}
_OWN_FIELDS = "name, timezone, language and whether reports go in one mail"


def refused_change(caller: User, before: User | None, after: User) -> tuple[str, str] | None:
    """(field, reason) when `caller` may not make `before` (None: a new user) into `after`; else None.

    Neither the person as they stand nor as they would be may have a higher role or wider entitlements
    than the caller: whoever sets somebody's address or state reads what that person reads.
    """
    problem = problem_of(after.entitlements)
    if problem is not None and (before is None or before.entitlements != after.entitlements):
        return problem
    if before is not None and before.id == caller.id:
        return _refused_own(caller, before, after)
    if reach_of(caller, Action.CHANGE, ResourceKind.USER) != "organisation":
        return _refused_own(caller, before, after)
    if before is not None and _unchanged(before, after):
        return None
    for each in (before, after):
        if each is not None and rank(each) > rank(caller):
            return "roles", f"a user who is {_highest(each)} is changed by somebody with that role only"
    if before is not None and not caller.entitlements.includes(before.entitlements):
        return "trials", "this person sees more than is open to you; somebody who sees it too may change them"
    if not caller.entitlements.includes(after.entitlements):
        return _too_wide(caller.entitlements, after.entitlements)
    return None


def refused_erasure(caller: User, person: User) -> str | None:
    """Why `caller` may not erase `person`; None when they may. One's own data everybody may have erased."""
    if caller.id == person.id:
        return None
    if rank(person) > rank(caller):
        return f"a user who is {_highest(person)} is erased by somebody with that role only"
    if not caller.entitlements.includes(person.entitlements):
        return "this person sees more than is open to you; somebody who sees it too may erase them"
    return None


def opened_to_new(caller: Entitlements, trials: Sequence[str]) -> Entitlements | None:
    """What somebody sees whom a caller registers by an address alone; None: nothing can be opened.

    The trials that are named and open to the caller, and without any all of theirs. Who gets which
    treatment is opened to nobody by the way, and a participant's own record is nobody else's.
    """
    if caller.own_record_only:
        return None
    given = caller.limited_to(trials)
    blinded = Audience.MONITOR if caller.audience is Audience.SAFETY_BOARD else caller.audience
    return replace(given, audience=blinded)


def rank(user: User) -> int:
    """How far a user's highest role reaches; -1 without any."""
    return max((_RANKS.get(role, -1) for role in user.roles), default=-1)


def _refused_own(caller: User, before: User | None, after: User) -> tuple[str, str] | None:
    """Of themselves people change harmless fields; an admin also gives roles up, never takes any."""
    if before is None:
        return "roles", "only a manager adds users"
    if Role.ADMIN.value in caller.roles and before.id == caller.id:
        # An outside worker's is no part of an admin's.
        given_up = after.roles <= {*before.roles, Role.SUBSCRIBER, Role.ANALYST, Role.MANAGER}
        before = replace(before, roles=after.roles if given_up else before.roles)
    changed = {
        "email": after.email not in (before.email, before.email_asked)
        and reach_of(caller, Action.CHANGE, ResourceKind.USER) != "organisation",
        "roles": before.roles != after.roles,
        "trials": before.entitlements != after.entitlements,
        "active": before.active != after.active,
    }
    for field, differs in changed.items():
        if differs:
            return field, f"of yourself you may change {_OWN_FIELDS}; ask a manager for this"
    return None


def _unchanged(before: User, after: User) -> bool:
    names = ("name", "timezone", "language", "combine_minutes", "email_asked", "email_asked_until")
    return replace(after, **{name: getattr(before, name) for name in names}) == before


def _highest(user: User) -> str:
    return max(user.roles, key=lambda role: _RANKS.get(role, -1))


def _too_wide(own: Entitlements, given: Entitlements) -> tuple[str, str]:
    same_audience = replace(given, audience=own.audience)
    if own.includes(same_audience) and not own.own_record_only:
        return "audience", "you may only give an audience that sees no more than yours"
    return "trials", "you may only give trials and sites that are open to you"
