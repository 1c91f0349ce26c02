"""Operate: what needs attention first, then editions, dead letters and documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query
from starlette.responses import RedirectResponse, Response

from reporting_pipeline.console.deployment import OwnForm, Parts, Person
from reporting_pipeline.console.pages.layout import Page, opened
from reporting_pipeline.console.rendering import html
from reporting_pipeline.console.sessions import Visitor
from reporting_pipeline.domain.access import Action, ResourceKind, reach_of
from reporting_pipeline.domain.deliveries import Channel, DeliveryRecord
from reporting_pipeline.domain.jobs import JobRecord, JobState
from reporting_pipeline.stores import alerts, editions, subscriptions, users
from reporting_pipeline.stores.dead_letters import RequeueLimited
from reporting_pipeline.stores.deliveries import halted_channels
from reporting_pipeline.stores.suppressions import list_suppressions
from reporting_pipeline.usecases.callers.context import Context, scoped
from reporting_pipeline.usecases.callers.problems import Problem
from reporting_pipeline.usecases.requeueing import CannotRun, requeue_job
from reporting_pipeline.usecases.sending_again import lift_suppression, resume_channel

router = APIRouter(prefix="/console")

A_PAGE = 50
EDITIONS_SHOWN = 12
COUNTED_AT_MOST = 1_000
_CHANNEL = "|".join(Channel)
#: What the address may say was done: our own sentences, and no words of whoever made a link.
_DONE = rf"^(|\d{{1,9}} to be tried again|({_CHANNEL}) sends again|the address is written to again)$"


@router.get("/operate")
def operate_page(
    visitor: Person,
    parts: Parts,
    channel: Annotated[str, Query(pattern=f"^(|{_CHANNEL})$")] = "",
    edition: Annotated[str, Query(max_length=64)] = "",
    done: Annotated[str, Query(pattern=_DONE)] = "",
) -> Response:
    return _operate(parts, visitor, done, channel=channel, edition=edition)


def _operate(
    parts: Context,
    visitor: Visitor,
    done: str = "",
    refused: Sequence[str] = (),
    *,
    channel: str = "",
    edition: str = "",
) -> Response:
    opened(visitor, Action.READ, ResourceKind.DEAD_LETTER)
    organisation = visitor.user.organisation
    found = editions.list_editions(parts.database, limit=EDITIONS_SHOWN)
    progress = editions.progress_of(parts.database, found, organisation, parts.now)
    home = organisation == parts.settings.organisation
    mine = scoped(parts, visitor.user)
    lost = mine.dead_letters(_filters(channel, edition), limit=COUNTED_AT_MOST)
    failed = [] if channel else mine.failed_renderings(after=None, limit=A_PAGE)
    failed = [job for job in failed if not edition or job["edition"] == edition]
    awaiting = mine.jobs_awaiting_release(after=None, limit=A_PAGE)
    left = users.who_left(parts.database, organisation)
    holds_open = reach_of(visitor.user, Action.READ, ResourceKind.HOLD) is not None
    manages = reach_of(visitor.user, Action.CHANGE, ResourceKind.DELIVERY) is not None
    return html(
        "operate.html",
        page=Page(visitor, "/console/operate"),
        progress=[(one, progress[one.id]) for one in found],
        moving=any(one.state.value == "open" for one in found),
        under_way=[one.id for one in found if one.state.value == "open"],
        alerts=alerts.open_alerts(parts.database) if home else [],
        lost=lost[:A_PAGE],
        matching=len(lost),
        counted_at_most=COUNTED_AT_MOST,
        channel=channel,
        channels=[one.value for one in Channel],
        edition_wanted=edition,
        orphaned=mine.count_of_owners(left, "active"),
        waiting=awaiting,
        halted=halted_channels(parts.database) if home else [],
        held_back=list_suppressions(parts.database, A_PAGE, organisation=organisation) if manages else [],
        failed=failed,
        names=_names_of(parts, [*awaiting, *failed, *lost[:A_PAGE]]),
        kept=mine.holds(after=None, limit=A_PAGE) if holds_open else [],
        may_resume=_operates(visitor, parts),
        may_requeue=reach_of(visitor.user, Action.REQUEUE, ResourceKind.DEAD_LETTER) is not None,
        done=done,
        refused=refused,
    )


def _done(words: str) -> Response:
    """To the page that says so: loading that again does nothing again."""
    return RedirectResponse(f"/console/operate?{urlencode({'done': words})}", 303)


def _names_of(parts: Context, records: Sequence[JobRecord | DeliveryRecord]) -> dict[str, str]:
    """{subscription: its name}: who operates knows a report by its name, and not by an id."""
    found = subscriptions.fields_of(parts.database, {str(one["subscription"]) for one in records}, ("name",))
    return {identifier: str(row.get("name") or identifier) for identifier, row in found.items()}


def _filters(channel: str, edition: str) -> dict[str, str]:
    return {name: value for name, value in (("channel", channel), ("edition", edition)) if value}


@router.post("/operate/requeue-all")
def requeue_matching(form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Try all dead letters that match again: first it says how many, then it acts."""
    opened(visitor, Action.REQUEUE, ResourceKind.DEAD_LETTER)
    channel, edition = form.text("channel"), form.text("edition")[:64]
    filters, mine = _filters(channel, edition), scoped(parts, visitor.user)
    if not form.has("sure"):
        count = len(mine.dead_letters(filters, limit=COUNTED_AT_MOST))
        return html(
            "requeue_sure.html",
            page=Page(visitor, "/console/operate"),
            count=count,
            channel=channel,
            edition=edition,
        )
    parts.limits.requeue(visitor.user.organisation)
    try:
        again = mine.requeue_matching(filters, parts.now, COUNTED_AT_MOST)
    except RequeueLimited as limited:
        minutes = max(1, round(limited.retry_after.total_seconds() / 60))
        return _operate(parts, visitor, refused=[f"too many in this hour; in {minutes} min it can go on"])
    return _done(f"{again} to be tried again")


