"""What a mail and its provider call over HTTP, without a login: unsubscribing, and delivery events."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from reporting_pipeline.delivery.channels.sendgrid_events import SIGNATURE_HEADER, TIMESTAMP_HEADER
from reporting_pipeline.domain.jobs import JobRecord
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.deliveries import plan_deliveries
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.suppressions import suppressed_among
from reporting_pipeline_tests.api.conftest import Api
from reporting_pipeline_tests.delivery.killing import Signer, event
from reporting_pipeline_tests.delivery.seeds import NOW, seed
from reporting_pipeline_tests.delivery.test_outbox import deliver, mails, part

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
SIGNER = Signer()


@pytest.fixture
def monday(serve: Callable[..., Api]) -> Api:
    """The API at the moment of the deliveries, called by nobody."""
    return serve(clock=lambda: NOW, sendgrid_webhook_key=SIGNER.public)


def plan_again(database: Database, job: JobRecord, occurrence: str) -> None:
    """The same report is due once more."""
    again: Any = {**job, "_id": f"{job['_id']}_{occurrence}", "occurrence": occurrence, "state": "rendered"}
    database["jobs"].insert_one(again)
    subscriptions = {row["_id"]: row for row in database["subscriptions"].find()}
    plan_deliveries(database, [again], subscriptions, NOW)


def recipients(settings: Settings) -> list[str]:
    return sorted(str(mail["To"]) for mail in mails(settings))


def paths(settings: Settings, recipient: str) -> tuple[str, str]:
    """(path to unsubscribe, path of the report) in the first mail to `recipient`."""
    mail = next(mail for mail in mails(settings) if mail["To"] == recipient)
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    header = str(mail["List-Unsubscribe"])
    link = re.search(r"https?://\S+/r/\S+", part(mail, "plain"))
    assert link is not None
    return urlsplit(header.strip("<>")).path, urlsplit(link[0]).path


def test_a_look_changes_nothing_and_one_click_ends_the_mails(
    monday: Api, database: Database, objects: ObjectStore, settings: Settings
) -> None:
    (job,) = seed(database, objects, 1)
    deliver(database, objects, settings)
    unsubscribe, report = paths(settings, "reader0@example.org")

    page = monday.get(unsubscribe)
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert '<form method="post"' in page.text
    assert "Weekly safety report" in page.text
    plan_again(database, job, "2026-11-24")
    deliver(database, objects, settings)
    assert recipients(settings) == ["reader0@example.org"] * 2, "a scanner that opens links ends nothing"
    assert monday.get(report).status_code == 307

    plan_again(database, job, "2026-11-25")
    answers = [monday.post(unsubscribe, data=ONE_CLICK) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert not any(answer.cookies for answer in answers)
    plan_again(database, job, "2026-11-26")
    deliver(database, objects, settings)
    assert recipients(settings) == ["reader0@example.org"] * 2, "nothing is sent any more"
    assert monday.get(report).status_code == 404
    owner = monday.as_("usr_00000")
    assert owner.get("/api/subscriptions?status=active").json()["items"] == []


def test_the_button_of_the_page_does_the_same(
    monday: Api, database: Database, objects: ObjectStore, settings: Settings
) -> None:
    (job,) = seed(database, objects, 1)
    deliver(database, objects, settings)
    unsubscribe, _ = paths(settings, "reader0@example.org")
    form = re.search(r'<form method="post"([^>]*)>', monday.get(unsubscribe).text)
    assert form is not None
    assert 'action="?language=en"' in form[1], "the same address"
    assert monday.post(unsubscribe).status_code == 200
    plan_again(database, job, "2026-11-24")
    deliver(database, objects, settings)
    assert recipients(settings) == ["reader0@example.org"]


def test_one_recipient_leaves_and_the_other_stays(
    monday: Api, database: Database, objects: ObjectStore, settings: Settings
) -> None:
    both = [{"type": "email", "value": f"{name}@example.org"} for name in ("leaves", "stays")]
    (job,) = seed(database, objects, 1, recipients=both)
    deliver(database, objects, settings)
    unsubscribe, report = paths(settings, "leaves@example.org")
    _, of_the_other = paths(settings, "stays@example.org")
    assert monday.post(unsubscribe, data=ONE_CLICK).status_code == 200
    plan_again(database, job, "2026-11-24")
    deliver(database, objects, settings)
    assert recipients(settings) == ["leaves@example.org", "stays@example.org", "stays@example.org"]
    assert (monday.get(report).status_code, monday.get(of_the_other).status_code) == (404, 307)


def test_a_token_of_another_kind_or_spelling_unsubscribes_nobody(
    monday: Api, database: Database, objects: ObjectStore, settings: Settings
) -> None:
    (job,) = seed(database, objects, 1)
    deliver(database, objects, settings)
    unsubscribe, report = paths(settings, "reader0@example.org")
    for path in (unsubscribe[:-1], unsubscribe + "x", report.replace("/r/", "/unsubscribe/")):
        assert monday.post(path, data=ONE_CLICK).status_code == 200, "and says no more than to a good one"
    for path in (unsubscribe.replace("/unsubscribe/", "/r/"), report[:-1]):
        assert monday.get(path).status_code == 404
    plan_again(database, job, "2026-11-24")
    deliver(database, objects, settings)
    assert recipients(settings) == ["reader0@example.org"] * 2


# --- SendGrid's events


def unknown_delivery(database: Database) -> str:
    seed(database, None, 1)
    database["deliveries"].update_many({}, {"$set": {"state": "unknown"}})
    return str((database["deliveries"].find_one() or {})["_id"])


def state(database: Database) -> str:
    return str((database["deliveries"].find_one() or {})["state"])


def post_events(api: Api, body: bytes, signature: str | None, timestamp: str | None) -> requests.Response:
    headers = {SIGNATURE_HEADER: signature, TIMESTAMP_HEADER: timestamp, "Content-Type": "application/json"}
    given = {name: value for name, value in headers.items() if value is not None}
    return api.post("/webhooks/sendgrid", data=body, headers=given)


def test_a_signed_event_is_believed_once(monday: Api, database: Database) -> None:
    delivery = unknown_delivery(database)
    body = json.dumps([event(delivery, "delivered", NOW), {"event": "open"}], indent=1).encode()
    for _ in range(2):
        answer = post_events(monday, body, *SIGNER.sign(body, NOW))
        assert (answer.status_code, state(database)) == (200, "delivered")
    assert database["delivery_events"].count_documents({}) == 1
    bounce = json.dumps([event(delivery, "bounce", NOW, email="reader0@example.org")]).encode()
    assert post_events(monday, bounce, *SIGNER.sign(bounce, NOW)).json() == {"received": 1}
    assert state(database) == "bounced"
    assert suppressed_among(database, [("default", "reader0@example.org")])


def test_what_sendgrid_did_not_sign_changes_nothing(monday: Api, database: Database) -> None:
    delivery = unknown_delivery(database)
    body = json.dumps([event(delivery, "bounce", NOW)]).encode()
    signature, timestamp = SIGNER.sign(body, NOW)

    def signed_at(moment: datetime) -> tuple[str, str]:
        return SIGNER.sign(body, moment)

    refused = [
        post_events(monday, body, Signer().sign(body, NOW)[0], timestamp),
        post_events(monday, body.replace(b"bounce", b"droppe"), signature, timestamp),
        post_events(monday, json.dumps(json.loads(body), indent=2).encode(), signature, timestamp),
        post_events(monday, body, signature, str(int(timestamp) + 1)),
        post_events(monday, body, signature, None),
        post_events(monday, body, None, timestamp),
        post_events(monday, body, None, None),
        post_events(monday, body, "AAAA", timestamp),
        post_events(monday, body, *signed_at(NOW - timedelta(minutes=11))),
        post_events(monday, body, *signed_at(NOW + timedelta(minutes=11))),
    ]
    assert {(answer.status_code, answer.json()["type"].rpartition(":")[2]) for answer in refused} == {
        (403, "forbidden")
    }
    assert state(database) == "unknown"
    assert database["delivery_events"].count_documents({}) == 0
    assert post_events(monday, body, signature, timestamp).status_code == 200, "and the good one still counts"


def test_without_a_key_no_event_is_believed(serve: Callable[..., Api], database: Database) -> None:
    delivery = unknown_delivery(database)
    body = json.dumps([event(delivery, "bounce", NOW)]).encode()
    api = serve(clock=lambda: NOW)
    assert post_events(api, body, *SIGNER.sign(body, NOW)).status_code == 403
    assert state(database) == "unknown"
