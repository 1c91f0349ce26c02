"""Unsubscribing from a mail: one click, no login (RFC 8058).

Looking changes nothing, because mail scanners look; only the POST acts, and acting twice is the same
as once. A token that is not ours gets the same page as one that is.
"""

from __future__ import annotations

from datetime import datetime

from reporting_pipeline.delivery.links.pages import link_page
from reporting_pipeline.delivery.links.tokens import names_whole_mail, read_unsubscribe_token
from reporting_pipeline.delivery.message import one_line
from reporting_pipeline.domain.deliveries import DeliveryRecord
from reporting_pipeline.languages import words_for
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import audit
from reporting_pipeline.stores.deliveries import in_mail, recipients_of, suppress_waiting
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
    name = ", ".join(one_line(str(one.get("name") or "")) for _, one in found)
    say = words_for(*(_languages(database, found[0][0]) if found else ()), browser=browser)
    return link_page(settings, "unsubscribe", say, name=name, done=False)


def unsubscribe(
    database: Database, settings: Settings, token: str, now: datetime, language: str = "", browser: str = ""
) -> str:
    """What a POST does: the recipient gets no more of this subscription. Returns the page; idempotent.

    What still waits is not sent, and the links that were sent stop working. When nobody else
    receives the subscription it ends. The page is in `language`, which the one with the button sends along,
    else in that of the `browser`: it does not tell whether a token is ours.
    """
    for delivery, subscription in _behind(database, settings, token):
        _act(database, delivery, subscription, now)
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
            audit.AuditAction.RECIPIENT_REMOVED,
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


def _behind(database: Database, settings: Settings, token: str) -> list[tuple[DeliveryRecord, Record]]:
    """(delivery, subscription) of what a token names: one, or all of its mail; none of a bad one."""
    secret = settings.link_secret.get_secret_value()
    delivery_id = read_unsubscribe_token(secret, token)
    delivery = get_delivery(database, delivery_id) if delivery_id else None
    if delivery is None:
        return []
    mail = delivery.get("mail") if names_whole_mail(secret, token) else None
    members = [one for one in in_mail(database, mail) if _same_reader(one, delivery)] if mail else [delivery]
    found = ((one, get_subscription_record(database, one["subscription"])) for one in members)
    return [(one, subscription) for one, subscription in found if subscription is not None]


def _same_reader(one: DeliveryRecord, other: DeliveryRecord) -> bool:
    return (one["organisation"], one["recipient"]) == (other["organisation"], other["recipient"])


def _languages(database: Database, delivery: DeliveryRecord) -> tuple[str, ...]:
    user = delivery.get("user")
    found = user_records(database, [user]) if user else {}
    return tuple(language for one in found.values() if isinstance(language := one.get("language"), str))
