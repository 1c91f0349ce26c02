"""Report types: what a report contains. One small module each; this one is their registry.

docs/report-types.md says how to write one.
"""

from __future__ import annotations

from collections.abc import Mapping

from reporting_pipeline.reports.request import ReportError
from reporting_pipeline.reports.types import (
    data_listing,
    medical_review,
    safety_summary,
    site_report,
    trial_activity,
    trial_conduct,
)
from reporting_pipeline.reports.types.base import ReportType

_MODULES = (trial_activity, safety_summary, trial_conduct, medical_review, site_report, data_listing)
REPORT_TYPES: Mapping[str, ReportType] = {one.REPORT_TYPE.name: one.REPORT_TYPE for one in _MODULES}


def report_type(name: str) -> ReportType:
    """The report type of that name. Raises ReportError that lists the known ones."""
    try:
        return REPORT_TYPES[name]
    except KeyError:
        known = ", ".join(sorted(REPORT_TYPES))
        raise ReportError(f"there is no report type {name!r}; the known ones are: {known}") from None
