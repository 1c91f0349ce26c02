"""From a printed figure to the documents behind it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from reporting_pipeline.api.deps import Caller, Deployment, may
from reporting_pipeline.api.models.base import READ, problems
from reporting_pipeline.api.models.trace import ChangedFigure, Rendering, Restatement, Trace, TracedTrial
from reporting_pipeline.domain.access import Action, ResourceKind
from reporting_pipeline.domain.figures import Figure
from reporting_pipeline.usecases.callers.context import scoped
from reporting_pipeline.usecases.callers.problems import Problem, not_found
from reporting_pipeline.usecases.callers.tracing import traced
from reporting_pipeline.usecases.restatement import figure_changes
from reporting_pipeline.usecases.trace import DatasetGone, filters_of

router = APIRouter(prefix="/api/trace", tags=["documents"])

ReportId = Annotated[str, Path(pattern=r"^rep_[0-9a-f]{20}$", examples=["rep_0a1b2c3d4e5f60718293"])]


@router.get(
    "/{report_id}/{figure}",
    responses={**READ, **problems(410)},
    dependencies=[may(Action.READ, ResourceKind.REPORT)],
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
    found = traced(deployment, caller, report_id, figure)
    return Trace(
        report=found.report.id,
        figure=figure.value,
        label=figure.label,
        definition=figure.definition,
        trials=[
            TracedTrial(
                trial=one.trial, dataset_version=one.version, value=one.value, documents=one.documents
            )
            for one in found.trials
        ],
    )


@router.get(
    "/{report_id}", responses={**READ, **problems(410)}, dependencies=[may(Action.READ, ResourceKind.REPORT)]
)
def restatement(
    report_id: ReportId,
    caller: Caller,
    deployment: Deployment,
    since: Annotated[
        str | None,
        Query(pattern=r"^[0-9a-f]{64}$", description="The SHA-256 of the file that somebody has."),
    ] = None,
) -> Restatement:
    """Whether the report was made again since, and which of its figures changed.

    Compared are the rendering that stands and the one that was sent as `since`, else the one before it.
    Documents that came late, were corrected or withdrawn change the figures of a closed period.
    """
    handle = scoped(deployment, caller)
    report = handle.report(report_id)
    subscription = handle.subscription(report.subscription) if report else None
    if report is None or subscription is None:
        raise not_found("report")
    went = [one for one in report.superseded if not one.get("awaiting_release")]
    named = [one for one in went if since in (None, one["sha256"])]
    if not named and since not in (None, report.sha256):
        raise not_found("rendering")
    before = named[-1] if named else None
    try:
        changes = (
            list(
                figure_changes(
                    deployment.objects,
                    report,
                    before,
                    filters_of(report, subscription.filters),
                    deployment.settings.timezone,
                    handle.readable,
                    lambda trial: handle.open_whole(trial, report),
                )
            )
            if before
            else []
        )
    except DatasetGone as error:
        raise Problem("gone", f"{error}.") from None
    return Restatement(
        report=report.id,
        sha256=report.sha256,
        rendered_at=report.rendered_at,
        superseded=[Rendering(sha256=one["sha256"], rendered_at=one["rendered_at"]) for one in went],
        compared_with=before["sha256"] if before else None,
        changes=[
            ChangedFigure(
                trial=one.trial,
                figure=one.figure.value,
                label=one.figure.label,
                before=one.before,
                after=one.after,
                documents_added=list(one.added),
                documents_gone=list(one.gone),
            )
            for one in changes
        ],
    )
