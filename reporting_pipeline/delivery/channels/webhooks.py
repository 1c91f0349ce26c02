"""Reports announced to a URL, signed as the Standard Webhooks specification says.

At least once: the `webhook-id` is the delivery's id and the same for every attempt, so the receiver
keeps one. https only, no redirects, public hosts only; 410 ends the endpoint.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from reporting_pipeline.delivery.channels.channel import Failpoint, Results
from reporting_pipeline.delivery.message import Message
from reporting_pipeline.delivery.outbound.client import AnswerLost, Connect, NotSent, OutboundRequest, post
from reporting_pipeline.delivery.outbound.public_hosts import AddressRefused, public_hosts_only
from reporting_pipeline.domain.deliveries import WEBHOOK_BACKOFF, Outcome, SendResult, retry_instant
from reporting_pipeline.domain.keyring import Keyring
from reporting_pipeline.settings import Settings

EVENT_TYPE = "report.ready"
EVENT_NAME = "report.generated"


class Webhooks:
    """A Sender to subscribers' own URLs."""

    repeatable = True
    at_once = 20
    per_second: float | None = None
    schedule: tuple[timedelta, ...] = WEBHOOK_BACKOFF
    attempts: int | None = len(WEBHOOK_BACKOFF) + 1

    def __init__(self, settings: Settings, connect: Connect | None = None) -> None:
        self.settings = settings
        self.connect = connect or public_hosts_only(settings.private_endpoints)

    def groups(self, messages: Sequence[Message]) -> list[list[Message]]:
        return [[message] for message in messages]

    def send(self, messages: Sequence[Message], now: datetime, failpoint: Failpoint) -> Iterator[Results]:
        for message in messages:
            failpoint("webhook.before_request")
            yield [(message, self._send(message, now))]

    def _send(self, message: Message, now: datetime) -> SendResult:
        problem = url_problem(message.recipient, self.settings.private_endpoints)
        if problem is not None:
            return SendResult(Outcome.PERMANENT, error=problem)
        body = payload(message)
        secrets = endpoint_secrets(self.settings, message.organisation, message.recipient)
        outbound = OutboundRequest(
            self.settings.send_timeout_seconds, self.settings.send_deadline_seconds, self.connect
        )
        try:
            answer = post(message.recipient, body, headers(message.wire_id, now, body, secrets), outbound)
        except (NotSent, AnswerLost) as error:
            refused = isinstance(error.__cause__, AddressRefused)
            told = without_url(str(error), message.recipient)
            return SendResult(Outcome.PERMANENT if refused else Outcome.RETRY, error=told)
        return result_of(answer.status, answer.headers, now)


def result_of(status: int, answer_headers: object, now: datetime) -> SendResult:
    """2xx is success and nothing else is; 410 says that nobody is there any more."""
    if 200 <= status < 300:
        return SendResult(Outcome.ACCEPTED, provider_id=str(status))
    error = f"the endpoint answered {status}"
    if status == 410:
        return SendResult(Outcome.PERMANENT, error=error, disable_recipient=True)
    if status == 400:
        return SendResult(Outcome.PERMANENT, error=error)
    asked = retry_instant(dict(answer_headers), now) if isinstance(answer_headers, dict) else None
    return SendResult(Outcome.RETRY, error=error, retry_at=asked)


def without_url(text: str, url: str) -> str:
    """An error without the URL it speaks of, whole or from its path on: it is a secret."""
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    text = text.replace(url, "the endpoint")
    return text.replace(path, "/…") if len(path) > 1 else text


def url_problem(url: str, private: frozenset[str]) -> str | None:
    """What is wrong with an endpoint's URL by its form alone."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return "not a URL"
    if not parts.hostname or not url.isascii() or not url.isprintable() or len(url) > 2000:
        return "not a URL"
    if parts.username or parts.password:
        return "a URL with credentials in it is not used"
    if parts.scheme == "https" or (parts.scheme == "http" and f"{parts.hostname.lower()}:{port}" in private):
        return None
    return "only https URLs are used"


def payload(message: Message) -> bytes:
    """`{"type", "event", "timestamp", …, "data": {delivery, subscription, report, period, …, "url"}}`.

    The names beside `data` are those of the first receivers: `event`, `report_id` (the subscription),
    `report_name`, `execution_id` (the job), `file_url`, `format`, `generated_at`, `file_size` (bytes).
    """
    data = dict(message.payload) | {"url": message.link}
    body = {
        "type": EVENT_TYPE,
        "event": EVENT_NAME,
        "timestamp": message.written_at.isoformat(),
        "report_id": data.get("subscription"),
        "report_name": data.get("name"),
        "execution_id": data.get("job"),
        "file_url": message.link,
        "format": data.get("format"),
        "generated_at": data.get("generated_at"),
        "file_size": data.get("size"),
        "data": data,
    }
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def headers(identifier: str, now: datetime, body: bytes, secrets: Sequence[bytes]) -> dict[str, str]:
    timestamp = str(int(now.timestamp()))
    return {
        "Content-Type": "application/json",
        "User-Agent": "reporting-pipeline",
        "webhook-id": identifier,
        "webhook-timestamp": timestamp,
        "webhook-signature": sign(identifier, timestamp, body, secrets),
    }


def sign(identifier: str, timestamp: str, body: bytes, secrets: Sequence[bytes]) -> str:
    """One signature for each key, so that a receiver may hold the new one or the old."""
    signed = b".".join((identifier.encode(), timestamp.encode(), body))
    digests = [hmac.digest(secret, signed, hashlib.sha256) for secret in secrets]
    return " ".join("v1," + b64encode(digest).decode() for digest in digests)


def endpoint_secrets(settings: Settings, organisation: str, url: str) -> list[bytes]:
    """The keys of one endpoint: 32 bytes, its own for each organisation and URL; the current one first."""
    root = settings.webhook_secret or settings.link_secret
    purpose = "\0".join(("reporting-pipeline/webhook", organisation, url)).encode()
    keys = Keyring.read(root.get_secret_value())
    names = [keys.current, *(name for name in keys.keys if name != keys.current)]
    return [keys.sign(purpose, name) for name in names]


def shown_secret(settings: Settings, organisation: str, url: str) -> str:
    """The current key as the receiver's library takes it: `whsec_…`."""
    return "whsec_" + b64encode(endpoint_secrets(settings, organisation, url)[0]).decode()
