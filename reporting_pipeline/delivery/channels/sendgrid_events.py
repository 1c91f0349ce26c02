"""What SendGrid tells us afterwards: the event webhook.

Nothing is believed without the signature over the raw bytes and a fresh timestamp; without a key
configured nothing is believed at all. An event comes up to dozens of times and in any order: each is
kept once by its `sg_event_id`, and the state only ever moves up.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from reporting_pipeline.delivery.channels.sendgrid import DELIVERY_ARGUMENT
from reporting_pipeline.domain.deliveries import (
    DeliveryRecord,
    from_wire_id,
    is_mail_id,
    mailbox,
    short_error,
)
from reporting_pipeline.domain.jobs import DeliveryState
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.alerts import raise_alert
from reporting_pipeline.stores.deliveries import apply_evidence, in_mail, settle_jobs
from reporting_pipeline.stores.delivery_events import is_known, keep, mailed_to
from reporting_pipeline.stores.delivery_reads import get_delivery
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.suppressions import suppress_address

SIGNATURE_HEADER = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP_HEADER = "X-Twilio-Email-Event-Webhook-Timestamp"
WINDOW = timedelta(minutes=10)
LARGEST_BATCH = 5_000_000  # bytes
DROPPED = "sendgrid-drops"  # alerts
UNMATCHED = "sendgrid-unmatched"

_STATES = {
    "processed": DeliveryState.SENT,
    "deferred": DeliveryState.SENT,
    "delivered": DeliveryState.DELIVERED,
    "spamreport": DeliveryState.DELIVERED,
    "unsubscribe": DeliveryState.DELIVERED,
    "group_unsubscribe": DeliveryState.DELIVERED,
    "bounce": DeliveryState.BOUNCED,
    "blocked": DeliveryState.BOUNCED,
    "dropped": DeliveryState.BOUNCED,
}


class Fault(StrEnum):
    """Whose fault it is that a mail did not arrive, or that no other may be sent."""

    ADDRESS = "the address"  # it does not exist, or refuses for good
    WISH = "the recipient's wish"  # unsubscribed, or called it spam
    MESSAGE = "this message"  # its content or the moment; the next one may arrive
    OURS = "our account"  # quota, a header of ours: a person must look
    UNCLEAR = "not said"


#: What stops further mails to the address, in the organisation concerned, until a person lifts it.
_SUPPRESSING = frozenset({Fault.ADDRESS, Fault.WISH})
_OF_WISH = frozenset({"spamreport", "unsubscribe", "group_unsubscribe"})
#: SendGrid's words for why it did not even try, in small letters and as they begin.
_DROPS = {
    "bounced address": Fault.ADDRESS,
    "invalid smtpapi": Fault.OURS,
    "invalid header": Fault.OURS,
    "invalid": Fault.ADDRESS,
    "unsubscribed address": Fault.WISH,
    "group unsubscribe": Fault.WISH,
    "spam reporting address": Fault.WISH,
    "spam content": Fault.MESSAGE,
    "recipient list over package quota": Fault.OURS,
    "over package quota": Fault.OURS,
}
#: `bounce_classification` of a hard bounce that does not blame the address.
_NOT_THE_ADDRESS = frozenset(
    {"content", "reputation", "technical", "frequency or volume too high", "frequency/volume too high"}
)


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
    if event.wire is None:
        return _take_in_by_address(database, event, now)
    if is_mail_id(event.wire[0]):
        return _take_in_of_mail(database, event, event.wire[0], now)
    delivery = get_delivery(database, event.wire[0])
    if delivery is None or delivery.get("copy", 1) != event.wire[1]:
        return "strange"
    return _apply(database, event, delivery, now)


def _take_in_of_mail(database: Database, event: _Event, mail: str, now: datetime) -> str:
    """An event about a mail of several reports: it holds for the delivery of each."""
    members = in_mail(database, mail)
    for delivery in members[1:]:
        if apply_evidence(database, delivery["_id"], event.state, event.at, _fields(event, delivery)):
            settle_jobs(database, [delivery["job"]], now)
    # The first last: with it the event counts as known.
    return _apply(database, event, members[0], now) if members else "strange"


def _take_in_by_address(database: Database, event: _Event, now: datetime) -> str:
    """An event without our argument, as a refusal days after the receiving server took the mail.

    The provider's message id and the address name the delivery. With the address alone the organisation
    is known when only one wrote to it; then no more goes there, and no delivery is moved on a guess.
    """
    sent = mailed_to(database, mailbox(event.address), event.at)
    named = [row for row in sent if event.message and row.get("provider_id") == event.message]
    if len(named) == 1:
        return _apply(database, event, named[0], now)
    organisations = {row["organisation"] for row in sent}
    if not sent or event.fault not in _SUPPRESSING:
        return "strange"
    if len(organisations) > 1:
        if keep(database, event.id, event.kind, event.at, now, delivery=None, reason=event.reason):
            text = f"a {event.kind} names no delivery, and several organisations write to its address; "
            raise_alert(database, UNMATCHED, f"{text}SendGrid's message {event.message or 'unknown'}", now)
        return "known"
    known = is_known(database, event.id)
    suppressed = not known and _suppress(database, event, sent[0], now)
    keep(database, event.id, event.kind, event.at, now, delivery=sent[0]["_id"], reason=event.reason)
    return "known" if known else ("new+suppressed" if suppressed else "new")


def _apply(database: Database, event: _Event, delivery: DeliveryRecord, now: datetime) -> str:
    known = is_known(database, event.id)
    # What a former mailbox of its user refused says nothing of the one that it goes to now.
    elsewhere = event.state is DeliveryState.BOUNCED and _left_behind(event, delivery) is not None
    moved = not elsewhere and apply_evidence(
        database, delivery["_id"], event.state, event.at, _fields(event, delivery)
    )
    if moved:
        settle_jobs(database, [delivery["job"]], now)
    # A known event repeated must not undo a person's lifting.
    suppressed = not known and event.fault in _SUPPRESSING and _suppress(database, event, delivery, now)
    if not known and event.fault is Fault.OURS:
        raise_alert(database, DROPPED, f"SendGrid drops mails of ours: {event.reason}", now)
    # Last, so that an event counts as known only when everything it says has been done.
    kept = keep(database, event.id, event.kind, event.at, now, delivery=delivery["_id"], reason=event.reason)
    if known or not kept:
        return "known"
    return ("moved" if moved else "new") + ("+suppressed" if suppressed else "")


def _suppress(database: Database, event: _Event, delivery: DeliveryRecord, now: datetime) -> bool:
    """The address as the ledger has it, never as the event does; in the organisation that wrote to it."""
    reason = f"{event.kind}: {event.reason}".rstrip(": ")
    address = _left_behind(event, delivery) or delivery["recipient"]
    return suppress_address(database, delivery["organisation"], address, reason, now, delivery["_id"])


def _left_behind(event: _Event, delivery: DeliveryRecord) -> str | None:
    """The mailbox the event speaks of, where the delivery was to go there first and was moved since."""
    address = mailbox(event.address) if event.address else ""
    if address == delivery["recipient"] or address not in delivery.get("moved_from", ()):
        return None
    return address


@dataclass(frozen=True)
class _Event:
    id: str
    kind: str
    wire: tuple[str, int] | None  # delivery and copy, where the event carries our argument or Message-ID
    address: str  # as SendGrid spells it
    message: str  # the provider's id of the request, as the ledger keeps it
    state: DeliveryState
    fault: Fault | None
    at: datetime
    reason: str


def _read(entry: Any) -> _Event | None:
    """An event about a mail, or None: opens, clicks, nonsense, and what names neither mail nor address."""
    if not isinstance(entry, dict):
        return None
    kind, at = entry.get("event"), entry.get("timestamp")
    state = _STATES.get(kind) if isinstance(kind, str) else None
    if state is None or isinstance(at, bool) or not isinstance(at, int) or not 0 < at < 10**11:
        return None
    wire = _wire_id(entry)
    address = _text(entry, "email")
    if wire is None and (DELIVERY_ARGUMENT in entry or not address):
        return None
    identifier = _identifier(entry)
    if identifier is None:
        return None
    # A soft bounce says that this message did not arrive, not that the address is bad.
    if kind == "bounce" and entry.get("type") == "blocked":
        kind = "blocked"
    return _Event(
        id=identifier,
        kind=str(kind),
        wire=wire,
        address=address,
        message=_text(entry, "sg_message_id").partition(".")[0],
        state=state,
        fault=_fault(str(kind), entry),
        at=datetime.fromtimestamp(at, UTC),
        reason=short_error(_text(entry, "reason", 2000))[:200],
    )


def _wire_id(entry: Mapping[str, Any]) -> tuple[str, int] | None:
    """From our argument, or from the Message-ID we gave, which SendGrid repeats as `smtp-id`."""
    message_id = _text(entry, "smtp-id").strip("<>").partition("@")[0]
    for text in (_text(entry, DELIVERY_ARGUMENT), message_id):
        try:
            return from_wire_id(text)
        except ValueError:
            continue
    return None


def _identifier(entry: Mapping[str, Any]) -> str | None:
    """SendGrid's id of the event. Some unsubscriptions have none: then one made of what they say."""
    identifier = entry.get("sg_event_id")
    if identifier is None:
        said = [
            entry.get(name) for name in ("event", "email", "timestamp", "sg_message_id", DELIVERY_ARGUMENT)
        ]
        return f"made:{hashlib.sha256(json.dumps(said, default=str).encode()).hexdigest()}"
    return identifier if isinstance(identifier, str) and 0 < len(identifier) <= 200 else None


