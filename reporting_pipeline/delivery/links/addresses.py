"""The link to a new address: whoever has the mailbox says that reports shall go there.

Looking changes nothing, because mail scanners look; only the POST acts (`usecases.changed_addresses`), and
it acts once. A token that is not ours, was used, is too old or was withdrawn gets one and the same page.
"""

from __future__ import annotations

from datetime import datetime

from reporting_pipeline.delivery.links.tokens import read_address_token
from reporting_pipeline.delivery.message import one_line, templates
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import asked_addresses
from reporting_pipeline.stores.mongo import Database


def is_ours(settings: Settings, token: str) -> bool:
    """Whether a token is signed by us. Looks nothing up, so that a stranger's costs nothing."""
    return read_address_token(settings.link_secret.get_secret_value(), token) is not None


def address_page(database: Database, settings: Settings, token: str, now: datetime) -> str | None:
    """The page with the button; None when there is nothing to confirm. Changes nothing."""
    named = read_address_token(settings.link_secret.get_secret_value(), token)
    record = asked_addresses.standing(database, *named, now) if named else None
    return None if record is None else page_of(settings, record["email_asked"]["address"], done=False)


def page_of(settings: Settings, address: str, *, done: bool) -> str:
    """The page about an address: with the button, or `done`."""
    brand = one_line(settings.email_from_name, 60)
    return templates().get_template("address_page.html.j2").render(brand=brand, address=address, done=done)
