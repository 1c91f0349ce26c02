"""Server-sent events: a page hears that what it shows has moved, and fetches itself anew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from reporting_pipeline.console.deployment import Parts, Person
from reporting_pipeline.usecases.callers.following import MOST_WATCHED, admitted, watched_by
from reporting_pipeline.usecases.callers.problems import not_found
from reporting_pipeline.usecases.changes import ChangeFeed, Watched, mark_of

router = APIRouter(prefix="/console")

Identifiers = Annotated[Sequence[str], Query(max_length=MOST_WATCHED)]


def _watched(
    visitor: Person,
    parts: Parts,
    job: Identifiers = (),
    edition: Identifiers = (),
) -> frozenset[Watched]:
    """What is asked for, if this person may look at all of it."""
    found = watched_by(parts, visitor.user, job, edition)
    if not found:
        raise not_found("job")
    return found


async def _feed(visitor: Person, parts: Parts) -> ChangeFeed:
    return admitted(parts.changes, visitor.user)


@router.get("/changes", response_class=EventSourceResponse)
async def changes(
    visitor: Person,
    watched: Annotated[frozenset[Watched], Depends(_watched)],
    feed: Annotated[ChangeFeed, Depends(_feed)],
) -> AsyncIterator[ServerSentEvent]:
    """An event at once and after each move; after a minute the browser comes anew."""
    async for marks in feed.follow(watched, visitor.user.id):
        yield ServerSentEvent(event="changed", data=mark_of(marks), retry=1_000)
