"""Server-sent events: a page hears that what it shows has moved, and fetches itself anew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from reporting_pipeline.console.deployment import Listener, Parts
from reporting_pipeline.usecases.callers.following import MOST_WATCHED, admitted, still_open, watched_by
from reporting_pipeline.usecases.callers.problems import not_found
from reporting_pipeline.usecases.changes import (
    LONGEST_SECONDS,
    ChangeFeed,
    Watched,
    mark_of,
    rights_of,
    session_standing,
)

router = APIRouter(prefix="/console")

Identifiers = Annotated[Sequence[str], Query(max_length=MOST_WATCHED)]


def _watched(
    visitor: Listener,
    parts: Parts,
    job: Identifiers = (),
    edition: Identifiers = (),
) -> frozenset[Watched]:
    """What is asked for, if this person may look at all of it."""
    found = watched_by(parts, visitor.user, job, edition)
    if not found:
        raise not_found("job")
    return found


async def _feed(visitor: Listener, parts: Parts) -> AsyncIterator[ChangeFeed]:
    with admitted(parts.changes, visitor.user) as feed:
        yield feed


@router.get("/changes", response_class=EventSourceResponse)
async def changes(
    visitor: Listener,
    parts: Parts,
    watched: Annotated[frozenset[Watched], Depends(_watched)],
    feed: Annotated[ChangeFeed, Depends(_feed)],
) -> AsyncIterator[ServerSentEvent]:
    """An event at once and after each move; after a minute the browser comes anew.

    It ends with the session, with another right of the person, and where what is followed is theirs no more.
    """
    user = visitor.user
    standing = {**rights_of(user), **session_standing(visitor.session.id, user)}
    async for marks in feed.follow(watched, LONGEST_SECONDS, standing):
        if not await run_in_threadpool(still_open, parts, user.id, watched):
            return
        yield ServerSentEvent(event="changed", data=mark_of(marks), retry=1_000)
