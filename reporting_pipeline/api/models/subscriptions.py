"""Subscriptions as their owner sees them (camelCase), and the jobs of a subscription."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from reporting_pipeline.domain.confirmation import answer_by
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.job_history import DeliverySummary, Generation, JobHistory
from reporting_pipeline.domain.jobs import JobRecord, JobState
from reporting_pipeline.domain.masked_recipients import shown
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.domain.schedules import Schedule, window_of
from reporting_pipeline.domain.subscriptions import CatchUp, Filters, Format, Recipient, Subscription
from reporting_pipeline.usecases.callers.shapes.base import CamelShape, Identifier, Line, RecipientType

ReportType = Literal["daily", "weekly", "monthly"]
DateRange = Literal["last_day", "last_week", "last_month"]
FileType = Annotated[str, Field(pattern=r"^[a-z0-9]{1,8}$")]
Status = Literal["active", "paused"]

DATE_RANGES: dict[Cadence, DateRange] = {
    Cadence.DAILY: "last_day",
    Cadence.WEEKLY: "last_week",
    Cadence.MONTHLY: "last_month",
}
_JOB_STATUS = {
    JobState.PENDING: "pending",
    JobState.PROCESSING: "processing",
    JobState.RENDERED: "processing",
    JobState.AWAITING_RELEASE: "processing",
    JobState.DELIVERING: "processing",
    JobState.COMPLETED: "completed",
    JobState.FAILED: "failed",
    JobState.SKIPPED: "failed",
}
_EXAMPLE_FILTERS: dict[str, Any] = {
    "dateRange": "last_week",
    "fileTypes": ["pdf", "jpg"],
    "trials": ["CDISCPILOT01"],
}


class FiltersShape(CamelShape):
    """What of the trials a report covers; an empty list means everything the owner may see."""

    date_range: DateRange | None = Field(None, description="Follows from reportType; must agree with it.")
    file_types: tuple[FileType, ...] = Field((), max_length=20)
    trials: tuple[Identifier, ...] = Field((), max_length=200)
    sites: tuple[Identifier, ...] = Field((), max_length=500)
    kinds: tuple[Kind, ...] = Field((), max_length=20)

    def to_domain(self) -> Filters:
        return Filters(
            trials=self.trials,
            sites=self.sites,
            kinds=tuple(kind.value for kind in self.kinds),
            file_types=self.file_types,
        )


class ScheduleShape(Schedule):
    """A schedule in camelCase; the rules are those of `domain.schedules.Schedule`."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)

    def to_domain(self) -> Schedule:
        return Schedule.model_validate(self.model_dump(by_alias=False))


class SchedulePatch(CamelShape):
    """Any subset of a schedule; checked as a whole once it is merged with what stands."""

    cadence: Literal["daily", "weekly", "monthly", "cron"] = "weekly"
    time: Annotated[str, Field(max_length=5)] = "07:00"
    timezone: Annotated[str, Field(max_length=64)] = "UTC"
    day_of_week: Annotated[int, Field(ge=1, le=7, strict=True)] | None = None
    day_of_month: Annotated[int, Field(ge=1, le=31, strict=True)] | None = None
    cron_expression: Annotated[str, Field(max_length=100)] | None = None
    every_weeks: Annotated[int, Field(ge=1, le=52, strict=True)] | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    window: Literal["day", "week", "month"] | None = None
    holidays: Annotated[str, Field(max_length=20)] | None = None
    business_days: Literal["none", "skip", "next", "previous"] = "none"


class RecipientShape(CamelShape):
    type: RecipientType = Field("email", description="`user_id` and `slack_channel` mean user and slack.")
    value: Annotated[str, Field(min_length=1, max_length=2048)]

    def to_domain(self) -> Recipient:
        return Recipient.model_validate({"type": self.type, "value": self.value})


