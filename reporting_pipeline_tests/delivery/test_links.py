"""Links and unsubscription: one answer to every bad token, nothing changed by a look."""

from __future__ import annotations

import http.client
import io
import logging
import re
import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from reporting_pipeline.delivery.links.masking import mask_links_in_logs
from reporting_pipeline.delivery.links.report_links import Superseded, open_link
from reporting_pipeline.delivery.links.report_page import linked_report, report_page
from reporting_pipeline.delivery.links.tokens import (
    link_token,
    read_link_token,
    read_unsubscribe_token,
    report_url,
    unsubscribe_token,
)
from reporting_pipeline.delivery.links.unsubscribe import unsubscribe, unsubscribe_page
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import audit
from reporting_pipeline.stores.deliveries import plan_deliveries
from reporting_pipeline.stores.delivery_reads import revoke_links
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.delivery.seeds import FILE, NOW, seed
from reporting_pipeline_tests.delivery.test_outbox import deliver, mails


def token_of(settings: Settings, delivery: Any) -> str:
    return report_url(settings, delivery, NOW).rpartition("/")[2]


def superseded_by(database: Database, settings: Settings, token: str, now: datetime) -> Superseded | None:
    found = linked_report(database, settings, token, now)
    assert found is not None
    return found.superseded


def delivered(database: Database, objects: ObjectStore | None, **options: object) -> Record:
    seed(database, objects, 1, **options)  # type: ignore[arg-type]
    row = database["deliveries"].find_one()
    assert row is not None
    return row


