"""Progress that moves by itself: one feed a process, each page hears of its own alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from itertools import count, islice
from typing import Any

import pytest

from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.usecases.changes import ChangeFeed, Watched, mark_of
from reporting_pipeline_tests.api.world import NOW, populate
from reporting_pipeline_tests.console.conftest import Browser, House

PERSON = "usr_default_subscriber"
#: A stream that goes on says so every 15 s: so many times until a test gives up.
MANY_PINGS = 20
ONE, OTHER = Watched("job", "job_1", "default"), Watched("job", "job_2", "default")


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams do not end by their time."""
    follow = ChangeFeed.follow

    def follow_for_ever(
        feed: ChangeFeed, watched: frozenset[Watched], _lasting: float = 0, *standing: Any
    ) -> AsyncIterator[Mapping[Watched, str]]:
        return follow(feed, watched, 1e9, *standing)

    monkeypatch.setattr(ChangeFeed, "follow", follow_for_ever)


async def marks_of(feed: ChangeFeed, watched: Watched, wanted: int) -> list[str]:
    found: list[str] = []
    follower = feed.follow(frozenset({watched}))
    async for marks in follower:
        found.append(mark_of(marks))
        if len(found) == wanted:
            break
    await follower.aclose()  # type: ignore[attr-defined]
    return found


def test_all_pages_of_a_process_share_one_look_and_hear_what_moved() -> None:
    looks: list[frozenset[Watched]] = []
    ticks = count()

    def look(watched: frozenset[Watched]) -> Mapping[Watched, str]:
        looks.append(watched)
        tick = next(ticks)
        return {one: str(tick) if one == ONE else "still" for one in watched}

    async def follow() -> list[list[str]]:
        feed = ChangeFeed(look, every=0.01)
        pages = [marks_of(feed, ONE, 3) for _ in range(20)] + [marks_of(feed, OTHER, 1)]
        return await asyncio.gather(*pages)

    *moving, still = asyncio.run(follow())
    assert all(len(set(marks)) == 3 for marks in moving)
    assert len(still) == 1
    assert len(looks) < 20, "each page looked by itself"
    assert frozenset({ONE, OTHER}) in looks


def test_who_may_hear_no_more_hears_the_end_also_where_nothing_moves() -> None:
    person, ticks = Watched("person", "usr_1", "default"), count()

    def look(watched: frozenset[Watched]) -> Mapping[Watched, str]:
        rights = "some" if next(ticks) < 3 else "none"
        return {one: rights if one == person else "still" for one in watched}

    async def follow() -> list[Mapping[Watched, str]]:
        stream = ChangeFeed(look, every=0.001).follow(frozenset({ONE}), 1e9, {person: "some"})
        return [marks async for marks in stream]

    assert asyncio.run(follow()) == [{ONE: "still"}]


def test_a_database_that_is_away_for_a_moment_ends_no_page() -> None:
    ticks = count()

    def look(watched: frozenset[Watched]) -> Mapping[Watched, str]:
        if next(ticks) < 3:
            raise ConnectionError("away")
        return dict.fromkeys(watched, "here")

    assert len(asyncio.run(marks_of(ChangeFeed(look, every=0.001), ONE, 1))) == 1


def test_nothing_is_looked_at_when_nobody_follows() -> None:
    looks = count()

    def look(watched: frozenset[Watched]) -> Mapping[Watched, str]:
        next(looks)
        return dict.fromkeys(watched, "here")

    async def follow_and_leave() -> int:
        feed = ChangeFeed(look, every=0.001)
        await marks_of(feed, ONE, 1)
        await asyncio.sleep(0.01)
        before = next(looks)
        await asyncio.sleep(0.05)
        return next(looks) - before - 1

    assert asyncio.run(follow_and_leave()) == 0


def test_an_event_comes_at_once_and_when_the_job_moves(
    house: House, database: Database, objects: ObjectStore
) -> None:
    ids = populate(database, objects)
    browser = house.signed_in("usr_default_subscriber")
    with browser.get(f"/console/changes?job={ids['job']}", stream=True) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = (line for line in answer.iter_lines() if line.startswith(b"data:"))
        first = next(lines)
        database.jobs.update_one({"_id": ids["job"]}, {"$set": {"state": "delivering"}})
        second = next(lines)
        database.deliveries.update_one({"_id": ids["delivery"]}, {"$set": {"state": "delivered"}})
        assert len({first, second, next(lines)}) == 3


