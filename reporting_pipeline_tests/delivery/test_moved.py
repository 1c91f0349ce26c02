"""What waits for somebody whose address changed goes to the new one, once, and nothing to the old one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reporting_pipeline.delivery.channels.deliverer import open_deliverer
from reporting_pipeline.delivery.rights import load_context, refusal_of
from reporting_pipeline.delivery.sender.worker import deliver_due
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.dead_letters import requeue
from reporting_pipeline.stores.deliveries import begin, move_waiting, plan_deliveries
from reporting_pipeline.stores.mailings import start_mailing
from reporting_pipeline.stores.mongo import Database, delivery_records
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.delivery.seeds import NOW, Clock, seed
from reporting_pipeline_tests.delivery.test_outbox import mails
from reporting_pipeline_tests.delivery.test_worker import Killed

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
    context = load_context(database, drawn, NOW)
    assert [refusal_of(one, context) for one in drawn] == [None, None]


def test_who_has_drawn_it_before_is_overtaken_and_who_has_begun_it_is_not(database: Database) -> None:
    seed(database, None, 1)
    drawn = list(delivery_records(database).find())
    assert move(database) == 1
    assert begin(database, drawn, NOW, LEASE) == []
    (ours,) = begin(database, list(delivery_records(database).find()), NOW, LEASE)
    assert ours["recipient"] == NEW
    assert move_waiting(database, "default", USER, NEW, OLD, NOW) == 0


def deliver(
    database: Database, objects: ObjectStore, settings: Settings, now: Clock
) -> list[tuple[str, str]]:
    """(recipient as it stands afterwards, state) of each outcome of one run."""
    outcomes = list(deliver_due(open_deliverer(settings), database, objects, settings, now, 100))
    rows = {row["_id"]: row["recipient"] for row in database.deliveries.find()}
    return [(rows[each.delivery], each.state) for each in outcomes]


def to(settings: Settings) -> list[str]:
    return sorted(str(mail["To"]) for mail in mails(settings))


def test_a_worker_moves_what_the_confirmation_did_not_get_to(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed(database, objects, 2)
    database.users.update_one({"_id": USER}, {"$set": {"email": NEW}})
    found = deliver(database, objects, settings, Clock())
    assert sorted(found) == [(NEW, "sent"), ("reader1@example.org", "sent")]
    assert deliver(database, objects, settings, Clock()) == []
    assert to(settings) == [NEW, "reader1@example.org"]
    assert database.jobs.count_documents({"state": "completed"}) == 2


def test_a_worker_that_ends_after_it_moved_one_leaves_it_to_the_next(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed(database, objects, 1)
    database.users.update_one({"_id": USER}, {"$set": {"email": NEW}})

    def die(place: str) -> None:
        if place == "worker.moved":
            raise Killed

    dying = replace(open_deliverer(settings), failpoint=die)
    with pytest.raises(Killed):
        list(deliver_due(dying, database, objects, settings, Clock(), 100))
    assert planned(database) == [(NEW, "pending")]
    assert deliver(database, objects, settings, Clock()) == [(NEW, "sent")]
    assert to(settings) == [NEW]


@pytest.mark.parametrize("state", ["unknown", "failed"])
def test_what_was_in_doubt_or_given_up_goes_to_the_new_one_when_it_goes_again(
    database: Database, objects: ObjectStore, settings: Settings, state: str
) -> None:
    (job,) = seed(database, objects, 1)
    clock = Clock()
    again = clock.at + timedelta(hours=1) if state == "unknown" else None
    database.deliveries.update_one({}, {"$set": {"state": state, "next_attempt_at": again, "attempt": 1}})
    assert move(database) == 0, "it may have arrived where it went"
    assert planned(database) == [(OLD, state)]
    if state == "failed":
        (row,) = database.deliveries.find()
        assert requeue(database, "default", row["_id"], "usr_x", clock.at)
    clock.forward(hours=2)
    assert deliver(database, objects, settings, clock) == [(NEW, "sent")]
    assert to(settings) == [NEW]
    assert job["_id"] == database.deliveries.find_one()["job"]  # type: ignore[index]


def test_a_report_that_went_to_the_former_address_is_not_planned_for_the_new_one(database: Database) -> None:
    (job,) = seed(database, None, 1)
    database.deliveries.update_one({}, {"$set": {"state": "sent"}})
    database.users.update_one({"_id": USER}, {"$set": {"email": NEW, "former_emails": [OLD]}})
    subscriptions = {row["_id"]: row for row in database.subscriptions.find()}
    assert plan_deliveries(database, [job], subscriptions, NOW) == 0
    assert planned(database) == [(OLD, "sent")]


def test_what_was_not_moved_is_not_sent(database: Database) -> None:
    seed(database, None, 1)
    database.users.update_one({"_id": USER}, {"$set": {"email": NEW}})
    drawn = list(delivery_records(database).find())
    refusal = refusal_of(drawn[0], load_context(database, drawn, NOW))
    assert refusal is not None
    assert ("another address" in refusal.reason, refusal.waits) == (True, True)


@pytest.mark.parametrize("spelled", [OLD, "Reader0@Example.org"])
def test_an_address_that_the_schedule_names_stays(database: Database, spelled: str) -> None:
    seed(database, None, 1, recipients=[{"type": "email", "value": spelled}])
    assert move(database) == 0
    drawn = list(delivery_records(database).find())
    assert len(drawn) == 1
    assert refusal_of(drawn[0], load_context(database, drawn, NOW)) is None


def test_a_job_that_goes_to_the_new_one_already_goes_there_once(database: Database) -> None:
    both = [{"type": "user", "value": USER}, {"type": "email", "value": NEW}]
    seed(database, None, 1, recipients=both)
    assert move(database) == 0
    assert planned(database) == [(NEW, "pending"), (OLD, "suppressed")]


def test_former_addresses_broken_by_hand_hold_up_nobody_elses_mail(database: Database) -> None:
    jobs = seed(database, None, 2, plan=False)
    database.users.update_one({"_id": USER}, {"$set": {"former_emails": 7}})
    subscriptions = {row["_id"]: row for row in database.subscriptions.find()}
    assert plan_deliveries(database, jobs, subscriptions, NOW) == 2


def test_what_was_moved_is_sent_now_like_the_rest(database: Database) -> None:
    jobs = seed(database, None, 2)
    later = {"next_attempt_at": NOW + timedelta(days=2), "due_at": NOW + timedelta(days=2)}
    database.deliveries.update_many({}, {"$set": later})
    assert move(database) == 1
    assert start_mailing(database, "default", jobs[0]["edition"], NOW).planned == 2
    assert {row["due_at"] for row in database.deliveries.find()} == {NOW}
