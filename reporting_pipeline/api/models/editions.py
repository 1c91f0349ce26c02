"""Editions ("reports" in the URL), registered users, and the delivery records of an edition."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from reporting_pipeline.api.models.subscriptions import ReportType
from reporting_pipeline.domain.deliveries import DeliveryRecord
from reporting_pipeline.domain.editions import Edition
from reporting_pipeline.domain.masked_recipients import shown
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.usecases.callers.shapes.base import CamelShape, Identifier, Line, Lines

EDITION_PATTERN = rf"^({'|'.join(Cadence)}):[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}$"
PeriodKey = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="First local date.")]
Address = Annotated[str, Field(min_length=3, max_length=254, json_schema_extra={"format": "email"})]

_EDITION: dict[str, Any] = {
    "reportId": "weekly:2026-11-16",
    "reportType": "weekly",
    "period": "2026-11-16",
    "state": "open",
    "openedAt": "2026-11-23T00:05:00Z",
    "openedBy": "schedule",
    "forced": 0,
    "counts": {"pending": 12, "completed": 48},
    "jobs": 60,
    "progress": 0.8,
    "reason": None,
    "startedAt": None,
    "path": None,
    "sendingAt": None,
    "result": {},
}


class EditionRequest(CamelShape):
    """Which edition to open. Without a word: the weekly one of the newest week that is over."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reportType": "weekly", "period": "2026-11-16", "force": False}]}
    )

    report_type: ReportType = "weekly"
    period: PeriodKey | None = None
    force: Annotated[bool, Field(strict=True)] = False


class EditionAnswer(CamelShape):
    """An edition: its state, and the jobs of the caller's organisation by state."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EDITION]})

    report_id: str
    report_type: ReportType
    period: str
    state: Literal["open", "completed", "failed"]
    opened_at: datetime
    opened_by: str
    forced: int
    counts: dict[str, int]
    jobs: int
    progress: float = Field(ge=0, le=1, description="Share of the jobs that have ended.")
    reason: str | None
    started_at: datetime | None = Field(None, description="When an outside worker began.")
    path: str | None = Field(None, description="Key of the file that an outside worker made.")
    sending_at: datetime | None = Field(None, description="When its result started the sending.")
    result: dict[str, Any]

    @classmethod
    def of(cls, edition: Edition, counts: dict[str, int], opened_by: str) -> EditionAnswer:
        jobs = sum(counts.values())
        ended = sum(counts.get(state, 0) for state in ("completed", "failed", "skipped"))
        return cls(
            report_id=edition.id,
            report_type=edition.cadence.value,
            period=edition.period,
            state=edition.state.value,
            opened_at=edition.opened_at,
            opened_by=opened_by,
            forced=edition.forced,
            counts=counts,
            jobs=jobs,
            progress=round(ended / jobs, 4) if jobs else 0.0,
            reason=edition.reason or None,
            started_at=edition.started_at,
            path=edition.path,
            sending_at=edition.sending_at,
            result=edition.result,
        )


class EditionPage(CamelShape):
    items: list[EditionAnswer]
    next_cursor: str | None = None


class StateChange(CamelShape):
    model_config = ConfigDict(json_schema_extra={"examples": [{"state": "started"}, {"state": "completed"}]})

    state: Literal["started", "running", "open", "completed", "failed"] = Field(
        description="`started` and `running`: a worker has begun; the report stays open."
    )
    reason: Annotated[Lines, Field(max_length=500)] = ""


class ResultChange(CamelShape):
    """What an outside worker reports of an edition."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reports": 60, "failed": 0, "note": "rendered outside"}]}
    )

    path: Annotated[Lines, Field(min_length=1, max_length=1024)] | None = Field(
        None,
        description="Where the file was put: a key below `editions/{cadence}/{period}/`, or s3://bucket/key.",
    )
    reports: Annotated[int, Field(ge=0, le=10_000_000, strict=True)] = 0
    failed: Annotated[int, Field(ge=0, le=10_000_000, strict=True)] = 0
    note: Annotated[Lines, Field(max_length=1000)] = ""


