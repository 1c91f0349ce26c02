"""The event webhook: only what SendGrid signed is believed, once, and the order does not matter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from reporting_pipeline.delivery.channels.sendgrid_events import (
    DROPPED,
    UNMATCHED,
    EventsRefused,
    EventSummary,
    receive_events,
)
from reporting_pipeline.domain.jobs import DeliveryState
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.alerts import open_alerts
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


def is_suppressed(database: Database, address: str, organisation: str = "default") -> bool:
    return bool(suppressed_among(database, [(organisation, address)]))


def without_arguments(kind: str, **more: Any) -> dict[str, Any]:
    """An event as SendGrid sends it days later: no argument of ours."""
    told = event("x", kind, NOW + timedelta(days=2), email="Reader0@EXAMPLE.org", **more)
    return {name: value for name, value in told.items() if name != "delivery_id"}


def state_of(database: Database, delivery: str) -> str:
    return str((database["deliveries"].find_one({"_id": delivery}) or {})["state"])


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
    row = database["deliveries"].find_one() or {}
    assert (row["state"], row["next_attempt_at"]) == (state, None)
    assert (database["jobs"].find_one() or {})["state"] == ("failed" if state == "bounced" else "completed")


@pytest.mark.parametrize(("kind", "state"), [("bounce", "pending"), ("delivered", "delivered")])
def test_what_a_former_mailbox_tells_is_not_held_against_the_new_one(
    database: Database, signed: Settings, kind: str, state: str
) -> None:
    """It was in doubt at reader0's, who has another address since: what refuses there refuses there."""
    (delivery,) = deliveries(database, 1, "pending")
    moved = {"recipient": "moved@example.org", "moved_from": ["reader0@example.org"], "attempt": 2}
    database.deliveries.update_one({"_id": delivery}, {"$set": moved})
    post(database, signed, [event(delivery, kind, NOW, email="Reader0@example.org", reason="550 gone")])
    assert state_of(database, delivery) == state
    assert is_suppressed(database, "reader0@example.org") == (kind == "bounce")
    assert not is_suppressed(database, "moved@example.org")


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
        ("bounce", {"bounce_classification": "Invalid Address"}, True),
        ("bounce", {"bounce_classification": "Content"}, False),
        ("bounce", {"bounce_classification": "Reputation"}, False),
        ("dropped", {"reason": "Bounced Address"}, True),
        ("dropped", {"reason": "Invalid"}, True),
        ("dropped", {"reason": "Unsubscribed Address"}, True),
        ("dropped", {"reason": "Spam Reporting Address"}, True),
        ("dropped", {"reason": "Recipient List over Package Quota"}, False),
        ("dropped", {"reason": "Spam Content (if spam checker app is enabled)"}, False),
        ("dropped", {"reason": "Invalid SMTPAPI header"}, False),
        ("dropped", {"reason": "a reason of tomorrow"}, False),
        ("dropped", {}, False),
        ("spamreport", {}, True),
        ("unsubscribe", {}, True),
        ("deferred", {}, False),
        ("delivered", {}, False),
    ],
)
def test_bounces_and_complaints_suppress_the_address_until_a_person_lifts_it(
    database: Database, signed: Settings, kind: str, more: dict[str, Any], suppressed: bool
) -> None:
    (delivery,) = deliveries(database, 1)
    # The address comes from the ledger, never from the event.
    told = event(delivery, kind, NOW, **more)
    post(database, signed, [told])
    address = "reader0@example.org"
    assert is_suppressed(database, address) is suppressed
    assert not is_suppressed(database, "somebody@example.org")
    assert not is_suppressed(database, address, "another")
    if suppressed:
        assert lift_suppression(database, address, "usr_admin", NOW + timedelta(hours=1))
        post(database, signed, [told], NOW + timedelta(hours=2))
        assert not is_suppressed(database, address)


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
    strange: list[Any] = [
        None,
        [],
        "x",
        {},
        event(delivery, "open", NOW),
        event("dlv_" + "0" * 24, "bounce", NOW),
        event({"$ne": ""}, "bounce", NOW) | {"sg_event_id": "1"},  # type: ignore[arg-type]
        good | {"sg_event_id": ""},
        good | {"sg_event_id": 7},
        good | {"sg_event_id": "x" * 1000},
        good | {"timestamp": "soon"},
        good | {"timestamp": True},
        good | {"timestamp": 10**30},
        event(f"{delivery}.2", "bounce", NOW),
    ]
    summary = post(database, signed, [*strange, good])
    assert (summary.strange, summary.moved) == (len(strange), 1)
    assert state_of(database, delivery) == "delivered"


