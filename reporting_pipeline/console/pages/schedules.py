"""Schedules of the organisation: who gets what, whether it came, and what to do about many at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query
from starlette.responses import RedirectResponse, Response

from reporting_pipeline.console.deployment import Form, OwnForm, Parts, Person
from reporting_pipeline.console.forms import reason_of
from reporting_pipeline.console.pages.layout import Page, opened
from reporting_pipeline.console.pages.people import people_meant
from reporting_pipeline.console.rendering import html
from reporting_pipeline.console.sessions import Visitor
from reporting_pipeline.domain.access import Action, ResourceKind, reach_of
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.stores import jobs, users
from reporting_pipeline.stores.subscription_search import LOOKED_THROUGH
from reporting_pipeline.usecases.callers import subscribing
from reporting_pipeline.usecases.callers.context import Context, scoped
from reporting_pipeline.usecases.callers.problems import Problem

router = APIRouter(prefix="/console")

A_PAGE = 50
LATELY = timedelta(days=35)  # a monthly report has one in it
_BULK = {"pause": "paused", "resume": "active"}
TRANSFER = "transfer"
#: What the address may say was done: our own sentences, and no words of whoever made a link.
_DONE = r"^(|\d{1,9} (paused|resumed|passed on)|nothing, as none was chosen)$"


@router.get("/schedules")
def schedules_page(
    visitor: Person,
    parts: Parts,
    status: Annotated[str, Query(pattern="^(|active|paused)$")] = "",
    owner: Annotated[str, Query(max_length=254)] = "",
    q: Annotated[str, Query(max_length=200)] = "",
    left: Annotated[str, Query(pattern="^(|1)$")] = "",
    after: Annotated[str, Query(max_length=64)] = "",
    done: Annotated[str, Query(pattern=_DONE)] = "",
) -> Response:
    """The organisation's subscriptions; filters stand in the address, so that a list can be passed on."""
    opened(visitor, Action.READ, ResourceKind.SUBSCRIPTION, "organisation")
    mine, typed = scoped(parts, visitor.user), q.replace("\0", "").strip()
    of, owners = _owners_meant(parts, visitor, owner.replace("\0", "").strip(), bool(left))
    state, behind = status or None, after or None
    if typed:
        named = mine.subscriptions_named(
            typed, owner=of, owners=owners, status=state, after=behind, limit=A_PAGE
        )
        shown, next_after, is_cut = named.subscriptions, named.looked_to or "", named.is_cut
    else:
        found = mine.subscriptions(owner=of, owners=owners, status=state, after=behind, limit=A_PAGE + 1)
        shown, is_cut = found[:A_PAGE], False
        next_after = shown[-1].id if len(found) > A_PAGE else ""
    return html(
        "schedules.html",
        page=Page(visitor, "/console/schedules"),
        rows=_rows(parts, shown),
        wanted=status,
        owner=owner,
        q=q,
        left=left,
        filtered=bool(status or owner or typed or left or after),
        may_subscribe=reach_of(visitor.user, Action.CREATE, ResourceKind.SUBSCRIPTION) is not None,
        next_after=next_after,
        is_cut=is_cut,
        looked_through=LOOKED_THROUGH,
        may_change=reach_of(visitor.user, Action.CHANGE, ResourceKind.SUBSCRIPTION) == "organisation",
        done=done,
    )


def _owners_meant(
    parts: Context, visitor: Visitor, typed: str, left: bool
) -> tuple[str | None, list[str] | None]:
    """(the one owner or None, several owners or None) of whom the list is: by an id, an address or a part of
    a name, and those alone who have left. An id that is nobody's any more still has its schedules.
    """
    organisation = visitor.user.organisation
    gone = users.who_left(parts.database, organisation) if left else None
    if not typed:
        return None, gone
    meant = people_meant(parts, visitor, typed)
    if len(meant) == 1:
        return meant[0], gone
    return None, meant if gone is None else sorted(set(meant) & set(gone))


def _rows(parts: Context, shown: list[Subscription]) -> list[tuple[object, ...]]:
    """(subscription, its owner as a user or None, the newest job or None, next due time) of each."""
    owners = users.users_by_id(parts.database, {one.owner for one in shown})
    organisation = shown[0].organisation if shown else ""
    newest = jobs.newest_of(parts.database, organisation, [one.id for one in shown], parts.now - LATELY)
    return [
        (one, owners.get(one.owner), newest.get(one.id), subscribing.next_run(parts, one)) for one in shown
    ]


@router.post("/schedules")
def change_many(form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Pause, resume or pass on the chosen ones: first it says how many, then it acts."""
    opened(visitor, Action.CHANGE, ResourceKind.SUBSCRIPTION, "organisation")
    wanted, chosen = form.text("action"), form.all("chosen")[:A_PAGE]
    if wanted == TRANSFER and chosen:
        return _pass_on(form, visitor, parts, chosen)
    if wanted not in _BULK or not chosen:
        return RedirectResponse("/console/schedules?done=nothing%2C+as+none+was+chosen", 303)
    found = [_found(parts, visitor, one) for one in chosen]
    changing = [one for one in found if one is not None and one.status != _BULK[wanted]]
    if not form.has("sure"):
        return html(
            "schedules_sure.html",
            page=Page(visitor, "/console/schedules"),
            action=wanted,
            changing=changing,
            new_owner="",
            owner=None,
            refused=[],
            people=[],
        )
    changed = sum(_turned(parts, visitor, one, _BULK[wanted]) for one in changing)
    return RedirectResponse(f"/console/schedules?done={changed}+{wanted}d", 303)


def _pass_on(form: Form, visitor: Visitor, parts: Context, chosen: tuple[str, ...]) -> Response:
    """Give the chosen ones to another owner; what cannot be theirs stays, with the reason."""
    given = form.text("new_owner")
    meant = people_meant(parts, visitor, given) if given else []
    owner = users.get_user(parts.database, meant[0], visitor.user.organisation) if len(meant) == 1 else None
    found = [one for each in chosen if (one := _found(parts, visitor, each)) is not None]
    changing = [one for one in found if owner is None or one.owner != owner.id]
    refused: list[str] = []
    if not form.has("new_owner"):
        pass  # the page that asks for the new owner comes first
    elif len(meant) > 1:
        refused.append(f"Several people are called {given[:100]}: name one by their address or id.")
    elif owner is None or not owner.active:
        refused.append("Name an active person of your organisation by their name, address or id.")
    elif form.text("sure") == owner.id:  # who was named on the page that asked
        for one in changing:
            try:
                subscribing.transfer(parts, visitor.user, one.id, owner)
            except Problem as problem:
                refused.append(f"{one.name}: {reason_of(problem)}")
        if not refused:
            return RedirectResponse(
                f"/console/schedules?owner={quote(owner.id)}&done={len(changing)}+passed+on", 303
            )
        changing = [one for one in changing if _owned_by(parts, visitor, one.id) != owner.id]
    return html(
        "schedules_sure.html",
        422 if refused else 200,
        page=Page(visitor, "/console/schedules"),
        action=TRANSFER,
        changing=changing,
        new_owner=owner.id if owner else given,
        owner=owner,
        refused=refused,
        people=[one for one in users.list_users(parts.database, visitor.user.organisation, limit=200)],
    )


def _owned_by(parts: Context, visitor: Visitor, identifier: str) -> str | None:
    found = _found(parts, visitor, identifier)
    return found.owner if found else None


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
