"""What a delivery's state may become, when it is tried again, and what an answer means.

Pure: the clock and the dice are passed in. The records are kept in `stores.deliveries`, the sending
is in `delivery`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from hashlib import sha256
from random import Random
from typing import NotRequired, TypedDict

from reporting_pipeline.domain.access import normal_address
from reporting_pipeline.domain.jobs import DeliveryState, JobState


class Channel(StrEnum):
    EMAIL = "email"
    SLACK = "slack"
    WEBHOOK = "webhook"


class AttemptRecord(TypedDict):
    """One attempt, kept with its delivery."""

    at: datetime
    attempt: NotRequired[int]  # absent of one that was cut off
    outcome: str  # one of Outcome
    error: str | None
    provider_id: NotRequired[str | None]


class DeliveryRecord(TypedDict):
    """A record of the collection `deliveries`, which `stores.deliveries` alone writes. Times are UTC.

    A read that asks for some fields gives only those.
    """

    _id: str  # "dlv_" + 24 hex characters; follows from job, channel and recipient
    job: str
    edition: str
    cadence: str
    organisation: str
    subscription: str
    owner: str
    trials: list[str]  # of the subscription's filters when it was planned; none: all
    sites: list[str]
    report: str | None
    period: str
    occurrence: str
    due_at: datetime
    channel: str  # one of Channel
    recipient: str  # a normal address, a Slack channel, a webhook's URL
    user: str | None  # whose address it is; None of nobody known
    state: str  # one of DeliveryState
    attempt: int  # begun so far; only the holder of this number writes what became of it
    failures: int  # attempts that counted
    resends: int  # times an unknown one was sent again
    copy: int
    lease_token: str | None
    lease_until: datetime | None
    next_attempt_at: datetime | None  # when it is due, when a sending one expires, an unknown one goes again
    attempts: list[AttemptRecord]
    provider_id: str | None
    error: str | None
    created_at: datetime
    settled_at: datetime | None
    trace: NotRequired[str]  # its job's
    sending_at: NotRequired[datetime]  # when it was begun
    sent_at: NotRequired[datetime]
    delivered_at: NotRequired[datetime]
    alone: NotRequired[bool]  # begun without others, so that who ends with it ends by it
    suspect: NotRequired[bool]  # its worker ended with it among others: taken alone from then on
    was_unknown: NotRequired[bool]
    written: NotRequired[int]  # the last attempt whose outcome was written
    link_revoked_at: NotRequired[datetime | None]  # since then its link opens nothing
    mail: NotRequired[
        str
    ]  # it goes in one mail with the others that bear this id ("mal_" + 24 hex characters)
    #: Planned for a recipient whom its subscription names; absent where a person sent it to somebody.
    of_recipients: NotRequired[bool]
    moved_from: NotRequired[list[str]]  # addresses its user had before, where it was to go first
    #: The restore after which a person must let it go, for it may have been sent before.
    awaiting_release_after: NotRequired[str | None]
    suppressed_for: NotRequired[str | None]  # "rights" where somebody's rights stood against it


_TEXTS = ("_id", "job", "subscription", "organisation", "cadence", "recipient")
_COUNTS = ("attempt", "failures")
_MAY_BE_ABSENT: Mapping[str, type] = {
    **dict.fromkeys(("user", "report", "mail", "trace"), str),
    "next_attempt_at": datetime,
    "copy": int,
}
_WRITTEN: Mapping[type, str] = {str: "text", int: "a whole number", datetime: "a time"}


def why_unreadable(delivery: Mapping[str, object]) -> str | None:
    """What is wrong with a record that was broken by hand, so that none can send it; None of a whole one."""
    wanted = {**dict.fromkeys(_TEXTS, str), **dict.fromkeys(_COUNTS, int), "due_at": datetime}
    for name, kind in {**wanted, **_MAY_BE_ABSENT}.items():
        value = delivery.get(name)
        if value is None and name in _MAY_BE_ABSENT:
            continue
        if not isinstance(value, kind) or isinstance(value, bool):
            return f"{name} is not {_WRITTEN[kind]}"
    if delivery.get("channel") not in [each.value for each in Channel]:
        return "channel is none that is known"
    return None


class Outcome(StrEnum):
    """What is known after one attempt."""

    ACCEPTED = "accepted"  # the other side took it, provably
    RETRY = "retry"  # it provably did not; later it may
    PERMANENT = "permanent"  # it never will
    THROTTLED = "throttled"  # not now: the attempt does not count against the delivery
    HALTED = "halted"  # the channel's own credentials are refused: nobody's fault but ours
    UNKNOWN = "unknown"  # the request went out and no answer came back


@dataclass(frozen=True)
class SendResult:
    """One attempt's outcome for one delivery."""

    outcome: Outcome
    provider_id: str | None = None
    error: str | None = None
    retry_at: datetime | None = None  # UTC; only for THROTTLED and RETRY, when the other side named it
    disable_recipient: bool = False  # the address itself is gone (410)


