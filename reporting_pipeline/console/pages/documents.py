"""Documents per trial: what arrived, what is odd about it, and one more handed in by a form."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response

from reporting_pipeline.console import field_labels
from reporting_pipeline.console.deployment import MOST_FIELDS, Form, FormRefused, OwnForm, Parts, Person
from reporting_pipeline.console.forms import Entries
from reporting_pipeline.console.pages.first_steps import may_register_trials
from reporting_pipeline.console.pages.layout import Page, done_at, opened
from reporting_pipeline.console.rendering import html
from reporting_pipeline.console.sessions import Visitor
from reporting_pipeline.domain import access
from reporting_pipeline.domain.access import Action, reach_of, visible_trials
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.stores import users
from reporting_pipeline.usecases.callers.context import Context, scoped
from reporting_pipeline.usecases.callers.problems import Problem
from reporting_pipeline.usecases.callers.shapes.documents import DocumentVersions
from reporting_pipeline.usecases.callers.submitting import HandedFile, caller_of, file_address, versions_of
from reporting_pipeline.usecases.callers.submitting import hand_in as take_in
from reporting_pipeline.usecases.callers.submitting import withdraw as withdraw_document
from reporting_pipeline.usecases.documents import oddities

router = APIRouter(prefix="/console")

A_PAGE = 50
DocumentId = Annotated[str, Path(pattern=r"^doc_[0-9a-f]{24}$")]
_FIELDS = ("trial", "site", "subject", "kind", "title", "collected", "note", "id", "data")


class DocumentForm(Entries):
    """The form of a document, as POST /api/documents takes it."""

    labels = field_labels.DOCUMENT

    @classmethod
    def fresh(cls, trial: str) -> DocumentForm:
        return cls({**dict.fromkeys(_FIELDS, ""), "trial": trial, "kind": Kind.NOTE.value, "file": ""})

    @classmethod
    def posted(cls, form: Form) -> DocumentForm:
        return cls({**{name: form.text(name) for name in _FIELDS}, "file": ""})


@router.get("/documents")
def documents_page(
    visitor: Person,
    parts: Parts,
    trial: Annotated[str, Query(max_length=64)] = "",
    after: Annotated[str, Query(max_length=100, pattern=r"^(|[^|]{1,40}\|doc_[0-9a-f]{24})$")] = "",
) -> Response:
    """What arrived, the newest first."""
    opened(visitor, Action.READ, access.ResourceKind.DOCUMENT)
    found = scoped(parts, visitor.user).documents(
        trial=trial or None, after=_position(after), limit=A_PAGE + 1
    )
    last = found[A_PAGE - 1] if len(found) > A_PAGE else None
    acting = caller_of(parts, visitor.user)
    return html(
        "documents.html",
        page=Page(visitor, "/console/trials"),
        found=[(one, oddities(one, acting.zone)) for one in found[:A_PAGE]],
        trial=trial,
        next_after=f"{last['received_at'].isoformat()}|{last['_id']}" if last else "",
        may_add=reach_of(visitor.user, Action.CREATE, access.ResourceKind.DOCUMENT) is not None,
    )


def _position(after: str) -> tuple[datetime, str] | None:
    at, _, identifier = after.partition("|")
    try:
        return (datetime.fromisoformat(at), identifier) if after else None
    except ValueError:
        raise Problem("validation", "This address is cut short; begin with the first page.") from None


@router.get("/documents/new")
def new_document_page(
    visitor: Person, parts: Parts, trial: Annotated[str, Query(max_length=64)] = ""
) -> Response:
    opened(visitor, Action.CREATE, access.ResourceKind.DOCUMENT)
    return _form(parts, visitor, DocumentForm.fresh(trial))


@router.post("/documents/new")
async def hand_in(request: Request, visitor: Person, parts: Parts) -> Response:
    """Take a document in by the rules of the API, and show what is odd about it."""
    opened(visitor, Action.CREATE, access.ResourceKind.DOCUMENT)
    async with request.form(max_files=1, max_fields=MOST_FIELDS) as data:
        form = Form(data)
        if not visitor.sent_by_us(form.text("csrf")):
            raise FormRefused
        file = data.get("file")
        # A browser sends a field without a file as one without a name.
        given = file if isinstance(file, UploadFile) and file.filename else None
        return await run_in_threadpool(_take_in, parts, visitor, DocumentForm.posted(form), given)


def _take_in(parts: Context, visitor: Visitor, entries: DocumentForm, file: UploadFile | None) -> Response:
    values = entries.values
    if values["kind"] not in {one.value for one in Kind}:
        entries.errors["kind"] = "choose one of the kinds"
    for name in ("trial", "site", "title"):
        if not values[name]:
            entries.errors[name] = "is needed"
    if entries.errors:
        return _form(parts, visitor, entries, status=422)
    try:
        attached = HandedFile(file.filename, file.content_type, file.file) if file else None
        given = {
            **{name: values[name] for name in _FIELDS},
            "note": values["note"] or None,
            "data": values["data"] or "{}",
            "id": values["id"] or None,
        }
        stored = take_in(parts, visitor.user, given, attached)
    except Problem as problem:
        entries.refuse(problem)
        return _form(parts, visitor, entries, status=problem.status)
    return done_at(f"/console/documents/{stored.record['_id']}", "handed-in")


@router.get("/documents/{document_id}")
def document_page(document_id: DocumentId, visitor: Person, parts: Parts) -> Response:
    """One document: what it says, what is odd about it, and what it said before."""
    opened(visitor, Action.READ, access.ResourceKind.DOCUMENT)
    return _document_page(parts, visitor, document_id)


@router.post("/documents/{document_id}/withdraw")
def withdraw(document_id: DocumentId, form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Withdraw it, with a reason: it counts in no report any more, and its versions stay."""
    opened(visitor, Action.DELETE, access.ResourceKind.DOCUMENT)
    reason = form.text("reason")
    if not 1 <= len(reason) <= 500:
        wrong = Problem("validation", "Say why, in 500 characters at most.")
        return _document_page(parts, visitor, document_id, wrong)
    withdraw_document(parts, visitor.user, document_id, reason)
    return done_at(f"/console/documents/{document_id}", "withdrawn")


