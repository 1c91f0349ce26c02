"""For a physician: the safety of the trial so far, and whom to look at first."""

from __future__ import annotations

from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.figures import Figure
from reporting_pipeline.reports import sections, so_far
from reporting_pipeline.reports.types.base import ReportType

REPORT_TYPE = ReportType(
    name="medical_review",
    title="medical review",
    description="Hy's law plot, shifts, adverse events with denominators, QTc and blood pressure outliers.",
    tiles=(
        Figure.DEATHS,
        Figure.SERIOUS_ADVERSE_EVENTS,
        Figure.UNKNOWN_SERIOUSNESS,
        Figure.ADVERSE_EVENTS,
        Figure.SUBJECTS_WITH_ADVERSE_EVENTS,
        Figure.OUT_OF_RANGE,
        Figure.ABNORMAL_LABS,
        Figure.DISCONTINUATIONS,
    ),
    sections=(
        sections.trial_title,
        so_far.denominators,
        so_far.liver,
        so_far.event_dots,
        so_far.shift_table,
        so_far.qtc,
        so_far.pressures,
        sections.adverse_event_listing,
    ),
    audiences=(Audience.MONITOR, Audience.SPONSOR, Audience.SAFETY_BOARD),
    needs_status=True,
)
