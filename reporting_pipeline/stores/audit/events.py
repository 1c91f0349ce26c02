"""What is noted and what may be kept of it: ids and plain values, no names and no addresses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any
from uuid import uuid4

from pymongo.errors import DuplicateKeyError

from reporting_pipeline.stores.mongo import Database, Record

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:\-]{0,199}", re.ASCII)

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)


class AuditAction(StrEnum):
    SUBSCRIPTION_CREATED = "subscription.created"
    SUBSCRIPTION_CHANGED = "subscription.changed"
    SUBSCRIPTION_PAUSED = "subscription.paused"
    SUBSCRIPTION_RESUMED = "subscription.resumed"
    SUBSCRIPTION_CONFIRMED = "subscription.confirmed"
    PREVIEW_SENT = "preview.sent"
    SUBSCRIPTION_DELETED = "subscription.deleted"
    SUBSCRIPTION_RUN = "subscription.run"
    RECIPIENT_ADDED = "recipient.added"
    RECIPIENT_REMOVED = "recipient.removed"
    EDITION_OPENED = "edition.opened"
    EDITION_CHANGED = "edition.changed"
    EDITION_SENT = "edition.sent"
    REPORT_RENDERED = "report.rendered"
    REPORT_FAILED = "report.failed"
    REPORT_DOWNLOADED = "report.downloaded"
    DELIVERY_ADDED = "delivery.added"
    DELIVERY_REPEATED = "delivery.repeated"
    REPORT_HELD = "report.held"
    REPORT_RELEASED = "report.released"
    RELEASE_GIVEN = "release.given"  # of a report that awaited it, before it is sent
    RELEASE_REFUSED = "release.refused"
    DELIVERY_CHANGED = "delivery.changed"
    DOCUMENT_CREATED = "document.created"
    DOCUMENT_CORRECTED = "document.corrected"
    DOCUMENT_WITHDRAWN = "document.withdrawn"
    DOCUMENTS_IMPORTED = "documents.imported"
    TRIAL_CREATED = "trial.created"
    TRIAL_CHANGED = "trial.changed"
    TRIAL_CLOSED = "trial.closed"
    TRIAL_REOPENED = "trial.reopened"
    ORGANISATION_CREATED = "organisation.created"
    ORGANISATION_CHANGED = "organisation.changed"
    JOB_CANCELLED = "job.cancelled"
    LOGO_CHANGED = "organisation.logo_changed"
    ORGANISATION_CLOSED = "organisation.closed"
    USER_CREATED = "user.created"
    USER_CHANGED = "user.changed"
    USER_EXPORTED = "user.exported"
    USER_ERASED = "user.erased"
    REQUEUED = "requeued"
    DOCUMENT_DOWNLOADED = "document.downloaded"
    ACCESS_REFUSED = "access.refused"
    SIGNED_IN = "signed.in"
    SIGNED_OUT = "signed.out"
    ADDRESS_ASKED = "address.asked"
    ADDRESS_CONFIRMED = "address.confirmed"
    SUPPRESSION_LIFTED = "suppression.lifted"
    CHANNEL_RESUMED = "channel.resumed"
    AUDIT_EXPORTED = "audit.exported"
    AUDIT_VERIFIED = "audit.verified"
    RETENTION_DELETED = "retention.deleted"
    RECORDS_MENDED = "records.mended"
    BACKUP_TAKEN = "backup.taken"
    BACKUP_RESTORED = "backup.restored"
    BACKUPS_PRUNED = "backups.pruned"
    #: Deliveries after a restore: sent, or taken as sent. The word is that of the rows that stand.
    AFTER_RESTORE_DECIDED = "held.decided"
    DATABASE_MIGRATED = "database.migrated"
    BUCKET_RULES_WRITTEN = "bucket_rules.written"


@dataclass(frozen=True)
class Event:
    """What is to be noted. Ids only: no name and no address."""

    action: AuditAction | str
    actor: str  # a user id, "schedule", "system", or an address mark
    subject: str  # the id of what it happened to
    organisation: str
    details: Mapping[str, Any] | None = None  # JSON values


def named(identifier: str) -> str:
    """An id as the log takes it; one that it does not take (a trial's may hold blanks) by its hash."""
    return identifier if _ID.fullmatch(identifier) else f"sha256:{sha256(identifier.encode()).hexdigest()}"


def address_mark(database: Database, organisation: str, address: str) -> str:
    """A random mark that stands for an address in the log: the same each time, until it is erased."""
    found = database.address_marks.find_one({"organisation": organisation, "address": address})
    if found is None:
        fresh = {"_id": f"adr_{uuid4().hex[:24]}", "organisation": organisation, "address": address}
        try:
            database.address_marks.insert_one(fresh)
        except DuplicateKeyError:
            return address_mark(database, organisation, address)
        found = fresh
    return str(found["_id"])


def checked(event: Event, at: datetime) -> Record:
    for name, value in (
        ("actor", event.actor),
        ("subject", event.subject),
        ("organisation", event.organisation),
    ):
        if not _ID.fullmatch(value):
            raise ValueError(f"the audit's {name} must be an id, not a name or an address")
    details = dict(event.details or {})
    try:
        plain = json.loads(json.dumps(details, allow_nan=False))
    except (TypeError, ValueError):
        raise ValueError("audit details must be plain JSON values") from None
    for key, value in _leaves(plain):
        if not _KEY.fullmatch(key):
            raise ValueError("audit details have a key that is no plain word")
        if isinstance(value, str) and "@" in value:
            raise ValueError(f"audit details must not hold an address ({key}); use address_mark")
    return {
        "at": at,
        "organisation": event.organisation,
        "actor": event.actor,
        "action": str(AuditAction(event.action)),
        "subject": event.subject,
        "details": plain,
    }


def _leaves(value: Any, key: str = "details") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name, None
            yield from _leaves(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, key)
    else:
        yield key, value


def milliseconds(instant: datetime) -> datetime:
    """As MongoDB will give it back, so that the hash can be computed again."""
    return instant.astimezone(UTC).replace(microsecond=instant.microsecond // 1000 * 1000)
