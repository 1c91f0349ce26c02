"""What all notices have in common: when one is decided, that it comes once, how it is sent.

A notice belongs to an edition and to somebody: an owner, an organisation. It is decided once nothing
of theirs that is due in the edition is under way, and claimed before it is sent: it can be lost when
a worker dies at that moment, it cannot come twice. The claim's record keeps what became of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pymongo.errors import DuplicateKeyError

from reporting_pipeline.delivery.channels.deliverer import Deliverer
from reporting_pipeline.delivery.message import Message, one_line, templates
from reporting_pipeline.domain.deliveries import SETTLED, Channel, is_address, mailbox
from reporting_pipeline.domain.jobs import JobState
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.deliveries import closed_channels, new_delivery_id
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.suppressions import suppressed_among

LOOK_BACK = timedelta(days=3)
LISTED = 20  # reports shown in one notice; the rest is a number
LONGEST_REASON = 200

_SETTLED = [state.value for state in SETTLED]
_TO_RENDER = [JobState.PENDING.value, JobState.PROCESSING.value]
_TO_SEND = [JobState.RENDERED.value, JobState.DELIVERING.value]


class Told(StrEnum):
    """How far a claimed notice came."""

    CLAIMED = "claimed"  # and no more is known: its worker ended before it was sent
    SENT = "sent"  # handed to the mail channel; `notices` says what that answered
    NOBODY = "nobody"  # there was no address that it could go to


def may_be_sent(database: Database, now: datetime) -> bool:
    """Whether the mail channel takes anything. While it does not, nothing is claimed, so nothing is lost."""
    return Channel.EMAIL.value not in closed_channels(database, now)


def under_way(database: Database, edition: str, field: str, now: datetime) -> set[str]:
    """The owners or organisations (`field`) that have something due in `edition` that is not settled.

    What is due later does not count: a report for Friday would keep Monday's notice back for days.
    """
    rows: Record = {"edition": edition, "state": {"$nin": _SETTLED}, "due_at": {"$lte": now}}
    jobs: Record = {
        "edition": edition,
        "$or": [{"state": {"$in": _TO_RENDER}}, {"state": {"$in": _TO_SEND}, "due_at": {"$lte": now}}],
    }
    return {
        *database["deliveries"].distinct(field, rows),
        *database["jobs"].distinct(field, jobs),
    }


def key(edition: str, whose: str) -> str:
    """The id of the record of a notice."""
    return f"{edition}|{whose}"


def untold(database: Database, collection: str, edition: str, candidates: Collection[str]) -> list[str]:
    """Those of `candidates` that nobody has claimed the notice of, sorted."""
    keys = {key(edition, whose): whose for whose in candidates}
    told = {row["_id"] for row in database[collection].find({"_id": {"$in": sorted(keys)}}, {"_id": 1})}
    return sorted(whose for identifier, whose in keys.items() if identifier not in told)


def claim(database: Database, collection: str, edition: str, whose: str, count: int, now: datetime) -> bool:
    """True for the one caller that may send this notice of `count` reports."""
    record = {"_id": key(edition, whose), "reports": count, "at": now, "outcome": Told.CLAIMED.value}
    try:
        database[collection].insert_one(record)
    except DuplicateKeyError:
        return False
    return True


def addresses_of(database: Database, users: Sequence[Record]) -> dict[str, str]:
    """user id -> address, for those of `users` whose address is one and is not suppressed."""
    found = {user["_id"]: mailbox(str(user.get("email") or "")) for user in users}
    unwanted = suppressed_among(database, found.values())
    return {
        user: address for user, address in found.items() if is_address(address) and address not in unwanted
    }


def write(
    settings: Settings,
    template: str,
    organisation: str,
    address: str,
    context: Mapping[str, Any],
    now: datetime,
) -> Message:
    """The message of a notice, from the templates `<template>.txt.j2` and `<template>.html.j2`."""
    identifier = new_delivery_id()
    filled = {"brand": one_line(settings.email_from_name, 60), **context}
    return Message(
        delivery=identifier,
        wire_id=identifier,
        message_id=f"<{identifier}@{settings.email_from.rpartition('@')[2]}>",
        recipient=address,
        organisation=organisation,
        subject=filled["subject"],
        shared_text=templates().get_template(f"{template}.txt.j2").render(filled),
        shared_html=templates().get_template(f"{template}.html.j2").render(filled),
        link="",
        unsubscribe="",
        written_at=now,
    )


def send(
    deliverer: Deliverer,
    database: Database,
    collection: str,
    identifier: str,
    messages: Mapping[str, Message],
    now: datetime,
) -> int:
    """Send a claimed notice to each user (id -> message), once, and note what came back.

    Returns 1, or 0 when there was nobody to send it to.
    """
    if not messages:
        _note(database, collection, identifier, Told.NOBODY, [])
        return 0
    deliverer.failpoint("notice.claimed")
    sender = deliverer.senders[Channel.EMAIL]
    users = {message.delivery: user for user, message in messages.items()}
    answers = [
        {
            "notice": message.delivery,
            "user": users[message.delivery],
            "outcome": result.outcome.value,
            "error": result.error,
        }
        for group in sender.groups(list(messages.values()))
        for results in sender.send(group, now, deliverer.failpoint)
        for message, result in results
    ]
    _note(database, collection, identifier, Told.SENT, answers)
    return 1


def _note(
    database: Database, collection: str, identifier: str, outcome: Told, answers: Sequence[Record]
) -> None:
    database[collection].update_one(
        {"_id": identifier}, {"$set": {"outcome": outcome.value, "notices": list(answers)}}
    )
