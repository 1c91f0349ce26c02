"""What moves while somebody looks: one feed a process, however many pages and streams are open on it.

The feed asks the database once a second, more seldom where that takes long, what all its followers look at,
and only while there are any. It holds nothing that another process would miss: each answers those that
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
#: After so long who follows asks anew: whether they may still see it is asked again then.
LONGEST_SECONDS = 50.0
RESTS = 4  # times as long as it looked: a fifth of one connection at most
MOST_FOLLOWERS = 1_000
MOST_OF_ONE = 20  # followers of one person


@dataclass(frozen=True, order=True)
class Watched:
    """One thing that somebody sees moving."""

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
    whose: str
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    marks: Mapping[Watched, str] = field(default_factory=dict)


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

    def has_enough(self, whose: str) -> bool:
        """Whether one person follows as much as one may."""
        return sum(one.whose == whose for one in self._followers) >= MOST_OF_ONE

    async def follow(
        self, watched: frozenset[Watched], whose: str = "", lasting: float = LONGEST_SECONDS
    ) -> AsyncIterator[Mapping[Watched, str]]:
        """The marks of `watched` at once, and again each time that one moved; ends after `lasting` seconds.

        The first ones are waited for, however short it is to last.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        follower = _Follower(watched, whose)
        self._followers.add(follower)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        try:
            while (left := began + (lasting if follower.marks else LONGEST_SECONDS) - clock()) > 0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(follower.changed.wait(), left)
                    follower.changed.clear()
                    yield follower.marks
        finally:
            self._followers.discard(follower)

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._followers:
            began = clock()
            watched = frozenset().union(*(one.watched for one in self._followers))
            try:
                self._tell(await run_in_threadpool(self._look, watched))
            except Exception:  # the database is away for a moment: they wait, and ask anew
                log.warning("what moves could not be looked at", exc_info=True)
            # A look that takes long (the jobs of a large edition are counted) is made more seldom.
            await asyncio.sleep(max(self._every, RESTS * (clock() - began)))

    def _tell(self, found: Mapping[Watched, str]) -> None:
        for follower in self._followers:
            if not follower.watched <= found.keys():
                continue  # came while the database was asked
            marks = {one: found[one] for one in follower.watched}
            if marks != follower.marks:
                follower.marks = marks
                follower.changed.set()


def mark_of(marks: Mapping[Watched, str]) -> str:
    """One mark of some things: equal while none of them moved."""
    said = "\n".join(f"{one.kind} {one.id} {marks[one]}" for one in sorted(marks))
    return sha256(said.encode()).hexdigest()[:16]
