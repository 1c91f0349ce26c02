"""My reports: what I get, when it comes next, what came, and what I can do about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import RedirectResponse, Response

from reporting_pipeline.console.deployment import OwnForm, Parts, Person
from reporting_pipeline.console.pages.arrivals import Later, later_arrival
from reporting_pipeline.console.pages.first_steps import first_steps
from reporting_pipeline.console.pages.layout import Page, done_at
from reporting_pipeline.console.rendering import html
from reporting_pipeline.domain.access import Action, Resource, ResourceKind, allowed, reach_of
from reporting_pipeline.domain.confirmation import answer_by
from reporting_pipeline.domain.jobs import JobRecord
from reporting_pipeline.domain.masked_recipients import shown
from reporting_pipeline.domain.periods import Period
from reporting_pipeline.domain.subscriptions import Recipient, Subscription
from reporting_pipeline.stores import jobs
from reporting_pipeline.stores.confirmations import waiting_for_a_word
from reporting_pipeline.stores.users import users_by_id
from reporting_pipeline.usecases.callers import subscribing
from reporting_pipeline.usecases.callers.context import Context, scoped
from reporting_pipeline.usecases.callers.problems import Problem, invalid

router = APIRouter()

SubscriptionId = Annotated[str, Path(max_length=64)]
A_PAGE = 25
ASKED_AT_MOST = 100  # as many as the page of those that wait for a word shows
PAST_SHOWN = 5
JOBS_A_PAGE = 25
JOBS_OF_A_PERIOD = 500  # so far back a period is looked for
UNDER_WAY = frozenset({"pending", "processing", "delivering"})


@dataclass(frozen=True)
class Following:
    """One subscription as its reader sees it."""

    subscription: Subscription
    next_at: datetime | None
    past: list[JobRecord]  # jobs, the newest due first


@router.get("/")
def front() -> Response:
    return RedirectResponse("/console/", 303)


@router.get("/console/")
def my_reports(visitor: Person, parts: Parts, after: Annotated[str, Query(max_length=64)] = "") -> Response:
    """What this person is subscribed to, a page at a time, with what came lately."""
    organisation, user = visitor.user.organisation, visitor.user.id
    found = scoped(parts, visitor.user).subscriptions(owner=user, after=after or None, limit=A_PAGE + 1)
    own = found[:A_PAGE]
    past = jobs.latest_of_each(parts.database, organisation, user, [one.id for one in own], PAST_SHOWN)
    following = [Following(one, subscribing.next_run(parts, one), past.get(one.id, [])) for one in own]
    under_way = [job for one in following for job in _under_way(one.past)]
    return html(
        "my_reports.html",
        page=Page(visitor, "/console/"),
        following=following,
        may_subscribe=reach_of(visitor.user, Action.CREATE, ResourceKind.SUBSCRIPTION) is not None,
        steps=None if following or after else first_steps(parts, visitor),
        moving=bool(under_way),
        under_way=under_way,
        unconfirmed=sum(
            answer_by(one) is not None
            for one in waiting_for_a_word(parts.database, organisation, user, ASKED_AT_MOST)
        ),
        next_after=own[-1].id if len(found) > A_PAGE else "",
        is_first=not after,
    )


def _under_way(past: list[JobRecord]) -> list[str]:
    return [job["_id"] for job in past if job["state"] in UNDER_WAY]


@router.get("/console/reports/{subscription_id}")
def subscription_page(
    subscription_id: SubscriptionId,
    visitor: Person,
    parts: Parts,
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Response:
    """One subscription: its settings, and the timeline of its reports."""
    found = subscribing.find(parts, visitor.user, subscription_id)
    return _subscription_page(parts, visitor, found, page)


def _subscription_page(
    parts: Context, visitor: Person, found: Subscription, page: int = 1, problem: Problem | None = None
) -> Response:
    mine = scoped(parts, visitor.user)
    past = mine.jobs_of(found.id, skip=(page - 1) * JOBS_A_PAGE, limit=JOBS_A_PAGE)
    total = mine.count_jobs_of(found.id)
    resource = Resource(ResourceKind.SUBSCRIPTION, found.organisation, owner=found.owner)
    may_change = bool(allowed(visitor.user, Action.CHANGE, resource))
    return html(
        "subscription.html",
        problem.status if problem else 200,
        page=Page(visitor, "/console/" if found.owner == visitor.user.id else "/console/schedules"),
        subscription=found,
        next_at=subscribing.next_run(parts, found),
        goes_to=_goes_to(parts, visitor, found),
        past=past,
        total=total,
        number=page,
        pages=max(1, -(-total // JOBS_A_PAGE)),
        may_change=may_change,
        confirm_until=answer_by(found),
        problem=problem,
        later=_later(parts, visitor, found) if may_change and found.status == "active" else None,
        moving=bool(_under_way(past)),
        under_way=_under_way(past),
    )


def _goes_to(parts: Context, visitor: Person, found: Subscription) -> list[str]:
    """Its recipients in words: people by their names, oneself as such, of a URL the host."""
    ids = {one.value for one in found.recipients if one.type == "user"}
    people = users_by_id(parts.database, ids)

    def said(one: Recipient) -> str:
        if one.type != "user":
            return shown(one.value) if one.type == "email" else f"{one.type}: {shown(one.value)}"
        if one.value == visitor.user.id:
            return "you, by mail"
        person = people.get(one.value)
        ours = person is not None and person.organisation == found.organisation
        return person.name if person and ours and person.name else one.value

    return [said(one) for one in found.recipients]


def _later(parts: Context, visitor: Person, found: Subscription) -> Later | None:
    """What a run of now would not have yet, where it would have nothing."""
    closed = Period.last_closed(found.window, parts.now, parts.settings.timezone)
    return later_arrival(parts, visitor, closed, found.filters, found.report_type)


@router.get("/console/reports/{subscription_id}/periods/{period}")
def newest_of_period(
    subscription_id: SubscriptionId,
    period: Annotated[str, Path(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")],
    visitor: Person,
    parts: Parts,
) -> Response:
    """To the newest report of a period: what a partition in Dagster's UI names."""
    found = subscribing.find(parts, visitor.user, subscription_id, also_ended=True)
    past = scoped(parts, visitor.user).jobs_of(found.id, limit=JOBS_OF_A_PERIOD)
    job = next((one for one in past if one["period"] == period), None)
    if job is None:
        return RedirectResponse(f"/console/reports/{subscription_id}", 303)
    return RedirectResponse(f"/console/jobs/{job['_id']}", 303)


