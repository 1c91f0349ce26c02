"""What all notices have in common: when one is decided, that it comes once, how it is sent.

A notice belongs to an edition and to somebody: an owner, an organisation. It is decided once nothing
of theirs that is due in the edition is under way, and claimed before it is sent: it can be lost when
a worker dies at that moment, it cannot come twice. The claim's record keeps what became of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from reporting_pipeline.delivery.channels.deliverer import Deliverer
from reporting_pipeline.delivery.message import Message, one_line, templates
from reporting_pipeline.domain.deliveries import Channel, Outcome, is_address, mailbox
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.deliveries import closed_channels, new_delivery_id
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.notices import Notice, Told, note_told
from reporting_pipeline.stores.suppressions import suppressed_among

LOOK_BACK = timedelta(days=3)
LISTED = 20  # reports shown in one notice; the rest is a number
LONGEST_REASON = 200


def may_be_sent(database: Database, now: datetime) -> bool:
    """Whether the mail channel takes anything. While it does not, nothing is claimed, so nothing is lost."""
    return Channel.EMAIL.value not in closed_channels(database, now)


def addresses_of(database: Database, users: Iterable[Record]) -> dict[str, str]:
    """user id -> address, for those of `users` whose address is one and is not suppressed."""
    found = {user["_id"]: (user["organisation"], mailbox(str(user.get("email") or ""))) for user in users}
    unwanted = suppressed_among(database, found.values())
    return {
        user: address
        for user, (organisation, address) in found.items()
        if is_address(address) and (organisation, address) not in unwanted
    }


def write(
    settings: Settings,
    template: str,
    organisation: str,
    address: str,
    context: Mapping[str, Any],
    now: datetime,
    identifier: str | None = None,
) -> Message:
    """The message of a notice, from the templates `<template>.txt.j2` and `<template>.html.j2`.

    `identifier` is the id of one that may have to be sent again; without it the message is a new one.
    """
    identifier = identifier or new_delivery_id()
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
    notice: Notice,
    edition: str,
    whose: str,
    messages: Mapping[str, Message],
    now: datetime,
) -> int:
    """Send a claimed notice to each user (id -> message), once, and note what came back.

    Returns 1, or 0 when there was nobody to send it to.
    """
    if not messages:
        note_told(database, notice, edition, whose, Told.NOBODY, [])
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
    note_told(database, notice, edition, whose, Told.SENT, answers)
    return 1


def send_one(deliverer: Deliverer, message: Message, now: datetime) -> str | None:
    """Send a message that somebody waits for. What went wrong; None when the channel took it."""
    sender = deliverer.senders[Channel.EMAIL]
    for group in sender.groups([message]):
        for results in sender.send(group, now, deliverer.failpoint):
            for _, result in results:
                if result.outcome is not Outcome.ACCEPTED:
                    return result.error or result.outcome.value
    return None
