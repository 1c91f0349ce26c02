"""Dead letters: jobs and deliveries that used up their attempts, and the way back to work."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from reporting_pipeline.api.deps import Caller, Context, Deployment, may, scoped
from reporting_pipeline.api.errors import Problem, invalid, not_found
from reporting_pipeline.api.models.base import READ, WRITE
from reporting_pipeline.api.models.operations import (
    DeadLetter,
    DeadLetterPage,
    Requeued,
    RequeueRequest,
)
from reporting_pipeline.api.pagination import Cursor, Limit
from reporting_pipeline.domain.access import Action, Kind, User
from reporting_pipeline.stores import dead_letters
from reporting_pipeline.stores.mongo import Record
from reporting_pipeline.usecases import requeueing

router = APIRouter(prefix="/api", tags=["operations"])

DeadLetterId = Annotated[
    str, Path(pattern=r"^(dlv|job)_[0-9A-Za-z_-]{1,60}$", examples=["dlv_3f9c1a7d5e2b48c0a6d4f012"])
]


@router.get("/dead-letters", responses=READ, dependencies=[may(Action.READ, Kind.DEAD_LETTER)])
def list_dead_letters(
    caller: Caller,
    deployment: Deployment,
    kind: Annotated[Literal["job", "delivery"] | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DeadLetterPage:
    """Jobs and deliveries of the organisation that used up their attempts, deliveries first."""
    scope = f"dead-letters:{caller.organisation}:{kind}"
    position = deployment.cursors.read(scope, cursor)
    found = _letters(deployment, caller, kind, position[0] if position else None, limit + 1)
    page = found[:limit]
    return DeadLetterPage(
        items=page,
        next_cursor=deployment.cursors.write(scope, [page[-1].id]) if len(found) > limit else None,
    )


@router.post(
    "/dead-letters/{letter_id}/requeue",
    responses=WRITE,
    dependencies=[may(Action.REQUEUE, Kind.DEAD_LETTER)],
)
def requeue_dead_letter(letter_id: DeadLetterId, caller: Caller, deployment: Deployment) -> Requeued:
    """Give one dead letter back to work, with all its attempts anew."""
    if letter_id.startswith("job_"):
        job = scoped(deployment, caller).job(letter_id)
        requeued = int(job is not None and _requeue_one(deployment, caller, job))
    else:
        requeued = int(scoped(deployment, caller).requeue(letter_id, deployment.now))
    if not requeued:
        raise not_found("dead letter")
    return Requeued(requeued=requeued)


@router.post("/dead-letters/requeue", responses=WRITE, dependencies=[may(Action.REQUEUE, Kind.DEAD_LETTER)])
def requeue_dead_letters(body: RequeueRequest, caller: Caller, deployment: Deployment) -> Requeued:
    """Give the dead letters that match back to work; so many per hour and organisation."""
    if not body.model_fields_set - {"limit"}:
        raise invalid("#", "name at least one of kind, edition, subscription, channel")
    deployment.limits.requeue(caller.organisation)
    requeued = 0
    if body.kind in (None, "delivery"):
        requeued += _requeue_deliveries(deployment, caller, body)
    if body.kind in (None, "job") and body.channel is None and requeued < body.limit:
        chosen = _matching_jobs(deployment, caller, body, body.limit - requeued)
        requeued += _requeue_jobs(deployment, caller, chosen)
    return Requeued(requeued=requeued)


def _letters(
    deployment: Context, caller: User, kind: str | None, after: str | None, limit: int
) -> list[DeadLetter]:
    """By id: those of deliveries ("dlv_…") come before those of jobs ("job_…")."""
    found: list[DeadLetter] = []
    if kind != "job" and not (after or "").startswith("job_"):
        rows = scoped(deployment, caller).dead_letters(limit=limit, after=after)
        found += [_of_delivery(row) for row in rows]
        after = None
    if kind != "delivery" and len(found) < limit:
        failed = scoped(deployment, caller).failed_renderings(after=after, limit=limit - len(found))
        found += [_of_job(job) for job in failed]
    return found


def _requeue_deliveries(deployment: Context, caller: User, body: RequeueRequest) -> int:
    filters = {
        name: value
        for name, value in (
            ("edition", body.edition),
            ("subscription", body.subscription),
            ("channel", body.channel),
        )
        if value is not None
    }
    try:
        return scoped(deployment, caller).requeue_matching(filters, deployment.now, body.limit)
    except dead_letters.RequeueLimited as limited:
        seconds = max(1, math.ceil(limited.retry_after.total_seconds()))
        raise Problem(
            "rate-limited", f"Try again in {seconds} s.", headers={"Retry-After": str(seconds)}
        ) from None


def _matching_jobs(deployment: Context, caller: User, body: RequeueRequest, limit: int) -> list[Record]:
    matching = (
        job
        for job in _failed_jobs(deployment, caller)
        if body.edition in (None, job["edition"]) and body.subscription in (None, job["subscription"])
    )
    return [job for job, _ in zip(matching, range(limit), strict=False)]


def _failed_jobs(deployment: Context, caller: User) -> Iterator[Record]:
    after = None
    mine = scoped(deployment, caller)
    while page := mine.failed_renderings(after=after, limit=500):
        yield from page
        after = page[-1]["_id"]


def _requeue_jobs(deployment: Context, caller: User, chosen: list[Record]) -> int:
    """How many of these wait again. Those that no run would serve are left where they are."""
    requeued = 0
    for job in chosen:
        with suppress(requeueing.CannotRun):
            requeued += _requeue(deployment, caller, job)
    return requeued


def _requeue_one(deployment: Context, caller: User, job: Record) -> bool:
    try:
        return _requeue(deployment, caller, job)
    except requeueing.CannotRun as error:
        raise Problem("conflict", f"This job cannot run again: {error}.") from None


def _requeue(deployment: Context, caller: User, job: Record) -> bool:
    return requeueing.requeue_job(deployment.database, deployment.settings, job, caller.id, deployment.now)


def _of_delivery(row: Record) -> DeadLetter:
    return DeadLetter(
        id=row["_id"],
        kind="delivery",
        edition=row["edition"],
        subscription=row["subscription"],
        job=row["job"],
        channel=row["channel"],
        attempts=len(row.get("attempts") or []),
        error=row.get("error"),
        failed_at=row.get("settled_at"),
    )


def _of_job(job: Record) -> DeadLetter:
    return DeadLetter(
        id=job["_id"],
        kind="job",
        edition=job["edition"],
        subscription=job["subscription"],
        job=job["_id"],
        channel=None,
        attempts=int(job.get("attempts") or 0),
        error=job.get("error"),
        failed_at=job.get("completed_at"),
    )
