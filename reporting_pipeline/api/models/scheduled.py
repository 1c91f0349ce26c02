"""Scheduled reports: the same subscriptions as a manager sees them (snake_case)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.job_history import Arrived, DeliverySummary, Generation, JobHistory
from reporting_pipeline.domain.jobs import JobRecord, JobState
from reporting_pipeline.domain.masked_recipients import shown
from reporting_pipeline.domain.planning import Planned
from reporting_pipeline.domain.schedules import Occurrence, Schedule
from reporting_pipeline.domain.subscriptions import CatchUp, Filters, Format, Recipient, Subscription
from reporting_pipeline.usecases.callers.shapes.base import Identifier, Line, RecipientType, Shape
from reporting_pipeline.usecases.report_types import parameter_schema, report_types

Extension = Annotated[str, Field(pattern=r"^[a-z0-9]{1,8}$")]

_EXAMPLE: dict[str, Any] = {
    "name": "Safety, Pilot 01",
    "description": "Adverse events and labs for the safety group",
    "report_type": "trial_activity",
    "schedule_config": {
        "cadence": "weekly",
        "time": "07:00",
        "timezone": "Europe/Zurich",
        "day_of_week": 1,
        "business_days": "next",
        "holidays": "CH",
    },
    "recipients": [{"type": "user", "value": "usr_demo"}],
    "report_parameters": {"trials": ["CDISCPILOT01"], "kinds": ["adverse_event", "lab"]},
    "output_format": "pdf",
}


LatenessHours = Annotated[
    Annotated[int, Field(ge=1, le=8_760, strict=True)] | None,
    Field(description="What would come later than this is not sent at all."),
]

OptionValue = (
    bool
    | int
    | float
    | Line
    | Annotated[list[Line], Field(max_length=100)]
    | Annotated[dict[Identifier, Annotated[list[Line], Field(max_length=100)]], Field(max_length=20)]
    | None
)


class ReportParameters(Shape):
    """What of the trials the report covers, and the options of its type."""

    trials: tuple[Identifier, ...] = Field((), max_length=200)
    sites: tuple[Identifier, ...] = Field((), max_length=500)
    kinds: tuple[Kind, ...] = Field((), max_length=20)
    file_types: tuple[Extension, ...] = Field((), max_length=20)
    options: dict[Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")], OptionValue] = Field(
        default_factory=dict,
        max_length=20,
        description="The parameters of the report type; `GET /api/report-types` has each type's schema.",
        examples=[{"attach": True}],
        json_schema_extra={"x-report-types": {name: parameter_schema(name) for name in report_types()}},
    )

    def to_filters(self) -> Filters:
        return Filters(
            trials=self.trials,
            sites=self.sites,
            kinds=tuple(kind.value for kind in self.kinds),
            file_types=self.file_types,
        )


class RecipientConfig(Shape):
    type: RecipientType = Field("email", description="`user_id` and `slack_channel` mean user and slack.")
    value: Annotated[str, Field(min_length=1, max_length=2048)]

    def to_domain(self) -> Recipient:
        return Recipient.model_validate({"type": self.type, "value": self.value})


class ScheduledReportChange(Shape):
    """A scheduled report, whole."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: Line
    description: Annotated[str, Field(max_length=2000)] = ""
    report_type: Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")] = "trial_activity"
    schedule_config: Schedule
    recipients: tuple[RecipientConfig, ...] = Field(min_length=1, max_length=50)
    report_parameters: ReportParameters = ReportParameters()
    output_format: Format = Format.PDF
    catch_up: CatchUp = Field(
        CatchUp.LATEST,
        description="What was missed while nothing ran: the latest is sent, all are, or it is skipped.",
    )
    lateness_hours: LatenessHours = None


class ScheduledReportRequest(ScheduledReportChange):
    """A new scheduled report."""

    allow_duplicate: Annotated[
        bool, Field(strict=True, description="Also beside an active one that asks for the same.")
    ] = False


