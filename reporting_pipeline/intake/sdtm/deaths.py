"""Deaths that DM alone tells: its record stands on its collection date, often long before the death.

SDTM says of DM when its subject was screened, not when DTHFL was filled in. Where no other table tells of the
death, it stands on its own day as a document of its own, so that the period in which it was counts it. Where
DM gives no day, no later period can. Both are told.
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


def deaths_of_dm_alone(tables: Mapping[str, Sequence[Table]], understanding: Understanding) -> list[Row]:
    """The rows of DM that alone tell of a death on another day than their own, where they say which.

    All of them are told, those without a day, too; beyond MOST_TOLD they are counted.
    """
    told_elsewhere = {subject_of(row) for row in _rows_that_tell(tables)}
    found = [
        row
        for row in _rows(tables, "DM")
        if _has_died(row) and subject_of(row) not in told_elsewhere and not _is_of_its_day(row)
    ]
    for row in found[:MOST_TOLD]:
        day = text(row.get("DTHDTC")) if _has_day(row) else "a day that is not given"
        became = (
            "the death counts on its own day, too"
            if _has_day(row)
            else "no report of another period counts the death"
        )
        detail = (
            f"DM alone says that {subject_of(row)} died, on {day}. Its record stands on its collection date "
            f"({DOMAINS['DM'].when(row) or 'none'}); {became}."
        )
        understanding.finding(f"DM/{subject_of(row)}", "death_in_dm_alone", "DTHFL", detail)
    if (more := len(found) - MOST_TOLD) > 0:
        understanding.finding("DM", "death_in_dm_alone", "DTHFL", f"And {more:,} more.")
    return [row for row in found if _has_day(row)]


def called_dead(tables: Mapping[str, Sequence[Table]]) -> set[str]:
    """The subjects of whose death a table tells in a place that is read."""
    by_dm = (row for row in _rows(tables, "DM") if _has_died(row))
    return {subject_of(row) for rows in (_rows_that_tell(tables), by_dm) for row in rows}


def _has_day(row: Row) -> bool:
    return last_possible_day(text(row.get("DTHDTC"))) is not None


def _has_died(row: Row) -> bool:
    return codes.read_flag(row.get("DTHFL")) == codes.YES or _has_day(row)


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
        by_grade = codes.read_grade(row.get("AETOXGR")) == codes.FATAL
        by_term = codes.is_not_stated(text(row.get("AEOUT"))) and _is_a_death(row, "AE")
        if by_outcome or by_criterion or by_grade or by_term:
            yield row
    for code in _OTHER_EVENTS:
        for row in _rows(tables, code):
            if codes.is_fatal_outcome(text(row.get(f"{code}OUT"))) or _is_a_death(row, code):
                yield row
    for row in _rows(tables, "SS"):
        if codes.is_death(text(row.get("SSSTRESC")) or text(row.get("SSORRES")), ""):
            yield row


_OTHER_EVENTS = ("CE", "DE", "HO")


def _is_a_death(row: Row, code: str) -> bool:
    return any(codes.is_a_death(text(row.get(code + name))) for name in ("TERM", "DECOD"))


def _rows(tables: Mapping[str, Sequence[Table]], name: str) -> Iterator[Row]:
    for table in tables.get(name, ()):
        yield from table.rows()