@dataclass(frozen=True)
class Change:
    """What one attempt does to a delivery's record."""

    state: DeliveryState
    failures: int  # attempts that counted so far
    next_attempt_at: datetime | None


# Never back: an event about a message is evidence, and evidence from later in the message's life wins.
# The order of arrival then does not matter, nor how often an event arrives.
_RANK = {
    DeliveryState.PENDING: 0,
    DeliveryState.SENDING: 1,
    DeliveryState.UNKNOWN: 2,
    DeliveryState.SUPPRESSED: 3,
    DeliveryState.FAILED: 4,
    DeliveryState.SENT: 5,
    DeliveryState.DELIVERED: 6,
    DeliveryState.BOUNCED: 7,
}

SETTLED = frozenset(state for state, rank in _RANK.items() if rank >= _RANK[DeliveryState.SUPPRESSED])
LOST = frozenset({DeliveryState.FAILED, DeliveryState.BOUNCED})

BACKOFF = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30))
# The schedule that the Standard Webhooks specification proposes, after the first attempt.
WEBHOOK_BACKOFF = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
)
JITTER = 0.2  # a delay is stretched by up to this share, so that a crowd does not come back at once
THROTTLE_WITHOUT_HINT = timedelta(seconds=30)
LONGEST_THROTTLE = timedelta(hours=1)  # a hostile or broken header must not park the channel for a year
_DIGITS = re.compile(r"[0-9]+")
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
LONGEST_RECIPIENT = 2000  # characters; MongoDB's index keys have a limit
LONGEST_ERROR = 500  # characters of an error kept with an attempt
#: Why somebody who is no recipient of the subscription any more gets nothing of what waits.
RECIPIENT_LEFT = "the recipient was removed"


def states_below(state: DeliveryState) -> list[str]:
    """The states that evidence of `state` moves."""
    return [other.value for other, rank in _RANK.items() if rank < _RANK[state]]


def retry_delay(failures: int, rng: Random, schedule: tuple[timedelta, ...] = BACKOFF) -> timedelta:
    """How long to wait after the `failures`-th counted failure (1 is the first)."""
    base = schedule[min(max(failures, 1), len(schedule)) - 1]
    return base * (1 + JITTER * rng.random())


def after_attempt(
    result: SendResult,
    failures: int,
    now: datetime,
    rng: Random,
    *,
    max_attempts: int,
    schedule: tuple[timedelta, ...] = BACKOFF,
    unknown_resend: timedelta = timedelta(hours=1),
) -> Change:
    """What `result` does to a delivery with `failures` counted failures so far."""
    match result.outcome:
        case Outcome.ACCEPTED:
            return Change(DeliveryState.SENT, failures, None)
        case Outcome.PERMANENT:
            return Change(DeliveryState.FAILED, failures + 1, None)
        case Outcome.THROTTLED | Outcome.HALTED:
            return Change(DeliveryState.PENDING, failures, throttled_until(result.retry_at, now))
        case Outcome.UNKNOWN:
            # Stays unknown even with its attempts used up: only time or an event says what became of it.
            return Change(DeliveryState.UNKNOWN, failures + 1, now + unknown_resend)
        case Outcome.RETRY:
            counted = failures + 1
            if counted >= max_attempts:
                return Change(DeliveryState.FAILED, counted, None)
            earliest = now + retry_delay(counted, rng, schedule)
            asked = throttled_until(result.retry_at, now) if result.retry_at else earliest
            return Change(DeliveryState.PENDING, counted, max(earliest, asked))


def throttled_until(asked: datetime | None, now: datetime) -> datetime:
    """When to go on after a 429: what the other side asked for, within bounds."""
    if asked is None:
        return now + THROTTLE_WITHOUT_HINT
    return min(max(asked, now + timedelta(seconds=1)), now + LONGEST_THROTTLE)


