"""What waits for somebody whose address changed goes to the new one, once, and nothing to the old one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reporting_pipeline.delivery.rights import load_context, refusal_of
from reporting_pipeline.stores.deliveries import begin
from reporting_pipeline.stores.deliveries.moved import move_waiting
from reporting_pipeline.stores.mongo import Database, delivery_records
from reporting_pipeline_tests.delivery.seeds import NOW, seed

OLD, NEW, USER = "reader0@example.org", "moved@example.org", "usr_00000"
LEASE = timedelta(minutes=10)


def move(database: Database) -> int:
    database.users.update_one({"_id": USER}, {"$set": {"email": NEW}})
    return move_waiting(database, "default", USER, OLD, NEW, NOW)


def planned(database: Database) -> list[tuple[str, str]]:
    return sorted((row["recipient"], row["state"]) for row in database.deliveries.find())


def test_what_waits_is_moved_once_and_nobody_elses(database: Database) -> None:
    seed(database, None, 2)
    assert move(database) == 1
    assert planned(database) == [(NEW, "pending"), ("reader1@example.org", "pending")]
    assert move(database) == 0
    drawn = list(delivery_records(database).find())
    context = load_context(database, drawn)
    assert [refusal_of(one, context) for one in drawn] == [None, None]


def test_who_has_drawn_it_before_is_overtaken_and_who_has_begun_it_is_not(database: Database) -> None:
    seed(database, None, 1)
    drawn = list(delivery_records(database).find())
    assert move(database) == 1
    assert begin(database, drawn, NOW, LEASE) == []
    (ours,) = begin(database, list(delivery_records(database).find()), NOW, LEASE)
    assert ours["recipient"] == NEW
    assert move_waiting(database, "default", USER, NEW, OLD, NOW) == 0


def test_what_was_not_moved_is_not_sent(database: Database) -> None:
    seed(database, None, 1)
    database.users.update_one({"_id": USER}, {"$set": {"email": NEW}})
    drawn = list(delivery_records(database).find())
    refusal = refusal_of(drawn[0], load_context(database, drawn))
    assert refusal is not None
    assert "another address" in refusal.reason


@pytest.mark.parametrize("spelled", [OLD, "Reader0@Example.org"])
def test_an_address_that_the_schedule_names_stays(database: Database, spelled: str) -> None:
    seed(database, None, 1, recipients=[{"type": "email", "value": spelled}])
    assert move(database) == 0
    drawn = list(delivery_records(database).find())
    assert len(drawn) == 1
    assert refusal_of(drawn[0], load_context(database, drawn)) is None


def test_a_job_that_goes_to_the_new_one_already_goes_there_once(database: Database) -> None:
    both = [{"type": "user", "value": USER}, {"type": "email", "value": NEW}]
    seed(database, None, 1, recipients=both)
    assert move(database) == 0
    assert planned(database) == [(NEW, "pending"), (OLD, "suppressed")]
