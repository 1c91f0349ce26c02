"""Scheduled reports: the same subscriptions, managed, with executions and downloads (snake_case)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response
from fastapi.responses import RedirectResponse

from reporting_pipeline.api.deps import Caller, Deployment, ExpectedVersion, etag, may
from reporting_pipeline.api.models.base import CHANGE, READ, VERSIONED, WRITE, located
from reporting_pipeline.api.models.scheduled import (
    Execution,
    ExecutionPage,
    FirstMailConfig,
    PauseRequest,
    Preview,
    PreviewedOccurrence,
    PreviewRequest,
    RunRequest,
    ScheduledReport,
    ScheduledReportChange,
    ScheduledReportPage,
    ScheduledReportRequest,
)
from reporting_pipeline.api.models.subscriptions import Status
from reporting_pipeline.api.pagination import Limit, Page
from reporting_pipeline.api.routes.subscriptions import JobId, SubscriptionId, report_url
from reporting_pipeline.domain.access import Action, Resource, ResourceKind, User
from reporting_pipeline.domain.schedules import next_occurrences, window_of
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.stores import audit, jobs, lifecycle
from reporting_pipeline.usecases import subscriptions as usecase
from reporting_pipeline.usecases.callers import subscribing
from reporting_pipeline.usecases.callers.context import Context, require, scoped
from reporting_pipeline.usecases.callers.executions import histories
from reporting_pipeline.usecases.callers.problems import Problem
from reporting_pipeline.usecases.callers.reports import find_job, readable_report, report_file_url
from reporting_pipeline.usecases.callers.subscribing import SNAKE

router = APIRouter(prefix="/api", tags=["scheduled reports"])

PREVIEWED = 5


@router.post(
    "/scheduled-reports",
    status_code=201,
    responses={**located(201, versioned=True), **WRITE},
    dependencies=[may(Action.CREATE, ResourceKind.SUBSCRIPTION)],
)
def create_scheduled_report(
    body: ScheduledReportRequest, caller: Caller, deployment: Deployment, response: Response
) -> ScheduledReport:
    """Schedule a report for several recipients; the caller owns it."""
    stored = subscribing.create(deployment, caller, caller, draft_of(body), SNAKE)
    response.headers["Location"] = f"/api/scheduled-reports/{stored.id}"
    answer = _answer(deployment, stored, response)
    return answer.model_copy(update={"first_mail": _first_mail(deployment, stored)})


@router.get("/scheduled-reports", responses=READ, dependencies=[may(Action.READ, ResourceKind.SUBSCRIPTION)])
def list_scheduled_reports(
    caller: Caller,
    deployment: Deployment,
    page: Page = 1,
    limit: Limit = 50,
    status: Annotated[Status | None, Query()] = None,
) -> ScheduledReportPage:
    """One's own; analysts and managers see their organisation's."""
    mine = scoped(deployment, caller)
    found = mine.subscriptions(status=status, skip=(page - 1) * limit, limit=limit)
    total = mine.count_subscriptions(status=status)
    last = jobs.last_rendered(deployment.database, [one.id for one in found])
    items = [
        ScheduledReport.of(one, subscribing.next_run(deployment, one), last.get(one.id)) for one in found
    ]
    return ScheduledReportPage(items=items, page=page, limit=limit, total=total)


@router.post(
    "/scheduled-reports/preview", responses=WRITE, dependencies=[may(Action.READ, ResourceKind.SUBSCRIPTION)]
)
def preview_schedule(body: PreviewRequest, deployment: Deployment) -> Preview:
    """The next five occurrences, local and UTC, and what catch-up would do: by the functions that plan."""
    schedule, now = body.schedule_config, deployment.now
    draft = Subscription(
        id="draft",
        organisation="",
        owner="",
        name="draft",
        schedule=schedule,
        catch_up=body.catch_up,
        lateness_hours=body.lateness_hours,
        created_at=now,
        updated_at=now,
    )
    zone = ZoneInfo(schedule.timezone)
    found = []
    offset = now.astimezone(zone).utcoffset()
    coming = next_occurrences(schedule, now, PREVIEWED)
    missed = usecase.missed(draft, coming, now, deployment.settings.timezone)
    for occurrence, if_missed in zip(coming, missed, strict=True):
        local = occurrence.due_at.astimezone(zone)
        found.append(PreviewedOccurrence.of(occurrence, local, local.utcoffset() != offset, if_missed))
        offset = local.utcoffset()
    return Preview(
        timezone=schedule.timezone,
        window=window_of(schedule).value,
        occurrences=found,
        first_mail=_first_mail(deployment, draft),
    )


@router.get(
    "/scheduled-reports/{report_id}",
    responses={**VERSIONED, **READ},
    dependencies=[may(Action.READ, ResourceKind.SUBSCRIPTION)],
)
def get_scheduled_report(
    report_id: SubscriptionId, caller: Caller, deployment: Deployment, response: Response
) -> ScheduledReport:
    """One scheduled report. Its ETag goes into If-Match of a change."""
    return _answer(deployment, subscribing.find(deployment, caller, report_id), response)


@router.put(
    "/scheduled-reports/{report_id}",
    responses={**VERSIONED, **CHANGE},
    dependencies=[may(Action.CHANGE, ResourceKind.SUBSCRIPTION)],
)
def replace_scheduled_report(
    report_id: SubscriptionId,
    body: ScheduledReportChange,
    caller: Caller,
    deployment: Deployment,
    expected: ExpectedVersion,
    response: Response,
) -> ScheduledReport:
    """Replace it whole. Send If-Match, so that nobody else's change is overwritten."""
    draft = draft_of(body)

    def changes_of(current: Subscription) -> Mapping[str, Any]:
        return {
            "name": draft.name,
            "description": draft.description,
            "report_type": draft.report_type,
            "schedule": draft.schedule,
            "filters": draft.filters,
            "recipients": draft.recipients,
            "format": draft.format,
            "catch_up": draft.catch_up,
            "lateness_hours": draft.lateness_hours,
            "parameters": draft.parameters,
        }

    changed = subscribing.change(deployment, caller, report_id, expected, changes_of, SNAKE)
    return _changed(deployment, changed, response)