class PauseRequest(Shape):
    """How long a pause lasts."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"until": "2027-01-07"}]})

    until: date | None = Field(
        None, description="The first local day of the schedule on which it sends again; left out: resume it."
    )


class FirstMailConfig(Shape):
    """What a new scheduled report sends first."""

    period: str = Field(description="First date of the window it covers.")
    due_at: datetime = Field(description="UTC; at once where the window had closed before.")


class ScheduledReport(Shape):
    """A scheduled report as it stands."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "sub_5f0c2a7d9e3b41c8a6d2f014",
                    **_EXAMPLE,
                    "owner": "usr_demo",
                    "user_id": "usr_demo",
                    "organization_id": "default",
                    "created_by": "usr_demo",
                    "is_active": True,
                    "status": "active",
                    "next_run": "2026-11-23T06:00:00Z",
                    "created_at": "2026-11-20T09:30:00Z",
                    "updated_at": "2026-11-20T09:30:00Z",
                    "version": 1,
                }
            ]
        }
    )

    id: str
    name: str
    description: str
    owner: str
    user_id: str = Field(description="The same as `owner`.")
    organization_id: str
    created_by: str
    is_active: bool = Field(description="False while it is paused, and after its end.")
    status: Literal["active", "paused", "ended"]
    paused_until: date | None = Field(None, description="The local day on which a pause ends by itself.")
    report_type: str
    schedule_config: dict[str, Any]
    recipients: list[RecipientConfig]
    report_parameters: dict[str, Any]
    output_format: Format
    catch_up: CatchUp = CatchUp.LATEST
    lateness_hours: int | None = None
    next_run: datetime | None = Field(description="UTC; null while paused.")
    next_run_at: datetime | None = Field(None, description="The same as `next_run`.")
    last_run_at: datetime | None = Field(None, description="UTC; when its newest report was made.")
    first_mail: FirstMailConfig | None = Field(None, description="In the answer to a creation.")
    existing: str | None = Field(
        None,
        description="In the answer to a change: another active one of the person that asks for the same.",
    )
    created_at: datetime
    updated_at: datetime
    version: int

    @classmethod
    def of(
        cls, subscription: Subscription, next_run: datetime | None, last_run_at: datetime | None = None
    ) -> ScheduledReport:
        filters = {name: list(values) for name, values in subscription.filters.model_dump().items()}
        return cls(
            id=subscription.id,
            name=subscription.name,
            description=subscription.description,
            owner=subscription.owner,
            user_id=subscription.owner,
            organization_id=subscription.organisation,
            created_by=subscription.created_by or subscription.owner,
            is_active=subscription.status == "active",
            status=subscription.status,
            paused_until=subscription.paused_until,
            report_type=subscription.report_type,
            schedule_config=subscription.schedule.model_dump(mode="json"),
            recipients=[
                RecipientConfig(type=one.type, value=shown(one.value)) for one in subscription.recipients
            ],
            report_parameters={**filters, "options": dict(subscription.parameters)},
            output_format=subscription.format,
            catch_up=subscription.catch_up,
            lateness_hours=subscription.lateness_hours,
            next_run=next_run,
            next_run_at=next_run,
            last_run_at=last_run_at,
            created_at=subscription.created_at,
            updated_at=subscription.updated_at,
            version=subscription.version,
        )


class ScheduledReportPage(Shape):
    items: list[ScheduledReport]
    page: int
    limit: int
    total: int


_STATUS: dict[JobState, Literal["pending", "running", "completed", "failed"]] = {
    JobState.PENDING: "pending",
    JobState.PROCESSING: "running",
    JobState.RENDERED: "running",
    JobState.AWAITING_RELEASE: "running",
    JobState.DELIVERING: "running",
    JobState.COMPLETED: "completed",
    JobState.FAILED: "failed",
    JobState.SKIPPED: "failed",
}


class ExecutionOmission(Shape):
    """A part of a report that could not be made."""

    trial: str
    part: str
    reason: str


class DeliveryMetadata(Shape):
    """What the way of a delivery says of it."""

    attempts: int
    provider_id: str | None = Field(description="The provider's own id of the message.")


