"""The safety of the subjects alone: adverse events and laboratory results out of range."""

from __future__ import annotations

from reporting_pipeline.domain.figures import Figure
from reporting_pipeline.reports import sections
from reporting_pipeline.reports.types.base import ReportType

REPORT_TYPE = ReportType(
    name="safety_summary",
    title="safety summary",
    description="Adverse events and laboratory results out of range, without the rest.",
    tiles=(
        Figure.ADVERSE_EVENTS,
        Figure.SERIOUS_ADVERSE_EVENTS,
        Figure.SUBJECTS_WITH_ADVERSE_EVENTS,
        Figure.DISPOSITIONS,
        Figure.LAB_RESULTS_ASSESSED,
        Figure.ABNORMAL_LABS,
        Figure.ABNORMAL_LAB_SHARE,
        Figure.SUBJECTS,
    ),
    sections=(
        sections.trial_title,
        sections.what_happened,
        sections.safety_charts,
        sections.adverse_event_listing,
        sections.abnormal_labs,
    ),
)
