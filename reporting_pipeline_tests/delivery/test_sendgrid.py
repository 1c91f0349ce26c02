"""SendGrid: nothing is called sent that was not accepted, and nothing is sent again that may have been."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from pydantic import SecretStr

from reporting_pipeline.delivery.channels.deliverer import Deliverer, open_deliverer
from reporting_pipeline.delivery.sender.worker import DeliveryOutcome, deliver_due
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.alerts import open_alerts
from reporting_pipeline.stores.deliveries import due_cadences, resume_channel
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.delivery.provider import Provider, patience, provider
from reporting_pipeline_tests.delivery.seeds import NOW, Clock, seed

KEY = "SG.a-secret-key"


@pytest.fixture
def sendgrid(settings: Settings) -> Callable[[Provider], Settings]:
    def point_to(server: Provider) -> Settings:
        changes = {
            "email_backend": "sendgrid",
            "sendgrid_api_key": SecretStr(KEY),
            "sendgrid_url": server.url,
            "email_per_second": 10_000,
        }
        return settings.model_copy(update=changes | patience(server))

    return point_to


def run(database: Database, settings: Settings, clock: Clock, seed_: int = 1) -> list[DeliveryOutcome]:
    deliverer = Deliverer(open_deliverer(settings).senders, Random(seed_), clock.pause, rate_clock=clock)
    objects = ObjectStore(None, "none")  # type: ignore[arg-type]  # link mails read no file
    return list(deliver_due(deliverer, database, objects, settings, clock, 10_000))


def states(database: Database) -> list[str]:
    return sorted(row["state"] for row in database["deliveries"].find({}, {"state": 1}))


@pytest.mark.parametrize(
    ("fault", "state", "accepted"),
    [
        ("slow", "sent", 1),
        ("silent", "unknown", 1),
        ("drip", "unknown", 1),
        ("reset", "unknown", 1),
        ("truncated", "unknown", 1),
        ("200", "unknown", 1),
        ("no_id", "unknown", 1),
        ("502", "unknown", 1),
        ("503", "pending", 0),
        ("302", "pending", 0),
        ("400", "failed", 0),
        ("404", "failed", 0),
    ],
)
def test_each_answer_is_taken_for_what_it_proves(
    database: Database,
    sendgrid: Callable[[Provider], Settings],
    fault: str,
    state: str,
    accepted: int,
) -> None:
    seed(database, None, 1)
    with provider() as elsewhere, provider([fault], elsewhere=elsewhere.url) as server:
        clock = Clock()
        run(database, sendgrid(server), clock)
        assert states(database) == [state]
        assert len(server.accepted) == accepted
        # No second try in the same run, and none anywhere else.
        assert len(server.requests) == 1
        assert elsewhere.connections == 0


def test_a_refused_connection_is_retried_with_backoff_until_it_is_a_dead_letter(
    database: Database, sendgrid: Callable[[Provider], Settings]
) -> None:
    seed(database, None, 1)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = Provider(url=f"http://127.0.0.1:{closed.getsockname()[1]}")
        clock = Clock()
        for _ in range(3):
            assert [o.state for o in run(database, sendgrid(dead), clock)] == ["pending"]
            clock.at = (database["deliveries"].find_one() or {})["next_attempt_at"]
        assert [o.state for o in run(database, sendgrid(dead), clock)] == ["failed"]
    row = database["deliveries"].find_one() or {}
    assert [attempt["outcome"] for attempt in row["attempts"]] == ["retry"] * 4


@pytest.mark.parametrize(("fault", "minutes"), [("429_reset", 15), ("429", 0.5)])
def test_a_429_pauses_the_channel_and_costs_no_attempt(
    database: Database, sendgrid: Callable[[Provider], Settings], fault: str, minutes: float
) -> None:
    seed(database, None, 5)
    for number in range(5):
        database["subscriptions"].update_one({"_id": f"sub_{number:05d}"}, {"$set": {"name": f"R{number}"}})
    with provider(["none", fault]) as server:
        clock = Clock()
        settings = sendgrid(server)
        run(database, settings, clock)
        assert states(database) == ["pending"] * 4 + ["sent"]
        assert len(server.requests) == 2
        clock.forward(minutes=minutes - 0.1)
        assert not due_cadences(database, clock())
        clock.forward(minutes=0.2)
        run(database, settings, clock)
        assert states(database) == ["sent"] * 5
    assert sorted(server.accepted) == sorted({row["_id"] for row in database["deliveries"].find()})
    assert {row["failures"] for row in database["deliveries"].find()} == {0}


@pytest.mark.parametrize("status", ["401", "403"])
def test_refused_credentials_halt_the_channel_and_alert_once(
    database: Database, sendgrid: Callable[[Provider], Settings], status: str
) -> None:
    seed(database, None, 6)
    for number in range(6):
        database["subscriptions"].update_one({"_id": f"sub_{number:05d}"}, {"$set": {"name": f"R{number}"}})
    with provider(always=status) as server:
        clock = Clock()
        settings = sendgrid(server)
        run(database, settings, clock)
        clock.forward(hours=5)
        run(database, settings, clock)
        assert len(server.requests) == 1
        assert states(database) == ["pending"] * 6
        assert [alert["_id"] for alert in open_alerts(database)] == ["channel-halted:email"]
        server.always = ""
        assert resume_channel(database, "email", clock())
        run(database, settings, clock)
        assert states(database) == ["sent"] * 6
    assert {row["failures"] for row in database["deliveries"].find()} == {0}


def test_equal_link_mails_share_a_request_and_each_has_its_own_links(
    database: Database, sendgrid: Callable[[Provider], Settings]
) -> None:
    seed(database, None, 60)
    with provider() as server:
        run(database, sendgrid(server), Clock())
        (request,) = server.requests
    assert states(database) == ["sent"] * 60
    body = request["body"]
    links = {tuple(sorted(each["substitutions"].items())) for each in body["personalizations"]}
    assert len(links) == 60
    for tag in body["personalizations"][0]["substitutions"]:
        assert all(tag in content["value"] for content in body["content"])
    assert all(set(each["custom_args"]) == {"delivery_id"} for each in body["personalizations"])
    assert body["tracking_settings"]["click_tracking"] == {"enable": False, "enable_text": False}
    for each in body["personalizations"]:
        assert each["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_a_refused_batch_is_halved_until_only_the_bad_ones_fail(
    database: Database, sendgrid: Callable[[Provider], Settings]
) -> None:
    seed(database, None, 40)
    bad = {"reader3@example.org", "reader4@example.org", "reader31@example.org"}
    with provider(reject=bad) as server:
        run(database, sendgrid(server), Clock())
    failed = {row["recipient"] for row in database["deliveries"].find({"state": "failed"})}
    assert failed == bad
    assert states(database).count("sent") == 37
    assert len(server.accepted) == len(set(server.accepted)) == 37


def test_a_half_that_gets_no_answer_is_unknown_and_the_other_half_is_sent(
    database: Database, sendgrid: Callable[[Provider], Settings]
) -> None:
    seed(database, None, 8)
    with provider(["400", "none", "reset"]) as server:
        run(database, sendgrid(server), Clock())
    assert states(database) == ["sent"] * 4 + ["unknown"] * 4
    assert len(server.accepted) == 8


def test_the_key_is_in_no_log_and_no_record(
    database: Database, sendgrid: Callable[[Provider], Settings], caplog: pytest.LogCaptureFixture
) -> None:
    seed(database, None, 2)
    with caplog.at_level(logging.DEBUG), provider(["400", "401"]) as server:
        run(database, sendgrid(server), Clock())
        assert all(KEY in request["headers"]["Authorization"] for request in server.requests)
    assert KEY not in caplog.text
    assert KEY not in repr([*database["deliveries"].find(), *database["alerts"].find()])


def test_two_workers_send_each_delivery_once(
    database: Database, sendgrid: Callable[[Provider], Settings]
) -> None:
    seed(database, None, 120)
    for number in range(120):
        database["subscriptions"].update_one({"_id": f"sub_{number:05d}"}, {"$set": {"name": f"R{number}"}})
    with provider() as server, ThreadPoolExecutor(2) as pool:
        settings = sendgrid(server)
        list(pool.map(lambda n: run(database, settings, Clock(), n), range(2)))
        run(database, settings, Clock())
    assert states(database) == ["sent"] * 120
    assert len(server.accepted) == 120
    assert server.duplicates == {}


def test_the_rate_is_shared_and_what_does_not_fit_waits(
    database: Database, sendgrid: Callable[[Provider], Settings]
) -> None:
    seed(database, None, 12)
    for number in range(12):
        database["subscriptions"].update_one({"_id": f"sub_{number:05d}"}, {"$set": {"name": f"R{number}"}})
    with provider() as server:
        clock = Clock()
        settings = sendgrid(server).model_copy(update={"email_per_second": 2.0})
        run(database, settings, clock)
        took = (clock.at - NOW).total_seconds()
    assert states(database) == ["sent"] * 12
    # A burst of one second's worth, then two a second.
    assert 4.0 <= took <= 6.5


def test_large_requests_wait_for_the_rate_and_none_is_given_up(
    database: Database, sendgrid: Callable[[Provider], Settings]
) -> None:
    """Each request of ten costs ten seconds of the rate: after two pauses of five it is asked again."""
    seed(database, None, 40)
    for number in range(40):
        database["subscriptions"].update_one(
            {"_id": f"sub_{number:05d}"}, {"$set": {"name": f"R{number // 10}"}}
        )
    with provider() as server:
        clock = Clock()
        run(database, sendgrid(server).model_copy(update={"email_per_second": 1.0}), clock)
        requests = len(server.requests)
    assert states(database) == ["sent"] * 40
    assert requests == 4
    assert 29 <= (clock.at - NOW).total_seconds() <= 31


def test_who_unsubscribes_while_a_request_waits_for_its_turn_gets_none(
    database: Database, sendgrid: Callable[[Provider], Settings]
) -> None:
    seed(database, None, 20)
    for number in range(20):
        database["subscriptions"].update_one(
            {"_id": f"sub_{number:05d}"}, {"$set": {"name": f"R{number // 10}"}}
        )

    class Leaving(Clock):
        def pause(self, seconds: float) -> None:
            super().pause(seconds)
            database["subscriptions"].update_many({}, {"$set": {"status": "ended"}})

    with provider() as server:
        run(database, sendgrid(server).model_copy(update={"email_per_second": 1.0}), Leaving())
        accepted = len(server.accepted)
    assert (accepted, sorted(states(database))) == (10, ["sent"] * 10 + ["suppressed"] * 10)
