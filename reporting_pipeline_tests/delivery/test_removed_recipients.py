"""Who was removed from a subscription's recipients gets nothing more, whatever brings a delivery back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from reporting_pipeline.delivery.channels.deliverer import open_deliverer
from reporting_pipeline.delivery.sender.worker import deliver_due
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.dead_letters import requeue_matching
from reporting_pipeline.stores.deliveries import Target, add_delivery, new_delivery
from reporting_pipeline.stores.mailings import another_copy, start_mailing
from reporting_pipeline.stores.mongo import Database, delivery_records
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.delivery.seeds import NOW, Clock, seed

GONE, STAYS = "gone@example.org", "stays@example.org"


def _pause_and_resume(database: Database) -> None:
    """As somebody does who pauses, takes a name off the list, and resumes: what waited waits again."""
    database.deliveries.update_many(
        {}, {"$set": {"state": "suppressed", "error": "the subscription is paused"}}
    )
    waits = {"state": "pending", "error": None, "next_attempt_at": NOW - timedelta(hours=1)}
    database.deliveries.update_many({}, {"$set": waits})


def _requeue(database: Database) -> None:
    database.deliveries.update_many({}, {"$set": {"state": "failed", "next_attempt_at": None}})
    assert requeue_matching(database, "default", {}, "usr_1", NOW) == 2


def _send_everybody_another(database: Database) -> None:
    database.deliveries.update_many({}, {"$set": {"state": "sent", "next_attempt_at": None}})
    start_mailing(database, "default", "weekly:2026-11-16", NOW, force=True)


def _nothing(_: Database) -> None:
    """The planner read the subscription before it was changed."""


@pytest.mark.parametrize("brought_back", [_pause_and_resume, _requeue, _send_everybody_another, _nothing])
def test_nothing_goes_to_who_was_removed_whatever_brings_their_delivery_back(
    database: Database, objects: ObjectStore, settings: Settings, brought_back: Callable[[Database], None]
) -> None:
    both = [{"type": "email", "value": one} for one in (GONE, STAYS)]
    seed(database, objects, 1, recipients=both)
    database.subscriptions.update_one({}, {"$set": {"recipients": both[1:]}})
    brought_back(database)
    list(deliver_due(open_deliverer(settings), database, objects, settings, Clock(), 100))
    rows = {row["recipient"]: (row["state"], row["error"]) for row in database.deliveries.find()}
    assert rows == {GONE: ("suppressed", "the recipient was removed"), STAYS: ("sent", None)}


def test_who_is_sent_a_report_by_name_need_not_be_a_recipient(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    (job,) = seed(database, objects, 1, recipients=[{"type": "email", "value": GONE}])
    (subscription,) = database.subscriptions.find()
    database.subscriptions.update_one({}, {"$set": {"recipients": [{"type": "email", "value": STAYS}]}})
    (planned,) = delivery_records(database).find()
    database.deliveries.update_one({}, {"$set": {"state": "sent", "next_attempt_at": None}})
    database.deliveries.update_one({}, {"$set": {"mail": "mal_1"}})  # it went in one mail with others
    assert another_copy(database, {**planned, "state": "sent"}, NOW)
    assert database.deliveries.count_documents({"mail": {"$exists": True}}) == 0
    target = Target("email", "added@example.org")
    assert add_delivery(database, new_delivery(job, subscription, target, NOW))
    list(deliver_due(open_deliverer(settings), database, objects, settings, Clock(), 100))
    assert {row["recipient"]: row["state"] for row in database.deliveries.find()} == {
        GONE: "sent",
        "added@example.org": "sent",
    }