def test_a_drop_for_our_fault_is_told_to_a_person_and_the_delivery_waits_in_the_dead_letters(
    database: Database, signed: Settings
) -> None:
    (delivery,) = deliveries(database, 1)
    post(database, signed, [event(delivery, "dropped", NOW, reason="Recipient List over Package Quota")])
    (alert,) = open_alerts(database)
    assert alert["_id"] == DROPPED
    assert "Package Quota" in alert["text"]
    row = database["deliveries"].find_one() or {}
    assert (row["state"], row["error"]) == ("bounced", "dropped: Recipient List over Package Quota")


@pytest.mark.parametrize(
    "told",
    [
        {"sg_message_id": "msg-of-two.filter0001.16648.5515E0B88.0"},
        {"sg_message_id": "", "smtp-id": "ours"},
    ],
)
def test_a_late_bounce_without_our_argument_finds_its_delivery(
    database: Database, signed: Settings, told: dict[str, str]
) -> None:
    first, second = deliveries(database, 2)
    database["deliveries"].update_many({}, {"$set": {"provider_id": "msg-of-two"}})  # one request for both
    if told.get("smtp-id"):
        told = told | {"smtp-id": f"<{first}@example.org>"}
    assert post(database, signed, [without_arguments("bounce", reason="550 no such user", **told)]).moved == 1
    assert (state_of(database, first), state_of(database, second)) == ("bounced", "sent")
    assert is_suppressed(database, "reader0@example.org")
    assert not is_suppressed(database, "reader1@example.org")


def test_with_the_address_alone_the_address_is_suppressed_where_one_organisation_wrote_to_it(
    database: Database, signed: Settings
) -> None:
    (delivery,) = deliveries(database, 1)
    told = without_arguments("bounce", reason="550 no such user", sg_message_id="")
    assert post(database, signed, [told, told]).suppressed == 1
    assert state_of(database, delivery) == "sent"  # which of its mails bounced is not said
    assert is_suppressed(database, "reader0@example.org")
    assert not is_suppressed(database, "reader0@example.org", "another")


def test_with_two_organisations_a_person_is_asked_and_nothing_is_guessed(
    database: Database, signed: Settings
) -> None:
    _first, second = deliveries(database, 2)
    other = {"recipient": "reader0@example.org", "organisation": "another"}
    database["deliveries"].update_one({"_id": second}, {"$set": other})
    told = without_arguments("bounce", reason="550 no such user", sg_message_id="")
    assert post(database, signed, [told]).suppressed == 0
    assert not is_suppressed(database, "reader0@example.org")
    assert [alert["_id"] for alert in open_alerts(database)] == [UNMATCHED]


@pytest.mark.parametrize("kind", ["unsubscribe", "group_unsubscribe"])
def test_an_unsubscription_without_an_event_id_counts_once(
    database: Database, signed: Settings, kind: str
) -> None:
    deliveries(database, 1)
    told = {name: value for name, value in without_arguments(kind).items() if name != "sg_event_id"}
    summaries = [post(database, signed, [told]) for _ in range(3)]
    assert [each.suppressed for each in summaries] == [1, 0, 0]
    assert is_suppressed(database, "reader0@example.org")


def test_what_stands_from_before_organisations_were_noted_holds_for_all_until_lifted(
    database: Database,
) -> None:
    database["suppressions"].insert_one({"_id": "old@example.org", "reason": "bounce", "lifted_at": None})
    assert is_suppressed(database, "old@example.org")
    assert is_suppressed(database, "old@example.org", "b")
    assert lift_suppression(database, "old@example.org", "usr_admin", NOW)
    assert not is_suppressed(database, "old@example.org")
