"""For a physician: the safety of the trial so far, and whom to look at first."""

from __future__ import annotations

from pydantic import Field

from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.figures import Figure
from reporting_pipeline.domain.parameters import Parameters
from reporting_pipeline.reports import profiles, sections, so_far, status_tables
from reporting_pipeline.reports.types.base import ReportType


class ReviewParameters(Parameters):
    """How much of a medical review is about single persons."""

    profiles: int = Field(
        5, ge=0, le=30, description="Subjects to look at first that get a page of their own, by trial."
    )


REPORT_TYPE = ReportType(
    name="medical_review",
    title="medical review",
    description="Hy's law plot, shifts, events with denominators, outliers, and whom to look at first.",
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
        profiles.look_first,
    ),
    parameters=ReviewParameters,
    audiences=(Audience.MONITOR, Audience.SPONSOR, Audience.SAFETY_BOARD),
    needs_status=True,
    more_tables=status_tables.of_medical_review,
)
