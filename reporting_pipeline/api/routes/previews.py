"""A report before it is subscribed to, as a file."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from reporting_pipeline.api.deps import Caller, Deployment, may
from reporting_pipeline.api.models.base import WRITE
from reporting_pipeline.api.models.scheduled import ScheduledReportRequest
from reporting_pipeline.api.routes.scheduled_reports import draft_of
from reporting_pipeline.domain.access import Action, ResourceKind
from reporting_pipeline.usecases.callers.previewing import preview_draft
from reporting_pipeline.usecases.callers.problems import Problem
from reporting_pipeline.usecases.callers.subscribing import SNAKE
from reporting_pipeline.usecases.preview import NothingToShow

router = APIRouter(prefix="/api", tags=["scheduled reports"])


Preliminary = Annotated[bool, Query(description="Of the period that is still open, as it stands now.")]


class FileResponse(Response):
    media_type = "application/octet-stream"


@router.post(
    "/reports/preview",
    response_class=FileResponse,
    responses={
        200: {
            "description": "The report, in the format that was asked for.",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        },
        **WRITE,
    },
    dependencies=[may(Action.CREATE, ResourceKind.SUBSCRIPTION)],
)
def preview_a_report(
    body: ScheduledReportRequest, caller: Caller, deployment: Deployment, preliminary: Preliminary = False
) -> Response:
    """What this would have given for the newest closed period, for the caller alone; nothing is kept.

    It counts as a run of now. 409 where no data of that period has been prepared yet. With `preliminary` it
    is the period that is still open, as it stands now, marked so in the file and its name; 409 where that is
    more than can be read at once.
    """
    deployment.limits.run_now(caller.id)
    draft = draft_of(body)
    try:
        report = preview_draft(deployment, caller, draft, draft.format, SNAKE, preliminary=preliminary).report
    except NothingToShow as nothing:
        raise Problem("conflict", str(nothing)) from None
    name = f'attachment; filename="{report.file_name}"'
    return Response(report.content, media_type=report.content_type, headers={"Content-Disposition": name})