def _fault(kind: str, entry: Mapping[str, Any]) -> Fault | None:
    """Whose fault a bad end is; None where the event is no bad end."""
    if kind in _OF_WISH:
        return Fault.WISH
    if kind == "blocked":
        return Fault.MESSAGE
    if kind == "bounce":
        said = _text(entry, "bounce_classification").casefold()
        return Fault.MESSAGE if said in _NOT_THE_ADDRESS else Fault.ADDRESS
    if kind == "dropped":
        reason = _text(entry, "reason", 2000).strip().casefold()
        return next((fault for words, fault in _DROPS.items() if reason.startswith(words)), Fault.UNCLEAR)
    return None


def _text(entry: Mapping[str, Any], name: str, longest: int = 300) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) and len(value) <= longest else ""


def _fields(event: _Event, delivery: DeliveryRecord) -> Record:
    fields: Record = {}
    if event.state is DeliveryState.BOUNCED:
        fields["error"] = f"{event.kind}: {event.reason}".rstrip(": ")
    elif delivery["state"] == DeliveryState.UNKNOWN.value:
        fields["error"] = None
    if event.state is DeliveryState.DELIVERED:
        fields["delivered_at"] = event.at
    if event.message and not delivery.get("provider_id"):
        fields["provider_id"] = event.message
    return fields