def retry_instant(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """When an answer says to come back, by `Retry-After` (seconds or a date, RFC 9110) and by
    `X-RateLimit-Reset` (epoch seconds, or seconds until then): the later of both, None where neither says it.
    """
    lowered = {name.lower(): value.strip() for name, value in headers.items()}
    asked = (_reset(lowered.get("x-ratelimit-reset", ""), now), _retry_after(lowered, now))
    return max((one for one in asked if one is not None), default=None)


def _reset(text: str, now: datetime) -> datetime | None:
    if not _DIGITS.fullmatch(text) or len(text) > 11:
        return None
    seconds = int(text)
    # No epoch is so near to its beginning: these are seconds from now.
    return now + timedelta(seconds=seconds) if seconds < 10**8 else datetime.fromtimestamp(seconds, UTC)


def _retry_after(headers: Mapping[str, str], now: datetime) -> datetime | None:
    text = headers.get("retry-after", "")
    whole, _, _ = text.partition(".")
    if _SECONDS.fullmatch(text):
        return now + timedelta(seconds=int(whole) + (whole != text))
    asked = _http_date(text)
    # By the clock that wrote it, which may go otherwise than ours.
    return None if asked is None else now + (asked - (_http_date(headers.get("date", "")) or now))


def _http_date(text: str) -> datetime | None:
    """A date of HTTP in any of its three forms; None for what is none."""
    if not 20 <= len(text) <= 60:
        return None
    try:
        read = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


def job_state(states: Iterable[DeliveryState]) -> tuple[JobState, str | None] | None:
    """The job's state and reason once all its deliveries are settled; None while one is not."""
    known = list(states)
    if not known or any(state not in SETTLED for state in known):
        return None
    lost = [state for state in known if state in LOST]
    if lost:
        kinds = ", ".join(f"{lost.count(state)} {state.value}" for state in sorted(set(lost)))
        # Where somebody was reached the job did its work; who was not is a dead letter of its own.
        reached = any(state in (DeliveryState.SENT, DeliveryState.DELIVERED) for state in known)
        verdict = JobState.COMPLETED if reached else JobState.FAILED
        return verdict, f"{len(lost)} of {len(known)} deliveries did not arrive: {kinds}"
    if all(state is DeliveryState.SUPPRESSED for state in known):
        return JobState.SKIPPED, "nobody was left to send it to"
    return JobState.COMPLETED, None


def mailbox(text: str) -> str:
    """One spelling per mailbox; what is no address keeps its own, trimmed, to be refused when sent."""
    try:
        return normal_address(text.strip())
    except ValueError:
        return text.strip()[:LONGEST_RECIPIENT]


def is_address(text: str) -> bool:
    """Whether `text` is a plain e-mail address in its one spelling."""
    try:
        return normal_address(text) == text
    except ValueError:
        return False


def short_error(text: str) -> str:
    """An error fit to be kept and shown: one line, printable, at most LONGEST_ERROR characters."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= LONGEST_ERROR else line[: LONGEST_ERROR - 1] + "…"


def delivery_id(job: str, channel: str, recipient: str) -> str:
    """The id of the delivery of a job to a recipient, always the same: a ledger that was lost and planned
    again, from a backup that is older than its mails, gives the other side the ids it has seen.

    Opaque: it travels to providers and into file names, so nothing personal is in it.
    """
    return f"dlv_{sha256(chr(0).join((job, channel, recipient)).encode()).hexdigest()[:24]}"


def wire_id(delivery: str, copy: int) -> str:
    """The id the other side sees. A forced copy has another, so that its events are told apart."""
    return delivery if copy <= 1 else f"{delivery}.{copy}"


_MAIL_ID = re.compile(r"mal_[0-9a-f]{24}")


def is_mail_id(text: str) -> bool:
    """Whether it is the id of a mail of several deliveries (`combining.mail_id`)."""
    return _MAIL_ID.fullmatch(text) is not None


def from_wire_id(text: str) -> tuple[str, int]:
    """The delivery, or the mail of several, and the copy of a wire id. ValueError for what we never wrote."""
    if is_mail_id(text):
        return text, 1
    match = re.fullmatch(r"(dlv_[0-9a-f]{24})(?:\.([2-9]|[1-9][0-9]{1,3}))?", text)
    if match is None:
        raise ValueError("not a delivery id")
    return match[1], int(match[2] or 1)
