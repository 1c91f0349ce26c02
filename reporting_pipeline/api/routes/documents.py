"""Documents: what arrived for the trials, and the way in for more."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Path, Query, Request, Response, UploadFile
from fastapi.responses import RedirectResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from reporting_pipeline.api.deps import Caller, Deployment, may
from reporting_pipeline.api.document_lines import (
    LINE_ANSWERS,
    LINE_EXAMPLE,
    LINE_REQUEST,
    NDJSON,
    answered,
    grouped_lines,
)
from reporting_pipeline.api.intake import known_form_fields
from reporting_pipeline.api.models.base import CHANGE, READ, WRITE, located
from reporting_pipeline.api.pagination import Cursor, Limit
from reporting_pipeline.domain import access
from reporting_pipeline.domain.access import Action
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.stores.mongo import Record
from reporting_pipeline.usecases import documents as usecase
from reporting_pipeline.usecases.callers.context import Context, asked_again, scoped
from reporting_pipeline.usecases.callers.problems import FieldError, Problem, invalid
from reporting_pipeline.usecases.callers.shapes.base import Identifier
from reporting_pipeline.usecases.callers.shapes.documents import (
    Correction,
    DocumentAnswer,
    DocumentPage,
    DocumentVersions,
    StoredDocument,
)
from reporting_pipeline.usecases.callers.submitting import (
    HandedFile,
    caller_of,
    file_address,
    find_document,
    find_to_change,
    hand_in,
    refusals,
    versions_of,
    withdraw,
)

router = APIRouter(prefix="/api/documents", tags=["documents"])
batch_router = APIRouter(tags=["documents"])

DocumentId = Annotated[str, Path(pattern=r"^doc_[0-9a-f]{24}$", examples=["doc_0a1b2c3d4e5f60718293a4b5"])]


@router.get("", responses=READ, dependencies=[may(Action.READ, access.ResourceKind.DOCUMENT)])
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
    answers = [_shown(record) for record in page]
    return DocumentPage(
        items=[shown for shown in answers if shown is not None],
        next_cursor=deployment.cursors.write(scope, last) if last else None,
        skipped=[record["_id"] for record, shown in zip(page, answers, strict=True) if shown is None],
    )


@router.get("/{document_id}", responses=READ, dependencies=[may(Action.READ, access.ResourceKind.DOCUMENT)])
def get_document(document_id: DocumentId, caller: Caller, deployment: Deployment) -> DocumentAnswer:
    """One document's record."""
    shown = _shown(find_document(deployment, caller, document_id))
    if shown is None:
        raise Problem("conflict", "The record cannot be shown; withdraw it, or tell the operators its id.")
    return shown


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
    dependencies=[may(Action.READ, access.ResourceKind.DOCUMENT)],
)
def get_document_file(document_id: DocumentId, caller: Caller, deployment: Deployment) -> Response:
    """The document's file: a redirect to a URL that is good for one minute."""
    return RedirectResponse(file_address(deployment, caller, document_id), 307)


@router.post(
    "",
    status_code=201,
    responses={
        200: {"model": StoredDocument, "description": "It stood already, with this content."},
        **located(201),
        **WRITE,
    },
    dependencies=[may(Action.CREATE, access.ResourceKind.DOCUMENT), Depends(known_form_fields)],
)
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
    id: Annotated[
        str | None, Form(min_length=1, max_length=200, description="Your own id, unique in the trial.")
    ] = None,
    received_at: Annotated[
        datetime | None, Form(description="For the service role alone: when it arrived.")
    ] = None,
    synthetic: Annotated[bool, Form(description="Generated, not collected.")] = False,
) -> StoredDocument:
    """Take in a document, and say at once what is odd about its payload. The file is stored first."""
    given = {
        "id": id,
        "trial": trial,
        "site": site,
        "subject": subject,
        "kind": kind.value,
        "title": title,
        "collected": collected,
        "note": note,
        "synthetic": synthetic,
        "received_at": received_at,
        "data": data,
    }
    attached = HandedFile(file.filename, file.content_type, file.file) if file else None
    outcome = hand_in(deployment, caller, given, attached)
    response.status_code = 201 if outcome.state == "stored" else 200
    response.headers["Location"] = f"/api/documents/{outcome.record['_id']}"
    return StoredDocument.of_outcome(outcome)


