"""A job: one due occurrence of a subscription. Its states and its record.

A record of the collection `jobs`:
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import NotRequired, TypedDict

from reporting_pipeline.domain.periods import Cadence, Period


class JobState(StrEnum):
    PENDING = "pending"
    PROCESSING = "processing"
    RENDERED = "rendered"
    AWAITING_RELEASE = "awaiting_release"  # its report stands and waits until a person releases it
    DELIVERING = "delivering"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


class DeliveryState(StrEnum):
    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SUPPRESSED = "suppressed"


class EditionState(StrEnum):
    OPEN = "open"
    COMPLETED = "completed"
    FAILED = "failed"


class OmittedPart(TypedDict):
    """What a report leaves out, and why."""

    trial: str
    part: str
    reason: str


class AwaitingRelease(TypedDict):
    """Why a report waits for a person, as `content_gate` says it, and since when."""

    reasons: list[dict[str, str]]  # {concern, trial, said}
    at: datetime


class AskedFor(TypedDict):
    """What a person's wish to have a job now changes in its record."""

    due_at: datetime
    priority: int
    on_demand: bool
    requested_by: str
    asked_at: datetime


class JobRecord(TypedDict):
    """A record of the collection `jobs`; `stores.jobs` and `stores.lifecycle` alone write it. Times are UTC.

    A read that asks for some fields gives only those.
    """

    _id: str  # "job_" + 24 hex characters; follows from subscription, period and occurrence
    edition: str  # "weekly:2026-11-16"; cadence, period and period_end_at say the same apart
    cadence: str
    period: str  # key of the window, "2026-11-16"
    period_end_at: datetime
    subscription: str
    owner: str
    organisation: str
    #: The local date it stands for; "run-2" of a run that a person asked for; with "+whole" the whole report
    #: after one with omissions, with "+restated-1" the report of corrected data.
    occurrence: str
    note: str  # of the occurrence, for people
    due_at: datetime  # when it is sent; never before its period has closed
    priority: int
    on_demand: bool  # True where no edition serves it
    state: str  # one of JobState
    error: str | None  # why it failed, was skipped, or did not reach everybody
    attempts: int  # renderings that failed
    report: str  # id of its report, which stands once rendered_at does
    rendered_at: datetime | None
    created_at: datetime
    completed_at: datetime | None
    started_at: NotRequired[datetime | None]  # when a run took it up
    failed_in: NotRequired[str | None]  # "rendering" | "delivery"
    permanent: NotRequired[bool]  # another try cannot help
    skipped_for: NotRequired[str]  # ended, paused, schedule, rights, erased, cancelled, unchanged, refused
    #: While a person must release its report, also while a pause skips it.
    awaiting_release: NotRequired[AwaitingRelease | None]
    requested_by: NotRequired[str]  # the user who asked for it now; absent where nobody did
    asked_at: NotRequired[datetime]  # a snapshot of documents older than this does not serve it
    requeued_at: NotRequired[datetime]
    trace: NotRequired[str]  # W3C traceparent that its report is followed by; absent where nothing is traced
    follows: NotRequired[str]  # the job with omissions, or of the file it restates
    restates: NotRequired[str]  # SHA-256 of the file that was sent and whose place its report takes
    restatement: NotRequired[str]  # "tell" or "send", as the organisation's policy was
    omissions: NotRequired[list[OmittedPart]]  # what its report leaves out
    has_omissions: NotRequired[bool]  # their data was not mended yet
    looked_at: NotRequired[datetime]  # when it was compared with a later report of its period
    deliveries_planned: NotRequired[bool]  # nobody needs to look whether its deliveries are planned
    trials: NotRequired[list[str]]  # what limits the report; what is absent does not
    sites: NotRequired[list[str]]
    kinds: NotRequired[list[str]]
    file_types: NotRequired[list[str]]


_TEXTS = ("edition", "period", "subscription")
_MAY_BE_ABSENT: Mapping[str, type] = {"asked_at": datetime, "trace": str}


def why_unreadable(job: Mapping[str, object]) -> str | None:
    """What is wrong with a record that was broken by hand, so that no run can serve it; None of a whole one.

    Looked at is what a sensor goes by when it asks for runs.
    """
    for name in _TEXTS:
        if not isinstance(job.get(name), str):
            return f"{name} is not text"
    if not isinstance(job.get("created_at"), datetime):
        return "created_at is not a time"
    for name, kind in _MAY_BE_ABSENT.items():
        if job.get(name) is not None and not isinstance(job[name], kind):
            return f"{name} is not {'text' if kind is str else 'a time'}"
    if not names_period(job["edition"]):
        return "edition names no period"
    is_of_edition = str(job["edition"]).partition(":")[2] == job["period"]
    return None if is_of_edition else "period is not that of edition"


def names_period(edition: object) -> bool:
    """Whether the id of an edition, as a record has it, says a cadence and a period of it."""
    cadence, _, key = edition.partition(":") if isinstance(edition, str) else ("", "", "")
    try:
        Period.from_key(Cadence(cadence), key)
    except ValueError:
        return False
    return True


def left_out(job: Mapping[str, object]) -> set[tuple[str, str]]:
    """(trial, part) of what the job's report leaves out; what somebody broke by hand is nothing left out."""
    found = job.get("omissions")
    return {
        (str(one["trial"]), str(one["part"]))
        for one in (found if isinstance(found, list) else ())
        if isinstance(one, Mapping) and "trial" in one and "part" in one
    }
