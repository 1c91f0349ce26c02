"""What a job tells: whether its report was made, whom it reached, how long it took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from reporting_pipeline.domain.deliveries import DeliveryRecord
from reporting_pipeline.domain.jobs import DeliveryState, JobRecord, JobState, OmittedPart
from reporting_pipeline.domain.masked_recipients import shown


class Generation(StrEnum):
    """Whether a job's report was made, whatever became of its recipients."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


class DeliverySummary(StrEnum):
    """Whether a job's report reached its recipients."""

    NONE = "none"  # no delivery is planned yet, or ever will be
    WAITING = "waiting"
    UNDER_WAY = "under_way"
    DELIVERED = "delivered"  # to everybody who was to get it
    PARTLY_DELIVERED = "partly_delivered"
    FAILED = "failed"  # to nobody
    SUPPRESSED = "suppressed"  # nobody was left to send it to


@dataclass(frozen=True)
class Arrived:
    """One recipient's part of a job."""

    id: str
    channel: str
    recipient: str
    status: str
    attempts: int
    sent_at: datetime | None
    delivered_at: datetime | None
    provider_id: str | None
    error: str | None


@dataclass(frozen=True)
class JobHistory:
    """What a job tells, from its record, its report's and its deliveries'. Times are UTC, sizes bytes."""

    generation: Generation
    delivery: DeliverySummary
    started_at: datetime | None
    completed_at: datetime | None
    execution_time_ms: int | None  # from when a run took it up until its report stood
    file_size: int | None
    pages: int | None
    rows: int | None  # of a table; None where the renderer does not tell
    format: str | None
    audience: str | None
    attempts: int  # times its making was begun
    retry_count: int  # of these, those that failed
    created_by: str  # a user id, or "schedule"
    filters: Mapping[str, tuple[str, ...]]  # what limits the report; what is not named does not
    omissions: tuple[OmittedPart, ...]
    deliveries: tuple[Arrived, ...]
    expected_by: datetime | None = None  # `expectations`; None where it is not known or over
    supersedes: str | None = None  # SHA-256 of the file that was sent and whose place its file took
    superseded_by: str | None = None  # SHA-256 of the file that took the place of its own


def history_of(
    job: JobRecord, report: Mapping[str, Any] | None, deliveries: Iterable[DeliveryRecord]
) -> JobHistory:
    """The history of a job record; `report` is its StoredReport's fields, None while there is none."""
    stands = report if job.get("rendered_at") else None
    rows = tuple(deliveries)
    generation = generation_of(job)
    failed = int(job.get("attempts") or 0)
    return JobHistory(
        generation=generation,
        delivery=arrival_of([DeliveryState(row["state"]) for row in rows]),
        started_at=job.get("started_at"),
        completed_at=job.get("completed_at"),
        execution_time_ms=_milliseconds(job.get("started_at"), job.get("rendered_at")),
        file_size=stands["size"] if stands else None,
        pages=stands["pages"] if stands else None,
        rows=stands.get("rows") if stands else None,
        format=stands["format"] if stands else None,
        audience=(stands.get("audience") or None) if stands else None,
        attempts=failed + (generation in (Generation.PROCESSING, Generation.COMPLETED)),
        retry_count=failed,
        created_by=str(job.get("requested_by") or "schedule"),
        filters={
            name: tuple(str(value) for value in job[name])
            for name in ("trials", "sites", "kinds", "file_types")
            if job.get(name)
        },
        omissions=tuple(job.get("omissions") or ()),
        deliveries=tuple(_arrived(row) for row in rows),
    )


def generation_of(job: JobRecord) -> Generation:
    """A report that stands is made, whatever comes after: also where it reached nobody."""
    state = JobState(job["state"])
    if job.get("rendered_at") and state not in (JobState.PENDING, JobState.PROCESSING):
        # A later rendering may have failed; what was made before is still there.
        return Generation.COMPLETED
    return {
        JobState.PENDING: Generation.PENDING,
        JobState.PROCESSING: Generation.PROCESSING,
        JobState.FAILED: Generation.FAILED,
        JobState.SKIPPED: Generation.SKIPPED,
    }.get(state, Generation.COMPLETED)


def arrival_of(states: Sequence[DeliveryState]) -> DeliverySummary:
    """What became of all deliveries of a job together."""
    if not states:
        return DeliverySummary.NONE
    if any(state in (DeliveryState.SENDING, DeliveryState.UNKNOWN) for state in states):
        return DeliverySummary.UNDER_WAY
    reached = sum(state in (DeliveryState.SENT, DeliveryState.DELIVERED) for state in states)
    if any(state is DeliveryState.PENDING for state in states):
        return DeliverySummary.UNDER_WAY if reached else DeliverySummary.WAITING
    if all(state is DeliveryState.SUPPRESSED for state in states):
        return DeliverySummary.SUPPRESSED
    wanted = sum(state is not DeliveryState.SUPPRESSED for state in states)
    if reached == wanted:
        return DeliverySummary.DELIVERED
    return DeliverySummary.PARTLY_DELIVERED if reached else DeliverySummary.FAILED


def _arrived(row: DeliveryRecord) -> Arrived:
    return Arrived(
        id=str(row["_id"]),
        channel=str(row["channel"]),
        recipient=shown(str(row["recipient"])),
        status=str(row["state"]),
        attempts=int(row.get("attempt") or 0),
        sent_at=row.get("sent_at"),
        delivered_at=row.get("delivered_at"),
        provider_id=row.get("provider_id"),
        error=row.get("error"),
    )


def _milliseconds(start: datetime | None, end: datetime | None) -> int | None:
    if start is None or end is None or end < start:
        return None
    return int((end - start).total_seconds() * 1000)