class RegistrationRequest(CamelShape):
    """An address for the weekly (or another) report of the organisation's trials."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"email": "reader@example.org", "reportType": "weekly"}]}
    )

    email: Address
    report_type: ReportType = "weekly"
    name: Line | None = None
    timezone: Annotated[str, Field(max_length=64)] | None = None
    trials: tuple[Identifier, ...] = Field((), max_length=200)


class RegistrationAnswer(CamelShape):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "email": "reader@example.org",
                    "reportType": "weekly",
                    "subscriptionId": "sub_5f0c2a7d9e3b41c8a6d2f014",
                    "status": "active",
                    "registeredAt": "2026-11-20T09:30:00Z",
                }
            ]
        }
    )

    email: str
    report_type: ReportType
    subscription_id: str
    status: Literal["active", "paused", "ended"]
    registered_at: datetime


class RegistrationPage(CamelShape):
    items: list[RegistrationAnswer]
    next_cursor: str | None = None


class SendRequest(CamelShape):
    model_config = ConfigDict(json_schema_extra={"examples": [{"force": False}]})

    force: Annotated[bool, Field(strict=True)] = False


class SendAnswer(CamelShape):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"reportId": "weekly:2026-11-16", "planned": 60, "skipped": 0, "force": False}]
        }
    )

    report_id: str
    planned: int = Field(description="Deliveries that will go out because of this call.")
    skipped: int = Field(description="Deliveries that went out before and stay as they are.")
    force: bool


class DeliveryRequest(CamelShape):
    """A delivery of a job's report to one more recipient, or of an edition's to a registered user."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"jobId": "job_0d5a3c1e7b9f42a6c8e01357", "recipient": "reader@example.org"},
                {"reportId": "weekly:2026-11-16", "email": "registered@example.org"},
            ]
        }
    )

    job_id: Identifier | None = None
    recipient: Address | None = None
    report_id: Identifier | None = Field(None, description="An edition, in the place of a job.")
    email: Address | None = Field(None, description="Of a registered user, whose job of it is meant.")


class ResendRequest(CamelShape):
    """Whom a job's report is sent to once more."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"recipient": "reader@example.org"}]})

    recipient: Annotated[
        str, Field(min_length=1, max_length=500, description="As the job's deliveries tell it.")
    ]


class DeliveryChange(CamelShape):
    """The state that an outside worker saw a delivery reach."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"status": "delivered", "providerId": "msg-1"}]}
    )

    status: Literal["sent", "delivered", "bounced", "failed"]
    provider_id: Annotated[Lines, Field(max_length=200)] | None = None
    error: Annotated[Lines, Field(max_length=500)] | None = None


class DeliveryAnswer(CamelShape):
    """One report to one recipient."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "deliveryId": "dlv_3f9c1a7d5e2b48c0a6d4f012",
                    "jobId": "job_0d5a3c1e7b9f42a6c8e01357",
                    "reportId": "weekly:2026-11-16",
                    "channel": "email",
                    "recipient": "reader@example.org",
                    "status": "sent",
                    "attempts": 1,
                    "nextAttemptAt": None,
                    "sentAt": "2026-11-23T06:00:04Z",
                    "deliveredAt": None,
                    "providerId": "msg-1",
                    "error": None,
                }
            ]
        }
    )

    delivery_id: str
    job_id: str
    report_id: str
    channel: str
    recipient: str
    status: str
    attempts: int
    next_attempt_at: datetime | None
    sent_at: datetime | None = Field(None, description="UTC; when the channel took it over.")
    delivered_at: datetime | None = Field(None, description="UTC; when the reader's server confirmed it.")
    provider_id: str | None
    error: str | None = Field(description="What the last attempt that was not taken heard.")

    @classmethod
    def of(cls, record: DeliveryRecord) -> DeliveryAnswer:
        return cls(
            delivery_id=record["_id"],
            job_id=record["job"],
            report_id=record["edition"],
            channel=record["channel"],
            recipient=shown(record["recipient"]),
            status=record["state"],
            attempts=int(record.get("attempt") or 0),
            next_attempt_at=record.get("next_attempt_at"),
            sent_at=record.get("sent_at"),
            delivered_at=record.get("delivered_at"),
            provider_id=record.get("provider_id"),
            error=record.get("error"),
        )


class DeliveryPage(CamelShape):
    items: list[DeliveryAnswer]
    next_cursor: str | None = None
