"""A document corrected by a form: its whole content as it stands, changed, with a reason."""

from __future__ import annotations

import json

from fastapi import APIRouter
from starlette.responses import Response

from reporting_pipeline.console import field_labels
from reporting_pipeline.console.deployment import Form, OwnForm, Parts, Person
from reporting_pipeline.console.forms import Entries
from reporting_pipeline.console.pages.documents import DocumentId
from reporting_pipeline.console.pages.layout import Page, done_at, opened
from reporting_pipeline.console.rendering import html
from reporting_pipeline.console.sessions import Visitor
from reporting_pipeline.domain import access
from reporting_pipeline.domain.access import Action
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.usecases.callers.context import Context
from reporting_pipeline.usecases.callers.problems import Problem
from reporting_pipeline.usecases.callers.shapes.documents import DocumentAnswer
from reporting_pipeline.usecases.callers.submitting import correct, find_document

router = APIRouter(prefix="/console")

_FIELDS = ("site", "kind", "title", "subject", "collected", "note", "data")


class CorrectionForm(Entries):
    """What a document says, as fields; trial, arrival, file and id stay as they are."""

    labels = field_labels.DOCUMENT

    @classmethod
    def of(cls, standing: DocumentAnswer) -> CorrectionForm:
        values = {name: getattr(standing, name) or "" for name in _FIELDS}
        data = json.dumps(standing.data, indent=2, ensure_ascii=False, default=str) if standing.data else ""
        return cls({**values, "data": data})

    @classmethod
    def posted(cls, form: Form) -> CorrectionForm:
        # A browser ends lines with two characters, whatever stood there.
        return cls({name: form.text(name).replace("\r\n", "\n") for name in _FIELDS})


@router.get("/documents/{document_id}/correct")
def correction_page(document_id: DocumentId, visitor: Person, parts: Parts) -> Response:
    opened(visitor, Action.CHANGE, access.ResourceKind.DOCUMENT)
    standing = _standing(parts, visitor, document_id)
    return _page(visitor, standing, CorrectionForm.of(standing))


@router.post("/documents/{document_id}/correct")
def correct_document(document_id: DocumentId, form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Put the new content in its place; what it said before is kept as a version with the reason."""
    opened(visitor, Action.CHANGE, access.ResourceKind.DOCUMENT)
    standing = _standing(parts, visitor, document_id)
    entries, reason = CorrectionForm.posted(form), form.text("reason")
    shown = CorrectionForm.of(standing)
    if form.text("seen") != shown.mark:
        return _page(visitor, standing, entries, reason, status=412, theirs=shown)
    if not 1 <= len(reason) <= 500:
        entries.errors["reason"] = "say why, in 500 characters at most"
    if entries.values["kind"] not in {one.value for one in Kind}:
        entries.errors["kind"] = "choose one of the kinds"
    for name in ("site", "title"):
        if not entries.values[name]:
            entries.errors[name] = "is needed"
    if entries.errors:
        return _page(visitor, standing, entries, reason, status=422)
    values = entries.values
    given = {
        **values,
        "trial": standing.trial,
        "note": values["note"] or None,
        "data": values["data"] or "{}",
        "synthetic": standing.synthetic,
    }
    status = entries.attempt(lambda: correct(parts, visitor.user, document_id, given, reason))
    if status != 200:
        return _page(visitor, standing, entries, reason, status=status)
    return done_at(f"/console/documents/{document_id}", "corrected")


def _standing(parts: Context, visitor: Visitor, document_id: str) -> DocumentAnswer:
    """What it says. Whoever does not see all of it cannot say it anew: what is withheld would be lost."""
    standing = DocumentAnswer.of(find_document(parts, visitor.user, document_id))
    hidden = [name for name in standing.withheld if name != "file"]  # the file stays whoever corrects
    if hidden:
        raise Problem("forbidden", f"Of this document, {', '.join(hidden)} is withheld from you.")
    return standing


def _page(
    visitor: Visitor,
    standing: DocumentAnswer,
    entries: CorrectionForm,
    reason: str = "",
    *,
    status: int = 200,
    theirs: CorrectionForm | None = None,
) -> Response:
    return html(
        "correction.html",
        status,
        page=Page(visitor, "/console/trials"),
        standing=standing,
        entries=entries,
        reason=reason,
        seen=CorrectionForm.of(standing).mark,
        theirs=theirs,
        kinds=list(Kind),
    )
