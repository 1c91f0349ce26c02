"""What moves while somebody looks: one feed a process, however many pages are open on it.

The feed asks the database once a second, more seldom where that takes long, what all its followers look at,
and only while there are any. It holds nothing that another process would miss: each answers the pages that
are open on it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from starlette.concurrency import run_in_threadpool

from reporting_pipeline.stores import changes
from reporting_pipeline.stores.mongo import Database

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 1.0
#: After so long a page asks anew: whether it may still see it is asked again then.
LONGEST_SECONDS = 50.0
RESTS = 4  # times as long as it looked: a fifth of one connection at most
MOST_FOLLOWERS = 1_000


@dataclass(frozen=True, order=True)
class Watched:
    """One thing that a page shows moving."""

    kind: str  # job or edition
    id: str
    organisation: str


Look = Callable[[frozenset[Watched]], Mapping[Watched, str]]


def look_at(database: Database, clock: Callable[[], datetime]) -> Look:
    """How the feed of a deployment looks."""

    def look(watched: frozenset[Watched]) -> Mapping[Watched, str]:
        jobs = changes.job_marks(database, [one.id for one in watched if one.kind == "job"])
        return {
            one: jobs.get(one.id, "")
            if one.kind == "job"
            else changes.edition_mark(database, one.id, one.organisation, clock())
            for one in watched
        }

    return look


@dataclass(eq=False)
class _Follower:
    watched: frozenset[Watched]
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    mark: str | None = None


class ChangeFeed:
    """The feed of one process."""

    def __init__(self, look: Look, every: float = LOOK_EVERY_SECONDS) -> None:
        self._look = look
        self._every = every
        self._followers: set[_Follower] = set()
        self._running: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        return len(self._followers) >= MOST_FOLLOWERS

    async def follow(
        self, watched: frozenset[Watched], lasting: float = LONGEST_SECONDS
    ) -> AsyncIterator[str]:
        """A mark of `watched` at once, and another each time that it moved; ends after `lasting` seconds."""
        clock = asyncio.get_running_loop().time
        ends = clock() + lasting
        follower = _Follower(watched)
        self._followers.add(follower)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        try:
            while (left := ends - clock()) > 0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(follower.changed.wait(), left)
                    follower.changed.clear()
                    yield str(follower.mark)
        finally:
            self._followers.discard(follower)

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._followers:
            began = clock()
            watched = frozenset().union(*(one.watched for one in self._followers))
            try:
                self._tell(await run_in_threadpool(self._look, watched))
            except Exception:  # the database is away for a moment: the pages wait, and ask anew
                log.warning("what moves could not be looked at", exc_info=True)
            # A look that takes long (the jobs of a large edition are counted) is made more seldom.
            await asyncio.sleep(max(self._every, RESTS * (clock() - began)))

    def _tell(self, marks: Mapping[Watched, str]) -> None:
        for follower in self._followers:
            if not follower.watched <= marks.keys():
                continue  # came while the database was asked
            said = "\n".join(marks[one] for one in sorted(follower.watched))
            mark = sha256(said.encode()).hexdigest()[:16]
            if mark != follower.mark:
                follower.mark = mark
                follower.changed.set()
