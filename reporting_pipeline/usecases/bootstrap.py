"""The first organisation and its first admin: what an empty deployment needs before its API can make more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from reporting_pipeline.domain.access import Role, normal_address
from reporting_pipeline.domain.entitlements import ALL, Entitlements
from reporting_pipeline.stores import organisations
from reporting_pipeline.stores.audit import AuditAction, record
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.users import (
    change_user,
    create_user,
    has_admin,
    save_organisation,
    user_by_address,
)


@dataclass(frozen=True)
class Bootstrapped:
    organisation: str
    admin: str  # user id
    made: bool  # False: both were there already
    sees_trials: bool  # False: can show none to anybody either, until `bootstrap` is told to open them


def bootstrap(
    database: Database,
    organisation: str,
    name: str,
    email: str,
    now: datetime,
    *,
    domains: Sequence[str] = (),
    sees_all_trials: bool = False,
    timezone: str = "UTC",
) -> Bootstrapped:
    """Make `organisation` and its first admin with address `email`; the same call again changes nothing.

    Who sees no trial can open none to others, and nobody opens them to themselves. So an admin who was made
    without may be given all trials by a later call.
    Raises ValueError where the organisation has another admin, who is the one to make more, or where the
    address belongs to somebody without that role.
    """
    address = normal_address(email)
    standing = user_by_address(database, organisation, address)
    if standing is not None:
        if Role.ADMIN not in standing.roles or not standing.active:
            raise ValueError(
                f"{address} is a user of {organisation}, and no active admin; an admin of it changes roles"
            )
        if sees_all_trials and not standing.entitlements.trials:
            opened = {"entitlements": replace(standing.entitlements, trials=ALL)}
            change_user(database, organisation, standing.id, opened, now)
            record(
                *(database, AuditAction.USER_CHANGED, "system", standing.id, now),
                organisation=organisation,
                details={"fields": ["trials"]},
            )
            return Bootstrapped(organisation, standing.id, made=False, sees_trials=True)
        return Bootstrapped(
            organisation, standing.id, made=False, sees_trials=bool(standing.entitlements.trials)
        )
    if has_admin(database, organisation):
        raise ValueError(
            f"{organisation} has an admin already, who makes further users (PUT /api/users/{{user_id}})"
        )
    if organisations.get(database, organisation) is None:
        save_organisation(database, organisation, name, domains)
        record(
            database, AuditAction.ORGANISATION_CREATED, "system", organisation, now, organisation=organisation
        )
    admin = create_user(
        database,
        organisation,
        address,
        now,
        roles=[Role.ADMIN.value],
        entitlements=Entitlements(ALL) if sees_all_trials else None,
        timezone=timezone,
    )
    record(database, AuditAction.USER_CREATED, "system", admin.id, now, organisation=organisation)
    return Bootstrapped(organisation, admin.id, made=True, sees_trials=sees_all_trials)
