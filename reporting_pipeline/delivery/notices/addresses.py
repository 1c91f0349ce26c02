"""The mails about a changed address: the new one is asked, the old one is told."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

from reporting_pipeline.delivery.channels.deliverer import open_deliverer
from reporting_pipeline.delivery.message import one_line
from reporting_pipeline.delivery.notices import mail
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database

_log = logging.getLogger(__name__)


class NotAsked(Exception):
    """The new address could not be written to; the message says why, for a person."""


def ask_new(
    database: Database,
    settings: Settings,
    organisation: str,
    address: str,
    link: str,
    until: datetime,
    now: datetime,
) -> None:
    """Send the link to the new address. Raises NotAsked.

    It names nobody: whose reports they are is told to whoever has shown that the address is theirs.
    """
    if not mail.may_be_sent(database, now):
        raise NotAsked("no mail goes at the moment; try again later")
    if not mail.addresses_of(database, [{"_id": "", "organisation": organisation, "email": address}]):
        raise NotAsked("mails to this address are held back; lift that first")
    context = {
        "subject": f"Confirm this address for {one_line(settings.email_from_name, 60)}",
        "link": link,
        "until": f"{until:%Y-%m-%d %H:%M} UTC",
    }
    error = _send(settings, "address_asked", organisation, address, context, now)
    if error is not None:
        raise NotAsked(f"the mail to it was not taken over ({error})")


def tell_old(
    database: Database,
    settings: Settings,
    organisation: str,
    address: str,
    now: datetime,
    *,
    done: bool,
    once: str = "",
) -> bool:
    """Tell the old address that another was asked for, or (`done`) confirmed. Whether a mail took it there.

    Told again for the same `once`, it is the same mail, by its Message-ID.
    What stops it from being told (it bounced, the channel is halted) is no reason to keep the change back.
    """
    person = {"_id": "", "organisation": organisation, "email": address}
    if not mail.may_be_sent(database, now) or not mail.addresses_of(database, [person]):
        return False
    subject = (
        "Your reports go to another address now" if done else "Another address was asked for your reports"
    )
    context = {"subject": subject, "done": done}
    identifier = f"dlv_{sha256(once.encode()).hexdigest()[:24]}" if once else None
    error = _send(settings, "address_told", organisation, address, context, now, identifier)
    if error is not None:
        _log.warning("the former address of somebody could not be told of the change: %s", error)
    return error is None


def _send(
    settings: Settings,
    template: str,
    organisation: str,
    address: str,
    context: Mapping[str, object],
    now: datetime,
    identifier: str | None = None,
) -> str | None:
    """What went wrong; None when the channel took it."""
    message = mail.write(settings, template, organisation, address, context, now, identifier)
    try:
        deliverer = open_deliverer(settings)
    except ValueError:
        return "this process sends no mail"
    return mail.send_one(deliverer, message, now)
