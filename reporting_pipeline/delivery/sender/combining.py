"""Which of what was drawn goes in one mail: for readers who asked for it, within their window.

What waits for others of its reader is postponed; what goes with them is fetched, so that a mail is whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from reporting_pipeline.delivery.message import Message
from reporting_pipeline.delivery.rights import DeliveryContext, load_context
from reporting_pipeline.delivery.sender.combined_message import combined
from reporting_pipeline.domain.combining import MOST_IN_A_MAIL, combine_minutes_of, mail_id, waits_until
from reporting_pipeline.domain.deliveries import Channel, DeliveryRecord
from reporting_pipeline.domain.jobs import DeliveryState
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import deliveries as ledger
from reporting_pipeline.stores.mongo import Database


def window_of(record: DeliveryRecord, context: DeliveryContext) -> int:
    """The minutes within which a delivery goes with others of its reader; 0: it goes alone.

    Alone goes what somebody asked for now, what carries its file, and what may have ended a worker.
    """
    job = context.jobs.get(record["job"])
    asked_for = job is not None and job.get("on_demand", False)
    if record["channel"] != Channel.EMAIL or asked_for or record.get("suspect"):
        return 0
    if context.attached_bytes(record):
        return 0
    return combine_minutes_of(context.users.get(record.get("user") or "") or {})


def gathered(
    database: Database, drawn: Sequence[DeliveryRecord], context: DeliveryContext, now: datetime
) -> list[DeliveryRecord]:
    """What goes now: of `drawn` what does not wait for others, with all that is in the same mails."""
    alone, mails, readers = [], set(), {}
    for record in drawn:
        if mail := record.get("mail"):
            mails.add(mail)
        elif minutes := window_of(record, context):
            reader = record["organisation"], record["recipient"], record.get("user")
            readers[reader] = (record, minutes)
        else:
            alone.append(record)
    for record, minutes in readers.values():
        together = _ready_with(database, record, minutes, now)
        if len(together) == 1:
            alone += together
        elif together:
            mail = mail_id((one["_id"], one["copy"]) for one in together)
            ledger.put_in_one_mail(database, together, mail, now)
            mails.add(mail)
    return alone + [one for mail in sorted(mails) for one in _whole(database, mail, now)]


def _ready_with(
    database: Database, record: DeliveryRecord, minutes: int, now: datetime
) -> list[DeliveryRecord]:
    """What goes with a delivery, it among them, by id; nothing while they wait for others."""
    waiting = ledger.end_unreadable(database, ledger.waiting_with(database, record), now)
    context = load_context(database, waiting, now)
    waiting = [one for one in waiting if window_of(one, context)]
    ready = [one for one in waiting if _is_ready(one, now)]
    if not ready:  # somebody else was faster
        return []
    first = min(one["due_at"] for one in ready)
    end = first + timedelta(minutes=minutes)
    coming: list[datetime | None] = [one["due_at"] for one in waiting if one["due_at"] > now]
    known = {one["job"] for one in waiting}
    if now < end and ledger.jobs_on_the_way(database, record, known, end):
        coming.append(None)
    until = waits_until([one["due_at"] for one in ready], coming, minutes, now)
    if until is None:
        return ready[:MOST_IN_A_MAIL]
    ledger.postpone(database, ready, until)
    return []


def _is_ready(record: DeliveryRecord, now: datetime) -> bool:
    """Due, and not at rest after an attempt that failed."""
    at = record["next_attempt_at"]
    return record["due_at"] <= now and at is not None and (at <= now or not record["failures"])


def _whole(database: Database, mail: str, now: datetime) -> list[DeliveryRecord]:
    """All of a mail that wait, when they may go; nothing while a part of it is under way elsewhere."""
    members = ledger.in_mail(database, mail)
    states = [one["state"] for one in members]
    pending = (one for one in members if one["state"] == DeliveryState.PENDING.value)
    waiting = ledger.end_unreadable(database, pending, now)
    if DeliveryState.SENDING.value in states or not waiting:
        return []
    if DeliveryState.UNKNOWN.value in states:  # it may have gone out, and not with these
        ledger.leave_mail(database, mail)
        return []
    latest = max(one["next_attempt_at"] or now for one in waiting)
    if latest > now:  # after a failure each rests for a time of its own
        ledger.postpone(database, [one for one in waiting if one["next_attempt_at"] != latest], latest)
        return []
    return waiting


def joined(
    database: Database, messages: Sequence[Message], batch: Sequence[DeliveryRecord], settings: Settings
) -> list[Message]:
    """The mails of a batch. One of which a part could not be written goes another time, without it."""
    records = {record["_id"]: record for record in batch}
    mails: dict[str, set[str]] = {}
    for record in batch:
        if mail := record.get("mail"):
            mails.setdefault(mail, set()).add(record["_id"])
    parts: dict[str, list[Message]] = {}
    joint = []
    for message in messages:
        mail = records[message.delivery].get("mail")
        if mail is None:
            joint.append(message)
        else:
            parts.setdefault(mail, []).append(message)
    for mail, wanted in sorted(mails.items()):
        some = sorted(parts.get(mail, ()), key=lambda one: one.delivery)
        if len(some) < len(wanted):
            ledger.leave_mail(database, mail, [one.delivery for one in some])
        else:
            joint.append(combined(some, mail, records[some[0].delivery], settings))
    return joint


def begun(
    database: Database,
    messages: Sequence[Message],
    records: Mapping[str, DeliveryRecord],
    now: datetime,
    lease: timedelta,
) -> list[DeliveryRecord]:
    """Begin the deliveries of these messages; those that are ours.

    Who begins the first of a mail has all of it. What cannot be begun with it leaves the mail, before
    anything of it is sent.
    """
    alone = len(messages) == 1
    ours = ledger.begin(
        database, [records[message.deliveries[0]] for message in messages], now, lease, alone=alone
    )
    mine = {record["_id"] for record in ours}
    several = [message for message in messages if message.parts and message.deliveries[0] in mine]
    rest = [records[each] for message in several for each in message.deliveries[1:]]
    if rest:
        ours += ledger.begin(database, rest, now, lease, alone=alone)
        mine = {record["_id"] for record in ours}
    for message in several:
        ledger.leave_mail(database, message.wire_id, mine)
    return ours


def as_begun(message: Message, records: Mapping[str, DeliveryRecord], settings: Settings) -> Message | None:
    """The message with those of its parts that were begun; None where its first was not."""
    if message.deliveries[0] not in records:
        return None
    kept = [part for part in message.parts if part.delivery in records]
    if len(kept) == len(message.parts):
        return message
    return combined(kept, message.wire_id, records[kept[0].delivery], settings)
