"""What moves while somebody looks: one feed a process, however many pages and streams are open on it.

The feed asks the database once a second, more seldom where that takes long, what all its followers look at,
and only while there are any. In the same look it asks what each follower's right to hear stands on: the
person's record, the session. It holds nothing that another process would miss: each answers those that are
open on it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from starlette.concurrency import run_in_threadpool

from reporting_pipeline.domain.access import User
from reporting_pipeline.stores import changes
from reporting_pipeline.stores.mongo import Database

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 1.0
#: After so long who follows asks anew: whether they may still see it is asked again then.
LONGEST_SECONDS = 50.0
RESTS = 4  # times as long as it looked: a fifth of one connection at most
MOST_FOLLOWERS = 1_000
MOST_OF_ONE = 20  # followers of one person
_NOTHING: Mapping[Watched, str] = {}


@dataclass(frozen=True, order=True)
class Watched:
    """One thing that somebody sees moving."""

    kind: str  # job or edition; person or session, on which the right to hear stands
    id: str
    organisation: str


Look = Callable[[frozenset[Watched]], Mapping[Watched, str]]


def look_at(database: Database, clock: Callable[[], datetime]) -> Look:
    """How the feed of a deployment looks."""

    def look(watched: frozenset[Watched]) -> Mapping[Watched, str]:
        def ids(kind: str) -> list[str]:
            return [one.id for one in watched if one.kind == kind]

        marks = {
            "job": changes.job_marks(database, ids("job")),
            "person": changes.rights_marks(database, ids("person")),
            "session": changes.session_marks(database, ids("session"), clock()),
        }
        return {
            one: changes.edition_mark(database, one.id, one.organisation, clock())
            if one.kind == "edition"
            else marks[one.kind].get(one.id, "")
            for one in watched
        }

    return look


def rights_of(user: User) -> Mapping[Watched, str]:
    """What a follower's right to hear stands on: the person as they were when it was asked."""
    return {Watched("person", user.id, user.organisation): changes.rights_mark(user)}


def session_standing(session: str, user: User) -> Mapping[Watched, str]:
    """That a session is open, by its id."""
    return {Watched("session", session, user.organisation): changes.OPEN}


@dataclass(eq=False)
class _Follower:
    watched: frozenset[Watched]
    standing: Mapping[Watched, str]
    over: bool = False  # what its right to hear stood on has changed
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    marks: Mapping[Watched, str] = field(default_factory=dict)


class ChangeFeed:
    """The feed of one process."""

    def __init__(self, look: Look, every: float = LOOK_EVERY_SECONDS) -> None:
        self._look = look
        self._every = every
        self._followers: set[_Follower] = set()
        self._places: Counter[str] = Counter()
        self._running: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        return self._places.total() >= MOST_FOLLOWERS

    def has_enough(self, whose: str) -> bool:
        """Whether one person follows as much as one may."""
        return self._places[whose] >= MOST_OF_ONE

    @contextmanager
    def place(self, whose: str) -> Iterator[None]:
        """One more of a person's, from when it is let in: before its stream begins to be sent."""
        self._places[whose] += 1
        try:
            yield
        finally:
            self._places[whose] -= 1
            self._places += Counter()  # who has none is forgotten

    async def follow(
        self,
        watched: frozenset[Watched],
        lasting: float = LONGEST_SECONDS,
        standing: Mapping[Watched, str] = _NOTHING,
    ) -> AsyncIterator[Mapping[Watched, str]]:
        """The marks of `watched` at once, and again each time that one moved; ends after `lasting` seconds.

        It ends, also where nothing moves, with the look that finds one of `standing` with another mark.
        The first marks are waited for, however short it is to last.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        follower = _Follower(watched, standing)
        self._followers.add(follower)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        try:
            while (left := began + (lasting if follower.marks else LONGEST_SECONDS) - clock()) > 0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(follower.changed.wait(), left)
                    follower.changed.clear()
                    if follower.over:
                        return
                    yield follower.marks
        finally:
            self._followers.discard(follower)

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._followers:
            began = clock()
            watched = frozenset().union(*(one.watched | one.standing.keys() for one in self._followers))
            try:
                self._tell(await run_in_threadpool(self._look, watched))
            except Exception:  # the database is away for a moment: they wait, and ask anew
                log.warning("what moves could not be looked at", exc_info=True)
            # A look that takes long (the jobs of a large edition are counted) is made more seldom.
            await asyncio.sleep(max(self._every, RESTS * (clock() - began)))

    def _tell(self, found: Mapping[Watched, str]) -> None:
        for follower in self._followers:
            if not follower.watched | follower.standing.keys() <= found.keys():
                continue  # came while the database was asked
            if any(found[one] != mark for one, mark in follower.standing.items()):
                follower.over = True
                follower.changed.set()
                continue
            marks = {one: found[one] for one in follower.watched}
            if marks != follower.marks:
                follower.marks = marks
                follower.changed.set()


def mark_of(marks: Mapping[Watched, str]) -> str:
    """One mark of some things: equal while none of them moved."""
    said = "\n".join(f"{one.kind} {one.id} {marks[one]}" for one in sorted(marks))
    return sha256(said.encode()).hexdigest()[:16]
