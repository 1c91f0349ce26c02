"""Schedules of the organisation: who gets what, whether it came, and what to do about many at once."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import RedirectResponse, Response

from reporting_pipeline.api import subscribing
from reporting_pipeline.api.deps import Context, scoped
from reporting_pipeline.api.errors import Problem
from reporting_pipeline.console.deployment import OwnForm, Parts, Person
from reporting_pipeline.console.pages.layout import Page, opened
from reporting_pipeline.console.rendering import html
from reporting_pipeline.console.sessions import Visitor
from reporting_pipeline.domain.access import Action, Kind, reach_of
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.stores import jobs, users

router = APIRouter(prefix="/console")

A_PAGE = 50
_BULK = {"pause": "paused", "resume": "active"}


@router.get("/schedules")
def schedules_page(
    visitor: Person,
    parts: Parts,
    status: Annotated[str, Query(pattern="^(|active|paused)$")] = "",
    owner: Annotated[str, Query(max_length=64)] = "",
    after: Annotated[str, Query(max_length=64)] = "",
    done: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """The organisation's subscriptions; filters stand in the address, so that a list can be passed on."""
    opened(visitor, Action.READ, Kind.SUBSCRIPTION, "organisation")
    found = scoped(parts, visitor.user).subscriptions(
        owner=owner or None,
        status=status or None,
        after=after or None,
        limit=A_PAGE + 1,
    )
    shown = found[:A_PAGE]
    return html(
        "schedules.html",
        page=Page(visitor, "/console/schedules"),
        rows=[(one, *_about(parts, one)) for one in shown],
        wanted=status,
        owner=owner,
        next_after=found[A_PAGE - 1].id if len(found) > A_PAGE else "",
        may_change=reach_of(visitor.user, Action.CHANGE, Kind.SUBSCRIPTION) == "organisation",
        done=done,
    )


def _about(parts: Context, one: Subscription) -> tuple[object, object, object]:
    """(owner as a user or None, the newest job or None, next due time)."""
    newest = jobs.jobs_of(parts.database, one.organisation, one.id, limit=1)
    return (
        users.get_user(parts.database, one.owner, one.organisation),
        newest[0] if newest else None,
        subscribing.next_run(parts, one),
    )


@router.post("/schedules")
def change_many(form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Pause or resume the chosen ones: first it says how many, then it acts."""
    opened(visitor, Action.CHANGE, Kind.SUBSCRIPTION, "organisation")
    wanted, chosen = form.text("action"), form.all("chosen")[:A_PAGE]
    if wanted not in _BULK or not chosen:
        return RedirectResponse("/console/schedules", 303)
    found = [_found(parts, visitor, one) for one in chosen]
    changing = [one for one in found if one is not None and one.status != _BULK[wanted]]
    if not form.has("sure"):
        return html(
            "schedules_sure.html", page=Page(visitor, "/console/schedules"), action=wanted, changing=changing
        )
    changed = sum(_turned(parts, visitor, one, _BULK[wanted]) for one in changing)
    return RedirectResponse(f"/console/schedules?done={changed}+{wanted}d", 303)


def _turned(parts: Context, visitor: Visitor, one: Subscription, status: str) -> bool:
    try:
        subscribing.set_status(parts, visitor.user, one.id, status, None)
    except Problem:  # ended meanwhile, or not theirs: the others go on
        return False
    return True


def _found(parts: Context, visitor: Visitor, identifier: str) -> Subscription | None:
    try:
        return subscribing.find(parts, visitor.user, identifier, Action.CHANGE)
    except Problem:
        return None
