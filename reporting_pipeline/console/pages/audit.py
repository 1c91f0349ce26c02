"""The audit log of the organisation, with filters in the address."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from reporting_pipeline.console.deployment import Parts, Person
from reporting_pipeline.console.pages.layout import Page, opened
from reporting_pipeline.console.rendering import html
from reporting_pipeline.domain.access import Action, Kind
from reporting_pipeline.stores import audit

router = APIRouter(prefix="/console")

A_PAGE = 50


@router.get("/audit")
def audit_page(
    visitor: Person,
    parts: Parts,
    action: Annotated[str, Query(max_length=60)] = "",
    actor: Annotated[str, Query(max_length=80)] = "",
    before: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    opened(visitor, Action.READ, Kind.AUDIT)
    known = [one.value for one in audit.Action]
    found = audit.events_of(
        parts.database,
        visitor.user.organisation,
        action=action if action in known else None,
        actor=actor or None,
        before=before,
        limit=A_PAGE + 1,
    )
    return html(
        "audit.html",
        page=Page(visitor, "/console/audit"),
        events=found[:A_PAGE],
        actions=known,
        action=action,
        actor=actor,
        next_before=found[A_PAGE - 1]["seq"] if len(found) > A_PAGE else None,
    )
