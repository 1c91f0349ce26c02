"""Somebody shall have another address: it is asked by a mail, and reports keep to what was confirmed.

What follows from a confirmation (what waits is moved, the former address is told, the log has its row) is
done by who confirms, or, when that process ended in it, by whoever looks next: the same link again, the
next delivery run.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from secrets import token_urlsafe

from pymongo.errors import PyMongoError

from reporting_pipeline.delivery.links.addresses import page_of
from reporting_pipeline.delivery.links.tokens import address_url, read_address_token
from reporting_pipeline.delivery.notices.addresses import NotAsked, ask_new, tell_old
from reporting_pipeline.domain.access import User
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import asked_addresses, audit, users
from reporting_pipeline.stores.deliveries import move_waiting
from reporting_pipeline.stores.mongo import Database, Record

_log = logging.getLogger(__name__)
#: So long whoever has the new mailbox may confirm it.
CONFIRMED_WITHIN = timedelta(days=3)

__all__ = [
    "CONFIRMED_WITHIN",
    "NotAsked",
    "ask_for_address",
    "confirm_address",
    "finish_confirmed",
    "withdraw",
]


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


def confirm_address(
    database: Database, settings: Settings, token: str, now: datetime, browser: str = ""
) -> str | None:
    """What a POST does: the user has the address from here on, and the former one is told.

    Returns the page that says so; None when there is nothing to confirm, also the second time. `browser`:
    its Accept-Language, for who has no language.
    """
    named = read_address_token(settings.link_secret.get_secret_value(), token)
    if named is None:
        return None
    user, word = named
    under_way = asked_addresses.confirmed_by(database, user, word, now)
    _finish_where_nobody_does(database, settings, user, now)
    if under_way is not None:
        reader = asked_addresses.record_of(database, user)
        return page_of(settings, reader, under_way, done=True, browser=browser)
    record = asked_addresses.standing(database, user, word, now)
    try:
        if record is None or not asked_addresses.confirm(database, record, word, now):
            return None
    except asked_addresses.AddressMeanwhileTaken:
        return None
    confirmed = asked_addresses.record_of(database, user)
    if confirmed is not None:
        _finish(database, settings, confirmed, now)
    return page_of(settings, record, record["email_asked"]["address"], done=True, browser=browser)


def finish_confirmed(database: Database, settings: Settings, now: datetime) -> int:
    """Do what still follows from confirmed addresses whose process ended in it. Returns of how many users."""
    finished = 0
    for user in list(asked_addresses.unfinished(database, now)):
        try:
            finished += _finish_where_nobody_does(database, settings, user, now)
        except PyMongoError:
            raise
        except Exception:  # one user's trouble holds up nobody else's; after its lease it is tried again
            _log.exception("what follows from the address of user %s could not be done", user)
    return finished


def _finish_where_nobody_does(database: Database, settings: Settings, user: str, now: datetime) -> bool:
    claimed = asked_addresses.claim(database, user, now)
    if claimed is not None:
        _finish(database, settings, claimed, now)
    return claimed is not None


def _finish(database: Database, settings: Settings, record: Record, now: datetime) -> None:
    """Any step done again comes to the same: a mail of the same id, a row that stands already."""
    user, organisation, confirmed = record["_id"], record["organisation"], record.get("email_confirmed")
    if confirmed is None:  # erased meanwhile
        return
    before, after, digest = confirmed["before"], confirmed["address"], confirmed["digest"]
    move_waiting(database, organisation, user, before, after, now)
    told = confirmed.get("told")
    if told is None:
        told = tell_old(database, settings, organisation, before, now, done=True, once=digest)
        asked_addresses.note_told(database, user, digest, told)
    _note_confirmed(database, user, organisation, confirmed, bool(told), now)
    asked_addresses.finish(database, user, digest)


def _note_confirmed(
    database: Database, user: str, organisation: str, confirmed: Record, told: bool, now: datetime
) -> None:
    link = str(confirmed["digest"])[:16]
    rows = audit.events_of(database, organisation, action=audit.AuditAction.ADDRESS_CONFIRMED, subject=user)
    if any(row["details"].get("link") == link for row in rows):
        return
    marks = {
        name: audit.address_mark(database, organisation, confirmed[field])
        for name, field in (("before", "before"), ("after", "address"))
    }
    details = {**marks, "asked_by": confirmed["by"], "told": told, "link": link}
    audit.record(
        database,
        audit.AuditAction.ADDRESS_CONFIRMED,
        user,
        user,
        now,
        organisation=organisation,
        details=details,
    )


def withdraw(database: Database, user: User, actor: str, now: datetime) -> None:
    """Ask no more: the link that was sent is good for nothing from here on."""
    if asked_addresses.withdraw(database, user, now):
        _note(database, user, actor, now, address="", told=False)


def _note(database: Database, user: User, actor: str, now: datetime, *, address: str, told: bool) -> None:
    asked = audit.address_mark(database, user.organisation, address) if address else ""
    audit.record(
        database,
        audit.AuditAction.ADDRESS_ASKED,
        actor,
        user.id,
        now,
        organisation=user.organisation,
        details={"address": asked, "told": told},
    )
