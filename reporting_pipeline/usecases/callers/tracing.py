"""The documents behind a figure of a report, for whoever asks: by the API, or from the console and a PDF.

The rights are asked here, when a figure is opened: a PDF that was passed on opens nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from reporting_pipeline.domain.access import User
from reporting_pipeline.domain.figures import Figure
from reporting_pipeline.stores.reports import StoredReport
from reporting_pipeline.usecases.callers.context import Context, scoped
from reporting_pipeline.usecases.callers.problems import Problem, not_found
from reporting_pipeline.usecases.trace import DatasetGone, TrialTrace, filters_of, trace_figure


@dataclass(frozen=True)
class Traced:
    report: StoredReport
    figure: Figure
    trials: list[TrialTrace]


def traced(parts: Context, user: User, report_id: str, figure: Figure) -> Traced:
    """The figure, trial by trial, with the documents that the caller may read. Raises Problem: 404, 410."""
    handle = scoped(parts, user)
    report = handle.report(report_id)
    subscription = handle.subscription(report.subscription) if report else None
    if report is None or subscription is None:
        raise not_found("report")
    try:
        found = list(
            trace_figure(
                parts.objects,
                report,
                figure,
                filters_of(report, subscription.filters),
                parts.settings.timezone,
                lambda trial, ids: handle.readable(ids),
            )
        )
    except DatasetGone as error:
        raise Problem("gone", f"{error}.") from None
    return Traced(report, figure, found)
