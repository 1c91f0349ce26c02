"""The event webhook: only what SendGrid signed is believed, once, and the order does not matter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from reporting_pipeline.delivery.channels.sendgrid_events import EventsRefused, EventSummary, receive_events
from reporting_pipeline.domain.jobs import DeliveryState
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.suppressions import lift_suppression, suppressed_among
from reporting_pipeline_tests.delivery.killing import Signer, event
from reporting_pipeline_tests.delivery.seeds import NOW, seed

SIGNER = Signer()


@pytest.fixture
def signed(settings: Settings) -> Settings:
    return settings.model_copy(update={"sendgrid_webhook_key": SIGNER.public})


def post(database: Database, settings: Settings, events: Sequence[Any], now: datetime = NOW) -> EventSummary:
    body = json.dumps(list(events)).encode()
    return receive_events(database, settings, body, *SIGNER.sign(body, now), now)


def deliveries(database: Database, count: int, state: str = "sent") -> list[str]:
    seed(database, None, count)
    database["deliveries"].update_many({}, {"$set": {"state": state}})
    return [row["_id"] for row in database["deliveries"].find().sort("recipient", 1)]


def state_of(database: Database, delivery: str) -> str:
    return database["deliveries"].find_one({"_id": delivery})["state"]


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("processed", "sent"),
        ("deferred", "sent"),
        ("delivered", "delivered"),
        ("bounce", "bounced"),
        ("dropped", "bounced"),
        ("spamreport", "delivered"),
        ("unsubscribe", "delivered"),
    ],
)
def test_an_event_settles_an_unknown_delivery(
    database: Database, signed: Settings, kind: str, state: str
) -> None:
    (delivery,) = deliveries(database, 1, "unknown")
    post(database, signed, [event(delivery, kind, NOW)])
    row = database["deliveries"].find_one()
    assert (row["state"], row["next_attempt_at"]) == (state, None)
    assert database["jobs"].find_one()["state"] == ("failed" if state == "bounced" else "completed")


def test_a_batch_repeated_46_times_and_shuffled_counts_once(database: Database, signed: Settings) -> None:
    ids = deliveries(database, 12)
    history = ["processed", "deferred", "delivered"]
    events = [event(delivery, kind, NOW) for delivery in ids for kind in history]
    events += [event(delivery, "bounce", NOW, reason="550 no") for delivery in ids[::3]]
    rng = Random(46)
    new = moved = 0
    for _ in range(46):
        rng.shuffle(events)
        summary = post(database, signed, events)
        new, moved = new + summary.new, moved + summary.moved
    assert new == len(events) == database["delivery_events"].count_documents({})
    assert moved <= 2 * len(ids)
    for position, delivery in enumerate(ids):
        assert state_of(database, delivery) == ("bounced" if position % 3 == 0 else "delivered")


@pytest.mark.parametrize("number", range(6))
def test_every_order_of_events_ends_in_the_same_state(
    database: Database, signed: Settings, number: int
) -> None:
    (delivery,) = deliveries(database, 1, "unknown")
    events = [event(delivery, kind, NOW) for kind in ("processed", "deferred", "delivered", "bounce")]
    Random(number).shuffle(events)
    for each in events:
        post(database, signed, [each])
    assert state_of(database, delivery) == "bounced"


def test_delivered_never_overwrites_bounced(database: Database, signed: Settings) -> None:
    (delivery,) = deliveries(database, 1, DeliveryState.BOUNCED.value)
    assert post(database, signed, [event(delivery, "delivered", NOW)]).moved == 0
    assert state_of(database, delivery) == "bounced"


@pytest.mark.parametrize(
    ("kind", "more", "suppressed"),
    [
        ("bounce", {}, True),
        ("bounce", {"type": "blocked"}, False),
        ("dropped", {}, True),
        ("spamreport", {}, True),
        ("unsubscribe", {}, True),
        ("deferred", {}, False),
        ("delivered", {}, False),
    ],
)
def test_bounces_and_complaints_suppress_the_address_until_a_person_lifts_it(
    database: Database, signed: Settings, kind: str, more: dict[str, str], suppressed: bool
) -> None:
    (delivery,) = deliveries(database, 1)
    # The address comes from the ledger, never from the event.
    told = event(delivery, kind, NOW, **more)
    post(database, signed, [told])
    address = "reader0@example.org"
    assert (address in suppressed_among(database, [address])) is suppressed
    assert suppressed_among(database, ["somebody@example.org"]) == {}
    if suppressed:
        assert lift_suppression(database, address, "usr_admin", NOW + timedelta(hours=1))
        post(database, signed, [told], NOW + timedelta(hours=2))
        assert suppressed_among(database, [address]) == {}


def test_forged_stale_and_truncated_batches_change_nothing(database: Database, signed: Settings) -> None:
    (delivery,) = deliveries(database, 1, "unknown")
    body = json.dumps([event(delivery, "bounce", NOW)]).encode()
    signature, timestamp = SIGNER.sign(body, NOW)
    other = Signer().sign(body, NOW)[0]
    refused = [
        (body[:-1], signature, timestamp, NOW),
        (body + b" ", signature, timestamp, NOW),
        (body, other, timestamp, NOW),
        (body, "", timestamp, NOW),
        (body, "not base64!", timestamp, NOW),
        (body, signature[:-8], timestamp, NOW),
        (body, signature, str(int(timestamp) + 1), NOW),
        (body, signature, "", NOW),
        (body, signature, "²", NOW),
        (body, signature, "9" * 30, NOW),
        (body, signature, timestamp, NOW + timedelta(minutes=11)),
        (body, signature, timestamp, NOW - timedelta(minutes=11)),
    ]
    for arguments in refused:
        with pytest.raises(EventsRefused):
            receive_events(database, signed, *arguments)
    for broken in (b"{", b"{}", b'"x"', b""):
        with pytest.raises(EventsRefused):
            receive_events(database, signed, broken, *SIGNER.sign(broken, NOW), NOW)
    assert state_of(database, delivery) == "unknown"
    assert database["delivery_events"].count_documents({}) == 0


@pytest.mark.parametrize("key", [None, "", "bm8ga2V5", "not base64!"])
def test_without_a_good_key_nothing_is_believed(
    database: Database, settings: Settings, key: str | None
) -> None:
    (delivery,) = deliveries(database, 1, "unknown")
    with pytest.raises(EventsRefused):
        post(
            database,
            settings.model_copy(update={"sendgrid_webhook_key": key}),
            [event(delivery, "bounce", NOW)],
        )
    assert state_of(database, delivery) == "unknown"


def test_strange_entries_are_passed_over_and_the_rest_counts(database: Database, signed: Settings) -> None:
    (delivery,) = deliveries(database, 1)
    good = event(delivery, "delivered", NOW)
    strange = [
        None,
        [],
        "x",
        {},
        event(delivery, "open", NOW),
        event("dlv_" + "0" * 24, "bounce", NOW),
        event({"$ne": ""}, "bounce", NOW) | {"sg_event_id": "1"},  # type: ignore[arg-type]
        good | {"sg_event_id": None},
        good | {"sg_event_id": "x" * 1000},
        good | {"timestamp": "soon"},
        good | {"timestamp": True},
        good | {"timestamp": 10**30},
        event(f"{delivery}.2", "bounce", NOW),
    ]
    summary = post(database, signed, [*strange, good])
    assert (summary.strange, summary.moved) == (len(strange), 1)
    assert state_of(database, delivery) == "delivered"
