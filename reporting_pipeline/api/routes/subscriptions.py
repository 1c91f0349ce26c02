"""Self-service subscriptions and their jobs (camelCase)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import ValidationError

from reporting_pipeline.api.deps import Caller, Deployment, ExpectedVersion, etag, may
from reporting_pipeline.api.models.base import CHANGE, READ, VERSIONED, WRITE, located
from reporting_pipeline.api.models.subscriptions import (
    DATE_RANGES,
    FiltersShape,
    FirstMail,
    JobAnswer,
    JobPage,
    ReportType,
    Status,
    SubscriptionAnswer,
    SubscriptionPage,
    SubscriptionPatch,
    SubscriptionRequest,
    default_schedule,
    fitting_schedule,
)
from reporting_pipeline.api.pagination import Cursor, Limit
from reporting_pipeline.domain.access import Action, ResourceKind, reach_of
from reporting_pipeline.domain.jobs import JobRecord
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Filters, Recipient, Subscription
from reporting_pipeline.usecases import subscriptions as usecase
from reporting_pipeline.usecases.callers import subscribing
from reporting_pipeline.usecases.callers.context import Context, scoped
from reporting_pipeline.usecases.callers.executions import histories
from reporting_pipeline.usecases.callers.problems import invalid
from reporting_pipeline.usecases.callers.reports import find_job
from reporting_pipeline.usecases.callers.shapes.base import Identifier
from reporting_pipeline.usecases.callers.subscribing import CAMEL

router = APIRouter(prefix="/api", tags=["subscriptions"])

SubscriptionId = Annotated[
    str, Path(pattern=r"^sub_[0-9A-Za-z_-]{1,60}$", examples=["sub_5f0c2a7d9e3b41c8a6d2f014"])
]
JobId = Annotated[str, Path(pattern=r"^job_[0-9A-Za-z_-]{1,60}$", examples=["job_0d5a3c1e7b9f42a6c8e01357"])]


@router.post(
    "/subscriptions",
    status_code=201,
    responses={**located(201, versioned=True), **WRITE},
    dependencies=[may(Action.CREATE, ResourceKind.SUBSCRIPTION)],
)
def create_subscription(
    body: SubscriptionRequest, caller: Caller, deployment: Deployment, response: Response
) -> SubscriptionAnswer:
    """Subscribe. With no schedule: weekly, Monday 07:00 in the user's timezone, to their own address."""
    owner = subscribing.owner_of(deployment, caller, body.user_id, Action.CREATE, CAMEL)
    given = body.schedule.to_domain() if body.schedule else default_schedule(body.report_type, owner.timezone)
    recipients = tuple(one.to_domain() for one in body.recipients)
    draft = subscribing.Draft(
        name=body.name or f"{body.report_type.capitalize()} trial activity",
        schedule=_fitting(given, body.report_type),
        filters=_filters(body.filters, body.report_type),
        recipients=recipients or (Recipient(type="user", value=owner.id),),
        format=body.format,
        catch_up=body.catch_up,
        lateness_hours=body.lateness_hours,
        allow_duplicate=body.allow_duplicate,
    )
    stored = subscribing.create(deployment, caller, owner, draft, CAMEL)
    response.headers["Location"] = f"/api/subscriptions/{stored.id}"
    answer = _answer(deployment, stored, response)
    first = usecase.first_mail(stored, deployment.now, deployment.settings.timezone)
    if first is None:
        return answer
    return answer.model_copy(update={"first_mail": FirstMail(period=first.period.key, due_at=first.due_at)})


