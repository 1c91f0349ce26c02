"""My reports: what I get, when it comes next, what came, and what I can do about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import RedirectResponse, Response

from reporting_pipeline.api import subscribing
from reporting_pipeline.api.deps import Context, scoped
from reporting_pipeline.api.errors import Problem
from reporting_pipeline.console.deployment import OwnForm, Parts, Person
from reporting_pipeline.console.pages.layout import Page
from reporting_pipeline.console.rendering import html
from reporting_pipeline.domain.access import Action, Resource, allowed
from reporting_pipeline.domain.access import Kind as ResourceKind
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.stores import jobs
from reporting_pipeline.stores.mongo import Record

router = APIRouter()

SubscriptionId = Annotated[str, Path(max_length=64)]
PAST_SHOWN = 5
JOBS_A_PAGE = 25
UNDER_WAY = frozenset({"pending", "processing", "delivering"})


@dataclass(frozen=True)
class Following:
    """One subscription as its reader sees it."""

    subscription: Subscription
    next_at: datetime | None
    past: list[Record]  # jobs, the newest due first


@router.get("/")
def front() -> Response:
    return RedirectResponse("/console/", 303)


@router.get("/console/")
def my_reports(visitor: Person, parts: Parts) -> Response:
    """Everything this person is subscribed to, with what came lately."""
    own = scoped(parts, visitor.user).subscriptions(owner=visitor.user.id, limit=200)
    following = [
        Following(
            one,
            subscribing.next_run(parts, one),
            jobs.jobs_of(parts.database, visitor.user.organisation, one.id, limit=PAST_SHOWN),
        )
        for one in own
    ]
    return html(
        "my_reports.html", page=Page(visitor, "/console/"), following=following, moving=_moving(following)
    )


def _moving(following: list[Following]) -> bool:
    return any(job["state"] in UNDER_WAY for one in following for job in one.past)


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
    organisation = visitor.user.organisation
    past = jobs.jobs_of(
        parts.database, organisation, found.id, skip=(page - 1) * JOBS_A_PAGE, limit=JOBS_A_PAGE
    )
    total = jobs.count_jobs_of(parts.database, organisation, found.id)
    resource = Resource(ResourceKind.SUBSCRIPTION, found.organisation, owner=found.owner)
    may_change = bool(allowed(visitor.user, Action.CHANGE, resource))
    return html(
        "subscription.html",
        problem.status if problem else 200,
        page=Page(visitor, "/console/" if found.owner == visitor.user.id else "/console/schedules"),
        subscription=found,
        next_at=subscribing.next_run(parts, found),
        past=past,
        total=total,
        number=page,
        pages=max(1, -(-total // JOBS_A_PAGE)),
        may_change=may_change,
        problem=problem,
        moving=any(job["state"] in UNDER_WAY for job in past),
    )


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
    return _turn(subscription_id, visitor, parts, "paused")


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
    return RedirectResponse("/console/?ended=1", 303)


def _turn(subscription_id: str, visitor: Person, parts: Context, status: str) -> Response:
    try:
        subscribing.set_status(parts, visitor.user, subscription_id, status, None)
    except Problem as problem:
        return _with_problem(subscription_id, visitor, parts, problem)
    return RedirectResponse(f"/console/reports/{subscription_id}", 303)


def _with_problem(subscription_id: str, visitor: Person, parts: Context, problem: Problem) -> Response:
    found = subscribing.find(parts, visitor.user, subscription_id)
    return _subscription_page(parts, visitor, found, problem=problem)