@router.delete(
    "/scheduled-reports/{report_id}",
    status_code=204,
    responses=CHANGE,
    dependencies=[may(Action.DELETE, ResourceKind.SUBSCRIPTION)],
)
def delete_scheduled_report(
    report_id: SubscriptionId, caller: Caller, deployment: Deployment, expected: ExpectedVersion
) -> None:
    """End it, and remove what is scheduled."""
    subscribing.end(deployment, caller, report_id, expected)


@router.post(
    "/scheduled-reports/{report_id}/pause",
    responses={**VERSIONED, **CHANGE},
    dependencies=[may(Action.CHANGE, ResourceKind.SUBSCRIPTION)],
)
def pause_scheduled_report(
    report_id: SubscriptionId,
    caller: Caller,
    deployment: Deployment,
    expected: ExpectedVersion,
    response: Response,
    body: PauseRequest | None = None,
) -> ScheduledReport:
    """Nothing is sent until it is resumed; with `until`, it goes on by itself on that day."""
    until = body.until if body else None
    changed = subscribing.set_status(deployment, caller, report_id, "paused", expected, until)
    return _answer(deployment, changed, response)


@router.post(
    "/scheduled-reports/{report_id}/resume",
    responses={**VERSIONED, **CHANGE},
    dependencies=[may(Action.CHANGE, ResourceKind.SUBSCRIPTION)],
)
def resume_scheduled_report(
    report_id: SubscriptionId,
    caller: Caller,
    deployment: Deployment,
    expected: ExpectedVersion,
    response: Response,
) -> ScheduledReport:
    """Send again, from the next occurrence on."""
    changed = subscribing.set_status(deployment, caller, report_id, "active", expected)
    return _changed(deployment, changed, response)


@router.post(
    "/scheduled-reports/{report_id}/run",
    status_code=202,
    responses={**located(202), **WRITE},
    dependencies=[may(Action.RUN, ResourceKind.SUBSCRIPTION)],
)
def run_scheduled_report(
    report_id: SubscriptionId,
    caller: Caller,
    deployment: Deployment,
    response: Response,
    body: RunRequest | None = None,
) -> Execution:
    """Run now, ahead of the batch, the newest closed period or an older one; 409 while a job is running."""
    return _run(deployment, caller, report_id, body.period if body else None, response)


@router.post(
    "/report-executions/{job_id}/replay",
    status_code=202,
    responses={**located(202), **WRITE},
    dependencies=[may(Action.RUN, ResourceKind.SUBSCRIPTION)],
)
def replay_execution(job_id: JobId, caller: Caller, deployment: Deployment, response: Response) -> Execution:
    """Make and send the report of an execution's period once more, by today's data, filters and rights."""
    job = find_job(deployment, caller, job_id)
    return _run(deployment, caller, job["subscription"], job["period"], response)


