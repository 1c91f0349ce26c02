"""How much a list shows, and the line that says what was left out.

Every list has a cap (`CAPS`), so that a monstrous period cannot blow a report up; what a cap leaves
out is said in the report, with where to find it. Nothing is cut in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reporting_pipeline.domain.facts import Listing
from reporting_pipeline.reports import wording
from reporting_pipeline.reports.blocks import Flow

#: Rows, pictures or characters shown per trial; docs/report-types.md lists them.
CAPS: Mapping[str, int] = {
    "adverse_events": 150,
    "out_of_range": 80,
    "missed_visits": 40,
    "deviations": 60,
    "records": 30,
    "omissions": 60,
    "sites": 60,
    "notes": 20,
    "note_characters": 600,
    "pictures": 12,
    "bad_files": 60,
    "findings": 60,
}


ELSEWHERE = "the CSV and XLSX formats of this report list them all"


def first_of(listing: Listing, cap: str) -> list[dict[str, Any]]:
    return listing.records(CAPS[cap])


def note_rest(flow: Flow, total: int, cap: str, noun: str) -> None:
    """The line that says what a cap left out."""
    rest = total - CAPS[cap]
    if rest > 0:
        flow.note(f"{wording.plural(rest, f'more {noun}')} not shown here: {ELSEWHERE}.")
