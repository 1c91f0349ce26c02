"""A site about itself, beside the median of the trial. No other site is named or can be worked out."""

from __future__ import annotations

from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.figures import Figure
from reporting_pipeline.reports import sections, so_far, status_tables
from reporting_pipeline.reports.types.base import ReportType

REPORT_TYPE = ReportType(
    name="site_report",
    title="site report",
    description="A site about itself, beside the median of the trial, without naming others.",
    tiles=(
        Figure.DOCUMENTS,
        Figure.SUBJECTS,
        Figure.VISITS,
        Figure.VISITS_MISSED,
        Figure.ADVERSE_EVENTS,
        Figure.SERIOUS_ADVERSE_EVENTS,
        Figure.OUT_OF_RANGE,
        Figure.DEVIATIONS,
    ),
    sections=(
        sections.trial_title,
        so_far.own_site,
        sections.what_happened,
        sections.adverse_event_listing,
        sections.out_of_range,
        sections.conduct,
    ),
    audiences=(Audience.SITE, Audience.MONITOR),
    needs_status=True,
    more_tables=status_tables.of_site_report,
)
