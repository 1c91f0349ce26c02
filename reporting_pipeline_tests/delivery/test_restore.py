"""A backup from before an edition was delivered, restored after it: nobody gets the report twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from reporting_pipeline.delivery.channels.deliverer import open_deliverer
from reporting_pipeline.delivery.notices.due import notices_due, send_due_notices
from reporting_pipeline.domain.confirmation import GRACE
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.deliveries import plan_deliveries
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.notices import notices_awaiting_release, release_notices
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.restores import mark_restored
from reporting_pipeline_tests.delivery.seeds import NOW, Clock, seed
from reporting_pipeline_tests.delivery.test_confirmations import DUE, asked, night, state
from reporting_pipeline_tests.delivery.test_dead_letters import EDITION, fail_all
from reporting_pipeline_tests.delivery.test_outbox import deliver, mails
from reporting_pipeline_tests.delivery.test_rights_notices import add_user, hold_back

__all__ = ["asked"]  # the fixture

COUNT = 12


def restore(database: Database, backup: dict[str, list[dict[str, object]]]) -> None:
    for name in database.list_collection_names():
        database[name].delete_many({})
    for name, records in backup.items():
        if records:
            database[name].insert_many(records)


def test_after_a_restore_of_what_stood_before_the_delivery_nobody_is_mailed_twice(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    jobs = seed(database, objects, COUNT, plan=False)
    backup = {name: list(database[name].find()) for name in database.list_collection_names()}
    subscriptions = {row["_id"]: row for row in database["subscriptions"].find()}

    plan_deliveries(database, jobs, subscriptions, NOW)
    first = {outcome.delivery for outcome in deliver(database, objects, settings)}
    sent = {path.name: path.read_bytes() for path in settings.outbox.glob("*.eml")}
    message_ids = {mail["Message-ID"] for mail in mails(settings)}

    restore(database, backup)
    later = Clock()
    later.forward(hours=2)
    plan_deliveries(database, jobs, subscriptions, later.at)
    again = {outcome.delivery for outcome in deliver(database, objects, settings, later)}

    assert again == first
    assert len(message_ids) == len(sent) == COUNT
    assert {path.name: path.read_bytes() for path in settings.outbox.glob("*.eml")} == sent
    assert database["deliveries"].count_documents({"state": "sent"}) == COUNT


def tell(database: Database, settings: Settings, at: Any) -> int:
    return send_due_notices(open_deliverer(settings), database, settings, at)


@pytest.mark.parametrize("to", ["owners", "an organisation"])
@pytest.mark.parametrize("was_sent", [True, False])
def test_a_notice_of_before_a_restore_awaits_a_release_as_its_deliveries_do(
    database: Database, objects: ObjectStore, settings: Settings, to: str, was_sent: bool
) -> None:
    """The backup does not know of the notice, and what it told of fails again after the restore."""
    if to == "owners":
        fail_all(database, objects, settings, 2)
    else:
        add_user(database, "usr_manager")
        hold_back(database, objects, settings, 2)
    before = tell(database, settings, NOW)
    assert before > 0
    database["failure_notices"].delete_many({})
    database["rights_notices"].delete_many({})
    mark_restored(database, NOW - timedelta(hours=2), NOW + timedelta(hours=1))

    later = NOW + timedelta(hours=2)
    mailed = len(mails(settings))
    assert [tell(database, settings, later) for _ in range(2)] == [0, 0]
    assert len(mails(settings)) == mailed
    assert not notices_due(database, later), "no run is started for what waits for a person"
    found = list(notices_awaiting_release(database))
    assert [edition for _, edition, _ in found] == [EDITION] * before
    assert release_notices(database, send=not was_sent, edition="weekly:1999-01-04") == 0
    assert release_notices(database, send=not was_sent, edition=EDITION) == before
    assert list(notices_awaiting_release(database)) == []
    assert [tell(database, settings, later) for _ in range(2)] == [0 if was_sent else before, 0]
    assert len(mails(settings)) == mailed * (1 if was_sent else 2)


def test_a_notice_of_what_was_due_after_the_restore_is_sent_at_once(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    mark_restored(database, NOW - timedelta(days=2), NOW - timedelta(hours=2))
    fail_all(database, objects, settings, 2)
    assert tell(database, settings, NOW) == 2


@pytest.mark.parametrize("was_sent", [True, False])
def test_a_question_of_before_a_restore_is_asked_again_only_when_a_person_says_so(
    asked: None, database: Database, settings: Settings, was_sent: bool
) -> None:
    night(database, settings, DUE)
    database["confirmation_notices"].delete_many({})
    database["subscriptions"].update_many({}, {"$unset": {"confirmation_asked_at": ""}})
    mark_restored(database, DUE - timedelta(days=1), DUE + timedelta(days=1))

    after = DUE + timedelta(days=2)
    asked_before = len(mails(settings))
    assert night(database, settings, after).asked == 0
    assert night(database, settings, after + GRACE).paused == 0, "nobody is paused over a question that waits"
    assert len(mails(settings)) == asked_before
    assert release_notices(database, send=not was_sent, edition=None) == 2
    later = after + GRACE + timedelta(days=1)
    assert night(database, settings, later).asked == 3
    assert len(mails(settings)) == asked_before * (1 if was_sent else 2)
    assert night(database, settings, later + GRACE).paused == 3
    assert "paused" in state(database).values()
    told = [mail["Subject"] for mail in mails(settings) if "paused" in mail["Subject"]]
    assert len(told) == 2
