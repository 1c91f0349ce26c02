"""States, instants and schedules in plain words, for pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from reporting_pipeline.domain.confirmation import paused_unconfirmed
from reporting_pipeline.domain.cron_fields import cron_words
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.usecases.report_types import report_types

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Said:
    """A state as a page says it: the word, its tone (a class of console.css), and what it means."""

    word: str
    tone: str  # good, wait, bad, odd, quiet
    meaning: str


JOB_STATES = {
    "pending": Said("Waiting", "wait", "It is planned; its data is still to be collected."),
    "processing": Said("Being made", "wait", "The report is being made now."),
    "rendered": Said("Ready, not due yet", "wait", "The report stands and is sent when it is due."),
    "awaiting_release": Said(
        "Awaits release", "odd", "The report stands and is sent when somebody has looked and released it."
    ),
    "delivering": Said("Being sent", "wait", "The report stands and is on its way."),
    "completed": Said("Sent", "good", "It was made and handed over to everybody it was meant for."),
    "failed": Said("Failed", "bad", "It could not be made or sent; somebody has to look."),
    "skipped": Said(
        "Left out", "quiet", "It was not made, or not sent, on purpose; the reason is beside it."
    ),
}
DELIVERY_STATES = {
    "pending": Said("Waiting", "wait", "It is sent when it is due."),
    "sending": Said("Sending", "wait", "It is being handed over now."),
    "unknown": Said(
        "Not known",
        "odd",
        "It was handed over, but no answer came: it may have arrived. It is not sent again by itself "
        "until it is known, so that nobody gets it twice.",
    ),
    "sent": Said("Sent", "good", "The mail server or channel took it over."),
    "delivered": Said("Delivered", "good", "The reader's mail server, or the channel, confirmed it."),
    "bounced": Said("Bounced", "bad", "The reader's mail server sent it back."),
    "failed": Said("Failed", "bad", "Every attempt was refused."),
    "suppressed": Said("Held back", "quiet", "It was not sent, on purpose; the reason is beside it."),
}
EDITION_STATES = {
    "open": Said("Under way", "wait", "Reports are still being made or sent."),
    "completed": Said("Completed", "good", "Everything that could be made was made and sent."),
    "failed": Said("Failed", "bad", "Something in it needs a person."),
}
#: What a form has done, as the page says it to which it leads (`?done=`).
DONE = {
    "saved": "Saved.",
    "registered": "Registered.",
    "added": "Added.",
    "closed": "Closed.",
    "opened": "Open again.",
    "subscribed": "You are subscribed. When its reports come stands below.",
    "unsubscribed": "Unsubscribed: nothing more of it is made or sent.",
    "paused": "Paused: nothing is sent meanwhile.",
    "resumed": "Resumed: it is sent from its next date on.",
    "handed-in": "Handed in.",
    "corrected": "Corrected; what it said before is kept.",
    "withdrawn": "Withdrawn.",
    "sent": "It is sent to that address.",
    "tried-again": "It is tried again.",
    "decided": "Your decision is recorded.",
    "kept": "It is kept beyond its time.",
    "let-go": "It is kept no longer than others.",
    "signed-out": "You are signed out.",
    "signed-out-everywhere": "You are signed out, here and everywhere else.",
}
#: What came of one attempt.
ATTEMPTS = {
    "accepted": "taken over",
    "retry": "not taken, tried again later",
    "permanent": "refused for good",
    "throttled": "not now",
    "halted": "the channel was halted",
    "unknown": "no answer came",
}
#: What a signature means.
MEANINGS = {"review": "reviewed", "approval": "approved", "responsibility": "takes responsibility"}
CHANNELS = {"email": "E-mail", "slack": "Slack", "webhook": "Webhook"}
_OTHER = Said("Not known", "odd", "This state is new to the console.")


def job_state(state: str) -> Said:
    return JOB_STATES.get(state, _OTHER)


def delivery_state(state: str) -> Said:
    return DELIVERY_STATES.get(state, _OTHER)


def edition_state(state: str) -> Said:
    return EDITION_STATES.get(state, _OTHER)


def channel_words(channel: str) -> str:
    """A channel as it is read; the code itself where it is newer than these words."""
    return CHANNELS.get(channel, channel)


def attempt_words(outcome: str) -> str:
    """What came of an attempt; the code itself where it is newer than these words."""
    return ATTEMPTS.get(outcome, outcome)


def kind_words(kind: str) -> str:
    """A kind of document as it is read, such as "Vital signs"."""
    return Kind(kind).label if kind in Kind.__members__.values() else kind.replace("_", " ")


def type_words(name: str) -> str:
    """A report type as the form calls it."""
    known = report_types().get(name)
    return known.title.capitalize() if known else name.replace("_", " ")


def moment(instant: datetime | None, timezone: str) -> str:
    """An instant in the reader's zone with its offset: "Mon 23 Nov 2026, 07:00 (+01:00)"; "–" for None."""
    if instant is None:
        return "–"
    local = instant.astimezone(ZoneInfo(timezone))
    offset = local.strftime("%z")
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M} ({offset[:3]}:{offset[3:]})"


def moment_utc(instant: datetime | None) -> str:
    """The same instant in UTC."""
    return "–" if instant is None else f"{instant:%Y-%m-%d %H:%M} UTC"


def day(of: date) -> str:
    """A day as it is read: "7 Jan 2027"."""
    return f"{of.day} {of:%b %Y}"


def status_words(subscription: Subscription) -> str:
    """Whether it sends, and why not: "Active", "Paused", "Paused until 7 Jan 2027"."""
    if subscription.status != "paused":
        return "Active"
    if paused_unconfirmed(subscription):
        return "Paused, as nobody confirmed that it is still needed"
    return f"Paused until {day(subscription.paused_until)}" if subscription.paused_until else "Paused"


def schedule_words(schedule: Schedule) -> str:
    """A schedule as a sentence: "Every second week on Monday at 07:00 (Europe/Zurich), from 7 Jan 2027"."""
    moved = _MOVED.get(schedule.business_days, "")
    first = f", from {day(schedule.starts_on)}" if schedule.starts_on else ""
    last = f", until {day(schedule.ends_on)}" if schedule.ends_on else ""
    return f"{_when(schedule)} ({schedule.timezone}){moved}{first}{last}"


_MOVED = {
    "skip": ", left out on days off",
    "next": ", on the next working day",
    "previous": ", on the working day before",
}


def _when(schedule: Schedule) -> str:
    if schedule.cadence == "cron":
        return cron_words(str(schedule.cron_expression))
    at = f"at {schedule.time}" if isinstance(schedule.time, str) else f"at {schedule.time:%H:%M}"
    if schedule.cadence == "daily":
        return f"Every day {at}"
    if schedule.cadence == "weekly":
        return f"Every {_nth(schedule.every_weeks)}week on {DAYS[(schedule.day_of_week or 1) - 1]} {at}"
    return f"Every month on day {schedule.day_of_month or 1} {at}"


def _nth(number: int | None) -> str:
    """ "" for each one, "second ", "third ", "4th ", "22nd "."""
    if number is None or number == 1:
        return ""
    named = {2: "second", 3: "third"}.get(number)
    ending = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{named or f'{number}{ending}'} "


def size(count: int | None) -> str:
    """Bytes for a person: "1.2 MB"."""
    if count is None:
        return "–"
    amount = float(count)
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def duration(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "–"
    seconds = milliseconds / 1000
    return f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
