"""The audit log of the organisation, with filters in the address."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from reporting_pipeline.console.audit_words import detail_words, event_words, name_words, page_of
from reporting_pipeline.console.deployment import OwnForm, Parts, Person
from reporting_pipeline.console.pages.layout import Page, opened
from reporting_pipeline.console.pages.people import people_meant
from reporting_pipeline.console.rendering import html
from reporting_pipeline.console.sessions import Visitor
from reporting_pipeline.domain.access import Action, ResourceKind, User
from reporting_pipeline.domain.own_records import event_shown
from reporting_pipeline.stores import audit, users
from reporting_pipeline.stores.changes import rights_mark, rights_marks
from reporting_pipeline.usecases.callers.context import Context
from reporting_pipeline.usecases.callers.problems import Problem

router = APIRouter(prefix="/console")

A_PAGE = 50
EXPORTED_AT_ONCE = 500
_KNOWN = tuple(one.value for one in audit.AuditAction)


@router.get("/audit")
def audit_page(
    visitor: Person,
    parts: Parts,
    action: Annotated[str, Query(max_length=60)] = "",
    actor: Annotated[str, Query(max_length=254)] = "",
    before: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    opened(visitor, Action.READ, ResourceKind.AUDIT)
    return _audit_page(parts, visitor, action, actor, before)


@router.post("/audit/verify")
def verify(form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Read the whole chain, of all organisations, and hold it to its anchors."""
    opened(visitor, Action.READ, ResourceKind.AUDIT)
    if visitor.user.organisation != parts.settings.organisation:
        raise Problem("forbidden", "Only the home organisation of this deployment may do this.")
    verdict = audit.verify(parts.database, parts.objects)
    _note(parts, visitor, audit.AuditAction.AUDIT_VERIFIED, {"ok": verdict.ok, "rows": verdict.rows})
    return _audit_page(parts, visitor, verdict=verdict)


@router.get("/audit/export")
def export(
    visitor: Person,
    parts: Parts,
    action: Annotated[str, Query(max_length=60)] = "",
    actor: Annotated[str, Query(max_length=254)] = "",
) -> Response:
    """The events that match as JSON lines, the newest first. Where the reader's rights change meanwhile its
    last line says so."""
    opened(visitor, Action.READ, ResourceKind.AUDIT)
    known = action if action in _KNOWN else ""
    _note(parts, visitor, audit.AuditAction.AUDIT_EXPORTED, {"only": known, "by_one": bool(actor)})
    lines = _lines(parts, visitor.user, known or None, actor or None)
    headers = {"content-disposition": 'attachment; filename="audit.jsonl"'}
    return StreamingResponse(lines, media_type="application/x-ndjson", headers=headers)


def _note(parts: Context, visitor: Visitor, action: audit.AuditAction, details: dict[str, Any]) -> None:
    own = visitor.user.organisation
    audit.record(
        parts.database, action, visitor.user.id, "audit", parts.now, organisation=own, details=details
    )


def _lines(parts: Context, reader: User, action: str | None, actor: str | None) -> Iterator[str]:
    before = None
    mark = rights_mark(reader)
    while rows := audit.events_of(
        parts.database, reader.organisation, action=action, actor=actor, before=before, limit=EXPORTED_AT_ONCE
    ):
        if rights_marks(parts.database, [reader.id]).get(reader.id) != mark:
            yield json.dumps({"incomplete": "your rights were changed while the log was exported"}) + "\n"
            return
        for row in rows:
            yield json.dumps(event_shown(reader, row), default=str) + "\n"
        before = rows[-1]["seq"]


def _names(parts: Context, visitor: Visitor, events: list[Any]) -> dict[str, str]:
    """Names of the organisation's people in these events, by their ids; who was erased has none."""
    people = users.users_by_id(parts.database, {one[part] for one in events for part in ("actor", "subject")})
    own = visitor.user.organisation
    return {key: one.name for key, one in people.items() if one.organisation == own and one.name}


def _audit_page(
    parts: Context,
    visitor: Visitor,
    action: str = "",
    actor: str = "",
    before: int | None = None,
    verdict: audit.AuditCheck | None = None,
) -> Response:
    meant = people_meant(parts, visitor, actor.strip()) if actor.strip() else [""]
    found = audit.events_of(
        parts.database,
        visitor.user.organisation,
        action=action if action in _KNOWN else None,
        actor=(meant[0] if len(meant) == 1 else actor) or None,
        before=before,
        limit=A_PAGE + 1,
    )
    return html(
        "audit.html",
        page=Page(visitor, "/console/audit"),
        events=[event_shown(visitor.user, one) for one in found[:A_PAGE]],
        names=_names(parts, visitor, found),
        actions=sorted(_KNOWN, key=event_words),
        event_words=event_words,
        detail_words=detail_words,
        name_words=name_words,
        page_of=page_of,
        action=action,
        actor=meant[0] if len(meant) == 1 else actor,
        several=len(meant) > 1,
        home=visitor.user.organisation == parts.settings.organisation,
        verdict=verdict,
        next_before=found[A_PAGE - 1]["seq"] if len(found) > A_PAGE else None,
    )
