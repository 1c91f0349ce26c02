"""Documents as a caller hands them in, corrects, withdraws and reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from reporting_pipeline.domain.access import Action, Resource, ResourceKind, User, allowed
from reporting_pipeline.domain.disclosure import WITHHELD
from reporting_pipeline.domain.entitlements import Extent
from reporting_pipeline.intake.checking import DocumentProblem, DocumentRefused, checked, strict_json
from reporting_pipeline.stores import audit, document_versions
from reporting_pipeline.stores.document_versions import DocumentChanged
from reporting_pipeline.stores.mongo import Record
from reporting_pipeline.stores.scope import Scoped
from reporting_pipeline.usecases import documents as usecase
from reporting_pipeline.usecases.callers.context import Context, require, scoped
from reporting_pipeline.usecases.callers.problems import (
    FieldError,
    Problem,
    checked_lines,
    invalid,
    not_found,
)


@dataclass(frozen=True)
class HandedFile:
    """A file as it came: name and type as the caller says, the content to be read once."""

    name: str | None
    content_type: str | None
    stream: BinaryIO


def hand_in(
    deployment: Context, caller: User, fields: Mapping[str, Any], file: HandedFile | None
) -> usecase.DocumentOutcome:
    """Take in one document, its file first. `fields` are those of a document, `data` as JSON text."""
    extent = Extent({fields["trial"]: (fields["site"],)}, fields.get("subject") or "", rows_alone=True)
    require(
        caller, Action.CREATE, Resource(ResourceKind.DOCUMENT, caller.organisation, extent=extent), "trial"
    )
    given = {**fields, "data": _payload(fields["data"])}
    content = _content(deployment, file)
    named = {"name": file.name, "content_type": _content_type(file)} if file else None
    with refusals():
        return usecase.submit(caller_of(deployment, caller), checked(given), named, content)


def correct(
    deployment: Context, caller: User, document_id: str, fields: Mapping[str, Any], reason: str
) -> usecase.DocumentOutcome:
    """Put another content in its place, whole, `fields` as `hand_in` takes them; the file stays."""
    before = find_to_change(deployment, caller, document_id, Action.CHANGE)
    checked_lines(reason, "#/reason")
    given = {**fields, "data": _payload(fields["data"])}
    with refusals():
        return usecase.correct(caller_of(deployment, caller), before, checked(given), reason)


def withdraw(deployment: Context, caller: User, document_id: str, reason: str) -> None:
    """Withdraw a document: it counts in no report any more. Its versions stay."""
    before = find_to_change(deployment, caller, document_id, Action.DELETE)
    checked_lines(reason, "#/reason")
    with refusals():
        usecase.withdraw(caller_of(deployment, caller), before, reason)


def versions_of(deployment: Context, caller: User, document_id: str) -> tuple[Record | None, list[Record]]:
    """(what a document says, what it said before, the newest first); a withdrawn one says nothing now."""
    mine = scoped(deployment, caller)
    current = mine.document(document_id)
    older = [
        _version_shown(mine, version)
        for version in document_versions.versions_of(deployment.database, caller.organisation, document_id)
        if allowed(caller, Action.READ, _resource(version["record"]))
    ]
    if current is None and not older:
        raise not_found("document")
    return current, older


def file_address(deployment: Context, caller: User, document_id: str) -> str:
    """A URL of the document's file that is good for one minute; the reading is in the audit log."""
    file = find_document(deployment, caller, document_id).get("file")
    if not file or not deployment.objects.exists(file["key"]):
        raise not_found("file")
    audit.record(
        deployment.database,
        audit.AuditAction.DOCUMENT_DOWNLOADED,
        caller.id,
        document_id,
        deployment.now,
        organisation=caller.organisation,
    )
    return deployment.objects.presigned_url(file["key"], file["name"], 60)


def find_document(deployment: Context, caller: User, document_id: str) -> Record:
    """As the caller may read it."""
    record = find_to_change(deployment, caller, document_id, Action.READ)
    return scoped(deployment, caller).document_shown(record)


def find_to_change(deployment: Context, caller: User, document_id: str, action: Action) -> Record:
    """Whole, where the caller may do `action` to it. Raises Problem: 404, 403."""
    record = scoped(deployment, caller).document_to_change(document_id)
    if record is None:
        raise not_found("document")
    require(caller, action, _resource(record), "document")
    return record


def caller_of(deployment: Context, user: User) -> usecase.Caller:
    """The caller as the use cases take one."""
    zone = ZoneInfo(deployment.settings.timezone)
    return usecase.Caller(deployment.database, deployment.objects, user, deployment.now, zone)


@contextmanager
def refusals() -> Iterator[None]:
    """A refused document as a 422 with a pointer per field; 409 where its id stands for another content."""
    try:
        yield
    except DocumentRefused as error:
        slug = "conflict" if error.conflict else "validation"
        raise Problem(slug, str(error)[:500], field_errors(error.problems)) from None
    except DocumentChanged:
        raise Problem("conflict", "The document was changed meanwhile; read it again.") from None


def field_errors(problems: Sequence[DocumentProblem]) -> list[FieldError]:
    return [FieldError(one.pointer or "#", one.detail) for one in problems]


def _version_shown(mine: Scoped, version: Record) -> Record:
    """The reason of a change is free text, too, and may say what was withheld."""
    shown = mine.document_shown(version["record"])
    reason = WITHHELD if "title" in shown["withheld"] and version["reason"] else version["reason"]
    return {**version, "record": shown, "reason": reason}


def _resource(record: Record) -> Resource:
    shown = Extent({record["trial"]: (record["site"],)}, record.get("subject") or "", rows_alone=True)
    return Resource(ResourceKind.DOCUMENT, record["organisation"], extent=shown)


def _content(deployment: Context, file: HandedFile | None) -> bytes | None:
    if file is None:
        return None
    content = file.stream.read(deployment.settings.upload_limit_bytes + 1)
    if len(content) > deployment.settings.upload_limit_bytes:
        raise Problem("body-too-large", f"A file may have {deployment.settings.upload_limit_bytes:,} bytes.")
    if not content:
        raise invalid("#/file", "the file is empty")
    return content


def _content_type(file: HandedFile) -> str:
    """The bare type as the caller says; what the file really is, the verdict in `media` finds out."""
    given = (file.content_type or "").partition(";")[0].strip().lower()
    kind, slash, subtype = given.partition("/")
    harmless = slash and all(
        part.replace("-", "").replace(".", "").replace("+", "").isalnum() for part in (kind, subtype)
    )
    return given if harmless and given.isascii() and len(given) <= 100 else "application/octet-stream"


def _payload(text: str) -> dict[str, Any]:
    try:
        payload = strict_json(text)
    except (ValueError, RecursionError) as error:
        raise invalid("#/data", f"not valid JSON ({str(error)[:120]})") from None
    if not isinstance(payload, dict):
        raise invalid("#/data", "must be a JSON object")
    return payload