@router.get("/subscriptions", responses=READ, dependencies=[may(Action.READ, ResourceKind.SUBSCRIPTION)])
def list_subscriptions(
    caller: Caller,
    deployment: Deployment,
    user_id: Annotated[Identifier | None, Query(alias="userId")] = None,
    status: Status | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> SubscriptionPage:
    """One's own subscriptions; analysts and managers see their organisation's."""
    owner = user_id
    if reach_of(caller, Action.READ, ResourceKind.SUBSCRIPTION) == "own":
        if user_id not in (None, caller.id):
            return SubscriptionPage(items=[])
        owner = caller.id
    scope = f"subscriptions:{caller.organisation}:{owner}:{status}"
    after = deployment.cursors.read(scope, cursor)
    found = scoped(deployment, caller).subscriptions(
        owner=owner,
        status=status,
        after=after[0] if after else None,
        limit=limit + 1,
    )
    page = found[:limit]
    return SubscriptionPage(
        items=[SubscriptionAnswer.of(one, subscribing.next_run(deployment, one)) for one in page],
        next_cursor=deployment.cursors.write(scope, [page[-1].id]) if len(found) > limit else None,
    )


@router.get(
    "/subscriptions/{subscription_id}",
    responses={**VERSIONED, **READ},
    dependencies=[may(Action.READ, ResourceKind.SUBSCRIPTION)],
)
def get_subscription(
    subscription_id: SubscriptionId, caller: Caller, deployment: Deployment, response: Response
) -> SubscriptionAnswer:
    """One subscription. Its ETag goes into If-Match of a change."""
    return _answer(deployment, subscribing.find(deployment, caller, subscription_id), response)


@router.patch(
    "/subscriptions/{subscription_id}",
    responses={**VERSIONED, **CHANGE},
    dependencies=[may(Action.CHANGE, ResourceKind.SUBSCRIPTION)],
)
def change_subscription(
    subscription_id: SubscriptionId,
    body: SubscriptionPatch,
    caller: Caller,
    deployment: Deployment,
    expected: ExpectedVersion,
    response: Response,
) -> SubscriptionAnswer:
    """Change any subset of the preferences; members of `filters` and `schedule` are merged."""

    def changes_of(current: Subscription) -> Mapping[str, Any]:
        return _changes(body, current)

    changed = subscribing.change(deployment, caller, subscription_id, expected, changes_of, CAMEL)
    existing = subscribing.another_like(deployment, changed)
    return _answer(deployment, changed, response).model_copy(update={"existing": existing})


@router.post(
    "/subscriptions/{subscription_id}/confirm",
    responses={**VERSIONED, **CHANGE},
    dependencies=[may(Action.CHANGE, ResourceKind.SUBSCRIPTION)],
)
def confirm_subscription(
    subscription_id: SubscriptionId, caller: Caller, deployment: Deployment, response: Response
) -> SubscriptionAnswer:
    """Say that it is still needed, whether somebody asked or not; `confirmBy` is null afterwards."""
    return _answer(deployment, subscribing.confirm(deployment, caller, subscription_id), response)


@router.delete(
    "/subscriptions/{subscription_id}",
    status_code=204,
    responses=CHANGE,
    dependencies=[may(Action.DELETE, ResourceKind.SUBSCRIPTION)],
)
def delete_subscription(
    subscription_id: SubscriptionId, caller: Caller, deployment: Deployment, expected: ExpectedVersion
) -> None:
    """Unsubscribe, and remove what is scheduled."""
    subscribing.end(deployment, caller, subscription_id, expected)


@router.get(
    "/subscriptions/{subscription_id}/jobs", responses=READ, dependencies=[may(Action.READ, ResourceKind.JOB)]
)
def list_subscription_jobs(
    subscription_id: SubscriptionId,
    caller: Caller,
    deployment: Deployment,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> JobPage:
    """Recent jobs, the newest due first; also of a subscription that has ended."""
    subscribing.find(deployment, caller, subscription_id, also_ended=True)
    scope = f"jobs:{subscription_id}"
    after = deployment.cursors.read(scope, cursor)
    found = scoped(deployment, caller).jobs_of(
        subscription_id,
        after=(datetime.fromisoformat(after[0]), after[1]) if after else None,
        limit=limit + 1,
    )
    page = found[:limit]
    last = (page[-1]["due_at"].isoformat(), page[-1]["_id"]) if len(found) > limit else None
    return JobPage(
        items=[
            JobAnswer.of(job, report_url(deployment, job), history)
            for job, history in zip(page, histories(deployment, caller, page), strict=True)
        ],
        next_cursor=deployment.cursors.write(scope, last) if last else None,
    )


@router.get("/jobs/{job_id}", responses=READ, dependencies=[may(Action.READ, ResourceKind.JOB)])
def get_job(job_id: JobId, caller: Caller, deployment: Deployment) -> JobAnswer:
    """One job. `reportUrl` as soon as its report stands."""
    job = find_job(deployment, caller, job_id)
    (history,) = histories(deployment, caller, [job])
    return JobAnswer.of(job, report_url(deployment, job), history)


def report_url(deployment: Context, job: JobRecord) -> str | None:
    """Where the job's report is downloaded; None while there is none."""
    if not job.get("rendered_at"):
        return None
    return f"{deployment.settings.public_url.rstrip('/')}/api/report-executions/{job['_id']}/download"


def _answer(deployment: Context, subscription: Subscription, response: Response) -> SubscriptionAnswer:
    response.headers["ETag"] = etag(subscription.version)
    return SubscriptionAnswer.of(subscription, subscribing.next_run(deployment, subscription))


def _fitting(schedule: Schedule, report_type: ReportType) -> Schedule:
    try:
        return fitting_schedule(schedule, report_type)
    except ValueError as error:
        raise invalid("#/schedule/cadence", str(error)) from None


def _filters(given: FiltersShape, report_type: ReportType) -> Filters:
    expected = DATE_RANGES[Cadence(report_type)]
    if given.date_range not in (None, expected):
        raise invalid("#/filters/dateRange", f"a {report_type} report covers {expected}")
    return given.to_domain()


def _changes(body: SubscriptionPatch, current: Subscription) -> Mapping[str, Any]:
    """The fields of the domain model that the patch sets, worked out against what stands."""
    given = body.model_fields_set
    changes: dict[str, Any] = {
        name: getattr(body, name)
        for name in ("name", "format", "status", "paused_until", "catch_up", "lateness_hours")
        if name in given
    }
    report_type: ReportType = body.report_type if "report_type" in given else current.window.value
    if "filters" in given:
        kept = {name: getattr(current.filters, name) for name in Filters.model_fields}
        fresh = _filters(body.filters, report_type)
        changes["filters"] = Filters(
            **kept | {name: getattr(fresh, name) for name in body.filters.model_fields_set & set(kept)}
        )
    if "recipients" in given:
        # An empty list means what it means at the start: the owner's own address.
        chosen = tuple(one.to_domain() for one in body.recipients)
        changes["recipients"] = chosen or (Recipient(type="user", value=current.owner),)
    if "schedule" in given or "report_type" in given:
        changes["schedule"] = _merged_schedule(body, current, report_type)
    return changes


def _merged_schedule(body: SubscriptionPatch, current: Subscription, report_type: ReportType) -> Schedule:
    given = body.schedule.model_dump(exclude_unset=True) if body.schedule else {}
    standing = current.schedule.model_dump()
    cadence = given.get("cadence") or (
        standing["cadence"] if report_type == current.window.value else report_type
    )
    if cadence != standing["cadence"]:
        # A day of the week means nothing to a month, and so on; the rest is kept.
        for name in ("day_of_week", "day_of_month", "cron_expression", "every_weeks", "window"):
            standing[name] = None
    try:
        merged = Schedule.model_validate({**standing, **given, "cadence": cadence})
    except ValidationError as error:
        raise subscribing.schedule_problem(error, CAMEL) from None
    return _fitting(merged, report_type)
