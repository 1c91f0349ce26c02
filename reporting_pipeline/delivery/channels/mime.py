"""A Message as RFC 5322 bytes, for the outbox and for SMTP."""

from __future__ import annotations

from email.header import Header
from email.headerregistry import Address, BaseHeader, HeaderRegistry
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy
from email.utils import format_datetime

from reporting_pipeline.delivery.message import Message, one_line
from reporting_pipeline.settings import Settings


class _Headers(HeaderRegistry):
    """The stdlib makes a class for each header of each mail, a fifth of what a mail costs."""

    def __init__(self) -> None:
        super().__init__()
        self._classes: dict[str, type[BaseHeader]] = {}

    def __getitem__(self, name: str) -> type[BaseHeader]:
        if name not in self._classes:
            self._classes[name] = super().__getitem__(name)
        return self._classes[name]


#: A long URL would be written as an encoded word, in which no mail program looks for an address.
_WHOLE = SMTP.clone(header_factory=_Headers(), max_line_length=998)
CRLF = "\r\n"
_IN_ONE_LINE = frozenset({"list-unsubscribe", "message-id"})


class _Lines(EmailPolicy):
    """Lines of 76 characters, so that no encoded word is longer than the 75 of RFC 2047; but URLs whole."""

    def fold(self, name: str, value: str) -> str:
        if name.lower() == "subject" and not value.isascii():
            return _encoded(name, value)
        return str(_WHOLE.fold(name, value) if name.lower() in _IN_ONE_LINE else super().fold(name, value))

    def fold_binary(self, name: str, value: str) -> bytes:
        if name.lower() == "subject" and not value.isascii():
            return _encoded(name, value).encode("ascii")
        if name.lower() in _IN_ONE_LINE:
            return _WHOLE.fold_binary(name, value)
        return super().fold_binary(name, value)


def _encoded(name: str, value: str) -> str:
    """The whole text as encoded words: between words of its own the stdlib's folding loses blanks."""
    return f"{name}: {Header(str(value), 'utf-8', 75, name).encode(linesep=CRLF)}{CRLF}"


_POLICY = _Lines(header_factory=_Headers(), linesep="\r\n", max_line_length=76)


def to_bytes(message: Message, settings: Settings) -> bytes:
    """The message as it goes over the wire."""
    return to_email(message, settings).as_bytes()


def to_email(message: Message, settings: Settings) -> EmailMessage:
    """Plain text and HTML, the attachment if there is one, and one-click unsubscription (RFC 8058)."""
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = Address(one_line(settings.email_from_name, 60), addr_spec=settings.email_from)
    mail["To"] = Address(addr_spec=message.recipient)
    mail["Subject"] = message.subject
    mail["Date"] = format_datetime(message.written_at)
    mail["Message-ID"] = message.message_id
    if message.unsubscribe:
        for name, value in unsubscribe_headers(message).items():
            mail[name] = value
    mail["X-Delivery-Id"] = message.wire_id
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    mail.add_alternative(message.html, subtype="html")
    if message.attachment is not None:
        maintype, _, subtype = message.attachment.content_type.partition(";")[0].strip().partition("/")
        mail.add_attachment(
            message.attachment.body,
            maintype=maintype or "application",
            subtype=subtype or "octet-stream",
            filename=message.attachment.file_name,
        )
    return mail


def unsubscribe_headers(message: Message) -> dict[str, str]:
    return {
        "List-Unsubscribe": f"<{message.unsubscribe}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
