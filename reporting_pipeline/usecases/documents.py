"""Documents in, corrected and withdrawn: what the API, the console and the command line do alike.

Who may do it is asked here once more by trial; that the caller may do such a thing at all, by the route.
Every deed is audited with ids alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from reporting_pipeline.domain.access import Action, Resource, ResourceKind, Role, User, allowed
from reporting_pipeline.domain.entitlements import Extent
from reporting_pipeline.intake.checking import (
    DocumentProblem,
    DocumentRefused,
    SubmittedDocument,
    checked,
    findings_of,
    parsed_line,
    pointer_of,
    record_of,
    refused,
    stored_id,
)
from reporting_pipeline.stores import audit, document_versions, documents, trials
from reporting_pipeline.stores.documents import Arrival, DocumentInvalid
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore

NO_TRIAL = "there is no such trial among yours; register the trial first"
MOST_IN_A_BATCH = 10_000
CHUNK = 500


def oddities(record: Record, zone: ZoneInfo) -> list[dict[str, str]]:
    """What is odd about a stored document: code, field, detail.

    A record that somebody broke by hand is itself odd, and takes no list with it. Of one whose reader must
    not see all of it nothing is said: what was taken out would be missed.
    """
    if record.get("withheld"):
        return []
    try:
        return findings_of(record, zone)
    except (ValueError, TypeError, KeyError, AttributeError):
        return [{"code": "unreadable", "field": "", "detail": "The record cannot be read."}]


@dataclass(frozen=True)
class Caller:
    """Who does it, where and when."""

    database: Database
    objects: ObjectStore
    user: User
    now: datetime
    zone: ZoneInfo


@dataclass(frozen=True)
class DocumentOutcome:
    """What became of one document. `record` is as it stands; {} when it was refused."""

    state: str  # stored, unchanged or refused
    record: Record = field(default_factory=dict)
    findings: Sequence[dict[str, str]] = ()
    problems: Sequence[DocumentProblem] = ()


def submit(
    caller: Caller,
    submitted: SubmittedDocument,
    file: dict[str, Any] | None = None,
    content: bytes | None = None,
) -> DocumentOutcome:
    """Take in one document. The same id with the same content changes nothing.

    Raises DocumentRefused that names the field; nothing is stored then.
    """
    (prepared,) = _stored(caller, [submitted], file, content)
    if isinstance(prepared, DocumentRefused):
        raise prepared
    return _outcome(caller, prepared)


def submit_lines(caller: Caller, lines: Iterable[bytes]) -> Iterator[DocumentOutcome]:
    """Take in documents, one JSON object a line; one outcome for each line, in order."""
    waiting = iter(lines)
    while some := list(islice(waiting, CHUNK)):
        yield from _submit_some(caller, some)


def correct(caller: Caller, before: Record, submitted: SubmittedDocument, reason: str) -> DocumentOutcome:
    """Put another content in the place of a document; what it said before is kept as a version.

    Trial, arrival and file stay: a correction belongs to the period in which the document arrived.
    Raises DocumentRefused, and DocumentChanged when somebody else was faster.
    """
    _check_reason(reason)
    if submitted.trial != before["trial"]:
        raise refused("#/trial", "a document stays in its trial; withdraw it and send it to the other one")
    if submitted.id not in (None, before.get("external_id") or None):
        raise refused("#/id", "the id of a document stays")
    _check_arrival(caller, submitted)
    _check_rights(caller, Action.CHANGE, submitted.trial, submitted.site, submitted.subject)
    _check_trial(caller, submitted.trial)
    if submitted.received_at not in (None, before["received_at"]):
        raise refused("#/received_at", "the arrival of a document stays; remove it")
    after = record_of(submitted, before["organisation"], before["_id"], before["received_at"])
    after["external_id"] = before.get("external_id", "")
    after["file"] = before.get("file")
    valid = _valid(after, None, caller.now)
    if documents.same_document(before, valid):
        return DocumentOutcome("unchanged", before, findings_of(valid, caller.zone))
    stored = document_versions.correct(caller.database, before, valid, caller.user.id, reason, caller.now)
    _audit(caller, audit.AuditAction.DOCUMENT_CORRECTED, stored["_id"], {"version": stored["version"]})
    return DocumentOutcome("stored", stored, findings_of(stored, caller.zone))


def withdraw(caller: Caller, before: Record, reason: str) -> None:
    """Take a document out of every report to come; its versions stay. Raises as `correct` does."""
    _check_reason(reason)
    _check_trial(caller, before["trial"])
    _check_rights(caller, Action.DELETE, before["trial"], before["site"], before.get("subject") or "")
    document_versions.withdraw(caller.database, before, caller.user.id, reason, caller.now)
    version = document_versions.version_of(before)
    _audit(caller, audit.AuditAction.DOCUMENT_WITHDRAWN, before["_id"], {"version": version})


# --- many -----------------------------------------------------------------------------------------


def _submit_some(caller: Caller, lines: Sequence[bytes]) -> Iterator[DocumentOutcome]:
    answers: list[DocumentOutcome | None] = [None] * len(lines)
    sound: list[tuple[int, SubmittedDocument]] = []
    for position, line in enumerate(lines):
        try:
            sound.append((position, checked(parsed_line(line))))
        except DocumentRefused as error:
            answers[position] = DocumentOutcome("refused", problems=error.problems)
    prepared = _stored(caller, [submitted for _, submitted in sound])
    for (position, _), one in zip(sound, prepared, strict=True):
        answers[position] = (
            DocumentOutcome("refused", problems=one.problems)
            if isinstance(one, DocumentRefused)
            else _outcome(caller, one)
        )
    yield from (answer for answer in answers if answer is not None)


@dataclass(frozen=True)
class _Prepared:
    """A document that will be stored, or stands already."""

    record: Record
    content: bytes | None
    standing: bool


def _stored(
    caller: Caller,
    submitted: Sequence[SubmittedDocument],
    file: dict[str, Any] | None = None,
    content: bytes | None = None,
) -> list[_Prepared | DocumentRefused]:
    """Each of `submitted` as it stands now, or why it does not.

    Where somebody else took in one with the same id meanwhile, theirs stands, and this is held against it.
    """
    prepared = _prepare(caller, submitted, file, content)
    new = [one for one in prepared if isinstance(one, _Prepared) and not one.standing]
    created = _store(caller, new)
    late = [
        place
        for place, one in enumerate(prepared)
        if isinstance(one, _Prepared) and not one.standing and one.record["_id"] not in created
    ]
    again = _prepare(caller, [submitted[place] for place in late], file, content) if late else []
    for place, one in zip(late, again, strict=True):
        prepared[place] = one if isinstance(one, DocumentRefused) or one.standing else _CHANGING
    return prepared


_CHANGING = DocumentRefused(
    [DocumentProblem("#/id", "was taken in and withdrawn meanwhile; give a new id")], conflict=True
)


def _prepare(
    caller: Caller,
    submitted: Sequence[SubmittedDocument],
    file: dict[str, Any] | None = None,
    content: bytes | None = None,
) -> list[_Prepared | DocumentRefused]:
    ids = [_identifier(caller, one) for one in submitted]
    standing = documents.documents_by_id(caller.database, ids)
    withdrawn = document_versions.withdrawn_of(caller.database, [one for one in ids if one not in standing])
    given: dict[str, Record] = dict(standing)
    known: dict[str, DocumentRefused | None] = {}
    prepared: list[_Prepared | DocumentRefused] = []
    for one, identifier in zip(submitted, ids, strict=True):
        try:
            _check_arrival(caller, one)
            _check_rights(caller, Action.CREATE, one.trial, one.site, one.subject)
            _check_trial_once(caller, one.trial, known)
            if identifier in withdrawn:
                raise refused("#/id", "the document with this id was withdrawn; give a new id")
            record = record_of(one, caller.user.organisation, identifier, caller.now)
            record["file"] = file
            before = given.get(identifier)
            if before is not None and one.received_at is None:
                record["received_at"] = before["received_at"]
            valid = _valid(record, content, caller.now)
            if before is not None and not documents.same_document(before, valid):
                raise _conflict(identifier)
        except DocumentRefused as error:
            prepared.append(error)
            continue
        prepared.append(_Prepared(before or valid, content, before is not None))
        given[identifier] = before or valid
    return prepared


def _conflict(identifier: str) -> DocumentRefused:
    detail = f"stands for another content; correct it with PUT /api/documents/{identifier}"
    return DocumentRefused([DocumentProblem("#/id", detail)], conflict=True)


def _identifier(caller: Caller, submitted: SubmittedDocument) -> str:
    organisation = caller.user.organisation
    if submitted.id is None:
        return documents.document_id(organisation, uuid4().hex)
    return stored_id(organisation, submitted.trial, submitted.id)


def _store(caller: Caller, new: Sequence[_Prepared]) -> set[str]:
    """Take in `new`; the ids of those that were: what stands meanwhile is not replaced."""
    if not new:
        return set()
    arrivals = [Arrival(one.record, one.content, is_valid=True) for one in new]
    done = documents.ingest_many(caller.database, caller.objects, arrivals, caller.now, replace=False)
    created = set(done.created)
    events = []
    for one in (one for one in new if one.record["_id"] in created):
        given = one.record["received_at"] != caller.now
        details = {"received_at": one.record["received_at"].isoformat()} if given else {}
        events.append(
            audit.Event(
                audit.AuditAction.DOCUMENT_CREATED,
                caller.user.id,
                one.record["_id"],
                caller.user.organisation,
                details,
            )
        )
    audit.record_many(caller.database, events, caller.now)
    return created


def _outcome(caller: Caller, prepared: _Prepared) -> DocumentOutcome:
    findings = findings_of(prepared.record, caller.zone)
    record = {"version": 1, "updated_at": caller.now, **prepared.record}
    return DocumentOutcome("unchanged" if prepared.standing else "stored", record, findings)


# --- checks ---------------------------------------------------------------------------------------


def _valid(record: Record, content: bytes | None, now: datetime) -> Record:
    try:
        return documents.validated(record, content, now)
    except DocumentInvalid as error:
        found = [DocumentProblem(pointer_of(*name.split(".")), detail) for name, detail in error.problems]
        raise DocumentRefused(found) from None


def _check_arrival(caller: Caller, submitted: SubmittedDocument) -> None:
    if submitted.received_at is not None and Role.SERVICE.value not in caller.user.roles:
        raise refused("#/received_at", "only the service role may say when a document arrived; remove it")


def _check_trial_once(caller: Caller, trial: str, known: dict[str, DocumentRefused | None]) -> None:
    if trial not in known:
        try:
            _check_trial(caller, trial)
            known[trial] = None
        except DocumentRefused as error:
            known[trial] = error
    problem = known[trial]
    if problem is not None:
        raise problem


def _check_trial(caller: Caller, trial: str) -> None:
    found = trials.get_trial(caller.database, caller.user.organisation, trial)
    if found is None:
        raise refused("#/trial", NO_TRIAL)
    if trials.is_closed(found):
        raise refused("#/trial", "the trial is closed; nothing is taken in any more")


def _check_rights(caller: Caller, action: Action, trial: str, site: str, subject: str) -> None:
    """One answer for what is not there and what is not theirs."""
    shown = Extent({trial: (site,)}, subject, rows_alone=True)
    if not allowed(
        caller.user, action, Resource(ResourceKind.DOCUMENT, caller.user.organisation, extent=shown)
    ):
        raise refused("#/trial", NO_TRIAL)


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise refused("#/reason", "say why")


def _audit(caller: Caller, action: audit.AuditAction, subject: str, details: dict[str, Any]) -> None:
    audit.record(
        caller.database,
        action,
        caller.user.id,
        subject,
        caller.now,
        organisation=caller.user.organisation,
        details=details,
    )
