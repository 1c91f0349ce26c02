"""Somebody shall have another address: it is asked by a mail, and reports keep to what was confirmed."""

from __future__ import annotations

from datetime import datetime, timedelta
from secrets import token_urlsafe

from reporting_pipeline.delivery.links.addresses import page_of
from reporting_pipeline.delivery.links.tokens import address_url, read_address_token
from reporting_pipeline.delivery.notices.addresses import NotAsked, ask_new, tell_old
from reporting_pipeline.domain.access import User
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import asked_addresses, audit, users
from reporting_pipeline.stores.deliveries.moved import move_waiting
from reporting_pipeline.stores.mongo import Database

#: So long whoever has the new mailbox may confirm it.
CONFIRMED_WITHIN = timedelta(days=3)

__all__ = ["CONFIRMED_WITHIN", "NotAsked", "ask_for_address", "confirm_address", "withdraw"]


def ask_for_address(
    database: Database, settings: Settings, user: User, address: str, actor: str, now: datetime
) -> None:
    """Mail a link to `address` (normal spelling) and tell the one that stands.

    Raises users.AddressTaken, and NotAsked when the new one cannot be written to; then nothing is asked.
    """
    other = users.user_by_address(database, user.organisation, address)
    if other is not None and other.id != user.id:
        raise users.AddressTaken("another user of this organisation has this address")
    word, until = token_urlsafe(18), now + CONFIRMED_WITHIN
    asked_addresses.ask(database, user, address, word, actor, now, until)
    try:
        ask_new(
            database, settings, user.organisation, address, address_url(settings, user.id, word), until, now
        )
    except BaseException:
        asked_addresses.withdraw(database, user, now, word)
        raise
    told = tell_old(database, settings, user.organisation, user.email, now, done=False)
    _note(database, user, actor, now, address=address, told=told)


def confirm_address(database: Database, settings: Settings, token: str, now: datetime) -> str | None:
    """What a POST does: the user has the address from here on, and the former one is told.

    Returns the page that says so; None when there is nothing to confirm, also the second time.
    """
    named = read_address_token(settings.link_secret.get_secret_value(), token)
    record = asked_addresses.standing(database, *named, now) if named else None
    if named is None or record is None:
        return None
    organisation, before, after = record["organisation"], record["email"], record["email_asked"]["address"]
    try:
        if not asked_addresses.confirm(database, record, named[1], now):
            return None
    except asked_addresses.AddressMeanwhileTaken:
        return None
    move_waiting(database, organisation, record["_id"], before, after, now)
    told = tell_old(database, settings, organisation, before, now, done=True)
    marks = {
        name: audit.address_mark(database, organisation, address)
        for name, address in (("before", before), ("after", after))
    }
    audit.record(
        database,
        audit.Action.ADDRESS_CONFIRMED,
        record["_id"],
        record["_id"],
        now,
        organisation=organisation,
        details={**marks, "asked_by": record["email_asked"]["by"], "told": told},
    )
    return page_of(settings, after, done=True)


def withdraw(database: Database, user: User, actor: str, now: datetime) -> None:
    """Ask no more: the link that was sent is good for nothing from here on."""
    if asked_addresses.withdraw(database, user, now):
        _note(database, user, actor, now, address="", told=False)


def _note(database: Database, user: User, actor: str, now: datetime, *, address: str, told: bool) -> None:
    asked = audit.address_mark(database, user.organisation, address) if address else ""
    audit.record(
        database,
        audit.Action.ADDRESS_ASKED,
        actor,
        user.id,
        now,
        organisation=user.organisation,
        details={"address": asked, "told": told},
    )
