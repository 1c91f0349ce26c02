"""Trials and organisations registered, changed and closed: what API, console and command line do alike.

Every deed is audited. Rights are asked by whoever calls: the routes by role, the command line by standing
on the deployment itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from reporting_pipeline.stores import audit, lifecycle, organisations, users
from reporting_pipeline.stores import trials as store
from reporting_pipeline.stores.mongo import Database, Record


def register_trial(
    database: Database, organisation: str, actor: str, fields: Mapping[str, Any], now: datetime
) -> Record:
    """Register a trial. Raises TrialExists, or TrialInvalid that names the field."""
    _refuse_doubles(fields)
    kept = store.add_trial(database, {**fields, "organisation": organisation})
    _note(database, audit.AuditAction.TRIAL_CREATED, actor, kept["_id"], organisation, {}, now)
    return kept


def change_trial(
    database: Database, before: Record, actor: str, changes: Mapping[str, Any], now: datetime
) -> Record:
    """The trial with other fields. Raises TrialInvalid that names the field."""
    _refuse_doubles(changes)
    changed = sorted(name for name, value in changes.items() if before.get(name) != value)
    kept = store.change_trial(database, before, changes)
    if changed:
        details = {"fields": changed}
        _note(
            database,
            audit.AuditAction.TRIAL_CHANGED,
            actor,
            before["_id"],
            before["organisation"],
            details,
            now,
        )
    return kept


def put_site(
    database: Database, before: Record, actor: str, site: Mapping[str, str], now: datetime
) -> Record:
    """The trial with a site, new or named anew. Raises TrialInvalid that names the field."""
    kept = store.put_site(database, before, site)
    _note(
        database,
        audit.AuditAction.TRIAL_CHANGED,
        actor,
        before["_id"],
        before["organisation"],
        {"fields": ["sites"]},
        now,
    )
    return kept


def _refuse_doubles(fields: Mapping[str, Any]) -> None:
    """Raises TrialInvalid where a site is named twice: which of the two names would hold?"""
    known: set[str] = set()
    for site in fields.get("sites") or ():
        if site["id"] in known:
            raise store.TrialInvalid(f"sites: site {site['id'][:60]!r} stands twice; name each site once")
        known.add(site["id"])


def close_trial(database: Database, before: Record, actor: str, now: datetime) -> Record:
    """No document is taken in any more, and who asked for this trial alone gets nothing more.

    What was reported stays. The subscriptions first and each time, so that a closing that was cut off is
    finished by the next.
    """
    lifecycle.end_for_trial(database, before["organisation"], before["_id"], now)
    if store.is_closed(before):
        return before
    kept = store.close_trial(database, before, now)
    _note(database, audit.AuditAction.TRIAL_CLOSED, actor, before["_id"], before["organisation"], {}, now)
    return kept


def reopen_trial(database: Database, before: Record, actor: str, now: datetime) -> Record:
    """Documents are taken in again."""
    if not store.is_closed(before):
        return before
    kept = store.reopen_trial(database, before)
    _note(database, audit.AuditAction.TRIAL_REOPENED, actor, before["_id"], before["organisation"], {}, now)
    return kept


def save_organisation(
    database: Database,
    organisation: str,
    actor: str,
    fields: Mapping[str, Any],
    now: datetime,
    *,
    home: str,
    new: bool,
) -> Record:
    """Register or change an organisation; noted in the log of the `home` organisation, whose admins do it.

    Raises OrganisationExists, OrganisationMissing, or OrganisationInvalid that names the field.
    """
    write = organisations.add if new else organisations.change
    kept = write(database, organisation, fields)
    action = audit.AuditAction.ORGANISATION_CREATED if new else audit.AuditAction.ORGANISATION_CHANGED
    _note(database, action, actor, organisation, home, {"fields": sorted(fields)}, now)
    return kept


def close_organisation(
    database: Database, organisation: str, actor: str, now: datetime, *, home: str
) -> Record:
    """Nothing is made for it any more and nobody of it can sign in; what was sent stays.

    May be repeated: a closing that was cut off is finished by the next. Raises OrganisationMissing, and
    ValueError for the organisation that runs the deployment.
    """
    if organisation == home:
        raise ValueError("the organisation that runs this deployment cannot be closed")
    before = organisations.get(database, organisation)
    closed = organisations.close(database, organisation, now)
    people = users.deactivate_all(database, organisation, now)
    ended = lifecycle.end_for_organisation(database, organisation, now)
    if before is None or before.get("closed_at") is None:
        details = {"subscriptions": ended, "users": people}
        _note(database, audit.AuditAction.ORGANISATION_CLOSED, actor, organisation, home, details, now)
    return closed


def _note(
    database: Database,
    action: audit.AuditAction,
    actor: str,
    subject: str,
    organisation: str,
    details: Mapping[str, Any],
    now: datetime,
) -> None:
    audit.record(
        database, action, actor, audit.named(subject), now, organisation=organisation, details=details
    )
