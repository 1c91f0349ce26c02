"""What one user may change of another, or of themselves: nobody gives away more than they have."""

from __future__ import annotations

from dataclasses import replace

from reporting_pipeline.domain.access import Action, Kind, Role, User, outside_trials, reach_of

_HIGH = frozenset({Role.ADMIN.value, Role.SERVICE.value})
_OWN_FIELDS = ("name", "timezone")


def refused_change(caller: User, before: User | None, after: User) -> tuple[str, str] | None:
    """(field, reason) when `caller` may not make `before` (None: a new user) into `after`; else None."""
    if reach_of(caller, Action.CHANGE, Kind.USER) != "organisation":
        return _refused_own(before, after)
    if Role.ADMIN.value not in caller.roles:
        given = _HIGH & (after.roles | (before.roles if before else frozenset()))
        if given and (before is None or replace(after, name=before.name, timezone=before.timezone) != before):
            return "roles", f"only an admin changes users who are {' or '.join(sorted(given))}"
    trials_change = before is None or set(before.trials) != set(after.trials)
    if caller.trials and trials_change and (not after.trials or outside_trials(caller, after.trials)):
        return "trials", "you may only give trials that are open to you"
    return None


def _refused_own(before: User | None, after: User) -> tuple[str, str] | None:
    if before is None:
        return "roles", "only a manager adds users"
    for field in ("email", "roles", "trials", "active"):
        if _plain(getattr(before, field)) != _plain(getattr(after, field)):
            return field, f"of yourself you may change {' and '.join(_OWN_FIELDS)}; ask a manager for this"
    return None


def _plain(value: object) -> object:
    return frozenset(value) if isinstance(value, tuple) else value