class ExecutionDelivery(Shape):
    """One recipient's part of an execution."""

    id: str
    report_execution_id: str
    channel: str
    recipient_type: str = Field(description="The same as `channel`.")
    recipient: str
    recipient_value: str = Field(description="The same as `recipient`.")
    status: str = Field(
        description="pending, sending, sent, delivered, bounced, failed, suppressed; unknown: no answer came."
    )
    attempts: int
    sent_at: datetime | None
    delivered_at: datetime | None
    provider_id: str | None
    error: str | None
    error_message: str | None = Field(description="The same as `error`.")
    metadata: DeliveryMetadata = Field(description="The same as `attempts` and `provider_id`.")

    @classmethod
    def of(cls, job: str, one: Arrived) -> ExecutionDelivery:
        return cls(
            **asdict(one),
            report_execution_id=job,
            recipient_type=one.channel,
            recipient_value=one.recipient,
            error_message=one.error,
            metadata=DeliveryMetadata(attempts=one.attempts, provider_id=one.provider_id),
        )


class ExecutionMetadata(Shape):
    """What the report was made of."""

    rows_generated: int | None = Field(description="Rows of its tables, where the format has them.")
    filters_applied: dict[str, list[str]] = Field(
        description="Trials, sites, kinds and file types asked for; what is not named is not limited."
    )
    audience: str | None = None


class Execution(Shape):
    """One due occurrence of a scheduled report."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "job_0d5a3c1e7b9f42a6c8e01357",
                    "scheduled_report_id": "sub_5f0c2a7d9e3b41c8a6d2f014",
                    "report": "rep_0a1b2c3d4e5f60718293",
                    "state": "completed",
                    "status": "completed",
                    "period": "2026-11-16",
                    "occurrence": "2026-11-23",
                    "on_demand": False,
                    "due_at": "2026-11-23T06:00:00Z",
                    "created_at": "2026-11-23T00:06:12Z",
                    "completed_at": "2026-11-23T06:00:04Z",
                    "attempts": 1,
                    "error": None,
                    "generation_status": "completed",
                    "delivery_status": "delivered",
                    "started_at": "2026-11-23T00:07:30Z",
                    "expected_by": None,
                    "execution_time_ms": 740,
                    "file_size": 48213,
                    "format": "pdf",
                    "retry_count": 0,
                    "error_message": None,
                    "file_url": "https://reports.example.org/api/report-executions/job_0d5a3c1e7b9f42a6c8e01357/download",
                    "metadata": {
                        "rows_generated": None,
                        "filters_applied": {"trials": ["CDISCPILOT01"]},
                        "audience": "monitor",
                    },
                    "created_by": "schedule",
                    "omissions": [],
                    "deliveries": [],
                    "download_url": "https://reports.example.org/api/report-executions/job_0d5a3c1e7b9f42a6c8e01357/download",
                }
            ]
        }
    )

    id: str
    scheduled_report_id: str
    report: str | None = Field(None, description="Id of the report, as `GET /api/trace/{report}` takes it.")
    state: str
    status: Literal["pending", "running", "completed", "failed"] = Field(
        description="`state` in four words: running while it is made or sent; what was skipped has failed."
    )
    period: str
    occurrence: str
    on_demand: bool
    due_at: datetime
    created_at: datetime
    completed_at: datetime | None
    attempts: int = Field(description="Times its making was begun.")
    error: str | None
    download_url: str | None = Field(
        description="As soon as the report stands, whatever became of its recipients."
    )
    generation_status: Generation
    delivery_status: DeliverySummary
    started_at: datetime | None = None
    expected_by: datetime | None = Field(
        None,
        description="While it is waited for: by when nine in ten of the subscription's last ones had been "
        "sent. It may have passed. Null when nothing was sent yet to learn from.",
    )
    execution_time_ms: int | None = None
    file_size: int | None = Field(None, description="Bytes.")
    rows: int | None = Field(None, description="Of a table, where the format has one.")
    format: str | None = None
    audience: str | None = None
    retry_count: int = Field(0, description="Times its making failed.")
    error_message: str | None = Field(None, description="The same as `error`.")
    file_url: str | None = Field(None, description="The same as `download_url`.")
    metadata: ExecutionMetadata
    created_by: str = Field(description="Who asked for it: a user, or `schedule`.")
    follows: str | None = Field(None, description="The execution with omissions that this one makes whole.")
    supersedes: str | None = Field(
        None,
        description="SHA-256 of the file that was sent and whose place this one's took.",
    )
    superseded_by: str | None = Field(
        None, description="SHA-256 of the file that took the place of this one's, its data changed."
    )
    omissions: list[ExecutionOmission] = Field(default_factory=list)
    deliveries: list[ExecutionDelivery] = Field(default_factory=list)

    @classmethod
    def of(cls, job: JobRecord, download_url: str | None, history: JobHistory) -> Execution:
        url = download_url if history.generation is Generation.COMPLETED else None
        return cls(
            id=job["_id"],
            scheduled_report_id=job["subscription"],
            report=job.get("report") or None,
            state=job["state"],
            status=_STATUS[JobState(job["state"])],
            period=job["period"],
            occurrence=str(job["occurrence"]),
            on_demand=bool(job.get("on_demand", False)),
            due_at=job["due_at"],
            created_at=job["created_at"],
            completed_at=job.get("completed_at"),
            attempts=history.attempts,
            error=job.get("error") or None,
            download_url=url,
            file_url=url,
            metadata=ExecutionMetadata(
                rows_generated=history.rows,
                filters_applied={name: list(values) for name, values in history.filters.items()},
                audience=history.audience,
            ),
            generation_status=history.generation,
            delivery_status=history.delivery,
            started_at=history.started_at,
            expected_by=history.expected_by,
            execution_time_ms=history.execution_time_ms,
            file_size=history.file_size,
            rows=history.rows,
            format=history.format,
            audience=history.audience,
            retry_count=history.retry_count,
            error_message=job.get("error") or None,
            created_by=history.created_by,
            follows=job.get("follows"),
            supersedes=history.supersedes,
            superseded_by=history.superseded_by,
            omissions=[ExecutionOmission.model_validate(dict(one)) for one in history.omissions],
            deliveries=[ExecutionDelivery.of(job["_id"], one) for one in history.deliveries],
        )


class ExecutionPage(Shape):
    items: list[Execution]
    page: int
    limit: int
    total: int


class RunRequest(Shape):
    """Which period to run. Without one: the newest that is over."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"period": "2026-11-09"}]})

    period: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] | None = Field(
        None, description="First local date of an older period, as executions name it."
    )


