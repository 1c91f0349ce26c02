"""Server-sent events: a page hears that what it shows has moved, and fetches itself anew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from reporting_pipeline.console.changes import ChangeFeed, Watched
from reporting_pipeline.console.deployment import Parts, Person
from reporting_pipeline.domain.access import Action, Kind, reach_of
from reporting_pipeline.usecases.callers.context import scoped
from reporting_pipeline.usecases.callers.problems import Problem, not_found

router = APIRouter(prefix="/console")

MOST_WATCHED = 50
Identifiers = Annotated[Sequence[str], Query(max_length=MOST_WATCHED)]


def _watched(
    visitor: Person,
    parts: Parts,
    job: Identifiers = (),
    edition: Identifiers = (),
) -> frozenset[Watched]:
    """What is asked for, if this person may look at all of it."""
    organisation = visitor.user.organisation
    mine = scoped(parts, visitor.user)
    if any(mine.job(one) is None for one in set(job)):
        raise not_found("job")
    if edition and reach_of(visitor.user, Action.READ, Kind.EDITION) is None:
        raise Problem("forbidden", "Your roles do not open this page.")
    found = frozenset(
        [Watched("job", one, organisation) for one in job]
        + [Watched("edition", one, organisation) for one in edition]
    )
    if not found:
        raise not_found("job")
    return found


async def _feed(request: Request) -> ChangeFeed:
    feed: ChangeFeed = request.app.state.changes
    if feed.full:
        raise Problem("unavailable", "Too many pages are open on this process; the page asks by itself.")
    return feed


@router.get("/changes", response_class=EventSourceResponse)
async def changes(
    watched: Annotated[frozenset[Watched], Depends(_watched)], feed: Annotated[ChangeFeed, Depends(_feed)]
) -> AsyncIterator[ServerSentEvent]:
    """An event at once and after each move; after a minute the browser comes anew."""
    async for mark in feed.follow(watched):
        yield ServerSentEvent(event="changed", data=mark, retry=1_000)
