"""A name is found whatever its case: by its beginning everywhere, by a part of it as far as was looked."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pymongo import MongoClient

from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.operations.migrations import m0003_names_to_search
from reporting_pipeline.stores import subscription_search
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.subscription_lists import of_owners
from reporting_pipeline.stores.subscription_search import find_by_name
from reporting_pipeline.stores.subscriptions import (
    change_subscription,
    create_subscriptions,
    pause_subscription,
)
from reporting_pipeline_tests.stores.commands import CommandsSeen

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def fill(database: Database, *names: str, organisation: str = "org") -> None:
    create_subscriptions(
        database,
        [
            Subscription(
                id=f"sub_{number:024x}",
                organisation=organisation,
                owner=f"usr_{number % 2}",
                name=name,
                schedule=Schedule(),
                created_at=NOW,
                updated_at=NOW,
            )
            for number, name in enumerate(names)
        ],
        NOW,
    )


def names(database: Database, typed: str, **wanted: object) -> list[str]:
    found = find_by_name(database, "org", typed, **wanted)  # type: ignore[arg-type]
    return [one.name for one in found.subscriptions]


@pytest.fixture
def short_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look of four records, two at a time."""
    monkeypatch.setattr(subscription_search, "LOOKED_THROUGH", 4)
    monkeypatch.setattr(subscription_search, "A_LOOK", 2)


def test_a_part_is_found_in_either_case_and_as_it_is_written(database: Database) -> None:
    fill(database, "Weekly SAFETY", "Ｓafety first", "Straße  1", "a.c", "abc", "گزارش هفتگی")
    assert names(database, "safety") == ["Weekly SAFETY", "Ｓafety first"]
    assert names(database, "STRASSE 1") == ["Straße  1"]
    assert names(database, "a.c") == ["a.c"]
    assert names(database, "هفتگی") == ["گزارش هفتگی"]


def test_owner_state_and_those_who_left_narrow_it(database: Database) -> None:
    fill(database, "Mine 0", "Mine 1", "Mine 2", "Mine 3")
    pause_subscription(database, "org", f"sub_{1:024x}", NOW)
    assert names(database, "mine", status="paused") == ["Mine 1"]
    assert names(database, "mine", owner="usr_0") == ["Mine 0", "Mine 2"]
    assert names(database, "mine", owners={"usr_1"}) == ["Mine 1", "Mine 3"]
    assert names(database, "mine", within={"owner": "usr_1"}) == ["Mine 1", "Mine 3"]
    assert find_by_name(database, "other", "mine").subscriptions == []


@pytest.mark.usefixtures("short_look")
def test_what_a_name_begins_with_is_found_behind_the_look_and_a_part_by_going_on(database: Database) -> None:
    fill(database, "a", "b", "c", "d", "the site", "Site 7", "e", "Site 8")
    first = find_by_name(database, "org", "site")
    assert [one.name for one in first.subscriptions] == ["Site 7", "Site 8"]
    assert first.is_cut
    rest = find_by_name(database, "org", "site", after=first.looked_to)
    assert [one.name for one in rest.subscriptions] == ["the site", "Site 7", "Site 8"]


@pytest.mark.usefixtures("short_look")
def test_all_of_several_owners_is_looked_at_however_many_others_there_are(database: Database) -> None:
    fill(database, *(f"the site {number}" for number in range(12)))
    first = find_by_name(database, "org", "site", owners={"usr_1"}, limit=4)
    assert [one.name for one in first.subscriptions] == [f"the site {number}" for number in (1, 3, 5, 7)]
    assert not first.is_cut
    rest = find_by_name(database, "org", "site", owners={"usr_1"}, limit=4, after=first.looked_to)
    assert [one.name for one in rest.subscriptions] == ["the site 9", "the site 11"]
    assert rest.looked_to is None
    assert names(database, "site", owners=()) == []


@pytest.mark.parametrize(
    "change", [{"$unset": {"status": 1}}, {"$set": {"name_key": 5}}, {"$set": {"name_key": None}}], ids=str
)
def test_a_record_without_what_is_looked_at_stops_no_page(database: Database, change: Record) -> None:
    fill(database, "Site 1", "Site 2", "Site 3")
    database.subscriptions.update_one({"name": "Site 2"}, change)
    assert names(database, "site") == ["Site 1", "Site 3"]
    assert names(database, "site", owners={"usr_0", "usr_1"}) == ["Site 1", "Site 3"]


def test_a_record_broken_by_hand_is_passed_over(database: Database) -> None:
    fill(database, "Site 1", "Site 2", "Site 3")
    database.subscriptions.update_one({"name": "Site 2"}, {"$set": {"schedule": "weekly"}})
    assert names(database, "site") == ["Site 1", "Site 3"]
    assert names(database, "site", owners={"usr_0", "usr_1"}) == ["Site 1", "Site 3"]


def test_of_several_owners_nothing_is_asked_that_reads_the_whole_organisation(
    endpoints: Endpoints, database: Database
) -> None:
    """With a state or an id beside several owners some servers read all that the organisation has."""
    fill(database, *"abcd")
    pause_subscription(database, "org", f"sub_{3:024x}", NOW)
    commands = CommandsSeen()
    with MongoClient[Record](endpoints.mongodb_uri, tz_aware=True, event_listeners=[commands]) as client:
        watched = client[database.name]
        page = of_owners(watched, "org", {"usr_1"}, status="paused", after=f"sub_{0:024x}", limit=5)
    assert [one.name for one in page] == ["d"]
    asked = [set(command["filter"]) for name, command in commands.seen if name == "find"]
    assert asked == [{"organisation", "owner"}, {"_id"}]


@pytest.mark.usefixtures("short_look")
def test_pages_lose_nothing(database: Database) -> None:
    fill(database, *(f"Report {number}" for number in range(9)))
    seen: list[str] = []
    after = None
    while True:
        found = find_by_name(database, "org", "report", after=after, limit=2)
        seen += [one.name for one in found.subscriptions]
        after = found.looked_to
        if after is None:
            break
    assert seen == [f"Report {number}" for number in range(9)]


@pytest.mark.usefixtures("short_look")
def test_a_changed_name_is_found_and_the_old_one_is_not(database: Database) -> None:
    fill(database, *"abcde", "Old")
    change_subscription(database, "org", f"sub_{5:024x}", {"name": "New"}, NOW)
    assert names(database, "new") == ["New"]
    assert names(database, "old") == []


@pytest.mark.usefixtures("short_look")
def test_names_from_before_are_found_after_the_migration(database: Database) -> None:
    fill(database, *"abcde", "Old")
    step = m0003_names_to_search.STEP
    beats: list[None] = []
    assert step.down is not None
    assert step.down(database, lambda: beats.append(None)) == 6
    assert names(database, "old") == []
    assert step.count(database) == 6
    assert step.up(database, lambda: beats.append(None)) == 6
    assert step.up(database, lambda: beats.append(None)) == 0
    assert names(database, "old") == ["Old"]