class PreviewRequest(Shape):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"schedule_config": _EXAMPLE["schedule_config"]}]}
    )

    schedule_config: Schedule
    catch_up: CatchUp = CatchUp.LATEST
    lateness_hours: LatenessHours = None


class PreviewedOccurrence(Shape):
    """One of the next occurrences, in local time and in UTC."""

    local_date: date = Field(description="The date it belongs to, before any move.")
    local: datetime = Field(description="Local time with its offset.")
    utc: datetime
    moved: bool = Field(description="True when a clock change, a short month or a day off moved it.")
    clock_change: bool = Field(description="True when the UTC offset differs from the occurrence before.")
    note: str = Field(description="Why it was moved, for a reader.")
    caught_up: bool = Field(
        description="Whether it would be sent if nothing ran until two hours after the last of these."
    )
    catch_up_note: str = Field(description="Why it would not be, for a reader.")

    @classmethod
    def of(
        cls, occurrence: Occurrence, local: datetime, clock_change: bool, missed: Planned
    ) -> PreviewedOccurrence:
        return cls(
            local_date=occurrence.local_date,
            local=local,
            utc=occurrence.due_at,
            moved=bool(occurrence.note),
            clock_change=clock_change,
            note=occurrence.note,
            caught_up=not missed.skipped,
            catch_up_note=missed.skipped,
        )


class Preview(Shape):
    """The next five occurrences: exactly those that will be executed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "timezone": "Europe/Zurich",
                    "window": "weekly",
                    "occurrences": [
                        {
                            "local_date": "2026-11-23",
                            "local": "2026-11-23T07:00:00+01:00",
                            "utc": "2026-11-23T06:00:00Z",
                            "moved": False,
                            "clock_change": False,
                            "note": "",
                            "caught_up": True,
                            "catch_up_note": "",
                        }
                    ],
                }
            ]
        }
    )

    timezone: str
    window: Literal["daily", "weekly", "monthly"]
    occurrences: list[PreviewedOccurrence]
    first_mail: FirstMailConfig | None = Field(
        None, description="What a report that is scheduled now would send first; null when nothing closed."
    )
