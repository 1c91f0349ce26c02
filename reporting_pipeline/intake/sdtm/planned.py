"""The days that the protocol plans visits for: of a visit that was missed there is no other.

Source: SDTM Implementation Guide 3.4: VISITDY, "Planned Study Day of Visit" (SV, or TV by VISITNUM), counts
from RFSTDTC of DM, which is day 1; there is no day 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from reporting_pipeline.intake.sdtm.columns import number, text
from reporting_pipeline.intake.sdtm.tables import Row, Table
from reporting_pipeline.intake.sdtm.trial import subject_of

_DAY_LENGTH = len("2026-11-16")
_Number = float | str | None


class PlannedDays:
    """Planned dates of visits, as far as the tables of a folder say them."""

    def __init__(self, tables: Mapping[str, list[Table]]) -> None:
        self._started: dict[tuple[str, str], set[str]] = {}
        for row in (row for table in tables.get("DM", []) for row in table.rows()):
            if start := text(row.get("RFSTDTC"))[:_DAY_LENGTH]:
                self._started.setdefault((text(row.get("STUDYID")), subject_of(row)), set()).add(start)
        self._planned: dict[tuple[str, _Number], set[float]] = {}
        for row in (row for table in tables.get("TV", []) for row in table.rows()):
            if isinstance(day := number(row.get("VISITDY")), float):
                visit = (text(row.get("STUDYID")), number(row.get("VISITNUM")))
                self._planned.setdefault(visit, set()).add(day)

    def of(self, row: Row) -> str:
        """The planned date of a visit, ISO 8601; "" where start or day are not known, or are several."""
        study = text(row.get("STUDYID"))
        starts = self._started.get((study, subject_of(row)), set())
        day = number(row.get("VISITDY"))
        planned = self._planned.get((study, number(row.get("VISITNUM"))), set())
        days = {day} if isinstance(day, float) else planned
        if len(starts) != 1 or len(days) != 1:
            return ""
        try:
            return _counted(date.fromisoformat(next(iter(starts))), next(iter(days))).isoformat()
        except (ValueError, OverflowError):
            return ""


def _counted(first: date, day: float) -> date:
    """The date of a study day. Raises ValueError for day 0 and parts of days."""
    if day == 0 or not day.is_integer():
        raise ValueError(f"{day} is no study day")
    return first + timedelta(days=int(day) - 1 if day > 0 else int(day))
