"""Reports announced in Slack: through an incoming webhook's URL, or to a channel with the bot's token.

Slack has no idempotency key either, so a lost answer is unknown. One message a second.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from reporting_pipeline.delivery.channels.channel import Failpoint, Results
from reporting_pipeline.delivery.channels.webhooks import url_problem, without_url
from reporting_pipeline.delivery.message import Message
from reporting_pipeline.delivery.outbound.client import (
    Answer,
    AnswerLost,
    Connect,
    NotSent,
    OutboundRequest,
    connect_directly,
    post,
)
from reporting_pipeline.delivery.outbound.public_hosts import AddressRefused, public_hosts_only
from reporting_pipeline.domain.deliveries import Outcome, SendResult, retry_instant
from reporting_pipeline.settings import Settings

OUR_FAULT = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope"}
)
SAYS_NOTHING = frozenset({"internal_error", "fatal_error", "request_timeout", "service_unavailable"})


class Slack:
    """A Sender to Slack."""

    repeatable = False
    at_once = 20
    per_second: float | None = 1.0
    attempts: int | None = None

    def __init__(self, settings: Settings, connect: Connect | None = None) -> None:
        self.settings = settings
        self.schedule = settings.delivery_retries
        self.connect = connect or public_hosts_only(settings.private_endpoints)

    def groups(self, messages: Sequence[Message]) -> list[list[Message]]:
        return [[message] for message in messages]

    def send(self, messages: Sequence[Message], now: datetime, failpoint: Failpoint) -> Iterator[Results]:
        for message in messages:
            failpoint("slack.before_request")
            yield [(message, self._send(message, now, failpoint))]

    def _send(self, message: Message, now: datetime, failpoint: Failpoint) -> SendResult:
        try:
            if message.recipient.startswith(("https://", "http://")):
                return self._to_hook(message, now, failpoint)
            return self._to_channel(message, now, failpoint)
        except NotSent as error:
            refused = isinstance(error.__cause__, AddressRefused)
            return SendResult(Outcome.PERMANENT if refused else Outcome.RETRY, error=_safe(error, message))
        except AnswerLost as error:
            return SendResult(Outcome.UNKNOWN, error=_safe(error, message))

    def _to_hook(self, message: Message, now: datetime, failpoint: Failpoint) -> SendResult:
        problem = url_problem(message.recipient, self.settings.private_endpoints)
        if problem is not None:
            return SendResult(Outcome.PERMANENT, error=problem)
        answer = self._post(message.recipient, blocks(message), {}, self.connect, failpoint)
        if answer.status == 200 and answer.body.strip() == b"ok":
            return SendResult(Outcome.ACCEPTED)
        if answer.status in (400, 403, 404, 410):
            return SendResult(
                Outcome.PERMANENT,
                error=f"Slack refuses the webhook: {answer.status}",
                disable_recipient=answer.status in (404, 410),
            )
        return _by_status(answer, now)

    def _to_channel(self, message: Message, now: datetime, failpoint: Failpoint) -> SendResult:
        token = self.settings.slack_bot_token
        if token is None:
            return SendResult(Outcome.HALTED, error="SLACK_BOT_TOKEN is not set")
        body = blocks(message) | {"channel": message.recipient, "unfurl_links": False}
        url = f"{self.settings.slack_url.rstrip('/')}/chat.postMessage"
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"}
        answer = self._post(url, body, headers, connect_directly, failpoint)
        if answer.status != 200:
            return _by_status(answer, now)
        return _by_verdict(answer, now)

    def _post(
        self,
        url: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str],
        connect: Connect,
        failpoint: Failpoint,
    ) -> Answer:
        outbound = OutboundRequest(
            self.settings.send_timeout_seconds,
            self.settings.send_deadline_seconds,
            connect,
            on_request_out=lambda: failpoint("slack.request_out"),
        )
        kind = {"Content-Type": "application/json; charset=utf-8"}
        return post(url, json.dumps(body).encode(), kind | dict(headers), outbound)


def blocks(message: Message) -> dict[str, Any]:
    """A message with fields and a button; names are plain text, so nothing in them is markup."""
    fields = [_text(f"{label}: {value}", 2000) for label, value in message.facts]
    ready = message.announcement or message.subject
    body: list[dict[str, Any]] = [
        {"type": "header", "text": _text(message.subject, 150)},
        {"type": "section", "text": _text(ready, 3000), "fields": fields[:10]},
    ]
    if message.omissions:
        lines = "\n".join(message.omissions)
        body.append({"type": "section", "text": _text(f"Not in this report:\n{lines}", 3000)})
    button = {"type": "button", "text": _text("Open the report", 75), "url": message.link}
    body.append({"type": "actions", "elements": [button]})
    return {"text": _plain(ready), "blocks": body}


def _text(text: str, longest: int) -> dict[str, str]:
    return {"type": "plain_text", "text": text if len(text) <= longest else text[: longest - 1] + "…"}


def _plain(text: str) -> str:
    """Slack reads `<!channel>` and links out of the fallback text unless these three are escaped."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _by_status(answer: Answer, now: datetime) -> SendResult:
    error = f"Slack answered {answer.status}"
    asked = retry_instant(answer.headers, now)
    if answer.status == 429:
        return SendResult(Outcome.THROTTLED, error=error, retry_at=asked)
    if answer.status in (401, 403):
        return SendResult(Outcome.HALTED, error=error)
    if answer.status == 503 or 300 <= answer.status < 400:
        return SendResult(Outcome.RETRY, error=error, retry_at=asked)
    if 400 <= answer.status < 500:
        return SendResult(Outcome.PERMANENT, error=error)
    return SendResult(Outcome.UNKNOWN, error=error)


def _by_verdict(answer: Answer, now: datetime) -> SendResult:
    """Slack's API answers 200 and says in the body how it went."""
    try:
        verdict = json.loads(answer.body)
        accepted, reason = verdict["ok"], str(verdict.get("error", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return SendResult(Outcome.UNKNOWN, error="Slack answered 200 with something else than its JSON")
    if accepted is True:
        return SendResult(Outcome.ACCEPTED, provider_id=str(verdict.get("ts", "")) or None)
    error = f"Slack refuses: {reason}"
    if reason in OUR_FAULT:
        return SendResult(Outcome.HALTED, error=error)
    if reason in ("ratelimited", "rate_limited"):
        return SendResult(Outcome.THROTTLED, error=error, retry_at=retry_instant(answer.headers, now))
    if reason in SAYS_NOTHING:
        return SendResult(Outcome.UNKNOWN, error=error)
    return SendResult(Outcome.PERMANENT, error=error)


def _safe(error: Exception, message: Message) -> str:
    """An incoming webhook's URL is a secret; it does not belong into an error."""
    return without_url(str(error), message.recipient)
