"""Subscriptions: no lost update, nothing across organisations, due ones by one indexed query."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Recipient, Subscription
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.subscriptions import (
    SubscriptionEnded,
    SubscriptionExists,
    SubscriptionMissing,
    VersionConflict,
    active_of,
    advance,
    change_subscription,
    count_subscriptions,
    create_subscription,
    create_subscriptions,
    due_subscriptions,
    end_subscription,
    get_subscription,
    list_subscriptions,
    next_due_at,
    pause_subscription,
    resume_subscription,
    subscriptions_by_id,
)
from reporting_pipeline.stores.users import (
    AddressTaken,
    change_user,
    check_recipients,
    create_user,
    save_organisation,
    user_by_address,
)
from reporting_pipeline_tests.stores.commands import CommandsSeen

NOW = datetime(2026, 11, 23, 0, 5, tzinfo=UTC)


def subscription(identifier: str = "sub_1", **fields: Any) -> Subscription:
    values = {"organisation": "org_1", "owner": "usr_1", "name": "Mine", "schedule": Schedule()} | fields
    return Subscription(id=identifier, created_at=NOW, updated_at=NOW, **values)


def due(database: Database, now: datetime) -> list[str]:
    return [one.id for one, _ in due_subscriptions(database, now)]


def test_what_is_stored_comes_back_as_it_was(database: Database) -> None:
    schedule = Schedule(cadence="cron", cron_expression="0 7 * * *", window="month", business_days="next")
    stored = create_subscription(
        database, subscription(schedule=schedule, recipients=[Recipient(value="a@example.org")]), NOW
    )

    assert get_subscription(database, "org_1", "sub_1") == stored
    assert (stored.window, stored.version, stored.created_at) == (Cadence.MONTHLY, 1, NOW)
    with pytest.raises(SubscriptionExists):
        create_subscription(database, subscription(), NOW)


def test_another_organisation_sees_nothing(database: Database) -> None:
    create_subscription(database, subscription(), NOW)

    assert get_subscription(database, "org_2", "sub_1") is None
    assert list_subscriptions(database, "org_2") == []
    for act in (pause_subscription, end_subscription):
        with pytest.raises(SubscriptionMissing):
            act(database, "org_2", "sub_1", NOW)


def test_pages_go_through_every_subscription_once(database: Database) -> None:
    create_subscriptions(database, (subscription(f"sub_{n:03}") for n in range(25)), NOW)
    create_subscription(database, subscription("sub_100", owner="usr_2"), NOW)
    end_subscription(database, "org_1", "sub_003", NOW)

    seen: list[str] = []
    while page := list_subscriptions(database, "org_1", after=seen[-1] if seen else None, limit=7):
        seen += [one.id for one in page]

    assert seen == [f"sub_{n:03}" for n in range(25) if n != 3] + ["sub_100"]
    assert [one.id for one in list_subscriptions(database, "org_1", owner="usr_2")] == ["sub_100"]
    assert count_subscriptions(database, "org_1", status="ended") == 1


def test_a_change_against_an_old_version_is_refused_with_what_stands(database: Database) -> None:
    create_subscription(database, subscription(), NOW)
    change_subscription(database, "org_1", "sub_1", {"name": "First"}, NOW, version=1)

    with pytest.raises(VersionConflict) as caught:
        change_subscription(database, "org_1", "sub_1", {"name": "Second"}, NOW, version=1)

    assert (caught.value.current.name, caught.value.current.version) == ("First", 2)


def test_of_many_changes_at_once_against_one_version_exactly_one_stands(database: Database) -> None:
    create_subscription(database, subscription(), NOW)

    def change(number: int) -> bool:
        try:
            change_subscription(database, "org_1", "sub_1", {"name": f"N{number}"}, NOW, version=1)
        except VersionConflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(change, range(24))) == 1


def test_a_change_to_what_is_wrong_or_fixed_is_refused(database: Database) -> None:
    create_subscription(database, subscription(), NOW)

    with pytest.raises(ValueError, match="timezone"):
        change_subscription(database, "org_1", "sub_1", {"schedule": {"timezone": "Nowhere/City"}}, NOW)
    with pytest.raises(ValueError, match="organisation cannot be changed"):
        change_subscription(database, "org_1", "sub_1", {"organisation": "org_2"}, NOW)
    stored = get_subscription(database, "org_1", "sub_1")
    assert stored is not None
    assert stored.version == 1


def test_a_changed_schedule_moves_the_window_and_the_next_look(database: Database) -> None:
    create_subscription(database, subscription(), NOW)

    changed = change_subscription(
        database, "org_1", "sub_1", {"schedule": Schedule(cadence="daily", time="06:00")}, NOW
    )

    assert changed.window is Cadence.DAILY
    record = database.subscriptions.find_one({"_id": "sub_1"})
    assert record is not None
    assert record["next_due_at"] == datetime(2026, 11, 23, 6, tzinfo=UTC)


def test_a_new_name_does_not_jump_over_what_is_due(database: Database) -> None:
    create_subscription(database, subscription(), NOW)
    later = NOW + timedelta(days=1)

    change_subscription(database, "org_1", "sub_1", {"name": "Other"}, later)

    assert due(database, later) == ["sub_1"]


def test_pause_stops_resume_starts_and_end_is_for_good(database: Database) -> None:
    create_subscription(database, subscription(), NOW)

    assert pause_subscription(database, "org_1", "sub_1", NOW).status == "paused"
    assert due(database, NOW + timedelta(days=30)) == []
    assert list(active_of(database, Cadence.WEEKLY)) == []
    resumed = resume_subscription(database, "org_1", "sub_1", NOW + timedelta(days=1))
    assert (resumed.status, resumed.resumed_at, resumed.version) == ("active", NOW + timedelta(days=1), 3)
    assert resume_subscription(database, "org_1", "sub_1", NOW).version == 3
    end_subscription(database, "org_1", "sub_1", NOW)
    with pytest.raises(SubscriptionEnded):
        resume_subscription(database, "org_1", "sub_1", NOW)


def test_the_next_due_time_is_exact_at_every_minute_of_an_hour() -> None:
    hourly = subscription(schedule=Schedule(cadence="cron", cron_expression="20 * * * *"))
    for minute in range(60):
        now = NOW.replace(minute=minute, second=30)
        expected = now.replace(minute=20, second=0) + timedelta(hours=0 if minute < 20 else 1)
        assert next_due_at(hourly, now) == expected
    assert next_due_at(hourly, NOW.replace(minute=20)) == NOW.replace(hour=1, minute=20)
    assert next_due_at(hourly.model_copy(update={"status": "paused"}), NOW) is None


def test_only_what_is_due_is_looked_at_and_then_moves_on(database: Database) -> None:
    create_subscriptions(database, (subscription(f"sub_{n}") for n in range(5)), NOW)
    batch = list(due_subscriptions(database, NOW))
    assert len(batch) == 5

    assert advance(database, batch, NOW) == 5

    assert due(database, NOW + timedelta(hours=6)) == []
    assert len(due(database, NOW + timedelta(hours=7))) == 5


def test_each_moves_to_its_own_next_date_and_those_of_one_schedule_by_one_update(
    database: Database, endpoints: Endpoints
) -> None:
    made = [
        subscription(
            f"sub_{hour}_{n:02}", schedule=Schedule(cadence="daily", time=f"{hour:02}:00"), version=n % 2 + 1
        )
        for hour in (8, 9)
        for n in range(60)
    ]
    create_subscriptions(database, made, NOW - timedelta(days=1))
    batch = list(due_subscriptions(database, NOW + timedelta(hours=12)))
    seen = CommandsSeen()
    with MongoClient[Record](endpoints.mongodb_uri, tz_aware=True, event_listeners=[seen]) as client:
        assert advance(client.get_database(database.name), batch, NOW + timedelta(hours=12)) == 120

    updates = [one for name, command in seen.seen if name == "update" for one in command["updates"]]
    assert len(updates) == 4  # of two schedules, those of two versions
    for one in made:
        record = database.subscriptions.find_one({"_id": one.id})
        assert record is not None
        assert record["next_due_at"] == next_due_at(one, NOW + timedelta(hours=12)), one.id


def test_the_due_scan_uses_its_index(database: Database) -> None:
    create_subscriptions(database, (subscription(f"sub_{n}") for n in range(50)), NOW)

    plan = database.subscriptions.find({"status": "active", "next_due_at": {"$lte": NOW}}).explain()

    assert "next_due_at" in str(plan["queryPlanner"]["winningPlan"])
    assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])


def test_a_planner_does_not_undo_a_change_made_meanwhile(database: Database) -> None:
    create_subscription(database, subscription(), NOW)
    batch = list(due_subscriptions(database, NOW))
    change_subscription(database, "org_1", "sub_1", {"schedule": Schedule(time="00:10")}, NOW)

    assert advance(database, batch, NOW) == 0

    assert due(database, NOW + timedelta(minutes=5)) == ["sub_1"]


def test_only_changed_ones_are_streamed_when_asked(database: Database) -> None:
    create_subscriptions(database, (subscription(f"sub_{n}") for n in range(3)), NOW)
    change_subscription(database, "org_1", "sub_1", {"name": "New"}, NOW + timedelta(hours=1))

    changed = active_of(database, Cadence.WEEKLY, changed_since=NOW + timedelta(minutes=1))

    assert [one.id for one in changed] == ["sub_1"]
    assert set(subscriptions_by_id(database, ["sub_0", "nobody"])) == {"sub_0"}


def test_one_mailbox_is_one_user_however_it_is_written(database: Database) -> None:
    first = create_user(database, "org_1", "Ann@Example.ORG", NOW)

    with pytest.raises(AddressTaken):
        create_user(database, "org_1", "ANN@example.org", NOW)
    assert create_user(database, "org_2", "ann@example.org", NOW).id != first.id
    found = user_by_address(database, "org_1", "aNN@EXAMPLE.org")
    assert found is not None
    assert found.id == first.id


def test_of_many_who_create_one_user_at_once_one_does(database: Database) -> None:
    def create(_: int) -> bool:
        try:
            create_user(database, "org_1", "bob@example.org", NOW)
        except AddressTaken:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(16))) == 1


def test_recipients_are_checked_against_users_and_domains(database: Database) -> None:
    save_organisation(database, "org_1", "One", ["Example.org"])
    ann = create_user(database, "org_1", "ann@elsewhere.net", NOW)
    gone = create_user(database, "org_1", "gone@elsewhere.net", NOW)
    change_user(database, "org_1", gone.id, {"active": False}, NOW)
    recipients = [
        Recipient(value="any@example.org"),
        Recipient(value="ANN@elsewhere.net"),
        Recipient(value="gone@elsewhere.net"),
        Recipient(type="user", value=ann.id),
        Recipient(type="user", value=gone.id),
        Recipient(value="bad"),
    ]

    refused = check_recipients(database, "org_1", recipients)

    assert [position for position, _ in refused] == [2, 4, 5]
    assert [position for position, _ in check_recipients(database, "org_2", recipients)] == [0, 1, 2, 3, 4, 5]
