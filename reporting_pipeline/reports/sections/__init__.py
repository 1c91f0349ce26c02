"""The parts a report is composed of; a report type chooses among them and orders them."""

from reporting_pipeline.reports.sections.assessed import (
    EVENT_COLUMNS,
    RESULT_COLUMNS,
    adverse_event_listing,
    event_row,
    out_of_range,
    result_row,
    site_activity,
)
from reporting_pipeline.reports.sections.caps import CAPS
from reporting_pipeline.reports.sections.closing import appendix, filter_rows, omission_text
from reporting_pipeline.reports.sections.overview import (
    chart_block,
    safety_charts,
    tiles,
    trial_title,
    what_happened,
)
from reporting_pipeline.reports.sections.records import conduct, recorded
from reporting_pipeline.reports.sections.sources import notes, pictures

__all__ = [
    "CAPS",
    "EVENT_COLUMNS",
    "RESULT_COLUMNS",
    "adverse_event_listing",
    "appendix",
    "chart_block",
    "conduct",
    "event_row",
    "filter_rows",
    "notes",
    "omission_text",
    "out_of_range",
    "pictures",
    "recorded",
    "result_row",
    "safety_charts",
    "site_activity",
    "tiles",
    "trial_title",
    "what_happened",
]
