"""The link to a new address: whoever has the mailbox says that reports shall go there.

Looking changes nothing, because mail scanners look; only the POST acts (`usecases.changed_addresses`), and
it acts once. A token that is not ours, was used, is too old or was withdrawn gets one and the same page.
"""

from __future__ import annotations

from datetime import datetime

from reporting_pipeline.delivery.links.pages import link_page
from reporting_pipeline.delivery.links.tokens import read_address_token
from reporting_pipeline.languages import words_for
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import asked_addresses
from reporting_pipeline.stores.mongo import Database, Record


def is_ours(settings: Settings, token: str) -> bool:
    """Whether a token is signed by us. Looks nothing up, so that a stranger's costs nothing."""
    return read_address_token(settings.link_secret.get_secret_value(), token) is not None


def address_page(
    database: Database, settings: Settings, token: str, now: datetime, browser: str = ""
) -> str | None:
    """The page with the button; None when there is nothing to confirm. Changes nothing.

    In the person's language, where they said one, else in that of the `browser` (Accept-Language).
    """
    named = read_address_token(settings.link_secret.get_secret_value(), token)
    record = asked_addresses.standing(database, *named, now) if named else None
    if record is None:
        return None
    return page_of(settings, record, record["email_asked"]["address"], done=False, browser=browser)


def page_of(settings: Settings, user: Record | None, address: str, *, done: bool, browser: str = "") -> str:
    """The page about an address, for the person of a record of `users`: with the button, or `done`."""
    language = (user or {}).get("language")
    say = words_for(language if isinstance(language, str) else "", browser=browser)
    return link_page(settings, "address_page", say, address=address, done=done)
