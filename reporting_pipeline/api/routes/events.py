"""Server-sent events: how jobs and editions that the caller may see get on."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from reporting_pipeline.api.deps import Caller, Deployment, may
from reporting_pipeline.api.models.base import READ
from reporting_pipeline.api.models.editions import EDITION_PATTERN
from reporting_pipeline.api.models.subscriptions import JobAnswer
from reporting_pipeline.api.routes.editions import edition_answer
from reporting_pipeline.api.routes.subscriptions import report_url
from reporting_pipeline.domain.access import Action, ResourceKind, User
from reporting_pipeline.stores import editions, users
from reporting_pipeline.stores.scope import Scoped
from reporting_pipeline.usecases.callers.context import Context, scoped
from reporting_pipeline.usecases.callers.executions import histories
from reporting_pipeline.usecases.callers.following import MOST_WATCHED, admitted, under_way_for, watched_by
from reporting_pipeline.usecases.callers.problems import FieldError, Problem
from reporting_pipeline.usecases.changes import LONGEST_SECONDS, ChangeFeed, Watched, mark_of, rights_of

_log = logging.getLogger(__name__)
router = APIRouter(prefix="/api", tags=["editions"])

RETRY_MILLISECONDS = 1_000
EXAMPLE = (
    ": listening\nretry: 1000\n\n"
    'event: job\ndata: {"jobId": "job_0d5a3c1e7b9f42a6c8e01357", "status": "processing"}\n'
    "id: 9f3c1a7d5e2b48c0\n\n"
)
_STREAM = {
    "description": (
        "Events named `job` (data: as of `GET /api/jobs/{id}`) and `edition` (as of "
        "`GET /api/reports/{id}`), and comments while nothing moves."
    ),
    "content": {"text/event-stream": {"schema": {"type": "string"}, "example": EXAMPLE}},
}
#: One value of a list, of the shape of an id; what is too long is none.
JobIds = Annotated[
    Sequence[Annotated[str, Query(min_length=1, max_length=64)]],
    Query(
        max_length=MOST_WATCHED, description="Jobs to follow.", examples=[["job_0d5a3c1e7b9f42a6c8e01357"]]
    ),
]
EditionIds = Annotated[
    Sequence[Annotated[str, Query(pattern=EDITION_PATTERN)]],
    Query(max_length=MOST_WATCHED, description="Editions to follow.", examples=[["weekly:2026-11-16"]]),
]


def _watched(
    caller: Caller, deployment: Deployment, job: JobIds = (), edition: EditionIds = ()
) -> frozenset[Watched]:
    if len(job) + len(edition) > MOST_WATCHED:
        detail = f"at most {MOST_WATCHED} jobs and editions together"
        raise Problem("validation", detail, [FieldError("query:job", detail)])
    if not job and not edition:
        return under_way_for(deployment, caller)
    return watched_by(deployment, caller, job, edition)


async def _feed(caller: Caller, deployment: Deployment) -> AsyncIterator[ChangeFeed]:
    with admitted(deployment.changes, caller) as feed:
        yield feed


@router.get(
    "/events",
    response_class=EventSourceResponse,
    responses={200: _STREAM, **READ},
    dependencies=[may(Action.READ, ResourceKind.JOB)],
)
async def follow_events(
    caller: Caller,
    deployment: Deployment,
    watched: Annotated[frozenset[Watched], Depends(_watched)],
    feed: Annotated[ChangeFeed, Depends(_feed)],
    lasting: Annotated[
        int, Query(ge=1, le=int(LONGEST_SECONDS), description="Seconds after which the stream ends.")
    ] = int(LONGEST_SECONDS),
    last_event_id: Annotated[
        str | None,
        Header(
            description="The last id that was heard: what stands is told only where it moved since.",
            examples=["9f3c1a7d5e2b48c0"],
        ),
    ] = None,
) -> AsyncIterator[ServerSentEvent]:
    """How jobs and editions get on, as server-sent events: each one as it stands, and again when it moved.

    Without `job` and `edition`: the newest job of each of one's own subscriptions, and the open editions. The
    stream ends after `lasting` seconds and clients come anew; rights are asked then and before each event. It
    ends within seconds when the caller's rights change, or they are deactivated.
    """
    yield ServerSentEvent(comment="listening", retry=RETRY_MILLISECONDS)
    told: Mapping[Watched, str] = {}
    async for marks in feed.follow(watched, lasting, rights_of(caller)):
        whole = mark_of(marks)
        moved = [one for one in sorted(marks) if told.get(one) != marks[one]]
        if not told and whole == last_event_id:
            moved = []
        told = marks
        answers = await run_in_threadpool(_answers, deployment, caller.id, moved)
        if answers is None:
            return
        for number, (one, answer) in enumerate(answers, 1):
            # Only the last one of a look has an id: who was cut off before it hears all of them again.
            last = whole if number == len(answers) else None
            yield ServerSentEvent(event=one.kind, raw_data=json.dumps(answer), id=last)


def _answers(
    deployment: Context, caller_id: str, moved: Iterable[Watched]
) -> list[tuple[Watched, dict[str, Any]]] | None:
    """What is told of each, by the rights of this moment; None for somebody who may hear nothing any more."""
    caller = users.get_user(deployment.database, caller_id)
    if caller is None or not caller.active:
        return None
    mine, told = scoped(deployment, caller), []
    for one in moved:
        try:
            answer = _answer(deployment, caller, mine, one)
        except (LookupError, TypeError, ValueError):  # one that somebody broke by hand silences no other
            _log.error("%s %s is not valid and is passed over", one.kind, one.id, exc_info=True)
            continue
        if answer is not None:
            told.append((one, answer))
    return told


def _answer(deployment: Context, caller: User, mine: Scoped, one: Watched) -> dict[str, Any] | None:
    if caller.organisation != one.organisation:
        return None
    if one.kind == "edition":
        try:
            edition = editions.get_edition(deployment.database, one.id)
        except editions.EditionMissing:
            return None
        return edition_answer(deployment, caller, edition).model_dump(mode="json", by_alias=True)
    job = mine.job(one.id)
    if job is None:
        return None
    (history,) = histories(deployment, caller, [job])
    return JobAnswer.of(job, report_url(deployment, job), history).model_dump(mode="json", by_alias=True)
