"""Progress that moves by itself: one feed a process, each page hears of its own alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from itertools import count

import pytest

from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.usecases.changes import ChangeFeed, Watched, mark_of
from reporting_pipeline_tests.api.world import populate
from reporting_pipeline_tests.console.conftest import Browser, House

ONE, OTHER = Watched("job", "job_1", "default"), Watched("job", "job_2", "default")


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
