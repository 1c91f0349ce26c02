"""Operate: what needs attention first, then editions, dead letters and documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from reporting_pipeline.api.deps import Context, scoped
from reporting_pipeline.api.errors import Problem
from reporting_pipeline.console.deployment import OwnForm, Parts, Person
from reporting_pipeline.console.pages.layout import Page, opened
from reporting_pipeline.console.rendering import html
from reporting_pipeline.console.sessions import Visitor
from reporting_pipeline.domain.access import Action, Kind, reach_of
from reporting_pipeline.stores import alerts, editions
from reporting_pipeline.usecases.requeueing import CannotRun, requeue_job

router = APIRouter(prefix="/console")

A_PAGE = 50
EDITIONS_SHOWN = 12


@router.get("/operate")
def operate_page(visitor: Person, parts: Parts) -> Response:
    return _operate(parts, visitor)


def _operate(parts: Context, visitor: Visitor, done: str = "", refused: Sequence[str] = ()) -> Response:
    opened(visitor, Action.READ, Kind.DEAD_LETTER)
    organisation = visitor.user.organisation
    found = editions.list_editions(parts.database, limit=EDITIONS_SHOWN)
    progress = [(one, editions.job_counts(parts.database, one.id, organisation)) for one in found]
    home = organisation == parts.settings.organisation
    mine = scoped(parts, visitor.user)
    lost = mine.dead_letters(limit=A_PAGE)
    failed = mine.failed_renderings(after=None, limit=A_PAGE)
    return html(
        "operate.html",
        page=Page(visitor, "/console/operate"),
        progress=progress,
        moving=any(one.state.value == "open" for one in found),
        alerts=alerts.open_alerts(parts.database) if home else [],
        lost=lost,
        failed=failed,
        may_requeue=reach_of(visitor.user, Action.REQUEUE, Kind.DEAD_LETTER) is not None,
        done=done,
        refused=refused,
    )


@router.post("/operate/requeue")
def requeue(form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Try the chosen dead letters and failed renderings again."""
    opened(visitor, Action.REQUEUE, Kind.DEAD_LETTER)
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
    return _operate(parts, visitor, done=f"{again} to be tried again" if again else "", refused=refused)


@router.get("/documents")
def documents_page(
    visitor: Person, parts: Parts, trial: Annotated[str, Query(max_length=64)] = ""
) -> Response:
    """What arrived lately."""
    opened(visitor, Action.READ, Kind.DOCUMENT)
    found = scoped(parts, visitor.user).documents(trial=trial or None, limit=A_PAGE)
    return html("documents.html", page=Page(visitor, "/console/operate"), found=found, trial=trial)


@router.get("/editions/{edition_id}")
def edition_page(edition_id: Annotated[str, Path(max_length=64)], visitor: Person, parts: Parts) -> Response:
    """One edition as this organisation sees it."""
    opened(visitor, Action.READ, Kind.EDITION)
    try:
        found = editions.get_edition(parts.database, edition_id)
    except editions.EditionMissing:
        raise Problem("not-found", "There is no such edition.") from None
    counts = editions.job_counts(parts.database, found.id, visitor.user.organisation)
    return html(
        "edition.html",
        page=Page(visitor, "/console/operate"),
        edition=found,
        counts=counts,
        moving=found.state.value == "open",
    )
