"""How the trial is run: enrolment, disposition, visits, deviations, and indicators by site."""

from __future__ import annotations

from pydantic import Field

from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.figures import Figure
from reporting_pipeline.domain.parameters import Parameters
from reporting_pipeline.reports import sections, so_far, status_tables
from reporting_pipeline.reports.types.base import ReportType


class ConductParameters(Parameters):
    """What the enrolment is held against."""

    target: int | None = Field(None, ge=1, le=1_000_000, description="Subjects to be enrolled in a trial.")


REPORT_TYPE = ReportType(
    name="trial_conduct",
    title="trial conduct",
    description="Enrolment against target, disposition, visits, deviations and risk indicators by site.",
    tiles=(
        Figure.DOCUMENTS,
        Figure.SUBJECTS,
        Figure.SITES,
        Figure.VISITS,
        Figure.VISITS_MISSED,
        Figure.DISPOSITIONS,
        Figure.DISCONTINUATIONS,
        Figure.DEVIATIONS,
    ),
    sections=(
        sections.trial_title,
        so_far.denominators,
        so_far.enrolment,
        sections.conduct,
        so_far.open_questions,
        so_far.indicators,
        sections.site_activity,
    ),
    parameters=ConductParameters,
    audiences=(Audience.MONITOR, Audience.SPONSOR, Audience.SAFETY_BOARD),
    needs_status=True,
    more_tables=status_tables.of_trial_conduct,
)
