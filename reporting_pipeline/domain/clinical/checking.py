"""The check of a payload when it arrives: the same reading that makes the rows of a report later."""

from __future__ import annotations

from datetime import date

from reporting_pipeline.domain.clinical.findings import Finding
from reporting_pipeline.domain.clinical.reading import Reading, shown
from reporting_pipeline.domain.clinical.rows import rows_of
from reporting_pipeline.domain.documents import Kind


def check_payload(kind: str, data: object, arrived: date | None = None) -> list[Finding]:
    """What is odd about the payload `data` of a document of `kind`; [] when nothing is.

    Never raises, whatever `data` holds. A finding keeps no document out: what could not be read is left
    out of the report and told there, with the same code and field. `arrived` is the local day of arrival;
    without it nothing is told to lie in the future.
    """
    reading = Reading(arrived)
    if kind not in set(Kind):
        reading.finding("unknown_kind", "kind", f"{shown(kind)} is no kind of document.")
    rows_of(str(kind), data, reading)
    return reading.findings
