"""Several reports of one reader in one mail: each once, none beyond the window, none without its right."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from random import Random

import pytest

from reporting_pipeline.delivery.channels.deliverer import open_deliverer
from reporting_pipeline.delivery.channels.sendgrid_events import receive_events
from reporting_pipeline.delivery.links.report_page import linked_report
from reporting_pipeline.delivery.links.tokens import read_link_token
from reporting_pipeline.delivery.links.unsubscribe import unsubscribe, unsubscribe_page
from reporting_pipeline.delivery.sender.worker import deliver_due
from reporting_pipeline.domain.jobs import JobRecord
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.deliveries import plan_deliveries
from reporting_pipeline.stores.mailings import another_copy
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.delivery.killing import (
    COMBINED_PLACES,
    OUTBOX_ONCE,
    SENDGRID_PLACES,
    Signer,
    environment_of,
    event,
    reports_in,
    run_worker,
    run_workers,
    sendgrid_trial,
)
from reporting_pipeline_tests.delivery.seeds import NOW, Clock, seed_combining
from reporting_pipeline_tests.delivery.test_outbox import deliver, mails, part


def told(mail: EmailMessage) -> tuple[str, int]:
    return str(mail["To"]), len(set(re.findall(r"/r/[\w.-]+", part(mail, "plain"))))


def made(database: Database, jobs: Sequence[JobRecord], clock: Clock) -> None:
    """Their reports stand by now."""
    wanted = {"_id": {"$in": [job["_id"] for job in jobs]}}
    database["jobs"].update_many(wanted, {"$set": {"state": "rendered"}})
    subscriptions = {row["_id"]: row for row in database["subscriptions"].find()}
    plan_deliveries(database, jobs, subscriptions, clock())


def states(database: Database) -> Counter[str]:
    return Counter(row["state"] for row in database["deliveries"].find())


def test_reports_of_one_reader_go_in_one_mail_with_a_row_each(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed_combining(database, objects, readers=3, each=4)
    outcomes = deliver(database, objects, settings)
    assert sorted(map(told, mails(settings))) == [(f"reader{n}@example.org", 4) for n in range(3)]
    assert len(outcomes) == 12
    assert states(database) == {"sent": 12}
    assert database["jobs"].count_documents({"state": "completed"}) == 12
    assert str(mails(settings)[0]["Subject"]).startswith("4 reports are ready: Report ")
    assert deliver(database, objects, settings) == []


def test_reports_of_different_cadences_go_in_one_mail(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    """On a Monday a reader has a daily and a weekly report due: whichever run comes first sends both."""
    seed_combining(database, objects, readers=2, each=3, cadences=("weekly", "daily"))
    outcomes = list(
        deliver_due(open_deliverer(settings), database, objects, settings, Clock(), 1000, cadence="daily")
    )
    assert sorted(map(told, mails(settings))) == [("reader0@example.org", 3), ("reader1@example.org", 3)]
    assert Counter(one.cadence for one in outcomes) == {"weekly": 3, "daily": 3}
    assert states(database) == {"sent": 6}


def test_a_delivery_of_no_cadence_goes_in_no_mail_with_others(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed_combining(database, objects, readers=1, each=3)
    database["deliveries"].update_one({"subscription": "sub_00002"}, {"$set": {"cadence": "hourly"}})
    list(deliver_due(open_deliverer(settings), database, objects, settings, Clock(), 1000, cadence="weekly"))
    assert [told(mail) for mail in mails(settings)] == [("reader0@example.org", 2)]


def test_readers_who_did_not_ask_get_each_report_in_a_mail_of_its_own(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed_combining(database, objects, readers=2, each=2)
    database["users"].update_one({"_id": "usr_00000"}, {"$set": {"combine_minutes": 0}})
    deliver(database, objects, settings)
    assert sorted(map(told, mails(settings))) == [
        ("reader0@example.org", 1),
        ("reader0@example.org", 1),
        ("reader1@example.org", 2),
    ]


def test_the_first_waits_for_what_comes_in_its_window_and_not_beyond(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    """One is due in ten minutes, one is still being made, one never comes: they are not waited for longer."""
    clock = Clock()
    jobs = seed_combining(database, objects, readers=1, each=4, plan=False)
    for job, after in zip(jobs, (0, 10, 15, 20), strict=True):
        job["due_at"] = NOW + timedelta(minutes=after)
        database["jobs"].update_one({"_id": job["_id"]}, {"$set": {"due_at": job["due_at"]}})
    subscriptions = {row["_id"]: row for row in database["subscriptions"].find()}
    plan_deliveries(database, jobs[:2], subscriptions, NOW)
    for job in jobs[2:]:
        database["jobs"].update_one({"_id": job["_id"]}, {"$set": {"state": "processing"}})
    assert deliver(database, objects, settings, clock=clock) == []
    clock.forward(minutes=16)
    made(database, jobs[2:3], clock)
    assert deliver(database, objects, settings, clock=clock) == [], "the fourth is still being made"
    clock.forward(minutes=15)
    assert len(deliver(database, objects, settings, clock=clock)) == 3
    assert [told(mail) for mail in mails(settings)] == [("reader0@example.org", 3)]
    made(database, jobs[3:], clock)
    deliver(database, objects, settings, clock=clock)
    assert sorted(map(told, mails(settings))) == [("reader0@example.org", 1), ("reader0@example.org", 3)]


def test_a_report_that_failed_holds_up_nobody(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    jobs = seed_combining(database, objects, readers=1, each=3, plan=False)
    database["jobs"].update_many({}, {"$set": {"due_at": NOW}})
    database["jobs"].update_one({"_id": jobs[2]["_id"]}, {"$set": {"state": "failed"}})
    subscriptions = {row["_id"]: row for row in database["subscriptions"].find()}
    for job in jobs:
        job["due_at"] = NOW
    plan_deliveries(database, jobs[:2], subscriptions, NOW)
    deliver(database, objects, settings)
    assert [told(mail) for mail in mails(settings)] == [("reader0@example.org", 2)]


def test_what_may_not_go_or_cannot_be_written_leaves_the_mail(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed_combining(database, objects, readers=1, each=4)
    database["unsubscribes"].insert_one({"subscription": "sub_00001", "recipient": "reader0@example.org"})
    database["reports"].update_one({"_id": "rep_00002"}, {"$unset": {"period": ""}})
    clock = Clock()
    for _ in range(3):
        deliver(database, objects, settings, clock=clock)
        clock.forward(hours=1)
    assert [told(mail)[1] for mail in mails(settings)] == [2]
    assert states(database)["sent"] == 2
    assert states(database)["suppressed"] == 1


def _attached(database: Database) -> None:
    database["subscriptions"].update_one({"_id": "sub_00000"}, {"$set": {"parameters": {"attach": True}}})


def _asked_for_now(database: Database) -> None:
    database["jobs"].update_one({"_id": "job_00000"}, {"$set": {"on_demand": True}})


@pytest.mark.parametrize("change", [_attached, _asked_for_now])
def test_what_carries_its_file_or_was_asked_for_now_goes_alone(
    database: Database, objects: ObjectStore, settings: Settings, change: Callable[[Database], None]
) -> None:
    seed_combining(database, objects, readers=1, each=3)
    change(database)
    deliver(database, objects, settings)
    assert sorted(told(mail)[1] for mail in mails(settings)) == [1, 2]


def test_links_open_their_own_report_and_name_what_came_with_it(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed_combining(database, objects, readers=1, each=3)
    deliver(database, objects, settings)
    (mail,) = mails(settings)
    tokens = sorted(set(re.findall(r"/r/([\w.-]+)", part(mail, "plain"))))
    secret = settings.link_secret.get_secret_value()
    for token in tokens:
        found = linked_report(database, settings, token, NOW)
        claims = read_link_token(secret, token, NOW)
        assert found is not None
        assert claims is not None
        others = [read_link_token(secret, one, NOW) for _, _, one in found.beside]
        assert {one.delivery for one in others if one} | {claims.delivery} == {
            row["_id"] for row in database["deliveries"].find()
        }
        assert {one.expires_at for one in others if one} == {claims.expires_at}, "no link lives longer by it"
    database["reports"].update_one({"_id": "rep_00001"}, {"$set": {"dataset_versions": {"SECRET": "x"}}})
    database["users"].update_many({}, {"$set": {"trials": ["CDISCPILOT01"]}})
    left = [linked_report(database, settings, token, NOW) for token in tokens]
    assert sorted(len(one.beside) for one in left if one) == [1, 1], "whose right ended is not named"


def test_the_header_unsubscribes_from_all_and_each_report_from_itself(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed_combining(database, objects, readers=1, each=3)
    deliver(database, objects, settings)
    (mail,) = mails(settings)
    tokens = re.findall(r"/unsubscribe/([\w.-]+)", part(mail, "plain"))
    assert len(tokens) == 4
    assert str(mail["List-Unsubscribe"]).strip("<>").endswith(tokens[-1])
    page = unsubscribe_page(database, settings, tokens[-1])
    assert all(f"Report {number}" in page for number in range(3))
    unsubscribe(database, settings, tokens[0], NOW)
    assert database["subscriptions"].count_documents({"status": "ended"}) == 1
    unsubscribe(database, settings, tokens[-1], NOW)
    assert database["subscriptions"].count_documents({"status": "ended"}) == 3


def test_a_report_that_is_sent_once_more_goes_without_the_others(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed_combining(database, objects, readers=1, each=2)
    deliver(database, objects, settings)
    row = database["deliveries"].find_one({"subscription": "sub_00001"})
    assert another_copy(database, row, NOW)  # type: ignore[arg-type]
    deliver(database, objects, settings)
    assert sorted(told(mail)[1] for mail in mails(settings)) == [1, 2]


# --- killed workers


def mailed_reports(folder: Path, settings: Settings) -> Counter[str]:
    """How often each delivery is in the outbox, whatever mail it is in."""
    return Counter(each for path in folder.glob("*.eml") for each in reports_in(path, settings))


def test_killed_workers_leave_each_report_in_the_outbox_exactly_once(
    database: Database, settings: Settings
) -> None:
    seed_combining(database, None, readers=20, each=3, cadences=("weekly", "daily"))
    environment, now = environment_of(settings), NOW
    kills = 0
    for number, place in enumerate(COMBINED_PLACES):
        hits = 1 if place in (*OUTBOX_ONCE, "worker.drawn", "worker.gathered", "worker.jobs_settled") else 3
        kills += run_worker(place, hits, now, number, environment)
        now += timedelta(minutes=11)
    for number in range(4):
        run_worker("none", 0, now, number, environment)
        now += timedelta(minutes=11)
    assert kills == len(COMBINED_PLACES)
    found = mailed_reports(settings.outbox, settings)
    assert (len(found), set(found.values())) == (60, {1})
    assert states(database) == {"sent": 60}
    assert database["jobs"].count_documents({"state": {"$ne": "completed"}}) == 0


def _three_each(database: Database, count: int, _rng: Random) -> None:
    seed_combining(database, None, readers=count // 3, each=3)


@pytest.mark.parametrize("events", [False, True])
def test_killed_workers_repeat_a_mail_only_where_its_outcome_was_unknown(
    database: Database, settings: Settings, events: bool
) -> None:
    places = ("worker.drawn", "worker.gathered", *SENDGRID_PLACES[1:])
    trial = sendgrid_trial(database, settings, 60, 7, events=events, seeded=_three_each, places=places)
    assert trial.kills >= 3, "few mails are there to be killed over"
    assert (trial.deliveries, trial.settled, trial.lost, trial.jobs_open) == (60, 60, 0, 0)
    assert trial.duplicates_never_unknown == 0
    assert trial.duplicates == 0 or not events


def test_two_workers_at_once_put_each_report_in_one_mail(database: Database, settings: Settings) -> None:
    seed_combining(database, None, readers=30, each=3, cadences=("weekly", "daily"))
    environment = environment_of(settings)
    run_workers(range(2), "none", 0, NOW, environment)
    run_worker("none", 0, NOW + timedelta(minutes=11), 3, environment)
    found = mailed_reports(settings.outbox, settings)
    assert (len(found), set(found.values())) == (90, {1})
    assert states(database) == {"sent": 90}


def test_an_event_about_the_mail_holds_for_each_of_its_reports(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed_combining(database, objects, readers=2, each=3)
    deliver(database, objects, settings)
    mail: Record = database["deliveries"].find_one({"recipient": "reader0@example.org"}) or {}
    signer = Signer()
    chosen = settings.model_copy(update={"sendgrid_webhook_key": signer.public})
    body = json.dumps([event(mail["mail"], "delivered", NOW)]).encode()
    receive_events(database, chosen, body, *signer.sign(body, NOW), NOW)
    assert states(database) == {"delivered": 3, "sent": 3}