class SubscriptionRequest(CamelShape):
    """A new subscription. Without a schedule: weekly, Monday 07:00 in the user's timezone."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"userId": "usr_demo", "reportType": "weekly", "filters": _EXAMPLE_FILTERS}]
        }
    )

    user_id: Identifier
    report_type: ReportType
    filters: FiltersShape = FiltersShape()
    schedule: ScheduleShape | None = None
    format: Format = Format.PDF
    recipients: tuple[RecipientShape, ...] = Field((), max_length=50)
    name: Line | None = None
    catch_up: CatchUp = Field(
        CatchUp.LATEST,
        description="What was missed while nothing ran: the latest is sent, all are, or it is skipped.",
    )
    lateness_hours: Annotated[int, Field(ge=1, le=8_760, strict=True)] | None = Field(
        None, description="What would come later than this is not sent at all."
    )
    allow_duplicate: Annotated[
        bool, Field(strict=True, description="Also beside an active one that asks for the same.")
    ] = False


class SubscriptionPatch(CamelShape):
    """Any subset of a subscription's preferences. A list replaces the list that stands."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"filters": {"trials": ["CDISCPILOT01"]}, "format": "xlsx"}]}
    )

    report_type: ReportType = Field(default="weekly")
    filters: FiltersShape = FiltersShape()
    schedule: SchedulePatch = SchedulePatch()
    format: Format = Format.PDF
    recipients: tuple[RecipientShape, ...] = Field((), max_length=50)
    name: Line = "Trial activity"
    catch_up: CatchUp = Field(
        CatchUp.LATEST,
        description="What was missed while nothing ran: the latest is sent, all are, or it is skipped.",
    )
    lateness_hours: Annotated[int, Field(ge=1, le=8_760, strict=True)] | None = Field(
        None, description="What would come later than this is not sent at all."
    )
    status: Status = "active"
    paused_until: date | None = Field(
        None, description="With `status` paused: the local day on which it sends again by itself."
    )


class FirstMail(CamelShape):
    """What a new subscription gets first."""

    period: str = Field(description="First date of the window it covers.")
    due_at: datetime = Field(description="UTC; at once where the window had closed before.")


