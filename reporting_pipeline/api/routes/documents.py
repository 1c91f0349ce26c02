"""Documents: what arrived for the trials, and the way in for more."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, File, Form, Path, Query, Response, UploadFile
from fastapi.responses import RedirectResponse

from reporting_pipeline.api.deps import Caller, Context, Deployment, may, require, scoped
from reporting_pipeline.api.errors import FieldError, Problem, invalid, not_found
from reporting_pipeline.api.models.base import READ, WRITE, Identifier
from reporting_pipeline.api.models.documents import DocumentAnswer, DocumentPage
from reporting_pipeline.api.pagination import Cursor, Limit
from reporting_pipeline.domain import access
from reporting_pipeline.domain.access import Action, Resource, User
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.entitlements import Extent
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.stores import audit, documents
from reporting_pipeline.stores.documents import DocumentInvalid
from reporting_pipeline.stores.mongo import Record

router = APIRouter(prefix="/api/documents", tags=["documents"])

DocumentId = Annotated[str, Path(pattern=r"^doc_[0-9a-f]{24}$", examples=["doc_0a1b2c3d4e5f60718293a4b5"])]


@router.get("", responses=READ, dependencies=[may(Action.READ, access.Kind.DOCUMENT)])
def list_documents(
    caller: Caller,
    deployment: Deployment,
    trial: Annotated[Identifier | None, Query()] = None,
    site: Annotated[Identifier | None, Query()] = None,
    kind: Kind | None = None,
    period: Annotated[
        str | None, Query(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="First date of the window.")
    ] = None,
    cadence: Annotated[Cadence, Query(description="Which window `period` names.")] = Cadence.WEEKLY,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DocumentPage:
    """The organisation's documents of the trials open to the caller, newest first."""
    scope = f"documents:{caller.organisation}:{trial}:{site}:{kind}:{period}:{cadence}"
    after = deployment.cursors.read(scope, cursor)
    found = scoped(deployment, caller).documents(
        trial=trial,
        site=site,
        kind=kind,
        window=_window(deployment, cadence, period),
        after=(datetime.fromisoformat(after[0]), after[1]) if after else None,
        limit=limit + 1,
    )
    page = found[:limit]
    last = (page[-1]["received_at"].isoformat(), page[-1]["_id"]) if len(found) > limit else None
    return DocumentPage(
        items=[DocumentAnswer.of(record) for record in page],
        next_cursor=deployment.cursors.write(scope, last) if last else None,
    )


@router.get("/{document_id}", responses=READ, dependencies=[may(Action.READ, access.Kind.DOCUMENT)])
def get_document(document_id: DocumentId, caller: Caller, deployment: Deployment) -> DocumentAnswer:
    """One document's record."""
    return DocumentAnswer.of(_find(deployment, caller, document_id))


@router.get(
    "/{document_id}/file",
    status_code=307,
    response_class=RedirectResponse,
    responses={
        307: {
            "description": "To the file, for one minute.",
            "headers": {"Location": {"schema": {"type": "string"}}},
        },
        **READ,
    },
    dependencies=[may(Action.READ, access.Kind.DOCUMENT)],
)
def get_document_file(document_id: DocumentId, caller: Caller, deployment: Deployment) -> Response:
    """The document's file: a redirect to a URL that is good for one minute."""
    file = _find(deployment, caller, document_id).get("file")
    if not file or not deployment.objects.exists(file["key"]):
        raise not_found("file")
    return RedirectResponse(deployment.objects.presigned_url(file["key"], file["name"], 60), 307)


@router.post("", status_code=201, responses=WRITE, dependencies=[may(Action.CREATE, access.Kind.DOCUMENT)])
def create_document(
    caller: Caller,
    deployment: Deployment,
    response: Response,
    trial: Annotated[Identifier, Form(examples=["CDISCPILOT01"])],
    site: Annotated[Identifier, Form(examples=["701"])],
    kind: Annotated[Kind, Form(examples=["ecg"])],
    title: Annotated[str, Form(min_length=1, max_length=1000, examples=["ECG strip, week 8"])],
    file: Annotated[UploadFile | None, File()] = None,
    subject: Annotated[str, Form(max_length=200)] = "",
    collected: Annotated[str, Form(max_length=100, description="ISO 8601, possibly partial.")] = "",
    note: Annotated[str | None, Form(max_length=500_000)] = None,
    data: Annotated[str, Form(max_length=900_000, description="The payload of its kind, as JSON.")] = "{}",
) -> DocumentAnswer:
    """Take in a document: the file is stored first, the record after it."""
    resource = Resource(access.Kind.DOCUMENT, caller.organisation, extent=Extent({trial: (site,)}, subject))
    require(caller, Action.CREATE, resource, "trial")
    identifier = documents.document_id(caller.organisation, uuid4().hex)
    content = _content(deployment, file)
    record = {
        "_id": identifier,
        "organisation": caller.organisation,
        "trial": trial,
        "site": site,
        "subject": subject,
        "kind": kind.value,
        "title": title,
        "received_at": deployment.now,
        "collected": collected,
        "note": note,
        "synthetic": False,
        "data": _payload(data),
        "file": file and {"name": file.filename, "content_type": _content_type(file)},
    }
    try:
        documents.ingest(deployment.database, deployment.objects, record, content, deployment.now)
    except DocumentInvalid as error:
        found = [FieldError(f"#/{name.replace('.', '/')}", detail) for name, detail in error.problems]
        raise Problem("validation", str(error)[:500], found) from None
    audit.record(
        deployment.database,
        "document.created",
        caller.id,
        identifier,
        deployment.now,
        organisation=caller.organisation,
    )
    response.headers["Location"] = f"/api/documents/{identifier}"
    return DocumentAnswer.of(_find(deployment, caller, identifier))


def _find(deployment: Context, caller: User, document_id: str) -> Record:
    record = scoped(deployment, caller).document(document_id)
    if record is None:
        raise not_found("document")
    resource = Resource(
        access.Kind.DOCUMENT,
        record["organisation"],
        extent=Extent({record["trial"]: (record["site"],)}, record.get("subject") or ""),
    )
    require(caller, Action.READ, resource, "document")
    return record


def _window(deployment: Context, cadence: Cadence, key: str | None) -> tuple[datetime, datetime] | None:
    if key is None:
        return None
    try:
        period = Period.from_key(cadence, key, deployment.settings.timezone)
        return period.start_at, period.end_at
    except (ValueError, OverflowError) as error:
        raise Problem("validation", f"period: {error}", [FieldError("query:period", str(error))]) from None


def _content(deployment: Context, file: UploadFile | None) -> bytes | None:
    if file is None:
        return None
    content = file.file.read(deployment.settings.upload_limit_bytes + 1)
    if len(content) > deployment.settings.upload_limit_bytes:
        raise Problem("body-too-large", f"A file may have {deployment.settings.upload_limit_bytes:,} bytes.")
    if not content:
        raise invalid("#/file", "the file is empty")
    return content


def _content_type(file: UploadFile) -> str:
    """The bare type as the caller says; what the file really is, the verdict in `media` finds out."""
    given = (file.content_type or "").partition(";")[0].strip().lower()
    kind, slash, subtype = given.partition("/")
    harmless = slash and all(
        part.replace("-", "").replace(".", "").replace("+", "").isalnum() for part in (kind, subtype)
    )
    return given if harmless and given.isascii() and len(given) <= 100 else "application/octet-stream"


def _payload(text: str) -> dict[str, Any]:
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError):
        raise invalid("#/data", "not valid JSON") from None
    if not isinstance(payload, dict):
        raise invalid("#/data", "must be a JSON object")
    return payload
