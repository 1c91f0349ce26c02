"""Unsubscribing from a mail: one click, no login (RFC 8058).

Looking changes nothing, because mail scanners look; only the POST acts, and acting twice is the same
as once. A token that is not ours gets the same page as one that is.
"""

from __future__ import annotations

from datetime import datetime

from reporting_pipeline.delivery.links.pages import link_page
from reporting_pipeline.delivery.links.tokens import read_unsubscribe_token
from reporting_pipeline.delivery.message import one_line
from reporting_pipeline.domain.deliveries import DeliveryRecord
from reporting_pipeline.languages import words_for
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import audit
from reporting_pipeline.stores.deliveries import recipients_of, suppress_waiting
from reporting_pipeline.stores.delivery_reads import (
    get_delivery,
    get_subscription_record,
    revoke_links,
    user_records,
)
from reporting_pipeline.stores.lifecycle import end_whatever_stands
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.suppressions import record_unsubscription, unsubscribed_among


def unsubscribe_page(database: Database, settings: Settings, token: str, browser: str = "") -> str:
    """The page a GET shows: what would end, and the button. Changes nothing.

    In the person's language, where they said one, else in that of the `browser` (Accept-Language).
    """
    found = _behind(database, settings, token)
    name = one_line(str(found[1].get("name") or "")) if found else ""
    say = words_for(*(_languages(database, found[0]) if found else ()), browser=browser)
    return link_page(settings, "unsubscribe", say, name=name, done=False)


def unsubscribe(
    database: Database, settings: Settings, token: str, now: datetime, language: str = "", browser: str = ""
) -> str:
    """What a POST does: the recipient gets no more of this subscription. Returns the page; idempotent.

    What still waits is not sent, and the links that were sent stop working. When nobody else
    receives the subscription it ends. The page is in `language`, which the one with the button sends along,
    else in that of the `browser`: it does not tell whether a token is ours.
    """
    found = _behind(database, settings, token)
    if found is not None:
        _act(database, *found, now)
    return link_page(settings, "unsubscribe", words_for(language, browser=browser), name="", done=True)


def _act(database: Database, delivery: DeliveryRecord, subscription: Record, now: datetime) -> None:
    target = {"subscription": delivery["subscription"], "recipient": delivery["recipient"]}
    first = record_unsubscription(database, target["subscription"], target["recipient"], delivery["_id"], now)
    # Again each time: a worker may have died between these steps, and each of them can be repeated.
    suppress_waiting(database, target, "the recipient unsubscribed", now)
    revoke_links(database, target, now)
    if not _others(database, subscription, delivery["recipient"]):
        end_whatever_stands(database, [subscription["_id"]], "its last recipient unsubscribed", now)
    if first:
        audit.record(
            database,
            audit.Action.RECIPIENT_REMOVED,
            delivery.get("user")
            or audit.address_mark(database, delivery["organisation"], delivery["recipient"]),
            delivery["subscription"],
            now,
            organisation=delivery["organisation"],
            details={"delivery": delivery["_id"], "by": "unsubscribe"},
        )


def _others(database: Database, subscription: Record, recipient: str) -> bool:
    """Whether anybody is left to send to. Only explicit recipients can be others."""
    gone = {who for _, who in unsubscribed_among(database, [subscription["_id"]])} | {recipient}
    entries = subscription.get("recipients") or []
    named = {str(entry["value"]) for entry in entries if entry["type"] == "user"}
    targets = recipients_of(subscription, user_records(database, named)) if entries else ()
    return any(target.recipient not in gone for target in targets)


def _behind(database: Database, settings: Settings, token: str) -> tuple[DeliveryRecord, Record] | None:
    delivery_id = read_unsubscribe_token(settings.link_secret.get_secret_value(), token)
    if delivery_id is None:
        return None
    delivery = get_delivery(database, delivery_id)
    if delivery is None:
        return None
    subscription = get_subscription_record(database, delivery["subscription"])
    return None if subscription is None else (delivery, subscription)


def _languages(database: Database, delivery: DeliveryRecord) -> tuple[str, ...]:
    user = delivery.get("user")
    found = user_records(database, [user]) if user else {}
    return tuple(language for one in found.values() if isinstance(language := one.get("language"), str))
