"""Quotas: never one too many, whoever comes at the same time; and never one too few for long."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import quotas, subscriptions
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.quotas import Most, QuotaFull, SubscriptionPlace, give_back, take_place
from reporting_pipeline_tests.stores.racing import race

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
MANY = 10**9


def stored(database: Database, identifier: str, owner: str = "usr_1", organisation: str = "org_1") -> None:
    fresh = Subscription(
        id=identifier,
        organisation=organisation,
        owner=owner,
        name="Mine",
        schedule=Schedule(),
        created_at=NOW,
        updated_at=NOW,
    )
    subscriptions.create_subscription(database, fresh, NOW)


def create(
    database: Database, identifier: str, most: Most, owner: str = "usr_1", now: datetime = NOW
) -> bool:
    """As the API creates: a place, then the subscription."""
    try:
        take_place(database, SubscriptionPlace("org_1", owner, identifier), most, now)
    except QuotaFull:
        return False
    stored(database, identifier, owner)
    return True


def fill_the_organisation(database: Database, name: str) -> int:
    """Six creations; whoever finds it full counts anew while others store what they have a place for."""
    return sum(create(database, f"sub_{name}-{number}", Most(MANY, 20), f"usr_{name}") for number in range(6))


def fill_the_user(database: Database, name: str) -> int:
    return sum(create(database, f"sub_{name}-{number}", Most(20, MANY)) for number in range(6))


@pytest.mark.parametrize("work", [fill_the_organisation, fill_the_user])
def test_of_sixty_at_once_exactly_twenty_have_a_place(
    database: Database, settings: Settings, work: Callable[[Database, str], Any]
) -> None:
    made = race(settings, work, processes=2, threads=5)

    assert sum(made) == 20
    assert subscriptions.count_subscriptions(database, "org_1") == 20


def test_places_that_were_taken_and_not_used_yet_are_counted(database: Database) -> None:
    most = Most(MANY, 2)
    take_place(database, SubscriptionPlace("org_1", "usr_1", "sub_1"), most, NOW)
    take_place(database, SubscriptionPlace("org_1", "usr_2", "sub_2"), most, NOW)

    with pytest.raises(QuotaFull, match="organisation") as refused:
        take_place(database, SubscriptionPlace("org_1", "usr_3", "sub_3"), most, NOW)

    assert (refused.value.whose, refused.value.most) == ("organisation", 2)
    take_place(database, SubscriptionPlace("org_2", "usr_4", "sub_4"), most, NOW)


def test_a_user_is_refused_and_takes_no_place_of_the_organisation(database: Database) -> None:
    most = Most(1, 2)
    assert create(database, "sub_1", most)
    with pytest.raises(QuotaFull) as refused:
        take_place(database, SubscriptionPlace("org_1", "usr_1", "sub_2"), most, NOW)

    assert (refused.value.whose, refused.value.most) == ("user", 1)
    assert create(database, "sub_3", most, "usr_2")


def test_a_place_given_back_is_free_once(database: Database) -> None:
    most = Most(MANY, 2)
    assert create(database, "sub_1", most)
    place = SubscriptionPlace("org_1", "usr_1", "sub_2")
    take_place(database, place, most, NOW)
    for _ in range(2):
        give_back(database, place)

    assert create(database, "sub_3", most)
    assert not create(database, "sub_4", most)


@pytest.mark.parametrize("most", [Most(1, MANY), Most(MANY, 1)])
def test_an_ended_subscription_makes_room_at_once(database: Database, most: Most) -> None:
    for number in range(3):
        assert create(database, f"sub_{number}", most)
        assert not create(database, f"sub_{number}_more", most)
        subscriptions.end_subscription(database, "org_1", f"sub_{number}", NOW)


def test_what_others_have_stored_is_counted_in_time(database: Database) -> None:
    most = Most(MANY, 4)
    assert create(database, "sub_1", most)
    for number in range(3):
        stored(database, f"sub_import_{number}", f"usr_import_{number}")

    assert not create(database, "sub_2", most, now=NOW + quotas.COUNTED_EVERY)


def test_a_place_of_a_killed_worker_is_free_again(database: Database) -> None:
    most = Most(MANY, 1)
    take_place(database, SubscriptionPlace("org_1", "usr_1", "sub_1"), most, NOW)
    soon, late = NOW + timedelta(seconds=1), NOW + quotas.PENDING_FOR

    assert not create(database, "sub_2", most, "usr_2", soon)
    assert create(database, "sub_2", most, "usr_2", late)


def test_the_record_of_an_organisation_stays_small(database: Database) -> None:
    for number in range(quotas.SETTLED_AT * 3):
        assert create(database, f"sub_{number}", Most(MANY, MANY))

    record = database.subscription_counts.find_one({"_id": "org_1"})
    assert record is not None
    assert len(record["pending"]) <= quotas.SETTLED_AT
    assert record["count"] == quotas.SETTLED_AT * 3


def test_a_count_of_an_older_release_is_taken_up(database: Database) -> None:
    stored(database, "sub_1")
    database.subscription_counts.insert_one({"_id": "org_1", "count": 1, "counted_at": NOW})

    assert create(database, "sub_2", Most(MANY, 2))
    assert not create(database, "sub_3", Most(MANY, 2))


def test_of_those_who_ask_for_the_same_the_first_alone_finds_nobody_before_it(database: Database) -> None:
    most = Most(MANY, MANY)
    first, second, other = (
        SubscriptionPlace("org_1", "usr_1", f"sub_{n}", asks) for n, asks in enumerate("aab")
    )

    assert take_place(database, first, most, NOW) is None
    assert take_place(database, second, most, NOW) == "sub_0"
    assert take_place(database, other, most, NOW) is None
    assert take_place(database, SubscriptionPlace("org_1", "usr_1", "sub_9"), most, NOW) is None


def test_a_place_that_was_given_back_left_behind_or_stored_keeps_nobody_from_the_same(
    database: Database,
) -> None:
    most = Most(MANY, MANY)
    given, left, kept, last = (SubscriptionPlace("org_1", "usr_1", f"sub_{n}", "a") for n in range(4))
    take_place(database, given, most, NOW)
    give_back(database, given)

    assert take_place(database, left, most, NOW) is None  # never stored: its worker was killed
    later = NOW + quotas.PENDING_FOR + timedelta(minutes=1)
    assert take_place(database, kept, most, later) is None
    stored(database, "sub_2")  # of what is stored, the record tells
    assert take_place(database, last, most, later) is None