def _document_page(
    parts: Context, visitor: Visitor, document_id: str, problem: Problem | None = None
) -> Response:
    versions = DocumentVersions.of(*versions_of(parts, visitor.user, document_id))
    record = scoped(parts, visitor.user).document(document_id)
    told = versions.items[0].document.data
    return html(
        "document.html",
        problem.status if problem else 200,
        page=Page(visitor, "/console/trials"),
        document_id=document_id,
        record=record,
        findings=oddities(record, caller_of(parts, visitor.user).zone) if record else [],
        may_withdraw=record is not None
        and reach_of(visitor.user, Action.DELETE, access.ResourceKind.DOCUMENT) is not None,
        may_correct=record is not None
        and not set(record.get("withheld", ())) - {"file"}
        and reach_of(visitor.user, Action.CHANGE, access.ResourceKind.DOCUMENT) is not None,
        may_add=reach_of(visitor.user, Action.CREATE, access.ResourceKind.DOCUMENT) is not None,
        problem=problem,
        versions=versions,
        payload=json.dumps(told, indent=2, ensure_ascii=False, default=str) if told else "",
    )


@router.get("/documents/{document_id}/file")
def document_file(document_id: DocumentId, visitor: Person, parts: Parts) -> Response:
    """The file, for a minute; the reading is in the audit log."""
    opened(visitor, Action.READ, access.ResourceKind.DOCUMENT)
    return RedirectResponse(file_address(parts, visitor.user, document_id), 303)


def _form(parts: Context, visitor: Visitor, entries: DocumentForm, *, status: int = 200) -> Response:
    records = users.trials_of(parts.database, visitor.user.organisation)
    visible = set(visible_trials(visitor.user, records))
    return html(
        "document_form.html",
        status,
        page=Page(visitor, "/console/trials"),
        entries=entries,
        trials=[record for record in records if record["_id"] in visible and not record.get("closed_at")],
        may_register=may_register_trials(visitor),
        kinds=list(Kind),
        limit=parts.settings.upload_limit_bytes,
    )
