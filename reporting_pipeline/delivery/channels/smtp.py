"""E-mail over SMTP: any relay (SES, Postmark, Mailgun, a local catcher), one connection per message.

Until the message's last line goes out nothing has happened; when the line breaks after that and
before the server's answer, the outcome is unknown.

Every line is encrypted before anything is said on it: from the first byte (`smtps://`) or by STARTTLS
(`smtp://`), with a certificate that is checked. A relay that offers no STARTTLS is used in clear on a
local machine only, and nobody ever signs in in clear.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from threading import Timer
from urllib.parse import unquote, urlsplit

from reporting_pipeline.delivery.channels.channel import Failpoint, Results
from reporting_pipeline.delivery.channels.mime import to_bytes
from reporting_pipeline.delivery.message import Message
from reporting_pipeline.delivery.outbound.client import tls_context
from reporting_pipeline.domain.deliveries import Outcome, SendResult
from reporting_pipeline.settings import Settings

DEFAULT_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
IN_CLEAR = ("local", "test")  # environments in which a relay without TLS is used


class LineNotSafe(Exception):
    """The relay cannot be spoken to as it should be; a person must look. Nothing was said."""


class Smtp:
    """A Sender to the relay at `smtp_url`: `smtp://` or `smtps://`, with user and password in it.

    `smtp+starttls://` is `smtp://` that insists on STARTTLS on a local machine, too.
    """

    repeatable = False
    at_once = 50
    attempts: int | None = None

    def __init__(self, settings: Settings, tls: ssl.SSLContext | None = None) -> None:
        if settings.smtp_url is None:
            raise ValueError("REPORTING_SMTP_URL is not set")
        self._url = urlsplit(settings.smtp_url.get_secret_value())
        if self._url.scheme not in DEFAULT_PORTS or not self._url.hostname:
            raise ValueError(f"REPORTING_SMTP_URL must start with one of {', '.join(DEFAULT_PORTS)}")
        self.settings = settings
        self.schedule = settings.delivery_retries
        self._tls = tls or tls_context()
        self._clear = self._url.scheme == "smtp" and settings.environment in IN_CLEAR
        self.per_second: float | None = settings.email_per_second

    def groups(self, messages: Sequence[Message]) -> list[list[Message]]:
        return [[message] for message in messages]

    def send(self, messages: Sequence[Message], now: datetime, failpoint: Failpoint) -> Iterator[Results]:
        for message in messages:
            yield [(message, self._send(message, failpoint))]

    def _send(self, message: Message, failpoint: Failpoint) -> SendResult:
        body = to_bytes(message, self.settings)
        relay: smtplib.SMTP | None = None
        deadline: Timer | None = None
        try:
            failpoint("smtp.before_connect")
            relay = self._connect()
            # A relay that answers a byte at a time never trips the socket's timeout.
            deadline = Timer(self.settings.send_deadline_seconds, _cut, [relay])
            deadline.daemon = True
            deadline.start()
            relay.ehlo_or_helo_if_needed()
            refusal = _envelope(relay, self.settings.email_from, message.recipient)
            if refusal is not None:
                return refusal
        except smtplib.SMTPAuthenticationError as error:
            # 4xx (RFC 4954: 454, 432): the relay cannot ask its own list of passwords now.
            passing = 400 <= error.smtp_code < 500
            outcome = Outcome.THROTTLED if passing else Outcome.HALTED
            return SendResult(outcome, error=f"the relay refuses our login: {error.smtp_code}")
        except LineNotSafe as error:
            return SendResult(Outcome.HALTED, error=str(error))
        except ssl.SSLCertVerificationError as error:
            return SendResult(Outcome.HALTED, error=f"the relay's certificate: {error.verify_message}")
        except (OSError, smtplib.SMTPException) as error:
            return SendResult(Outcome.RETRY, error=f"{type(error).__name__}: {error}")
        else:
            return _data(relay, body, message, failpoint)
        finally:
            if deadline is not None:
                deadline.cancel()
            if relay is not None:
                relay.close()

    def _connect(self) -> smtplib.SMTP:
        host, port = str(self._url.hostname), self._url.port or DEFAULT_PORTS[self._url.scheme]
        timeout = self.settings.send_timeout_seconds
        if self._url.scheme == "smtps":
            relay: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=timeout, context=self._tls)
        else:
            relay = smtplib.SMTP(host, port, timeout=timeout)
        try:
            if self._url.scheme != "smtps":
                self._encrypt(relay)
            if self._url.username:
                relay.login(unquote(self._url.username), unquote(self._url.password or ""))
        except BaseException:
            relay.close()
            raise
        return relay

    def _encrypt(self, relay: smtplib.SMTP) -> None:
        """STARTTLS. Raises LineNotSafe where there is none and it cannot be done without."""
        relay.ehlo_or_helo_if_needed()
        if relay.has_extn("starttls"):
            relay.starttls(context=self._tls)
        elif self._url.username:
            raise LineNotSafe("the relay offers no STARTTLS, and we do not sign in in clear")
        elif not self._clear:
            raise LineNotSafe("the relay offers no STARTTLS; mails are not sent in clear")


def _cut(relay: smtplib.SMTP) -> None:
    line = relay.sock
    if line is not None:
        with suppress(OSError):  # the other side was faster
            line.shutdown(socket.SHUT_RDWR)


def _envelope(relay: smtplib.SMTP, sender: str, recipient: str) -> SendResult | None:
    for name, (code, text) in (("sender", relay.mail(sender)), ("recipient", relay.rcpt(recipient))):
        if code not in (250, 251):
            outcome = Outcome.PERMANENT if code >= 500 else Outcome.RETRY
            reason = text.decode(errors="replace")
            return SendResult(outcome, error=f"the relay refuses the {name}: {code} {reason}")
    return None


def _data(relay: smtplib.SMTP, body: bytes, message: Message, failpoint: Failpoint) -> SendResult:
    try:
        code, text = relay.data(body)
    except smtplib.SMTPDataError as error:  # refused before the body
        return SendResult(
            Outcome.PERMANENT if error.smtp_code >= 500 else Outcome.RETRY, error=f"DATA: {error.smtp_code}"
        )
    except (OSError, smtplib.SMTPException) as error:
        return SendResult(Outcome.UNKNOWN, error=f"{type(error).__name__}: {error}")
    failpoint("smtp.answered")
    if code == 250:
        return SendResult(Outcome.ACCEPTED, provider_id=message.message_id)
    # smtplib makes a reply of what came before the line broke; only whole classes are believed.
    outcome = {4: Outcome.RETRY, 5: Outcome.PERMANENT}.get(code // 100, Outcome.UNKNOWN)
    return SendResult(outcome, error=f"the relay answers the message: {code} {text.decode(errors='replace')}")
