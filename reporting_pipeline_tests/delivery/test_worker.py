"""Several loops over one ledger in one run: everything once, an error hides nothing, a stop stops all."""

from __future__ import annotations

import email
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from email.policy import default
from random import Random
from typing import Any

import pytest

from reporting_pipeline.delivery.channels.channel import Failpoint, Results
from reporting_pipeline.delivery.channels.deliverer import Deliverer, open_deliverer
from reporting_pipeline.delivery.channels.outbox import Outbox
from reporting_pipeline.delivery.message import Message
from reporting_pipeline.delivery.sender.worker import DeliveryOutcome, deliver_at_once, deliver_due
from reporting_pipeline.domain.deliveries import Channel
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.deliveries import Due, due_cadences, end_never_drawn
from reporting_pipeline.stores.jobs import end_without_report
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.delivery.broken import BROKEN, BROKEN_DELIVERIES, BROKEN_JOBS
from reporting_pipeline_tests.delivery.seeds import Clock, seed


def _loop(
    database: Database, objects: ObjectStore, settings: Settings, at_most: int = 1_000
) -> Iterator[DeliveryOutcome]:
    return deliver_due(open_deliverer(settings), database, objects, settings, Clock(), at_most)


def test_loops_at_once_deliver_everything_once(
    database: Database, objects: ObjectStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reporting_pipeline.delivery.sender.worker.DRAWN_AT_ONCE", 7)
    people = [{"type": "email", "value": f"{name}@example.org"} for name in ("ann", "bob")]
    seed(database, objects, 40, recipients=people)
    outcomes = list(deliver_at_once(3, lambda: _loop(database, objects, settings)))
    assert Counter(outcome.state for outcome in outcomes) == {"sent": 80}
    assert len({outcome.delivery for outcome in outcomes}) == 80
    mails = [
        email.message_from_bytes(path.read_bytes(), policy=default) for path in settings.outbox.glob("*.eml")
    ]
    assert Counter(str(mail["To"]) for mail in mails) == {"ann@example.org": 40, "bob@example.org": 40}
    assert database["jobs"].count_documents({"state": "completed"}) == 40


def test_an_error_of_one_loop_is_raised_when_the_others_have_ended(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed(database, objects, 30)
    broken = iter([True, False])

    def loop() -> Iterator[DeliveryOutcome]:
        if next(broken):
            raise ConnectionError("the database is gone")
        return _loop(database, objects, settings)

    outcomes: list[DeliveryOutcome] = []
    with pytest.raises(ConnectionError, match="the database is gone"):
        outcomes.extend(deliver_at_once(2, loop))
    assert len(list(settings.outbox.glob("*.eml"))) == 30


def test_who_stops_listening_stops_every_loop(
    database: Database, objects: ObjectStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reporting_pipeline.delivery.sender.worker.DRAWN_AT_ONCE", 5)
    seed(database, objects, 60)
    listening = deliver_at_once(2, lambda: _loop(database, objects, settings))
    next(listening)
    listening.close()  # type: ignore[attr-defined]
    assert len(list(settings.outbox.glob("*.eml"))) < 60
    rest = list(deliver_at_once(2, lambda: _loop(database, objects, settings)))
    assert rest
    assert len(list(settings.outbox.glob("*.eml"))) <= 60


def test_a_run_over_some_jobs_leaves_the_others_that_are_being_delivered_to_the_runs_over_all(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    own, other, left = (job["_id"] for job in seed(database, objects, 3))
    database["deliveries"].update_many({"job": {"$in": [other, left]}}, {"$set": {"state": "sent"}})
    database["jobs"].update_many({"_id": {"$in": [other, left]}}, {"$set": {"state": "delivering"}})

    def states_after(due: Due | None) -> dict[str, str]:
        deliverer = open_deliverer(settings)
        list(deliver_due(deliverer, database, objects, settings, Clock(), 100, due=due))
        return {row["_id"]: row["state"] for row in database["jobs"].find()}

    some = states_after(Due(database, Random(1), jobs=[own, left]))
    assert some == {own: "completed", left: "completed", other: "delivering"}
    assert set(states_after(None).values()) == {"completed"}


class Killed(BaseException):
    """The end of a worker's process: nothing of it writes anything down afterwards."""


class Deadly(Outbox):
    """An outbox in which the mail to one recipient ends the worker, before or after those beside it."""

    victim = "reader7@example.org"

    def send(self, messages: Sequence[Message], now: datetime, failpoint: Failpoint) -> Iterator[Results]:
        if any(message.recipient == self.victim for message in messages):
            raise Killed
        yield from super().send(messages, now, failpoint)


def test_a_delivery_that_ends_its_worker_is_a_dead_letter_and_those_beside_it_are_sent_once(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed(database, objects, 100)
    clock, died = Clock(), 0
    for _ in range(12):
        deliverer = Deliverer({Channel.EMAIL: Deadly(settings)}, Random(died), clock.pause)
        try:
            list(deliver_due(deliverer, database, objects, settings, clock, 1_000))
        except Killed:
            died += 1
        clock.forward(hours=1)
    assert died == 1 + settings.max_attempts, "once with others beside it, then alone until its attempts end"
    states = Counter(row["state"] for row in database["deliveries"].find())
    assert states == {"sent": 99, "failed": 1}
    (dead,) = database["deliveries"].find({"state": "failed"})
    assert dead["recipient"] == Deadly.victim
    assert "the worker ended while this was being sent" in dead["error"]
    assert len(list(settings.outbox.glob("*.eml"))) == 99
    assert Counter(row["failures"] for row in database["deliveries"].find({"state": "sent"})) == {0: 99}
    assert Counter(row["state"] for row in database["jobs"].find()) == {"completed": 99, "failed": 1}


@pytest.mark.parametrize(("collection", "identifier", "update"), BROKEN, ids=str)
def test_records_broken_by_hand_hold_up_nobody_elses_mail(
    database: Database,
    objects: ObjectStore,
    settings: Settings,
    collection: str,
    identifier: str,
    update: dict[str, Any],
) -> None:
    seed(database, objects, 3)
    database[collection].update_one({"_id": identifier}, update)
    list(_loop(database, objects, settings))
    states = {row["subscription"]: row["state"] for row in database.deliveries.find()}
    assert states == {"sub_00000": "suppressed", "sub_00001": "sent", "sub_00002": "sent"}


def _three_with_the_first_broken(
    database: Database, objects: ObjectStore, collection: str, update: dict[str, Any]
) -> None:
    seed(database, objects, 3)
    first = database.deliveries.find_one({"subscription": "sub_00000"})
    assert first is not None
    identifier = first["_id"] if collection == "deliveries" else first["job"]
    database[collection].update_one({"_id": identifier}, update)


@pytest.mark.parametrize(("update", "wrong"), BROKEN_DELIVERIES, ids=str)
def test_a_delivery_broken_by_hand_is_a_dead_letter_and_holds_up_nobody_elses_mail(
    database: Database, objects: ObjectStore, settings: Settings, update: dict[str, Any], wrong: str
) -> None:
    _three_with_the_first_broken(database, objects, "deliveries", update)
    list(_loop(database, objects, settings))
    found = {row["_id"]: row for row in database.deliveries.find()}
    (ended,) = (row for row in found.values() if row["state"] == "failed")
    assert ended["error"] == f"its record was broken by hand: {wrong}"
    assert sorted(row["state"] for row in found.values()) == ["failed", "sent", "sent"]


def test_a_delivery_whose_id_or_state_is_none_holds_up_nobody_and_ends(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed(database, objects, 3)
    rows = list(database.deliveries.find().sort("subscription"))
    database.deliveries.insert_one({**rows[0], "_id": 7, "recipient": "seven@example.org"})
    database.deliveries.update_one({"_id": rows[1]["_id"]}, {"$set": {"state": "lost"}})
    database["jobs"].update_many({}, {"$set": {"state": "delivering"}})
    list(_loop(database, objects, settings))
    states = {row["_id"]: row["state"] for row in database.deliveries.find()}
    assert states == {7: "failed", rows[0]["_id"]: "sent", rows[1]["_id"]: "failed", rows[2]["_id"]: "sent"}
    jobs = {row["subscription"]: row["state"] for row in database["jobs"].find()}
    assert jobs == {"sub_00000": "completed", "sub_00001": "failed", "sub_00002": "completed"}


@pytest.mark.parametrize("cadence", [{"a": 1}, [["x"]], 7, None])
def test_a_cadence_broken_by_hand_keeps_no_run_from_what_is_due(
    database: Database, objects: ObjectStore, cadence: Any
) -> None:
    seed(database, objects, 2)
    first = database.deliveries.find_one({"subscription": "sub_00000"})
    assert first is not None
    database.deliveries.update_one({"_id": first["_id"]}, {"$set": {"cadence": cadence}})
    assert due_cadences(database, Clock()()) == {"weekly"}


@pytest.mark.parametrize(
    ("update", "wrong"),
    [
        ({"$set": {"cadence": "weekl"}}, "cadence is none that there is"),
        ({"$set": {"cadence": {"a": 1}, "state": "sending"}}, "cadence is none that there is"),
        ({"$set": {"next_attempt_at": "soon"}}, "next_attempt_at is not a time"),
        ({"$set": {"next_attempt_at": None, "state": "sending"}}, "next_attempt_at is not a time"),
    ],
    ids=str,
)
def test_a_delivery_that_no_worker_would_ever_find_is_a_dead_letter(
    database: Database, objects: ObjectStore, update: dict[str, Any], wrong: str
) -> None:
    _three_with_the_first_broken(database, objects, "deliveries", update)
    (job,) = end_never_drawn(database, Clock()())
    states = {row["job"]: (row["state"], row["error"]) for row in database.deliveries.find()}
    assert states.pop(job) == ("failed", f"its record was broken by hand: {wrong}")
    assert list(states.values()) == [("pending", None)] * 2


@pytest.mark.parametrize("rendered_at", [None, "today", 7])
@pytest.mark.parametrize("state", ["rendered", "delivering"])
def test_a_job_that_says_no_time_of_its_report_is_a_dead_letter(
    database: Database, objects: ObjectStore, state: str, rendered_at: Any
) -> None:
    seed(database, objects, 3)
    database["jobs"].update_many({}, {"$set": {"rendered_at": Clock()()}})
    broken = {"state": state, "rendered_at": rendered_at}
    database["jobs"].update_one({"subscription": "sub_00000"}, {"$set": broken})
    assert end_without_report(database, Clock()()) == 1
    (ended,) = database["jobs"].find({"state": "failed"})
    assert (ended["subscription"], ended["failed_in"]) == ("sub_00000", "rendering")
    assert ended["error"] == "its record was broken by hand: rendered_at is not a time"


@pytest.mark.parametrize("update", BROKEN_JOBS, ids=str)
def test_a_job_broken_by_hand_holds_up_nobody_elses_mail(
    database: Database, objects: ObjectStore, settings: Settings, update: dict[str, Any]
) -> None:
    _three_with_the_first_broken(database, objects, "jobs", update)
    list(_loop(database, objects, settings))
    states = {row["subscription"]: row["state"] for row in database.deliveries.find()}
    assert (states["sub_00001"], states["sub_00002"]) == ("sent", "sent")


def test_a_report_whose_size_cannot_be_read_holds_up_nobody_elses_mail(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed(database, objects, 3)
    job = database["jobs"].find_one({"subscription": "sub_00000"})
    assert job is not None
    database.reports.update_one({"_id": job["report"]}, {"$set": {"size": "x"}})
    list(_loop(database, objects, settings))
    states = {row["subscription"]: row["state"] for row in database.deliveries.find()}
    assert {one: states[one] for one in ("sub_00001", "sub_00002")} == {
        "sub_00001": "sent",
        "sub_00002": "sent",
    }
    assert states["sub_00000"] != "sent"
