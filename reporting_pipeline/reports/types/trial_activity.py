"""Everything that happened in the trials: arrivals, safety, laboratory, sites, notes and images."""

from __future__ import annotations

from reporting_pipeline.domain.figures import Figure
from reporting_pipeline.reports import sections
from reporting_pipeline.reports.types.base import ReportType

REPORT_TYPE = ReportType(
    name="trial_activity",
    title="trial activity",
    description="Arrivals, adverse events, laboratory results, visits, sites, notes and images.",
    tiles=(
        Figure.DOCUMENTS,
        Figure.SUBJECTS,
        Figure.SITES,
        Figure.ADVERSE_EVENTS,
        Figure.SERIOUS_ADVERSE_EVENTS,
        Figure.SUBJECTS_WITH_ADVERSE_EVENTS,
        Figure.ABNORMAL_LABS,
        Figure.ABNORMAL_LAB_SHARE,
        Figure.VISITS,
        Figure.DISPOSITIONS,
        Figure.FILES_MISSING,
        Figure.FILES_CORRUPT,
    ),
    sections=(
        sections.trial_title,
        sections.what_happened,
        sections.chart_block,
        sections.adverse_event_listing,
        sections.abnormal_labs,
        sections.site_activity,
        sections.notes,
        sections.pictures,
    ),
)
