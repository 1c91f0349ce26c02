"""The safety of the subjects alone: adverse events, and results of any measurement out of range."""

from __future__ import annotations

from reporting_pipeline.domain.figures import Figure
from reporting_pipeline.reports import sections
from reporting_pipeline.reports.types.base import ReportType

REPORT_TYPE = ReportType(
    name="safety_summary",
    title="safety summary",
    description="Adverse events and results out of range, without the rest.",
    tiles=(
        Figure.DEATHS,
        Figure.SERIOUS_ADVERSE_EVENTS,
        Figure.UNKNOWN_SERIOUSNESS,
        Figure.ADVERSE_EVENTS,
        Figure.SUBJECTS_WITH_ADVERSE_EVENTS,
        Figure.DISCONTINUATIONS,
        Figure.SUBJECTS,
        Figure.RESULTS_ASSESSED,
        Figure.OUT_OF_RANGE,
        Figure.LAB_RESULTS_ASSESSED,
        Figure.ABNORMAL_LABS,
        Figure.ABNORMAL_LAB_SHARE,
    ),
    sections=(
        sections.trial_title,
        sections.what_happened,
        sections.safety_charts,
        sections.adverse_event_listing,
        sections.out_of_range,
    ),
)
