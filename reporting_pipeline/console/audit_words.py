"""Events of the audit log in words: what happened, and what is noted of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reporting_pipeline.stores.audit import Action

EVENTS: Mapping[str, str] = {
    Action.SUBSCRIPTION_CREATED: "Subscription made",
    Action.SUBSCRIPTION_CHANGED: "Subscription changed",
    Action.SUBSCRIPTION_PAUSED: "Subscription paused",
    Action.SUBSCRIPTION_RESUMED: "Subscription resumed",
    Action.SUBSCRIPTION_CONFIRMED: "Subscription confirmed as still needed",
    Action.SUBSCRIPTION_DELETED: "Subscription ended",
    Action.SUBSCRIPTION_RUN: "Report asked for now",
    Action.PREVIEW_SENT: "Preview mailed to who asked",
    Action.RECIPIENT_ADDED: "Recipient added",
    Action.RECIPIENT_REMOVED: "Recipient removed",
    Action.EDITION_OPENED: "Edition opened",
    Action.EDITION_CHANGED: "Edition changed",
    Action.EDITION_SENT: "Sending of an edition started",
    Action.REPORT_RENDERED: "Report made",
    Action.REPORT_FAILED: "Report failed",
    Action.REPORT_DOWNLOADED: "Report downloaded or read",
    Action.REPORT_HELD: "Report kept beyond its time",
    Action.REPORT_RELEASED: "Report no longer kept beyond its time",
    Action.RELEASE_GIVEN: "Waiting report released",
    Action.RELEASE_REFUSED: "Waiting report refused",
    Action.DELIVERY_ADDED: "Report sent to one more",
    Action.DELIVERY_REPEATED: "Report sent to one again",
    Action.DELIVERY_CHANGED: "Outcome of a delivery changed",
    Action.DOCUMENT_CREATED: "Document handed in",
    Action.DOCUMENT_CORRECTED: "Document corrected",
    Action.DOCUMENT_WITHDRAWN: "Document withdrawn",
    Action.DOCUMENTS_IMPORTED: "Documents imported",
    Action.DOCUMENT_DOWNLOADED: "File of a document downloaded",
    Action.TRIAL_CREATED: "Trial registered",
    Action.TRIAL_CHANGED: "Trial changed",
    Action.TRIAL_CLOSED: "Trial closed",
    Action.TRIAL_REOPENED: "Trial opened again",
    Action.ORGANISATION_CREATED: "Organisation registered",
    Action.ORGANISATION_CHANGED: "Organisation changed",
    Action.ORGANISATION_CLOSED: "Organisation closed",
    Action.LOGO_CHANGED: "Logo of an organisation changed",
    Action.JOB_CANCELLED: "Report stopped before it was sent",
    Action.USER_CREATED: "Person added",
    Action.USER_CHANGED: "Person changed",
    Action.USER_EXPORTED: "A person's data exported",
    Action.USER_ERASED: "Person erased",
    Action.REQUEUED: "Tried again what had failed",
    Action.ACCESS_REFUSED: "Access refused",
    Action.SIGNED_IN: "Signed in",
    Action.SIGNED_OUT: "Signed out",
    Action.ADDRESS_ASKED: "New address asked to be confirmed",
    Action.ADDRESS_CONFIRMED: "New address confirmed",
    Action.SUPPRESSION_LIFTED: "Held back address may be mailed again",
    Action.CHANNEL_RESUMED: "Halted channel may send again",
    Action.AUDIT_EXPORTED: "Audit log exported",
    Action.AUDIT_VERIFIED: "Audit log verified",
    Action.RETENTION_DELETED: "Deleted after its time",
    Action.RECORDS_MENDED: "Records mended",
    Action.BACKUP_TAKEN: "Backup taken",
    Action.BACKUP_RESTORED: "Backup restored",
    Action.AFTER_RESTORE_DECIDED: "Decided what was sent before a restore",
    Action.DATABASE_MIGRATED: "Database migrated",
    Action.BUCKET_RULES_WRITTEN: "Rules of the bucket written",
}
#: Where each kind of thing has a page; by what its id begins with.
_PAGES = {"sub_": "/console/reports/", "job_": "/console/jobs/", "usr_": "/console/people/"}


def event_words(action: str) -> str:
    """What happened; the code itself where it is newer than these words."""
    return EVENTS.get(action, action)


def page_of(subject: str) -> str | None:
    """Where a person reads about what an event is about."""
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
