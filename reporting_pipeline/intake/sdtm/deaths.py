"""Deaths that DM alone tells: its record stands on its collection date, often long before the death.

SDTM says of DM when its subject was screened, not when DTHFL was filled in. Where no other table tells of the
death, no report of the period in which it was counts it; so it is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from reporting_pipeline.domain.clinical import codes
from reporting_pipeline.intake.dates import last_possible_day
from reporting_pipeline.intake.sdtm.columns import text
from reporting_pipeline.intake.sdtm.domains import DOMAINS
from reporting_pipeline.intake.sdtm.supplements import MOST_TOLD
from reporting_pipeline.intake.sdtm.tables import Row, Table
from reporting_pipeline.intake.sdtm.trial import subject_of
from reporting_pipeline.intake.understanding import Understanding


def tell_deaths_of_dm_alone(tables: Mapping[str, Sequence[Table]], understanding: Understanding) -> None:
    """Tell who died by DM alone, in a record of another day; beyond MOST_TOLD they are counted."""
    told_elsewhere = {subject_of(row) for row in _rows_that_tell(tables)}
    found = [
        row
        for row in _rows(tables, "DM")
        if _has_died(row) and subject_of(row) not in told_elsewhere and not _is_of_its_day(row)
    ]
    for row in found[:MOST_TOLD]:
        day = text(row.get("DTHDTC")) or "a day that is not given"
        detail = (
            f"DM alone says that {subject_of(row)} died, on {day}. Its record stands on its collection date "
            f"({DOMAINS['DM'].when(row) or 'none'}); no report of another period counts the death."
        )
        understanding.finding(f"DM/{subject_of(row)}", "death_in_dm_alone", "DTHFL", detail)
    if (more := len(found) - MOST_TOLD) > 0:
        understanding.finding("DM", "death_in_dm_alone", "DTHFL", f"And {more:,} more.")


def _has_died(row: Row) -> bool:
    day = text(row.get("DTHDTC"))
    return codes.read_flag(row.get("DTHFL")) == codes.YES or last_possible_day(day) is not None


def _is_of_its_day(row: Row) -> bool:
    """Whether the record was collected when its subject died, or later."""
    died, collected = (last_possible_day(one) for one in (text(row.get("DTHDTC")), DOMAINS["DM"].when(row)))
    return died is not None and collected is not None and died <= collected


def _rows_that_tell(tables: Mapping[str, Sequence[Table]]) -> Iterator[Row]:
    yield from _rows(tables, "DD")
    for row in _rows(tables, "DS"):
        if codes.is_death(text(row.get("DSDECOD")), text(row.get("DSTERM"))):
            yield row
    for row in _rows(tables, "AE"):
        by_outcome = codes.is_fatal_outcome(text(row.get("AEOUT")))
        by_criterion = codes.read_flag(row.get("AESDTH")) == codes.YES
        if by_outcome or by_criterion or codes.read_grade(row.get("AETOXGR")) == codes.FATAL:
            yield row
    for row in _rows(tables, "SS"):
        if codes.is_death(text(row.get("SSSTRESC")) or text(row.get("SSORRES")), ""):
            yield row


def _rows(tables: Mapping[str, Sequence[Table]], name: str) -> Iterator[Row]:
    for table in tables.get(name, ()):
        yield from table.rows()
