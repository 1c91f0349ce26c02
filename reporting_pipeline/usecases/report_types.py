"""Which reports can be asked for: the renderer's own registry, for whoever takes or shows a choice."""

from __future__ import annotations

from collections.abc import Mapping

from reporting_pipeline.reports.types import REPORT_TYPES
from reporting_pipeline.reports.types.base import ReportType


def report_types() -> Mapping[str, ReportType]:
    """Every report type by its name, in the order in which they are offered."""
    return REPORT_TYPES
