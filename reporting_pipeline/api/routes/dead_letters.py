"""Dead letters of each stage: trials, jobs and deliveries that used up their attempts, and the way back."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from reporting_pipeline.api.deps import Caller, Deployment, may
from reporting_pipeline.api.models.base import READ, WRITE
from reporting_pipeline.api.models.operations import (
    DeadLetter,
    DeadLetterPage,
    Requeued,
    RequeueRequest,
    Stage,
)
from reporting_pipeline.api.pagination import Cursor, Limit
from reporting_pipeline.domain.access import Action, ResourceKind, User
from reporting_pipeline.domain.deliveries import DeliveryRecord
from reporting_pipeline.domain.jobs import JobRecord
from reporting_pipeline.stores import dead_letters
from reporting_pipeline.usecases import failed_stages, requeueing
from reporting_pipeline.usecases.callers.context import Context, scoped
from reporting_pipeline.usecases.callers.problems import Problem, invalid, not_found
from reporting_pipeline.usecases.failed_stages import FailedStage

router = APIRouter(prefix="/api", tags=["operations"])

DeadLetterId = Annotated[
    str,
    Path(
        pattern=r"^((dlv|job)_[0-9A-Za-z_-]{1,60}|stage_[0-9A-Za-z_-]{1,500})$",
        examples=["dlv_3f9c1a7d5e2b48c0a6d4f012"],
    ),
]


#: What a dead letter of each stage is.
_KINDS: Mapping[Stage, Literal["trial", "job", "delivery"]] = {
    "fetch": "trial",
    "aggregate": "trial",
    "render": "job",
    "notify": "delivery",
}


@router.get("/dead-letters", responses=READ, dependencies=[may(Action.READ, ResourceKind.DEAD_LETTER)])
def list_dead_letters(
    caller: Caller,
    deployment: Deployment,
    kind: Annotated[Literal["trial", "job", "delivery"] | None, Query()] = None,
    stage: Annotated[Stage | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DeadLetterPage:
    """What used up its attempts: the organisation's deliveries, jobs, then trials, by id.

    `stage` is `fetch` or `aggregate` (a trial's documents, its dataset and pictures), `render` (a job) or
    `notify` (a delivery).
    """
    scope = f"dead-letters:{caller.organisation}:{kind}:{stage}"
    position = deployment.cursors.read(scope, cursor)
    stages = _stages(kind, stage)
    found = _letters(deployment, caller, stages, position[0] if position else None, limit + 1)
    page = found[:limit]
    return DeadLetterPage(
        items=page,
        next_cursor=deployment.cursors.write(scope, [page[-1].id]) if len(found) > limit else None,
    )


@router.post(
    "/dead-letters/{letter_id}/requeue",
    responses=WRITE,
    dependencies=[may(Action.REQUEUE, ResourceKind.DEAD_LETTER)],
)
def requeue_dead_letter(letter_id: DeadLetterId, caller: Caller, deployment: Deployment) -> Requeued:
    """Give one dead letter back to work, with all its attempts anew."""
    waiting = 0
    if letter_id.startswith("stage_"):
        now_open = failed_stages.try_again(
            deployment.database, deployment.settings, caller, letter_id, deployment.now
        )
        requeued, waiting = int(now_open is not None), int(now_open is False)
    elif letter_id.startswith("job_"):
        job = scoped(deployment, caller).job(letter_id)
        requeued = int(job is not None and _requeue_one(deployment, caller, job))
    else:
        requeued = int(scoped(deployment, caller).requeue(letter_id, deployment.now))
    if not requeued:
        raise not_found("dead letter")
    return Requeued(requeued=requeued, waiting=waiting)


@router.post(
    "/dead-letters/requeue", responses=WRITE, dependencies=[may(Action.REQUEUE, ResourceKind.DEAD_LETTER)]
)
def requeue_dead_letters(body: RequeueRequest, caller: Caller, deployment: Deployment) -> Requeued:
    """Give the dead letters that match back to work; so many per hour and organisation."""
    if not body.model_dump(exclude={"limit"}, exclude_none=True):
        raise invalid("#", "name at least one of kind, stage, edition, subscription, channel")
    deployment.limits.requeue(caller.organisation)
    stages = _stages(body.kind, body.stage)
    requeued = waiting = 0
    if "notify" in stages:
        requeued += _requeue_deliveries(deployment, caller, body)
    if "render" in stages and body.channel is None and requeued < body.limit:
        chosen = _matching_jobs(deployment, caller, body, body.limit - requeued)
        requeued += _requeue_jobs(deployment, caller, chosen)
    if body.channel is None and body.subscription is None and requeued < body.limit:
        tried, waiting = _requeue_trials(deployment, caller, stages, body, body.limit - requeued)
        requeued += tried
    return Requeued(requeued=requeued, waiting=waiting)


def _stages(kind: str | None, stage: Stage | None) -> frozenset[Stage]:
    """The stages that are asked for by a kind, a stage, both or neither."""
    return frozenset(
        one for one, its_kind in _KINDS.items() if kind in (None, its_kind) and stage in (None, one)
    )


def _letters(
    deployment: Context, caller: User, stages: Collection[Stage], after: str | None, limit: int
) -> list[DeadLetter]:
    """By id: those of deliveries ("dlv_…") come before those of jobs ("job_…") and trials ("stage_…")."""
    found: list[DeadLetter] = []
    mine, begun = scoped(deployment, caller), after or ""
    if "notify" in stages and begun < "job_":
        rows = mine.dead_letters(limit=limit, after=after)
        found += [_of_delivery(row) for row in rows]
    if "render" in stages and begun < "stage_" and len(found) < limit:
        failed = mine.failed_renderings(
            after=after if begun.startswith("job_") else None, limit=limit - len(found)
        )
        found += [_of_job(job) for job in failed]
    if len(found) < limit:
        trials = _failed_stages(deployment, caller, stages)
        found += [_of_trial(one) for one in trials if one.id > begun][: limit - len(found)]
    return found


def _failed_stages(
    deployment: Context, caller: User, stages: Collection[Stage], edition: str | None = None
) -> list[FailedStage]:
    if not {"fetch", "aggregate"} & set(stages):
        return []
    found = failed_stages.failed_stages(deployment.database, deployment.settings, caller, edition=edition)
    return [one for one in found if one.stage in stages]


def _requeue_trials(
    deployment: Context, caller: User, stages: Collection[Stage], body: RequeueRequest, limit: int
) -> tuple[int, int]:
    """(how many are tried again, how many of them wait for somebody to ask for the period)."""
    chosen = _failed_stages(deployment, caller, stages, body.edition)[:limit]
    again = [failed_stages.give_back(deployment.database, caller, one, deployment.now) for one in chosen]
    return sum(one is not None for one in again), sum(one is False for one in again)


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


def _matching_jobs(deployment: Context, caller: User, body: RequeueRequest, limit: int) -> list[JobRecord]:
    matching = (
        job
        for job in _failed_jobs(deployment, caller)
        if body.edition in (None, job["edition"]) and body.subscription in (None, job["subscription"])
    )
    return [job for job, _ in zip(matching, range(limit), strict=False)]


def _failed_jobs(deployment: Context, caller: User) -> Iterator[JobRecord]:
    after = None
    mine = scoped(deployment, caller)
    while page := mine.failed_renderings(after=after, limit=500):
        yield from page
        after = page[-1]["_id"]


def _requeue_jobs(deployment: Context, caller: User, chosen: list[JobRecord]) -> int:
    """How many of these wait again. Those that no run would serve are left where they are."""
    requeued = 0
    for job in chosen:
        with suppress(requeueing.CannotRun):
            requeued += _requeue(deployment, caller, job)
    return requeued


def _requeue_one(deployment: Context, caller: User, job: JobRecord) -> bool:
    try:
        return _requeue(deployment, caller, job)
    except requeueing.CannotRun as error:
        raise Problem("conflict", f"This job cannot run again: {error}.") from None


def _requeue(deployment: Context, caller: User, job: JobRecord) -> bool:
    return requeueing.requeue_job(deployment.database, deployment.settings, job, caller.id, deployment.now)


def _of_delivery(row: DeliveryRecord) -> DeadLetter:
    return DeadLetter(
        id=row["_id"],
        kind="delivery",
        stage="notify",
        edition=row["edition"],
        subscription=row["subscription"],
        job=row["job"],
        channel=row["channel"],
        attempts=len(row.get("attempts") or []),
        error=row.get("error"),
        failed_at=row.get("settled_at"),
    )


def _of_job(job: JobRecord) -> DeadLetter:
    return DeadLetter(
        id=job["_id"],
        kind="job",
        stage="render",
        edition=job["edition"],
        subscription=job["subscription"],
        job=job["_id"],
        channel=None,
        attempts=int(job.get("attempts") or 0),
        error=job.get("error"),
        failed_at=job.get("completed_at"),
    )


def _of_trial(failed: FailedStage) -> DeadLetter:
    return DeadLetter(
        id=failed.id,
        kind="trial",
        stage=failed.stage,
        edition=failed.edition,
        trial=failed.trial,
        subscription=None,
        job=None,
        channel=None,
        attempts=failed.attempts,
        error=failed.reason,
        failed_at=failed.at,
    )
