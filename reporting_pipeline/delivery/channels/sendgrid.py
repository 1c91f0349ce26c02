"""E-mail through SendGrid.

SendGrid has no idempotency key, so what is not provably refused or accepted is `unknown`: only 202
with an `X-Message-Id` is acceptance. Messages with the same words go out in one request, each with
its own links; a refused batch is halved until the refused ones stand alone.
"""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sendgrid import SendGridAPIClient

from reporting_pipeline.delivery.channels.channel import Failpoint, Results
from reporting_pipeline.delivery.channels.mime import unsubscribe_headers
from reporting_pipeline.delivery.message import (
    LINK_TAG,
    UNSUBSCRIBE_TAG,
    Message,
    one_line,
)
from reporting_pipeline.delivery.outbound.client import (
    Answer,
    AnswerLost,
    NotSent,
    OutboundRequest,
    post,
)
from reporting_pipeline.domain.deliveries import Outcome, SendResult, retry_instant
from reporting_pipeline.settings import Settings

# At DEBUG python_http_client logs every header, the key among them.
logging.getLogger("python_http_client").setLevel(logging.WARNING)

DELIVERY_ARGUMENT = "delivery_id"
MOST_RECIPIENTS = 1000
REFUSED_AS_A_WHOLE = frozenset({400, 413, 422})
# A gateway's error, or a server's after it began: the message may have been taken.
SAYS_NOTHING = frozenset({500, 502, 504})


class SendGrid:
    """A Sender through the v3 API."""

    repeatable = False
    at_once = MOST_RECIPIENTS
    attempts: int | None = None

    def __init__(self, settings: Settings) -> None:
        if settings.sendgrid_api_key is None:
            raise ValueError("SENDGRID_API_KEY is not set")
        self._key = settings.sendgrid_api_key
        self.settings = settings
        self.schedule = settings.delivery_retries
        self.per_second: float | None = settings.email_per_second

    def groups(self, messages: Sequence[Message]) -> list[list[Message]]:
        """One list per request: messages that differ in their links only."""
        alike: dict[str, list[Message]] = defaultdict(list)
        for message in messages:
            alike[message.batch_key].append(message)
        return [
            group[start : start + MOST_RECIPIENTS]
            for group in alike.values()
            for start in range(0, len(group), MOST_RECIPIENTS)
        ]

    def send(self, messages: Sequence[Message], now: datetime, failpoint: Failpoint) -> Iterator[Results]:
        """Post one group, halving it while it is refused as a whole."""
        waiting = [list(messages)]
        while waiting:
            part = waiting.pop()
            result = self._post(part, now, failpoint)
            if result is None:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
                continue
            yield [(message, result) for message in part]
            if result.outcome in (Outcome.HALTED, Outcome.THROTTLED):
                # The door is shut for all of them, and none of the rest has been tried.
                yield [(message, result) for rest in waiting for message in rest]
                return

    def _post(self, part: Sequence[Message], now: datetime, failpoint: Failpoint) -> SendResult | None:
        """One request. None: refused as a whole, and there is more than one to blame."""
        failpoint("sendgrid.before_request")
        outbound = OutboundRequest(
            self.settings.send_timeout_seconds,
            self.settings.send_deadline_seconds,
            on_request_out=lambda: failpoint("sendgrid.request_out"),
        )
        key, url = self._key.get_secret_value(), self.settings.sendgrid_url
        try:
            answer = _post_to_sendgrid(key, url, request_body(part, self.settings), outbound)
        except NotSent as error:
            return SendResult(Outcome.RETRY, error=str(error))
        except AnswerLost as error:
            return SendResult(Outcome.UNKNOWN, error=str(error))
        failpoint("sendgrid.answered")
        if answer.status in REFUSED_AS_A_WHOLE and len(part) > 1:
            return None
        return result_of(answer.status, answer.headers, answer.body, now)


def result_of(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> SendResult:
    """What SendGrid's answer says about every message of the request."""
    lowered = {name.lower(): value for name, value in headers.items()}
    if status == 202 and lowered.get("x-message-id"):
        return SendResult(Outcome.ACCEPTED, provider_id=lowered["x-message-id"][:200])
    text = f"SendGrid answered {status}: {_reason(body)}"
    if status in (401, 403):
        return SendResult(Outcome.HALTED, error=text)
    if status == 429:
        return SendResult(Outcome.THROTTLED, error=text, retry_at=retry_instant(headers, now))
    if 200 <= status < 300 or status in SAYS_NOTHING:
        return SendResult(Outcome.UNKNOWN, error=text)
    if status in (408, 503) or 300 <= status < 400:
        return SendResult(Outcome.RETRY, error=text, retry_at=retry_instant(headers, now))
    return SendResult(Outcome.PERMANENT if status < 500 else Outcome.UNKNOWN, error=text)


def _reason(body: bytes) -> str:
    """SendGrid's own words where the body has them, and nothing of a stranger's page."""
    try:
        errors = json.loads(body)["errors"]
        return "; ".join(str(error["message"]) for error in errors)[:300]
    except (ValueError, KeyError, TypeError):
        return f"{len(body)} bytes that are no SendGrid error"


def request_body(part: Sequence[Message], settings: Settings) -> dict[str, Any]:
    """The JSON of one request. Nothing personal but the addresses; our id alone in custom_args."""
    first, alone = part[0], len(part) == 1
    body: dict[str, Any] = {
        "personalizations": [_personalization(message, alone) for message in part],
        "from": {"email": settings.email_from, "name": one_line(settings.email_from_name, 60)},
        "subject": first.subject,
        "content": [
            {"type": "text/plain", "value": first.text if alone else first.shared_text},
            {"type": "text/html", "value": first.html if alone else first.shared_html},
        ],
        # Click tracking would rewrite the signed links; nobody's reading is watched either.
        "tracking_settings": {
            "click_tracking": {"enable": False, "enable_text": False},
            "open_tracking": {"enable": False},
            "subscription_tracking": {"enable": False},
        },
    }
    if first.attachment is not None:
        body["attachments"] = [
            {
                "content": b64encode(first.attachment.body).decode(),
                "type": first.attachment.content_type.partition(";")[0],
                "filename": first.attachment.file_name,
                "disposition": "attachment",
            }
        ]
    return body


def _personalization(message: Message, alone: bool) -> dict[str, Any]:
    headers = {"Message-ID": message.message_id}
    if message.unsubscribe:
        headers |= unsubscribe_headers(message)
    personal: dict[str, Any] = {
        "to": [{"email": message.recipient}],
        "headers": headers,
        "custom_args": {DELIVERY_ARGUMENT: message.wire_id},
    }
    if not alone:
        # URLs of our own making only: the same characters in HTML and in text.
        personal["substitutions"] = {LINK_TAG: message.link, UNSUBSCRIBE_TAG: message.unsubscribe}
    return personal


def _post_to_sendgrid(key: str, url: str, body: dict[str, Any], outbound: OutboundRequest) -> Answer:
    """One POST /v3/mail/send. The library names us and signs us in; it would follow a redirect with the
    key, ask a proxy and know no deadline, so the request itself is ours.
    """
    api = SendGridAPIClient(key, host=url.rstrip("/"))
    headers = {**api.client.request_headers, "Content-Type": "application/json"}
    return post(f"{api.host}/v3/mail/send", json.dumps(body).encode(), headers, outbound)
