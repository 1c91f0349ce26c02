"""Everything that happened in the trials: arrivals, safety, laboratory, sites, notes and images."""

from __future__ import annotations

from reporting_pipeline.domain.figures import Figure
from reporting_pipeline.reports import sections
from reporting_pipeline.reports.types.base import ReportType

REPORT_TYPE = ReportType(
    name="trial_activity",
    title="trial activity",
    description="Arrivals, safety, results out of range, visits, sites, conduct, notes and images.",
    tiles=(
        Figure.DOCUMENTS,
        Figure.SUBJECTS,
        Figure.SITES,
        Figure.DEATHS,
        Figure.ADVERSE_EVENTS,
        Figure.SERIOUS_ADVERSE_EVENTS,
        Figure.UNKNOWN_SERIOUSNESS,
        Figure.SUBJECTS_WITH_ADVERSE_EVENTS,
        Figure.OUT_OF_RANGE,
        Figure.ABNORMAL_LABS,
        Figure.ABNORMAL_LAB_SHARE,
        Figure.VISITS,
        Figure.DISPOSITIONS,
        Figure.DISCONTINUATIONS,
        Figure.FILES_MISSING,
        Figure.FILES_CORRUPT,
    ),
    sections=(
        sections.trial_title,
        sections.what_happened,
        sections.chart_block,
        sections.adverse_event_listing,
        sections.out_of_range,
        sections.site_activity,
        sections.conduct,
        sections.recorded,
        sections.notes,
        sections.pictures,
    ),
)
