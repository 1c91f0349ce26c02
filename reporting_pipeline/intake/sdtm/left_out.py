"""Deaths that only what is left out tells of: comments (CO), tables and columns that have no place.

A comment "patient died at home" is shown in no report, for nobody can say who may read it. That it stands
there is told, without its words, of whomever nothing else calls dead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import polars as pl

from reporting_pipeline.domain.clinical import codes
from reporting_pipeline.intake.sdtm.columns import text
from reporting_pipeline.intake.sdtm.tables import Row, Table
from reporting_pipeline.intake.sdtm.trial import subject_of
from reporting_pipeline.intake.understanding import Understanding

_SENTENCES = re.compile(r"[.!?;\n]+")
_Found = dict[tuple[str, str], str]  # (subject, where) -> the table's file


def tell_deaths_left_out(
    tables: Mapping[str, Sequence[Table]],
    has_place: Callable[[str, str], bool],
    known: set[str],
    understanding: Understanding,
    most: int,
) -> None:
    """Tell whose death is named where nothing is read, beyond `most` their number.

    `has_place`: whether a column (or qualifier) of a table is read; `known`: who is called dead elsewhere.
    """
    found: _Found = {}
    for name, table in ((name, table) for name, some in tables.items() for table in some):
        for row, where in _rows_of_death(name, table, has_place):
            if subject_of(row) not in known:
                found.setdefault((subject_of(row), where), table.source)
    for (subject, where), source in list(found.items())[:most]:
        detail = (
            f"{where} of {subject or 'nobody'} names a death, and nothing that is read does; it is in no "
            "count. Its words are not shown."
        )
        understanding.finding(source, "death_left_out", where, detail)
    if (more := len(found) - most) > 0:
        understanding.finding("", "death_left_out", "", f"And {more:,} more.")


def _rows_of_death(
    name: str, table: Table, has_place: Callable[[str, str], bool]
) -> Iterator[tuple[Row, str]]:
    """Rows with words that say that their subject died, and where these stand."""
    if not {"USUBJID", "SUBJID"} & set(table.columns):
        return  # of the protocol, as a criterion that asks for deaths
    if {"QNAM", "QVAL"} <= set(table.columns):
        domain = name.removeprefix("SUPP")
        for row in _naming(table, "QVAL"):
            qualifier = text(row.get("QNAM")).upper()
            if not has_place(domain, qualifier):
                yield row, f"{name}.{qualifier}"
        return
    for column in table.columns:
        if not has_place(name, column):
            for row in _naming(table, column):
                yield row, f"{name}.{column}"


def _naming(table: Table, column: str) -> Iterator[Row]:
    if table.frame[column].dtype != pl.String:
        return
    deaths = [one for one in table.frame[column].drop_nulls().unique() if _says_a_death(one)]
    if deaths:
        yield from table.frame.filter(pl.col(column).is_in(deaths)).iter_rows(named=True)


def _says_a_death(said: str) -> bool:
    return any(map(codes.may_say_subject_died, _SENTENCES.split(said)))
