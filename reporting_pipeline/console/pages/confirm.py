"""Who still needs which report: owners confirm, and managers for those who have left."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import RedirectResponse, Response

from reporting_pipeline.console.deployment import OwnForm, Parts, Person
from reporting_pipeline.console.forms import reason_of
from reporting_pipeline.console.pages.layout import Page, opened
from reporting_pipeline.console.rendering import html
from reporting_pipeline.console.sessions import Visitor
from reporting_pipeline.domain.access import Action, ResourceKind, allowed, reach_of
from reporting_pipeline.domain.confirmation import answer_by
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.stores import users
from reporting_pipeline.usecases.callers import subscribing
from reporting_pipeline.usecases.callers.context import Context, scoped
from reporting_pipeline.usecases.callers.problems import Problem

router = APIRouter(prefix="/console")

A_PAGE = 50


def waiting(parts: Context, visitor: Visitor, everybody: bool = False) -> list[Subscription]:
    """What waits for a word of this person: their own, or all that their roles let them change."""
    owner = None if everybody else visitor.user.id
    asked = scoped(parts, visitor.user).waiting_for_a_word(owner=owner, limit=A_PAGE)
    return [one for one in asked if answer_by(one) is not None and _may(visitor, one)]


def _paused(parts: Context, visitor: Visitor, everybody: bool) -> list[Subscription]:
    """What is paused because nobody answered, of the same people: the notice of it leads here."""
    owner = None if everybody else visitor.user.id
    found = scoped(parts, visitor.user).paused_unanswered(owner=owner, limit=A_PAGE)
    return [one for one in found if _may(visitor, one)]


def _may(visitor: Visitor, one: Subscription) -> bool:
    resource = subscribing.resource_of(one, visitor.user.id)
    return bool(allowed(visitor.user, Action.CHANGE, resource))


@router.get("/confirm")
def confirm_page(
    visitor: Person,
    parts: Parts,
    everybody: Annotated[str, Query(pattern="^(|1)$")] = "",
    confirmed: Annotated[int, Query(ge=0, le=A_PAGE)] = 0,
) -> Response:
    opened(visitor, Action.CHANGE, ResourceKind.SUBSCRIPTION)
    return _page(parts, visitor, bool(everybody), confirmed)


@router.post("/confirm")
def confirm(form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Say of the chosen ones that they are still needed."""
    opened(visitor, Action.CHANGE, ResourceKind.SUBSCRIPTION)
    confirmed, refused = 0, []
    for identifier in form.all("chosen")[:A_PAGE]:
        try:
            subscribing.confirm(parts, visitor.user, identifier)
            confirmed += 1
        except Problem as problem:
            refused.append(reason_of(problem))
    if refused:
        return _page(parts, visitor, form.has("everybody"), confirmed, refused)
    everybody = "&everybody=1" if form.has("everybody") else ""
    return RedirectResponse(f"/console/confirm?confirmed={confirmed}{everybody}", 303)


def _page(
    parts: Context, visitor: Visitor, everybody: bool, confirmed: int = 0, refused: list[str] | None = None
) -> Response:
    whole = reach_of(visitor.user, Action.CHANGE, ResourceKind.SUBSCRIPTION) == "organisation"
    found = waiting(parts, visitor, everybody and whole)
    paused = _paused(parts, visitor, everybody and whole)
    owners = users.users_by_id(parts.database, {one.owner for one in [*found, *paused]})
    return html(
        "confirm.html",
        page=Page(visitor, "/console/"),
        waiting=[(one, owners.get(one.owner), answer_by(one)) for one in found],
        whole=whole,
        everybody=everybody and whole,
        confirmed=confirmed,
        refused=refused or [],
        full=len(found) == A_PAGE,
        paused=[(one, owners.get(one.owner)) for one in paused],
    )
