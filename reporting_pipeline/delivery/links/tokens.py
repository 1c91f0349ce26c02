"""Signed tokens for the links of mails: the report, the unsubscription, the confirmation of an address.

A token names records, never people, and proves only that we wrote it; whether it is still good is
for the records to say (`links`, `unsubscribe`). Each purpose has a key of its own, so a token for one
is nothing for the other. A token names the key that signed it, unless that is the one without a name:
`body.signature.name`; a new key signs what is new, and what older ones signed stays good.
"""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from reporting_pipeline.domain.deliveries import DeliveryRecord, wire_id
from reporting_pipeline.domain.keyring import BARE, Keyring
from reporting_pipeline.settings import Settings

LONGEST_TOKEN = 512  # characters; nothing longer is looked at
SIGNATURE_BYTES = 20


@dataclass(frozen=True)
class LinkClaims:
    delivery: str
    report: str
    expires_at: datetime  # UTC


def link_token(secret: str, delivery: str, report: str, expires_at: datetime) -> str:
    return _sign(secret, "report-link", {"d": delivery, "r": report, "e": int(expires_at.timestamp())})


def read_link_token(secret: str, token: str, now: datetime) -> LinkClaims | None:
    """The claims of a token we signed that has not expired; None for everything else."""
    claims = _verify(secret, "report-link", token)
    if claims is None:
        return None
    expires_at = datetime.fromtimestamp(claims["e"], UTC)
    if expires_at <= now:
        return None
    return LinkClaims(claims["d"], claims["r"], expires_at)


def file_token(secret: str, report: str, sha256: str, expires_at: datetime) -> str:
    """Names one rendering of a report, for whoever has been asked for their rights."""
    return _sign(secret, "report-file", {"r": report, "s": sha256, "e": int(expires_at.timestamp())})


def read_file_token(secret: str, token: str, now: datetime) -> tuple[str, str] | None:
    """(report, SHA-256) of a token we signed that has not expired; None for everything else."""
    claims = _verify(secret, "report-file", token)
    if claims is None or datetime.fromtimestamp(claims["e"], UTC) <= now:
        return None
    return str(claims["r"]), str(claims["s"])


def unsubscribe_token(secret: str, delivery: str, *, whole_mail: bool = False) -> str:
    """Does not expire: whoever wants out of an old mail gets out.

    `whole_mail`: out of every report that was in the delivery's mail.
    """
    return _sign(secret, "unsubscribe", {"d": delivery, **({"m": 1} if whole_mail else {})})


def read_unsubscribe_token(secret: str, token: str) -> str | None:
    """The delivery id of a token we signed; None for everything else."""
    claims = _verify(secret, "unsubscribe", token)
    return None if claims is None else str(claims["d"])


def names_whole_mail(secret: str, token: str) -> bool:
    """Whether a token that unsubscribes speaks of every report that was in the delivery's mail."""
    claims = _verify(secret, "unsubscribe", token)
    return claims is not None and bool(claims.get("m"))


def address_token(secret: str, user: str, word: str) -> str:
    """Names the user and the `word` whose digest stands with what was asked (`stores.asked_addresses`)."""
    return _sign(secret, "confirm-address", {"u": user, "w": word})


def read_address_token(secret: str, token: str) -> tuple[str, str] | None:
    """(user, word) of a token we signed; None for everything else."""
    claims = _verify(secret, "confirm-address", token)
    return None if claims is None else (str(claims["u"]), str(claims["w"]))


def report_url(settings: Settings, delivery: DeliveryRecord, now: datetime) -> str:
    """The link to the report that goes into a message; dies `link_days` after `now`."""
    expires_at = now + timedelta(days=settings.link_days)
    secret = settings.link_secret.get_secret_value()
    token = link_token(secret, delivery["_id"], str(delivery["report"]), expires_at)
    return f"{settings.public_url.rstrip('/')}/r/{token}"


def unsubscribe_url(settings: Settings, delivery: DeliveryRecord, *, whole_mail: bool = False) -> str:
    secret = settings.link_secret.get_secret_value()
    token = unsubscribe_token(secret, delivery["_id"], whole_mail=whole_mail)
    return f"{settings.public_url.rstrip('/')}/unsubscribe/{token}"


def address_url(settings: Settings, user: str, word: str) -> str:
    token = address_token(settings.link_secret.get_secret_value(), user, word)
    return f"{settings.public_url.rstrip('/')}/confirm-address/{token}"


def message_id(settings: Settings, delivery: DeliveryRecord) -> str:
    """The RFC 5322 Message-ID: the same for every attempt, so that mailboxes can tell a repetition."""
    domain = settings.email_from.rpartition("@")[2] or "localhost"
    return f"<{wire_id(delivery['_id'], delivery.get('copy', 1))}@{domain}>"


def _sign(secret: str, purpose: str, claims: dict[str, Any]) -> str:
    keys = Keyring.read(secret).derived(purpose)
    body = urlsafe_b64encode(json.dumps(claims, separators=(",", ":")).encode()).rstrip(b"=")
    name = "" if keys.current == BARE else f".{keys.current}"
    return f"{body.decode()}.{_signature(keys, keys.current, body)}{name}"


def _verify(secret: str, purpose: str, token: str) -> dict[str, Any] | None:
    if len(token) > LONGEST_TOKEN or not token.isascii():
        return None
    text, _, rest = token.partition(".")
    signature, dot, name = rest.partition(".")
    keys, body = Keyring.read(secret).derived(purpose), text.encode()
    name = name if dot else BARE
    if name not in keys.keys or not hmac.compare_digest(_signature(keys, name, body), signature):
        return None
    try:
        claims: dict[str, Any] = json.loads(urlsafe_b64decode(body + b"=" * (-len(body) % 4)))
    except (Base64Error, ValueError):
        return None
    return claims


def _signature(keys: Keyring, name: str, body: bytes) -> str:
    return urlsafe_b64encode(keys.sign(body, name)[:SIGNATURE_BYTES]).rstrip(b"=").decode()
