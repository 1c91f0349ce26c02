"""Webhooks are signed and repeatable, Slack messages are not; neither follows a redirect."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import timedelta
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from reporting_pipeline.delivery.channels.deliverer import Deliverer, open_deliverer
from reporting_pipeline.delivery.channels.webhooks import (
    endpoint_secrets,
    shown_secret,
    sign,
    url_problem,
)
from reporting_pipeline.delivery.sender.worker import DeliveryOutcome, deliver_due
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.alerts import open_alerts
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.suppressions import suppressed_among
from reporting_pipeline_tests.delivery.provider import Provider, patience, provider
from reporting_pipeline_tests.delivery.seeds import FILE, NOW, Clock, seed


def allowing(settings: Settings, *servers: Provider, **more: object) -> Settings:
    hosts = ",".join(str(urlsplit(server.url).netloc) for server in servers)
    return settings.model_copy(update={"private_hosts": hosts, **patience(*servers), **more})


def run(database: Database, settings: Settings, clock: Clock) -> list[DeliveryOutcome]:
    deliverer = Deliverer(open_deliverer(settings).senders, Random(1), clock.pause, rate_clock=clock)
    objects = ObjectStore(None, "none")  # type: ignore[arg-type]
    return list(deliver_due(deliverer, database, objects, settings, clock, 100))


def webhook(database: Database, url: str, count: int = 1) -> None:
    seed(database, None, count, recipients=[{"type": "webhook", "value": url}])


FIRST_NAMES = (
    *("event", "report_id", "report_name", "execution_id"),
    *("format", "generated_at", "file_size"),
)


def test_a_webhook_is_signed_as_standard_webhooks_say(database: Database, settings: Settings) -> None:
    with provider() as server:
        url = f"{server.url}/hook?x=1"
        webhook(database, url)
        (outcome,) = run(database, allowing(settings, server), Clock())
        (request,) = server.requests
    assert outcome.state == "sent"
    headers = {name.lower(): value for name, value in request["headers"].items()}
    assert headers["webhook-id"] == outcome.delivery
    assert headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    secret = b64decode(shown_secret(settings, "default", url).removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request["raw"]
    expected = b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    body = json.loads(request["raw"])
    assert body["type"] == "report.ready"
    assert body["data"]["report"] == "rep_00000"
    assert "/r/" in body["data"]["url"]
    assert body["file_url"] == body["data"]["url"]
    assert {name: body[name] for name in FIRST_NAMES} == {
        "event": "report.generated",
        "report_id": "sub_00000",
        "report_name": "Weekly safety report",
        "execution_id": "job_00000",
        "format": "pdf",
        "generated_at": (NOW - timedelta(hours=2)).isoformat(),
        "file_size": len(FILE),
    }


def test_both_keys_sign_while_one_follows_the_other(settings: Settings) -> None:
    rotating = settings.model_copy(update={"webhook_secret": SecretStr("b:the newer,a:the older")})
    alone = settings.model_copy(update={"webhook_secret": SecretStr("a:the older")})
    new, old = endpoint_secrets(rotating, "default", "https://hook.example.org")
    assert [old] == endpoint_secrets(alone, "default", "https://hook.example.org")
    both = sign("dlv_1", "1", b"{}", [new, old]).split(" ")
    assert both == [sign("dlv_1", "1", b"{}", [new]), sign("dlv_1", "1", b"{}", [old])]


def test_slack_says_what_is_ready_and_what_is_left_out(database: Database, settings: Settings) -> None:
    with provider() as server:
        seed(database, None, 1, recipients=[{"type": "slack", "value": f"{server.url}/services/T/B/x"}])
        left_out = {"trial": "CDISCPILOT01", "part": "labs", "reason": "two units of <GLUC>"}
        database["jobs"].update_one({}, {"$set": {"omissions": [left_out]}})
        run(database, allowing(settings, server), Clock())
        body = json.loads(server.requests[0]["raw"])
    assert body["text"] == 'Your scheduled report "Weekly safety report" is ready'
    fields = [each["text"] for block in body["blocks"] for each in block.get("fields", [])]
    assert fields[:3] == ["Format: PDF", "Generated At: 2026-11-23 06:00 UTC", "File Size: 1 KB"]
    texts = [block["text"]["text"] for block in body["blocks"] if "text" in block]
    assert "Not in this report:\nCDISCPILOT01, labs: two units of <GLUC>" in texts


def test_a_webhook_is_tried_again_under_the_same_id(database: Database, settings: Settings) -> None:
    with provider(["500", "reset", "silent", "302"]) as server:
        webhook(database, f"{server.url}/hook")
        clock = Clock()
        for _ in range(5):
            (outcome,) = run(database, allowing(settings, server), clock)
            clock.at = (database["deliveries"].find_one() or {})["next_attempt_at"] or clock.at
        assert outcome.state == "sent"
        assert {request["headers"]["webhook-id"] for request in server.requests} == {outcome.delivery}
        assert len(server.requests) == 5
    assert clock.at - NOW > Clock().at - NOW


@pytest.mark.parametrize(
    ("collection", "change"),
    [
        ("users", {"$set": {"trials": []}}),
        ("users", {"$set": {"active": False}}),
        ("subscriptions", {"$set": {"status": "ended"}}),
    ],
)
def test_who_loses_a_right_while_a_slow_server_takes_the_others_gets_nothing(
    database: Database, settings: Settings, collection: str, change: Mapping[str, Any]
) -> None:
    """All that is due is read at once; a server that takes seconds for each is at it for minutes."""
    clock = Clock()

    def slow(name: str) -> None:
        if name == "worker.answered":
            clock.forward(seconds=4)
            if clock.at - NOW == timedelta(seconds=8):
                database[collection].update_many({}, change)

    with provider() as server:
        webhook(database, f"{server.url}/hook", 6)
        chosen = allowing(settings, server)
        senders = open_deliverer(chosen).senders
        deliverer = Deliverer(senders, Random(1), clock.pause, slow, rate_clock=clock)
        objects = ObjectStore(None, "none")  # type: ignore[arg-type]
        states = [one.state for one in deliver_due(deliverer, database, objects, chosen, clock, 100)]
        assert states == ["sent"] * 2 + ["suppressed"] * 4
        assert len(server.requests) == 2


def test_a_webhook_gives_up_after_its_schedule(database: Database, settings: Settings) -> None:
    with provider(always="500") as server:
        webhook(database, f"{server.url}/hook")
        clock = Clock()
        local = allowing(settings, server)
        for _ in range(7):
            (outcome,) = run(database, local, clock)
            clock.at = (database["deliveries"].find_one() or {})["next_attempt_at"] or clock.at
        assert outcome.state == "failed"
        assert len(server.requests) == 7
        assert (clock.at - NOW).total_seconds() > 17 * 3600


def test_a_410_disables_the_endpoint_and_the_next_report_is_not_sent(
    database: Database, settings: Settings
) -> None:
    with provider(["410"]) as server:
        url = f"{server.url}/hook"
        webhook(database, url, 2)
        outcomes = run(database, allowing(settings, server), Clock())
        assert sorted(outcome.state for outcome in outcomes)[0] == "failed"
        assert suppressed_among(database, [("default", url), ("another", url)]).keys() == {("default", url)}
        sent_until_then = len(server.requests)
        database["deliveries"].update_many({}, {"$set": {"state": "pending", "next_attempt_at": NOW}})
        assert {o.state for o in run(database, allowing(settings, server), Clock())} == {"suppressed"}
        assert len(server.requests) == sent_until_then


def test_a_redirect_is_a_failure_and_the_other_host_sees_nothing(
    database: Database, settings: Settings
) -> None:
    with provider() as elsewhere, provider(["302"], elsewhere=elsewhere.url) as server:
        webhook(database, f"{server.url}/hook")
        (outcome,) = run(database, allowing(settings, server, elsewhere), Clock())
        assert outcome.state == "pending"
        assert elsewhere.connections == 0


def test_a_private_endpoint_is_a_dead_letter_without_a_connection(
    database: Database, settings: Settings
) -> None:
    with provider() as canary:
        port = urlsplit(canary.url).port
        hosts = ["127.0.0.1", "127.1", "2130706433", "localhost", "[::1]", "[::ffff:127.0.0.1]"]
        urls = [f"https://{host}:{port}/" for host in hosts] + [f"http://127.0.0.1:{port}/"]
        seed(database, None, 1, recipients=[{"type": "webhook", "value": url} for url in urls])
        outcomes = run(database, settings, Clock())
        assert [outcome.state for outcome in outcomes] == ["failed"] * len(urls)
        assert canary.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example.org/",
        "http://a.example.org/",
        "https://user:pass@a.example.org/",
        "https://",
        "https://a.example.org:x/",
        "https://a.example.org/\r\nHost: b",
        "javascript:alert(1)",
        "",
    ],
)
def test_a_strange_url_is_refused_by_its_form(url: str) -> None:
    assert url_problem(url, frozenset()) is not None


# --- Slack


def test_a_slack_message_has_fields_and_a_link_and_no_markup(database: Database, settings: Settings) -> None:
    with provider() as server:
        hook = [{"type": "slack", "value": f"{server.url}/services/T/B/x"}]
        seed(database, None, 1, recipients=hook, name="<!channel> *bold* <http://evil|x> & co")
        (outcome,) = run(database, allowing(settings, server), Clock())
        (request,) = server.requests
    assert outcome.state == "sent"
    body = request["body"]
    assert '"&lt;!channel&gt; *bold* &lt;http://evil|x&gt; &amp; co"' in body["text"]
    assert {block["type"] for block in body["blocks"]} == {"header", "section", "actions"}
    assert body["blocks"][0]["text"]["type"] == "plain_text"
    assert {field["type"] for field in body["blocks"][1]["fields"]} == {"plain_text"}
    assert "/r/" in body["blocks"][2]["elements"][0]["url"]


def test_slack_gets_one_message_a_second(database: Database, settings: Settings) -> None:
    with provider() as server:
        hook = [{"type": "slack", "value": f"{server.url}/services/T/B/x"}]
        seed(database, None, 5, recipients=hook)
        clock = Clock()
        run(database, allowing(settings, server), clock)
        assert len(server.requests) == 5
        assert 3.9 <= (clock.at - NOW).total_seconds() <= 6


def test_a_lost_answer_of_slack_is_unknown(database: Database, settings: Settings) -> None:
    with provider(["silent"]) as server:
        hook = f"{server.url}/services/T/B/secret"
        seed(database, None, 1, recipients=[{"type": "slack", "value": hook}])
        (outcome,) = run(database, allowing(settings, server), Clock())
    assert outcome.state == "unknown"
    assert "secret" not in str(outcome.error)


@pytest.mark.parametrize(("fault", "state"), [("404", "failed"), ("429", "pending"), ("503", "pending")])
def test_each_answer_of_a_slack_hook(database: Database, settings: Settings, fault: str, state: str) -> None:
    with provider([fault]) as server:
        seed(database, None, 1, recipients=[{"type": "slack", "value": f"{server.url}/services/T/B/x"}])
        (outcome,) = run(database, allowing(settings, server), Clock())
    assert outcome.state == state


def test_a_channel_gets_it_with_the_bots_token(database: Database, settings: Settings) -> None:
    with provider() as server:
        seed(database, None, 1, recipients=[{"type": "slack", "value": "#reports"}])
        bot = {"slack_bot_token": SecretStr("xoxb-1"), "slack_url": server.url}
        local = allowing(settings, server).model_copy(update=bot)
        (outcome,) = run(database, local, Clock())
        (request,) = server.requests
    assert (outcome.state, outcome.provider_id) == ("sent", "1.2")
    assert request["headers"]["Authorization"] == "Bearer xoxb-1"
    assert request["body"]["channel"] == "#reports"


def test_a_missing_token_halts_slack_and_alerts(database: Database, settings: Settings) -> None:
    seed(database, None, 2, recipients=[{"type": "slack", "value": "#reports"}])
    run(database, settings, Clock())
    assert [alert["_id"] for alert in open_alerts(database)] == ["channel-halted:slack"]
    assert {row["state"] for row in database["deliveries"].find()} == {"pending"}