class SubscriptionAnswer(CamelShape):
    """A subscription as it stands."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "subscriptionId": "sub_5f0c2a7d9e3b41c8a6d2f014",
                    "status": "active",
                    "userId": "usr_demo",
                    "name": "Weekly trial activity",
                    "reportType": "weekly",
                    "filters": {**_EXAMPLE_FILTERS, "sites": [], "kinds": []},
                    "schedule": {
                        "cadence": "weekly",
                        "time": "07:00",
                        "timezone": "Europe/Zurich",
                        "dayOfWeek": 1,
                        "dayOfMonth": None,
                        "cronExpression": None,
                        "window": None,
                        "holidays": None,
                        "businessDays": "none",
                    },
                    "format": "pdf",
                    "recipients": [{"type": "user", "value": "usr_demo"}],
                    "nextRun": "2026-11-23T06:00:00Z",
                    "confirmedAt": None,
                    "confirmBy": None,
                    "createdAt": "2026-11-20T09:30:00Z",
                    "updatedAt": "2026-11-20T09:30:00Z",
                    "version": 1,
                }
            ]
        }
    )

    subscription_id: str
    status: Literal["active", "paused", "ended"]
    paused_until: date | None = Field(None, description="The local day on which a pause ends by itself.")
    user_id: str
    name: str
    report_type: ReportType
    filters: FiltersShape
    schedule: dict[str, Any]
    format: Format
    recipients: list[RecipientShape]
    catch_up: CatchUp = CatchUp.LATEST
    lateness_hours: int | None = None
    next_run: datetime | None = Field(description="UTC; null while paused.")
    confirmed_at: datetime | None = Field(
        None, description="UTC; when somebody last said that it is still needed."
    )
    confirm_by: datetime | None = Field(
        None, description="UTC; by when somebody must say so, or it is paused; null while nobody asks."
    )
    created_at: datetime
    updated_at: datetime
    version: int
    first_mail: FirstMail | None = Field(None, description="In the answer to a creation.")
    existing: str | None = Field(
        None,
        description="In the answer to a change: another active one of the person that asks for the same.",
    )

    @classmethod
    def of(cls, subscription: Subscription, next_run: datetime | None) -> SubscriptionAnswer:
        window = subscription.window
        filters = subscription.filters
        schedule = ScheduleShape.model_validate(subscription.schedule.model_dump())
        return cls(
            subscription_id=subscription.id,
            status=subscription.status,
            paused_until=subscription.paused_until,
            user_id=subscription.owner,
            name=subscription.name,
            report_type=window.value,
            filters=FiltersShape.model_construct(
                date_range=DATE_RANGES[window],
                file_types=filters.file_types,
                trials=filters.trials,
                sites=filters.sites,
                kinds=tuple(Kind(kind) for kind in filters.kinds),
            ),
            schedule=schedule.model_dump(by_alias=True, mode="json"),
            format=subscription.format,
            recipients=[
                RecipientShape(type=one.type, value=shown(one.value)) for one in subscription.recipients
            ],
            catch_up=subscription.catch_up,
            lateness_hours=subscription.lateness_hours,
            next_run=next_run,
            confirmed_at=subscription.confirmed_at,
            confirm_by=answer_by(subscription),
            created_at=subscription.created_at,
            updated_at=subscription.updated_at,
            version=subscription.version,
        )


class SubscriptionPage(CamelShape):
    items: list[SubscriptionAnswer]
    next_cursor: str | None = None


class OmissionShape(CamelShape):
    """A part of a report that could not be made."""

    trial: str
    part: str = Field(description="`trial` for all of it, a table, or `table/what`.")
    reason: str


class JobDeliveryShape(CamelShape):
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


class JobAnswer(CamelShape):
    """One due occurrence of a subscription."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "jobId": "job_0d5a3c1e7b9f42a6c8e01357",
                    "subscriptionId": "sub_5f0c2a7d9e3b41c8a6d2f014",
                    "report": "rep_0a1b2c3d4e5f60718293",
                    "status": "completed",
                    "period": "2026-11-16",
                    "dueAt": "2026-11-23T06:00:00Z",
                    "createdAt": "2026-11-23T00:06:12Z",
                    "completedAt": "2026-11-23T06:00:04Z",
                    "reportUrl": "https://reports.example.org/api/report-executions/job_0d5a3c1e7b9f42a6c8e01357/download",
                    "error": None,
                    "generationStatus": "completed",
                    "deliveryStatus": "delivered",
                    "startedAt": "2026-11-23T00:07:30Z",
                    "expectedBy": None,
                    "executionTimeMs": 740,
                    "fileSize": 48213,
                    "format": "pdf",
                    "retryCount": 0,
                    "createdBy": "schedule",
                    "omissions": [],
                    "deliveries": [],
                }
            ]
        }
    )

    job_id: str
    subscription_id: str
    report: str | None = Field(None, description="Id of the report, as `GET /api/trace/{report}` takes it.")
    status: Literal["pending", "processing", "completed", "failed"]
    period: str
    due_at: datetime
    created_at: datetime
    completed_at: datetime | None
    report_url: str | None = Field(
        description="As soon as the report stands, whatever became of its recipients."
    )
    error: str | None
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
    retry_count: int = 0
    created_by: str = Field(description="Who asked for it: a user, or `schedule`.")
    omissions: list[OmissionShape] = Field(default_factory=list)
    deliveries: list[JobDeliveryShape] = Field(default_factory=list)

    @classmethod
    def of(cls, job: JobRecord, report_url: str | None, history: JobHistory) -> JobAnswer:
        status = _JOB_STATUS[JobState(job["state"])]
        return cls(
            job_id=job["_id"],
            subscription_id=job["subscription"],
            report=job.get("report") or None,
            status=status,
            period=job["period"],
            due_at=job["due_at"],
            created_at=job["created_at"],
            completed_at=job.get("completed_at"),
            report_url=report_url if history.generation is Generation.COMPLETED else None,
            error=job.get("error") or None,
            generation_status=history.generation,
            delivery_status=history.delivery,
            started_at=history.started_at,
            expected_by=history.expected_by,
            execution_time_ms=history.execution_time_ms,
            file_size=history.file_size,
            rows=history.rows,
            format=history.format,
            retry_count=history.retry_count,
            created_by=history.created_by,
            omissions=[OmissionShape.model_validate(dict(one)) for one in history.omissions],
            deliveries=[JobDeliveryShape.model_validate(asdict(one)) for one in history.deliveries],
        )


class JobPage(CamelShape):
    items: list[JobAnswer]
    next_cursor: str | None = None


def default_schedule(report_type: ReportType, timezone: str) -> Schedule:
    """07:00 local time: every day, on Monday, or on the first of the month."""
    return Schedule(cadence=report_type, timezone=timezone)


def fitting_schedule(schedule: Schedule, report_type: ReportType) -> Schedule:
    """The schedule with the window of `report_type`; ValueError where its cadence is another one."""
    window = Cadence(report_type).noun
    if schedule.cadence == "cron":
        if schedule.window not in (None, window):
            raise ValueError(f"window {schedule.window} does not fit a {report_type} report; leave it out")
        return schedule.model_copy(update={"window": window})
    if window_of(schedule).value != report_type:
        raise ValueError(f"cadence {schedule.cadence} does not fit a {report_type} report")
    return schedule