@pytest.mark.parametrize("user", ["usr_other_admin", "usr_default_service"])
def test_nobody_hears_of_a_job_that_they_may_not_see(
    house: House, database: Database, objects: ObjectStore, user: str
) -> None:
    ids = populate(database, objects)
    browser = house.signed_in(user)
    expected = 404 if user == "usr_other_admin" else 200
    with browser.get(f"/console/changes?job={ids['job']}", stream=True) as answer:
        assert answer.status_code == expected
    assert browser.get("/console/changes?job=job_none").status_code == 404
    assert browser.get("/console/changes").status_code == 404
    assert house.stranger().get(f"/console/changes?job={ids['job']}").status_code == 303


def session_ends(database: Database) -> None:
    database.console_sessions.delete_many({})


def is_deactivated(database: Database) -> None:
    database.users.update_one({"_id": PERSON}, {"$set": {"active": False}})


def loses_their_trials(database: Database) -> None:
    database.users.update_one({"_id": PERSON}, {"$set": {"trials": []}})


def loses_their_role(database: Database) -> None:
    database.users.update_one({"_id": PERSON}, {"$set": {"roles": []}})


def is_erased(database: Database) -> None:
    database.users.update_one({"_id": PERSON}, {"$set": {"erased_at": NOW, "roles": [], "active": False}})


def loses_the_job(database: Database) -> None:
    moved = {"owner": "usr_default_manager", "state": "delivering"}
    database.jobs.update_many({}, {"$set": moved})


@pytest.mark.parametrize(
    "withdrawal",
    [session_ends, is_deactivated, loses_their_trials, loses_their_role, is_erased, loses_the_job],
)
def test_a_stream_ends_with_what_it_was_opened_by(
    house: House,
    database: Database,
    objects: ObjectStore,
    endless: None,
    withdrawal: Callable[[Database], None],
) -> None:
    ids = populate(database, objects)
    with house.signed_in(PERSON).get(f"/console/changes?job={ids['job']}", stream=True) as answer:
        lines = (line for line in answer.iter_lines() if line)
        assert next(line for line in lines if line.startswith(b"data:"))
        withdrawal(database)
        told = list(islice(lines, MANY_PINGS))
    assert len(told) < MANY_PINGS, "it goes on"
    assert not [line for line in told if line.startswith(b"data:")]


def test_a_page_that_is_left_open_keeps_no_session(
    house: House, database: Database, objects: ObjectStore
) -> None:
    ids = populate(database, objects)
    browser = house.signed_in(PERSON)
    before = NOW - timedelta(minutes=10)
    database.console_sessions.update_many({}, {"$set": {"seen_at": before}})
    with browser.get(f"/console/changes?job={ids['job']}", stream=True) as answer:
        assert answer.status_code == 200
        (session,) = database.console_sessions.find()
        assert session["seen_at"] == before
    assert browser.get("/console/", headers={"x-renews-itself": "1"}).status_code == 200
    (session,) = database.console_sessions.find()
    assert session["seen_at"] == before
    browser.get("/console/")
    (session,) = database.console_sessions.find()
    assert session["seen_at"] == NOW


def test_what_moves_names_where_it_is_heard_of(person: Callable[[str], Browser], database: Database) -> None:
    browser = person("subscriber")
    fields = {"name": "Mine", "trials": "T1", "cadence": "weekly", "day_of_week": "1", "time": "07:00"}
    fields |= {"report_type": "trial_activity", "timezone": "UTC", "business_days": "none", "format": "pdf"}
    address = browser.post("/console/subscribe", fields).headers["location"].partition("?")[0]
    browser.post(f"{address}/run", {})
    job = database.jobs.find_one({"requested_by": "usr_default_subscriber"}) or database.jobs.find_one({})
    assert job is not None
    for page in ("/console/", address, f"/console/jobs/{job['_id']}"):
        assert f'data-watch="/console/changes?job={job["_id"]}"' in browser.get(page).text, page
