"""What SendGrid tells us afterwards: the event webhook.

Nothing is believed without the signature over the raw bytes and a fresh timestamp; without a key
configured nothing is believed at all. An event comes up to dozens of times and in any order: each is
kept once by its `sg_event_id`, and the state only ever moves up.
"""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pymongo.errors import DuplicateKeyError

from reporting_pipeline.delivery.channels.sendgrid import DELIVERY_ARGUMENT
from reporting_pipeline.domain.deliveries import from_wire_id, short_error
from reporting_pipeline.domain.jobs import DeliveryState
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.deliveries import apply_evidence, settle_jobs
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.suppressions import suppress_address

SIGNATURE_HEADER = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP_HEADER = "X-Twilio-Email-Event-Webhook-Timestamp"
WINDOW = timedelta(minutes=10)
LARGEST_BATCH = 5_000_000  # bytes

_STATES = {
    "processed": DeliveryState.SENT,
    "deferred": DeliveryState.SENT,
    "delivered": DeliveryState.DELIVERED,
    "spamreport": DeliveryState.DELIVERED,
    "unsubscribe": DeliveryState.DELIVERED,
    "group_unsubscribe": DeliveryState.DELIVERED,
    "bounce": DeliveryState.BOUNCED,
    "dropped": DeliveryState.BOUNCED,
}
# For good, until a person lifts it. A drop is SendGrid's own list speaking.
_SUPPRESSING = frozenset({"bounce", "dropped", "spamreport", "unsubscribe", "group_unsubscribe"})


class EventsRefused(Exception):
    """The request is not believed. The message is for the log, not for the sender."""


@dataclass(frozen=True)
class EventSummary:
    received: int
    new: int
    moved: int  # deliveries whose state changed
    suppressed: int  # addresses
    strange: int  # entries that are not events of ours


def receive_events(
    database: Database, settings: Settings, body: bytes, signature: str, timestamp: str, now: datetime
) -> EventSummary:
    """Take in one request of the event webhook. Raises EventsRefused, and then nothing has changed.

    An error of the database goes up: SendGrid sends the batch again, which does no harm.
    """
    verify(settings.sendgrid_webhook_key, body, signature, timestamp, now)
    try:
        entries = json.loads(body)
    except ValueError:
        raise EventsRefused("the body is not JSON") from None
    if not isinstance(entries, list):
        raise EventsRefused("the body is not a list of events")
    counts = Counter(_take_in(database, entry, now) for entry in entries)
    return EventSummary(
        received=len(entries),
        new=sum(counts[kind] for kind in ("new", "moved", "moved+suppressed", "new+suppressed")),
        moved=counts["moved"] + counts["moved+suppressed"],
        suppressed=counts["moved+suppressed"] + counts["new+suppressed"],
        strange=counts["strange"],
    )


def verify(key: str | None, body: bytes, signature: str, timestamp: str, now: datetime) -> None:
    """Raises EventsRefused unless `signature` is SendGrid's over timestamp and raw body, and is fresh."""
    if not key:
        raise EventsRefused("no verification key is configured")
    if len(body) > LARGEST_BATCH:
        raise EventsRefused("the body is too large")
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 11):
        raise EventsRefused("the timestamp is not a number of seconds")
    if abs(now - datetime.fromtimestamp(int(timestamp), UTC)) > WINDOW:
        raise EventsRefused("the timestamp is outside the window")
    try:
        public = load_der_public_key(b64decode(key, validate=True))
        if not isinstance(public, ec.EllipticCurvePublicKey):
            raise EventsRefused("the configured key is not an ECDSA key")
        public.verify(
            b64decode(signature, validate=True), timestamp.encode() + body, ec.ECDSA(hashes.SHA256())
        )
    except (InvalidSignature, Base64Error, ValueError, UnsupportedAlgorithm):
        raise EventsRefused("the signature is not SendGrid's over this body") from None


def _take_in(database: Database, entry: Any, now: datetime) -> str:
    """One event: what it changed. A failure before the end leaves it to be taken in again."""
    event = _read(entry)
    if event is None:
        return "strange"
    delivery = database["deliveries"].find_one({"_id": event.delivery})
    if delivery is None or delivery.get("copy", 1) != event.copy:
        return "strange"
    known = database["delivery_events"].find_one({"_id": event.id}, {"_id": 1}) is not None
    moved = apply_evidence(database, event.delivery, event.state, event.at, _fields(event, delivery))
    if moved:
        settle_jobs(database, [delivery["job"]], now)
    # A known event repeated must not undo a person's lifting.
    suppressed = (
        not known
        and event.kind in _SUPPRESSING
        and suppress_address(
            database, delivery["recipient"], f"{event.kind}: {event.reason}", now, event.delivery
        )
    )
    # Last, so that an event counts as known only when everything it says has been done.
    if known or not _keep(database, event, now):
        return "known"
    return ("moved" if moved else "new") + ("+suppressed" if suppressed else "")


@dataclass(frozen=True)
class _Event:
    id: str
    kind: str
    delivery: str
    copy: int
    state: DeliveryState
    at: datetime
    reason: str
    message: str


def _read(entry: Any) -> _Event | None:
    """An event of ours, or None: opens, clicks, other systems' mails and nonsense."""
    if not isinstance(entry, dict):
        return None
    kind, identifier = entry.get("event"), entry.get("sg_event_id")
    wire, at = entry.get(DELIVERY_ARGUMENT), entry.get("timestamp")
    if not all(isinstance(text, str) and 0 < len(text) <= 200 for text in (kind, identifier, wire)):
        return None
    state = _STATES.get(str(kind))
    if state is None or isinstance(at, bool) or not isinstance(at, int) or not 0 < at < 10**11:
        return None
    try:
        delivery, copy = from_wire_id(str(wire))
    except ValueError:
        return None
    # A soft bounce ("blocked") says that this message did not arrive, not that the address is bad.
    if kind == "bounce" and entry.get("type") == "blocked":
        kind = "blocked"
    return _Event(
        id=str(identifier),
        kind=str(kind),
        delivery=delivery,
        copy=copy,
        state=state,
        at=datetime.fromtimestamp(at, UTC),
        reason=short_error(str(entry.get("reason") or ""))[:200],
        message=str(entry.get("sg_message_id") or "")[:200],
    )


def _fields(event: _Event, delivery: Record) -> Record:
    fields: Record = {}
    if event.state is DeliveryState.BOUNCED:
        fields["error"] = f"{event.kind}: {event.reason}".rstrip(": ")
    elif delivery["state"] == DeliveryState.UNKNOWN.value:
        fields["error"] = None
    if event.message and not delivery.get("provider_id"):
        fields["provider_id"] = event.message.partition(".")[0]
    return fields


def _keep(database: Database, event: _Event, now: datetime) -> bool:
    try:
        database["delivery_events"].insert_one(
            {
                "_id": event.id,
                "delivery": event.delivery,
                "kind": event.kind,
                "at": event.at,
                "received_at": now,
                "reason": event.reason,
            }
        )
    except DuplicateKeyError:
        return False
    return True