@router.post("/console/reports/{subscription_id}/run")
def run_now(subscription_id: SubscriptionId, form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Make the report of the newest closed period now, and show how it gets on."""
    try:
        job = subscribing.run_now(parts, visitor.user, subscription_id)
    except Problem as problem:
        standing = problem.more.get("job")
        if isinstance(standing, str):  # one is under way already: that is what they want to see
            return RedirectResponse(f"/console/jobs/{standing}", 303)
        return _with_problem(subscription_id, visitor, parts, problem)
    return RedirectResponse(f"/console/jobs/{job['_id']}", 303)


@router.post("/console/reports/{subscription_id}/pause")
def pause(subscription_id: SubscriptionId, form: OwnForm, visitor: Person, parts: Parts) -> Response:
    text = form.text("until")
    try:
        until = date.fromisoformat(text) if text else None
    except ValueError:
        problem = invalid("#/until", f"{text[:20]!r} is no day; write it like 2027-01-07")
        return _with_problem(subscription_id, visitor, parts, problem)
    return _turn(subscription_id, visitor, parts, "paused", until)


@router.post("/console/reports/{subscription_id}/resume")
def resume(subscription_id: SubscriptionId, form: OwnForm, visitor: Person, parts: Parts) -> Response:
    return _turn(subscription_id, visitor, parts, "active")


@router.get("/console/reports/{subscription_id}/end")
def ask_before_ending(subscription_id: SubscriptionId, visitor: Person, parts: Parts) -> Response:
    """Ask once: an ended subscription does not come back."""
    found = subscribing.find(parts, visitor.user, subscription_id, Action.DELETE)
    return html("end.html", page=Page(visitor, "/console/"), subscription=found)


@router.post("/console/reports/{subscription_id}/end")
def end(subscription_id: SubscriptionId, form: OwnForm, visitor: Person, parts: Parts) -> Response:
    subscribing.end(parts, visitor.user, subscription_id, None)
    return done_at("/console/", "unsubscribed")


def _turn(
    subscription_id: str, visitor: Person, parts: Context, status: str, until: date | None = None
) -> Response:
    try:
        subscribing.set_status(parts, visitor.user, subscription_id, status, None, until)
    except Problem as problem:
        return _with_problem(subscription_id, visitor, parts, problem)
    return done_at(f"/console/reports/{subscription_id}", "paused" if status == "paused" else "resumed")


def _with_problem(subscription_id: str, visitor: Person, parts: Context, problem: Problem) -> Response:
    found = subscribing.find(parts, visitor.user, subscription_id)
    return _subscription_page(parts, visitor, found, problem=problem)
