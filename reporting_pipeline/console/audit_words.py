"""Events of the audit log in words: what happened, and what is noted of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from reporting_pipeline.stores.audit import AuditAction

EVENTS: Mapping[str, str] = {
    AuditAction.SUBSCRIPTION_CREATED: "Subscription made",
    AuditAction.SUBSCRIPTION_CHANGED: "Subscription changed",
    AuditAction.SUBSCRIPTION_PAUSED: "Subscription paused",
    AuditAction.SUBSCRIPTION_RESUMED: "Subscription resumed",
    AuditAction.SUBSCRIPTION_CONFIRMED: "Subscription confirmed as still needed",
    AuditAction.SUBSCRIPTION_DELETED: "Subscription ended",
    AuditAction.SUBSCRIPTION_RUN: "Report asked for now",
    AuditAction.PREVIEW_SENT: "Preview mailed to who asked",
    AuditAction.RECIPIENT_ADDED: "Recipient added",
    AuditAction.RECIPIENT_REMOVED: "Recipient removed",
    AuditAction.EDITION_OPENED: "Edition opened",
    AuditAction.EDITION_CHANGED: "Edition changed",
    AuditAction.EDITION_SENT: "Sending of an edition started",
    AuditAction.REPORT_RENDERED: "Report made",
    AuditAction.REPORT_FAILED: "Report failed",
    AuditAction.REPORT_DOWNLOADED: "Report downloaded or read",
    AuditAction.REPORT_HELD: "Report kept beyond its time",
    AuditAction.REPORT_RELEASED: "Report no longer kept beyond its time",
    AuditAction.RELEASE_GIVEN: "Waiting report released",
    AuditAction.RELEASE_REFUSED: "Waiting report refused",
    AuditAction.DELIVERY_ADDED: "Report sent to one more",
    AuditAction.DELIVERY_REPEATED: "Report sent to one again",
    AuditAction.DELIVERY_CHANGED: "Outcome of a delivery changed",
    AuditAction.DOCUMENT_CREATED: "Document handed in",
    AuditAction.DOCUMENT_CORRECTED: "Document corrected",
    AuditAction.DOCUMENT_WITHDRAWN: "Document withdrawn",
    AuditAction.DOCUMENTS_IMPORTED: "Documents imported",
    AuditAction.DOCUMENT_DOWNLOADED: "File of a document downloaded",
    AuditAction.TRIAL_CREATED: "Trial registered",
    AuditAction.TRIAL_CHANGED: "Trial changed",
    AuditAction.TRIAL_CLOSED: "Trial closed",
    AuditAction.TRIAL_REOPENED: "Trial opened again",
    AuditAction.ORGANISATION_CREATED: "Organisation registered",
    AuditAction.ORGANISATION_CHANGED: "Organisation changed",
    AuditAction.ORGANISATION_CLOSED: "Organisation closed",
    AuditAction.LOGO_CHANGED: "Logo of an organisation changed",
    AuditAction.JOB_CANCELLED: "Report stopped before it was sent",
    AuditAction.USER_CREATED: "Person added",
    AuditAction.USER_CHANGED: "Person changed",
    AuditAction.USER_EXPORTED: "A person's data exported",
    AuditAction.USER_ERASED: "Person erased",
    AuditAction.REQUEUED: "Tried again what had failed",
    AuditAction.ACCESS_REFUSED: "Access refused",
    AuditAction.SIGNED_IN: "Signed in",
    AuditAction.SIGNED_OUT: "Signed out",
    AuditAction.ADDRESS_ASKED: "New address asked to be confirmed",
    AuditAction.ADDRESS_CONFIRMED: "New address confirmed",
    AuditAction.SUPPRESSION_LIFTED: "Held back address may be mailed again",
    AuditAction.CHANNEL_RESUMED: "Halted channel may send again",
    AuditAction.AUDIT_EXPORTED: "Audit log exported",
    AuditAction.AUDIT_VERIFIED: "Audit log verified",
    AuditAction.RETENTION_DELETED: "Deleted after its time",
    AuditAction.RECORDS_MENDED: "Records mended",
    AuditAction.BACKUP_TAKEN: "Backup taken",
    AuditAction.BACKUP_RESTORED: "Backup restored",
    AuditAction.BACKUPS_PRUNED: "Old backups deleted",
    AuditAction.AFTER_RESTORE_DECIDED: "Decided what was sent before a restore",
    AuditAction.DATABASE_MIGRATED: "Database migrated",
    AuditAction.BUCKET_RULES_WRITTEN: "Rules of the bucket written",
}
#: Where each kind of thing has a page; by what its id begins with.
_PAGES = {"sub_": "/console/reports/", "job_": "/console/jobs/", "usr_": "/console/people/"}


def event_words(action: str) -> str:
    """What happened; the code itself where it is newer than these words."""
    return EVENTS.get(action, action)


def page_of(subject: str, details: Mapping[str, Any] | None = None) -> str | None:
    """Where a person reads about what an event is about. `details`: what is noted of the event."""
    told = details or {}
    if subject.startswith("rep_"):
        if told.get("subscription") and told.get("period"):
            subscription, period = quote(str(told["subscription"])), quote(str(told["period"]))
            return f"/console/reports/{subscription}/periods/{period}"
        return f"/console/jobs/{quote(str(told['job']))}" if told.get("job") else None
    return next((page + subject for start, page in _PAGES.items() if subject.startswith(start)), None)


def detail_words(value: Any) -> str:
    """A noted value as it is read: lists with commas, members by name, "yes" and "no", "–" for nothing."""
    if value is None or value == "" or value == []:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        told = (f"{name_words(name)} {detail_words(each)}" for name, each in value.items())
        return f"({', '.join(told)})" if value else "–"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(detail_words(each) for each in value)
    return str(value)


def name_words(name: str) -> str:
    return name.replace("_", " ")