@batch_router.post(
    "/api/documents:batch",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "One answer a line, in the order of the documents.",
            "content": {NDJSON: {"schema": LINE_ANSWERS, "example": LINE_EXAMPLE}},
        },
        **WRITE,
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "One document a line.",
            "content": {NDJSON: {"schema": {"type": "string"}, "example": LINE_REQUEST}},
        }
    },
    dependencies=[may(Action.CREATE, access.ResourceKind.DOCUMENT)],
)
async def create_documents(request: Request, caller: Caller, deployment: Deployment) -> StreamingResponse:
    """Take in up to 10,000 documents as newline-delimited JSON; each line has an answer of its own.

    A document is `stored`, `unchanged` (it stood already, with this content) or `refused` with a
    pointer to every bad field; a refused one keeps no other out. Documents stand in the order of the
    lines and are stored in groups of 500: a request that was cut off may be sent again as it is. So may one
    that was refused (403) in its midst because the caller's rights had changed.
    """
    answers: list[bytes] = []
    async for group in grouped_lines(request.stream(), usecase.CHUNK, usecase.MOST_IN_A_BATCH):
        person = await run_in_threadpool(asked_again, deployment, caller, "the lines were read")
        answers += await run_in_threadpool(answered, caller_of(deployment, person), group)
    if not answers:
        raise invalid("#", "there is no document; send one a line")
    # Answered when all is read: a client that sends before it listens would wait for ever else.
    return StreamingResponse(iter(answers), media_type=NDJSON)


@router.put(
    "/{document_id}",
    responses=CHANGE,
    dependencies=[may(Action.CHANGE, access.ResourceKind.DOCUMENT)],
)
def correct_document(
    document_id: DocumentId, body: Correction, caller: Caller, deployment: Deployment
) -> StoredDocument:
    """Correct a document: another content, with a reason. What it said before is kept as a version.

    It stays in its trial and in the period in which it arrived; every dataset of that period is made
    again when a report of it is asked for. `GET /api/trace/{report}` then says which figures changed.
    """
    before = find_to_change(deployment, caller, document_id, Action.CHANGE)
    with refusals():
        outcome = usecase.correct(caller_of(deployment, caller), before, body.document, body.reason)
    # The file is the one that stood, which they did not send.
    shown = scoped(deployment, caller).document_shown(outcome.record)
    return StoredDocument.of_outcome(replace(outcome, record={**outcome.record, "file": shown["file"]}))


@router.delete(
    "/{document_id}",
    status_code=204,
    responses=CHANGE,
    dependencies=[may(Action.DELETE, access.ResourceKind.DOCUMENT)],
)
def withdraw_document(
    document_id: DocumentId,
    caller: Caller,
    deployment: Deployment,
    reason: Annotated[str, Query(min_length=1, max_length=500, examples=["Entered for the wrong subject"])],
) -> None:
    """Withdraw a document, with a reason: it counts in no report any more. Its versions stay."""
    withdraw(deployment, caller, document_id, reason)


@router.get(
    "/{document_id}/versions", responses=READ, dependencies=[may(Action.READ, access.ResourceKind.DOCUMENT)]
)
def list_document_versions(
    document_id: DocumentId, caller: Caller, deployment: Deployment
) -> DocumentVersions:
    """What a document says and said before, the newest first; a withdrawn one is told here, too."""
    return DocumentVersions.of(*versions_of(deployment, caller, document_id))


def _shown(record: Record) -> DocumentAnswer | None:
    """The answer of a record; None for one that is no document of ours: it takes no page with it."""
    try:
        answer = DocumentAnswer.of(record)
        answer.model_dump_json()
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return answer


def _window(deployment: Context, cadence: Cadence, key: str | None) -> tuple[datetime, datetime] | None:
    if key is None:
        return None
    try:
        period = Period.from_key(cadence, key, deployment.settings.timezone)
        return period.start_at, period.end_at
    except (ValueError, OverflowError) as error:
        raise Problem("validation", f"period: {error}", [FieldError("query:period", str(error))]) from None