def test_a_link_downloads_the_report_under_its_name_and_is_audited(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    delivery = delivered(database, objects)
    url = open_link(database, objects, settings, token_of(settings, delivery), NOW)
    assert url is not None
    assert "X-Amz-Signature" in url
    assert "X-Amz-Expires=60" in url
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - a URL of the embedded server
        assert answer.read() == FILE
        assert 'filename="weekly-2026-11-16.pdf"' in answer.headers["Content-Disposition"]
    (event,) = audit.events_of(database, "default", action=audit.AuditAction.REPORT_DOWNLOADED)
    assert (event["subject"], event["details"]["delivery"]) == ("rep_00000", delivery["_id"])


def _deactivate(database: Database) -> None:
    database["users"].update_many({}, {"$set": {"active": False}})


def _withdraw_trial(database: Database) -> None:
    database["users"].update_many({}, {"$set": {"trials": ["ANOTHER"]}})


def _erase(database: Database) -> None:
    database["users"].delete_many({})


def _revoke(database: Database) -> None:
    revoke_links(database, {"recipient": "reader0@example.org"}, NOW)


def _end(database: Database) -> None:
    database["subscriptions"].update_many({}, {"$set": {"status": "ended"}})


def _lose_report(database: Database) -> None:
    database["reports"].delete_many({})


@pytest.mark.parametrize("change", [_deactivate, _withdraw_trial, _erase, _revoke, _end, _lose_report])
def test_a_link_dies_with_the_right_behind_it(
    database: Database, objects: ObjectStore, settings: Settings, change: Callable[[Database], None]
) -> None:
    delivery = delivered(database, objects)
    token = token_of(settings, delivery)
    assert open_link(database, objects, settings, token, NOW) is not None
    change(database)
    assert open_link(database, objects, settings, token, NOW) is None


def test_every_bad_token_gets_the_same_answer(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    delivery = delivered(database, objects)
    good = token_of(settings, delivery)
    secret = settings.link_secret.get_secret_value()
    until = NOW + timedelta(days=1)
    body, _, signature = good.partition(".")
    bad = [
        "",
        ".",
        "x" * 100_000,
        good[:-1],
        good + "=",
        f"{body}.",
        f".{signature}",
        body[:-2] + "AA." + signature,
        "é" * 20,
        unsubscribe_token(secret, delivery["_id"]),
        link_token("another secret", delivery["_id"], "rep_00000", until),
        link_token(secret, delivery["_id"], "rep_00001", until),
        link_token(secret, "dlv_" + "0" * 24, "rep_00000", until),
    ]
    assert [open_link(database, objects, settings, token, NOW) for token in bad] == [None] * len(bad)
    assert open_link(database, objects, settings, good, NOW + timedelta(days=7)) is None
    assert read_link_token(secret, good, NOW + timedelta(days=6, hours=23)) is not None


def test_looking_at_the_unsubscribe_page_changes_nothing(database: Database, settings: Settings) -> None:
    delivery = delivered(database, None)
    token = unsubscribe_token(settings.link_secret.get_secret_value(), delivery["_id"])
    before = [
        list(database[name].find()) for name in ("deliveries", "subscriptions", "unsubscribes", "audit")
    ]
    page = unsubscribe_page(database, settings, token)
    assert '<form method="post"' in page
    assert "Weekly safety report" in page
    assert before == [
        list(database[name].find()) for name in ("deliveries", "subscriptions", "unsubscribes", "audit")
    ]


def test_unsubscribing_twice_is_once(database: Database, objects: ObjectStore, settings: Settings) -> None:
    delivery = delivered(database, objects)
    token = unsubscribe_token(settings.link_secret.get_secret_value(), delivery["_id"])
    pages = {unsubscribe(database, settings, token, NOW) for _ in range(3)}
    assert len(pages) == 1
    row = database["deliveries"].find_one() or {}
    assert (row["state"], row["error"]) == ("suppressed", "the recipient unsubscribed")
    assert (database["jobs"].find_one() or {})["state"] == "skipped"
    assert (database["subscriptions"].find_one() or {})["status"] == "ended"
    assert len(audit.events_of(database, "default", action=audit.AuditAction.RECIPIENT_REMOVED)) == 1
    assert open_link(database, objects, settings, token_of(settings, delivery), NOW) is None
    assert deliver(database, objects, settings) == []


def test_one_recipient_unsubscribes_and_the_other_still_receives(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    people = [{"type": "email", "value": "a@example.org"}, {"type": "email", "value": "b@example.org"}]
    jobs = seed(database, objects, 1, recipients=people, plan=False)
    subscriptions = {row["_id"]: row for row in database["subscriptions"].find()}
    plan_deliveries(database, jobs, subscriptions, NOW)
    leaving = database["deliveries"].find_one({"recipient": "a@example.org"})
    assert leaving is not None
    token = unsubscribe_token(settings.link_secret.get_secret_value(), leaving["_id"])
    unsubscribe(database, settings, token, NOW)
    assert (database["subscriptions"].find_one() or {})["status"] == "active"
    deliver(database, objects, settings)
    assert [mail["To"] for mail in mails(settings)] == ["b@example.org"]
    # The next occurrence does not reach the one who left either.
    later: Any = {**jobs[0], "_id": "job_later", "occurrence": "2026-11-30", "state": "rendered"}
    database["jobs"].insert_one(later)
    plan_deliveries(database, [later], subscriptions, NOW)
    assert sorted(outcome.state for outcome in deliver(database, objects, settings)) == ["sent", "suppressed"]


def test_a_bad_unsubscribe_token_gets_the_same_pages(database: Database, settings: Settings) -> None:
    delivery = delivered(database, None)
    good = unsubscribe_token(settings.link_secret.get_secret_value(), delivery["_id"])
    assert unsubscribe(database, settings, "nonsense", NOW) == unsubscribe(database, settings, good, NOW)
    assert "nonsense" not in unsubscribe_page(database, settings, "nonsense")
    assert database["unsubscribes"].count_documents({}) == 1


def test_a_hostile_name_is_text_on_the_unsubscribe_page(database: Database, settings: Settings) -> None:
    delivery = delivered(database, None, name='<script>alert(1)</script>"><img src=x onerror=y>')
    token = unsubscribe_token(settings.link_secret.get_secret_value(), delivery["_id"])
    page = unsubscribe_page(database, settings, token)
    assert not re.search(r"<(script|img)\b", page)


def test_a_new_key_signs_what_is_new_and_what_the_old_one_signed_stays_good(settings: Settings) -> None:
    old, until = "the secret before", NOW + timedelta(days=1)
    mine, theirs = link_token(old, "dlv_1", "rep_1", until), unsubscribe_token(old, "dlv_1")
    rotated = "2026b:a newer secret,0:the secret before"
    assert read_link_token(rotated, mine, NOW) == read_link_token(old, mine, NOW) != None  # noqa: E711
    assert read_unsubscribe_token(rotated, theirs) == "dlv_1"
    fresh = link_token(rotated, "dlv_1", "rep_1", until)
    assert fresh.endswith(".2026b")
    assert read_link_token(rotated, fresh, NOW) is not None
    assert read_link_token(old, fresh, NOW) is None
    assert read_link_token("2027a:next", fresh, NOW) is None
    for name in ("0", "2026a", "", "2026b.x"):
        assert read_link_token(rotated, fresh.rpartition(".")[0] + f".{name}", NOW) is None


async def _nothing(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("kind", ["r", "unsubscribe", "v"])
def test_the_access_log_holds_no_link(kind: str) -> None:
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    server = uvicorn.Server(uvicorn.Config(_nothing, port=0, lifespan="off"))
    access = logging.getLogger("uvicorn.access")
    access.addHandler(handler)
    mask_links_in_logs()
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        line = http.client.HTTPConnection("127.0.0.1", port)
        line.request("GET", f"/{kind}/eyJkIjoi.c2VjcmV0?x=1")
        line.getresponse().read()
        line.close()
    finally:
        server.should_exit = True
        thread.join(60)
        access.removeHandler(handler)
    assert f'"GET /{kind}/<masked>?x=1 HTTP/1.1" 404' in heard.getvalue()
    assert "c2VjcmV0" not in heard.getvalue()


def test_a_link_to_a_report_that_was_made_again_says_what_took_its_place_and_opens_both(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    delivery = delivered(database, objects)
    token = token_of(settings, delivery)
    sent_at = NOW - timedelta(hours=1)
    database["deliveries"].update_one({"_id": delivery["_id"]}, {"$set": {"sent_at": sent_at}})
    assert superseded_by(database, settings, token, NOW) is None
    report = database["reports"].find_one({"_id": delivery["report"]})
    assert report is not None
    objects.put("reports/newer.pdf", b"newer", "application/pdf")
    kept = ("sha256", "key", "rendered_at", "shown", "subject", "audience")
    whole = {"data_as_of": NOW, "dataset_versions": {"T1": "first"}}
    was = {**whole, **{name: report[name] for name in kept if name in report}}
    newer = {"sha256": "b" * 64, "key": "reports/newer.pdf", "rendered_at": NOW, "superseded": [was]}
    drawn_again = {**newer, "dataset_versions": was["dataset_versions"]}
    database["reports"].update_one({"_id": report["_id"]}, {"$set": drawn_again})
    assert superseded_by(database, settings, token, NOW) is None, "the same data, drawn anew"
    newer["dataset_versions"] = {"T1": "corrected"}
    database["reports"].update_one({"_id": report["_id"]}, {"$set": newer})
    found = superseded_by(database, settings, token, NOW)
    assert found is not None
    assert (found.sha256, found.by_sha256) == (report["sha256"], "b" * 64)
    told = linked_report(database, settings, token, NOW)
    assert told is not None
    page = report_page(settings, told)
    assert report["sha256"] in page
    assert "?file=newest" in page
    for as_sent, body in ((False, b"newer"), (True, FILE)):
        url = open_link(database, objects, settings, token, NOW, as_sent=as_sent)
        assert url is not None
        with urllib.request.urlopen(url) as answer:  # noqa: S310 - a URL of the embedded server
            assert answer.read() == body


@pytest.mark.parametrize(
    "showed_more",
    [
        {"shown": [{"trial": "SECRET", "sites": None}]},
        # Of one that names no sites, every trial was shown whole.
        {"shown": [], "subject": "", "audience": "", "dataset_versions": {"T1": "1", "SECRET": "1"}},
    ],
)
def test_a_file_that_showed_more_than_its_reader_may_see_now_is_not_given_out(
    database: Database, objects: ObjectStore, settings: Settings, showed_more: dict[str, Any]
) -> None:
    delivery = delivered(database, objects)
    token = token_of(settings, delivery)
    database["deliveries"].update_one({"_id": delivery["_id"]}, {"$set": {"sent_at": NOW}})
    was = {"sha256": "c" * 64, "key": "reports/more.pdf", "rendered_at": NOW, **showed_more}
    later = {"rendered_at": NOW + timedelta(hours=1), "superseded": [was]}
    database["reports"].update_one({"_id": delivery["report"]}, {"$set": later})
    at = NOW + timedelta(hours=2)
    assert superseded_by(database, settings, token, at) is None
    url = open_link(database, objects, settings, token, at, as_sent=True)
    assert url is not None
    assert "more.pdf" not in url