@router.post("/operate/resume")
def resume(form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Let a channel send again whose credentials were mended; for those who operate this deployment."""
    opened(visitor, Action.CHANGE, ResourceKind.DELIVERY)
    if not _operates(visitor, parts):
        raise Problem("forbidden", "Only the home organisation of this deployment may do this.")
    channel = form.text("channel")[:20]
    home = parts.settings.organisation
    if not resume_channel(parts.database, channel, visitor.user.id, home, parts.now):
        return _operate(parts, visitor, refused=["that channel was not halted"])
    return _done(f"{channel} sends again")


def _operates(visitor: Visitor, parts: Context) -> bool:
    home = visitor.user.organisation == parts.settings.organisation
    return home and reach_of(visitor.user, Action.CHANGE, ResourceKind.ORGANISATION) is not None


@router.post("/operate/lift")
def lift(form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Write to an address of this organisation again."""
    opened(visitor, Action.CHANGE, ResourceKind.DELIVERY)
    address = form.text("address")[:400]
    own, home = visitor.user.organisation, parts.settings.organisation
    if not lift_suppression(parts.database, address, visitor.user.id, home, parts.now, own):
        return _operate(parts, visitor, refused=["that address is not held back"])
    return _done("the address is written to again")


@router.post("/operate/requeue")
def requeue(form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Try the chosen dead letters and failed renderings again."""
    opened(visitor, Action.REQUEUE, ResourceKind.DEAD_LETTER)
    parts.limits.requeue(visitor.user.organisation)
    mine, now = scoped(parts, visitor.user), parts.now
    again = sum(mine.requeue(one, now) for one in form.all("delivery")[:A_PAGE])
    refused: list[str] = []
    for one in form.all("job")[:A_PAGE]:
        job = mine.job(one)
        if job is None:
            continue
        try:
            again += requeue_job(parts.database, parts.settings, job, visitor.user.id, now)
        except CannotRun as reason:
            refused.append(f"{one}: {reason}")
    if refused:
        return _operate(parts, visitor, f"{again} to be tried again" if again else "", refused)
    return _done(f"{again} to be tried again")


@router.get("/editions/{edition_id}")
def edition_page(edition_id: Annotated[str, Path(max_length=64)], visitor: Person, parts: Parts) -> Response:
    """One edition as this organisation sees it."""
    opened(visitor, Action.READ, ResourceKind.EDITION)
    try:
        found = editions.get_edition(parts.database, edition_id)
    except editions.EditionMissing:
        raise Problem("not-found", "There is no such edition.") from None
    organisation = visitor.user.organisation
    progress = editions.progress_of(parts.database, [found], organisation, parts.now)[found.id]
    return html(
        "edition.html",
        page=Page(visitor, "/console/operate"),
        edition=found,
        progress=progress,
        states=[state.value for state in JobState if progress.counts.get(state.value)],
        moving=found.state.value == "open",
    )