@router.post(
    "/jobs/{job_id}/cancel",
    responses=WRITE,
    dependencies=[may(Action.RUN, ResourceKind.SUBSCRIPTION)],
)
def cancel_job(job_id: JobId, caller: Caller, deployment: Deployment) -> Execution:
    """Stop a job that waits or is being made, for good; 409 once it is being sent."""
    job = find_job(deployment, caller, job_id)
    resource = Resource(ResourceKind.SUBSCRIPTION, job["organisation"], owner=job.get("owner"))
    require(caller, Action.RUN, resource, "job")
    try:
        job = usecase.cancel_job(deployment.database, job, caller.id, deployment.now)
    except lifecycle.JobUnderWay as error:
        raise Problem(
            "conflict", f"{str(error).capitalize()}; only what is not sent yet can be stopped."
        ) from None
    (history,) = histories(deployment, caller, [job])
    return Execution.of(job, report_url(deployment, job), history)


def _run(
    deployment: Context, caller: User, report_id: str, period: str | None, response: Response
) -> Execution:
    job = subscribing.run_now(deployment, caller, report_id, period)
    response.headers["Location"] = f"/api/jobs/{job['_id']}"
    (history,) = histories(deployment, caller, [job])
    return Execution.of(job, report_url(deployment, job), history)


@router.get(
    "/scheduled-reports/{report_id}/executions",
    responses=READ,
    dependencies=[may(Action.READ, ResourceKind.JOB)],
)
def list_executions(
    report_id: SubscriptionId, caller: Caller, deployment: Deployment, page: Page = 1, limit: Limit = 50
) -> ExecutionPage:
    """Its executions, the newest due first; also of one that has ended."""
    subscribing.find(deployment, caller, report_id, also_ended=True)
    mine = scoped(deployment, caller)
    found = mine.jobs_of(report_id, skip=(page - 1) * limit, limit=limit)
    total = mine.count_jobs_of(report_id)
    items = [
        Execution.of(job, report_url(deployment, job), history)
        for job, history in zip(found, histories(deployment, caller, found), strict=True)
    ]
    return ExecutionPage(items=items, page=page, limit=limit, total=total)


@router.get("/report-executions/{job_id}", responses=READ, dependencies=[may(Action.READ, ResourceKind.JOB)])
def get_execution(job_id: JobId, caller: Caller, deployment: Deployment) -> Execution:
    """One execution, as the list tells it."""
    job = find_job(deployment, caller, job_id)
    (history,) = histories(deployment, caller, [job])
    return Execution.of(job, report_url(deployment, job), history)


@router.get(
    "/report-executions/{job_id}/download",
    status_code=307,
    response_class=RedirectResponse,
    responses={
        307: {
            "description": "To the report, for one minute.",
            "headers": {"Location": {"schema": {"type": "string"}}},
        },
        **READ,
    },
    dependencies=[may(Action.READ, ResourceKind.REPORT)],
)
def download_report(job_id: JobId, caller: Caller, deployment: Deployment) -> Response:
    """The report of an execution: a redirect to a URL that is good for one minute."""
    report = readable_report(deployment, caller, find_job(deployment, caller, job_id))
    audit.record(
        deployment.database,
        "report.downloaded",
        caller.id,
        report.id,
        deployment.now,
        organisation=report.organisation,
        details={"job": job_id},
    )
    return RedirectResponse(report_file_url(deployment, report), 307)


def draft_of(body: ScheduledReportChange) -> subscribing.Draft:
    """What a body asks for."""
    return subscribing.Draft(
        name=body.name,
        description=body.description,
        report_type=body.report_type,
        schedule=body.schedule_config,
        filters=body.report_parameters.to_filters(),
        recipients=tuple(one.to_domain() for one in body.recipients),
        format=body.output_format,
        parameters=dict(body.report_parameters.options),
        catch_up=body.catch_up,
        lateness_hours=body.lateness_hours,
        allow_duplicate=isinstance(body, ScheduledReportRequest) and body.allow_duplicate,
    )


def _answer(deployment: Context, subscription: Subscription, response: Response) -> ScheduledReport:
    response.headers["ETag"] = etag(subscription.version)
    last = jobs.last_rendered(deployment.database, [subscription.id]).get(subscription.id)
    return ScheduledReport.of(subscription, subscribing.next_run(deployment, subscription), last)


def _changed(deployment: Context, subscription: Subscription, response: Response) -> ScheduledReport:
    existing = subscribing.another_like(deployment, subscription)
    return _answer(deployment, subscription, response).model_copy(update={"existing": existing})


def _first_mail(deployment: Context, subscription: Subscription) -> FirstMailConfig | None:
    first = usecase.first_mail(subscription, deployment.now, deployment.settings.timezone)
    return None if first is None else FirstMailConfig(period=first.period.key, due_at=first.due_at)
