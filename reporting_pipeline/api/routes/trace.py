"""From a printed figure to the documents behind it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from reporting_pipeline.api.deps import Caller, Deployment, may, scoped
from reporting_pipeline.api.errors import Problem, not_found
from reporting_pipeline.api.models.base import READ, problems
from reporting_pipeline.api.models.registry import Trace, TracedTrial
from reporting_pipeline.domain.access import Action, Kind
from reporting_pipeline.domain.figures import Figure
from reporting_pipeline.usecases.trace import DatasetGone, trace_figure

router = APIRouter(prefix="/api/trace", tags=["documents"])

ReportId = Annotated[str, Path(pattern=r"^rep_[0-9a-f]{20}$", examples=["rep_0a1b2c3d4e5f60718293"])]


@router.get(
    "/{report_id}/{figure}", responses={**READ, **problems(410)}, dependencies=[may(Action.READ, Kind.REPORT)]
)
def trace(
    report_id: ReportId,
    figure: Annotated[Figure, Path(examples=["adverse_events"])],
    caller: Caller,
    deployment: Deployment,
) -> Trace:
    """The documents that a figure of a report was counted from, as far as the caller may read them.

    Counted again from the very datasets of the report; the ids are those of `GET /api/documents/{id}`.
    """
    handle = scoped(deployment, caller)
    report = handle.report(report_id)
    if report is None:
        raise not_found("report")
    subscription = handle.subscription(report.subscription)
    if subscription is None:
        raise not_found("report")
    try:
        found = [
            TracedTrial(
                trial=one.trial, dataset_version=one.version, value=one.value, documents=one.documents
            )
            for one in trace_figure(
                deployment.objects,
                report,
                figure,
                subscription.filters,
                deployment.settings.timezone,
                lambda trial, ids: handle.readable(ids),
            )
        ]
    except DatasetGone as error:
        raise Problem("gone", f"{error}.") from None
    return Trace(
        report=report.id,
        figure=figure.value,
        label=figure.label,
        definition=figure.definition,
        trials=found,
    )
