"""What a recipient gets to read: one Message per delivery or notice, whatever the channel.

A message is written once with tags where the two personal URLs stand. Messages that differ in
nothing else can then go out in one request, each with its own URLs.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.languages import ENGLISH, Words
from reporting_pipeline.stores.mongo import Record

ATTACH_BELOW = 10_000_000  # bytes; larger reports are linked only
ALWAYS, ON_REQUEST, NEVER = "always", "on_request", "never"  # an organisation's policy of attachments
LONGEST_NAME = 120  # characters of a name shown in a message
LONGEST_SUBJECT = 180

# Unguessable, so that a name that contains a tag stays a name.
LINK_TAG = f"-link.{secrets.token_hex(8)}-"
UNSUBSCRIBE_TAG = f"-unsubscribe.{secrets.token_hex(8)}-"


@dataclass(frozen=True)
class Attachment:
    file_name: str
    content_type: str
    body: bytes


@dataclass(frozen=True)
class Message:
    """One delivery, ready for any channel."""

    delivery: str
    wire_id: str
    message_id: str
    recipient: str  # the address, the Slack channel or URL, the webhook URL
    organisation: str
    subject: str
    shared_text: str  # with LINK_TAG and UNSUBSCRIBE_TAG where the URLs go
    shared_html: str
    link: str
    unsubscribe: str
    written_at: datetime
    facts: tuple[tuple[str, str], ...] = ()  # (label, value), for channels without HTML
    payload: tuple[tuple[str, Any], ...] = ()  # what a webhook receives
    attachment: Attachment | None = None
    announcement: str = ""  # one sentence that says it all, for channels without a subject
    omissions: tuple[str, ...] = ()  # what the report leaves out and why, a line each
    told: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)  # to the template
    parts: tuple[Message, ...] = ()  # of a mail of several reports: what each would have said alone

    @property
    def deliveries(self) -> tuple[str, ...]:
        """The ledger's ids of all that it brings; the first one's holder has them all."""
        return tuple(part.delivery for part in self.parts) or (self.delivery,)

    @property
    def text(self) -> str:
        return self._fill(self.shared_text)

    @property
    def html(self) -> str:
        return self._fill(self.shared_html)

    @property
    def batch_key(self) -> str:
        """Equal for messages that may share a request: same words, nothing attached."""
        parts = (self.subject, self.shared_text, self.shared_html, self.wire_id if self.attachment else "")
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def _fill(self, shared: str) -> str:
        return shared.replace(LINK_TAG, self.link).replace(UNSUBSCRIBE_TAG, self.unsubscribe)


def one_line(text: str, longest: int = LONGEST_NAME) -> str:
    """A name fit for a header or a line: printable, no line ends or direction marks, cut at `longest`.

    `=?` is taken apart: the stdlib decodes an encoded word that stands in a header's *input*, and the
    line ends inside one (`=?utf-8?q?=0d=0aBcc:_a@b.org?=`) become a header of their own.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: longest * 8]).split())
    line = line.replace("=?", "= ?")
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


@lru_cache(maxsize=1)
def templates() -> Environment:
    """The templates; HTML is escaped, and an undefined name is an error rather than a blank."""
    environment = Environment(
        loader=PackageLoader("reporting_pipeline.delivery", "templates"),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["one_line"] = one_line
    return environment


def period_words(cadence: str, key: str) -> str:
    """A period as people say it: `week of 16 November 2026`, `16 November 2026`, `November 2026`."""
    try:
        period = Period.from_key(Cadence(cadence), key)
    except ValueError:
        return one_line(key, 40)
    day = period.start
    month = day.strftime("%B %Y")
    match period.cadence:
        case Cadence.WEEKLY:
            return f"week of {day.day} {month}"
        case Cadence.MONTHLY:
            return month
        case Cadence.DAILY:
            return f"{day.day} {month}"


def period_said(cadence: str, key: str, say: Words) -> str:
    """A period in the reader's words."""
    if say.language == ENGLISH:
        return period_words(cadence, key)
    try:
        period = Period.from_key(Cadence(cadence), key)
    except ValueError:
        return one_line(key, 40)
    return say.span(period.start, period.last_day)


def size_words(size: int) -> str:
    """`312 KB`, `4.1 MB`."""
    return f"{max(1, round(size / 1000))} KB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"


def wants_attachment(subscription: Record, report: Record, policy: str = ON_REQUEST) -> bool:
    """Whether the file goes with the mail: small enough, and as the organisation's policy says.

    `always` attaches, `never` links, `on_request` does as the subscription's parameter `attach` says.
    """
    if policy == NEVER or int(report["size"]) >= ATTACH_BELOW:
        return False
    asked = (subscription.get("parameters") or {}).get("attach")
    return asked is not False if policy == ALWAYS else asked is True
