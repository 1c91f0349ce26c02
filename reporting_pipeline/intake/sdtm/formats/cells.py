"""Cells to columns: what is a number, what is missing, which column stands twice; alike in every format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from reporting_pipeline.intake.content import Notes

MOST_COLUMNS = 10_000  # of a table; a file with more is another thing
_TOLD_ROWS = 20  # of one file that cannot be read; the rest is counted


@dataclass(frozen=True)
class Read:
    """A table as its file has it. `name`: what the file calls it, "" where the format has no names."""

    name: str
    frame: pl.DataFrame
    notes: tuple[tuple[str, str], ...] = ()  # (code, sentence) about the reading


def told_rows(
    bad: Sequence[str], code: str = "unreadable_row", became: str = "the row was left out"
) -> Notes:
    """The first of what is odd, each with what became of it, and how many more."""
    told = [(code, f"{one}; {became}") for one in bad[:_TOLD_ROWS]]
    if more := len(bad) - len(told):
        told.append((code, f"{more:,} more likewise"))
    return told


def one_of_each(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], notes: Notes
) -> tuple[list[str], list[Sequence[Any]]]:
    """Each column once: of two with one name and the same values the first, of two that differ none.

    A column without a name and without a value, as commas at the end of lines make it, is none.
    """
    places: dict[str, list[int]] = {}
    for place, name in enumerate(columns):
        places.setdefault(name.strip().upper(), []).append(place)
    if nameless := places.pop("", None):
        values = sum(row[place] not in (None, "") for row in rows for place in nameless)
        if values:
            notes.append(
                ("no_place", f"{values:,} values stand in columns without a name; they were left out")
            )
    elif len(places) == len(columns):
        return list(columns), list(rows)
    kept: list[int] = []
    for name, twins in places.items():
        if len(twins) == 1:
            kept += twins
            continue
        alike = all(len({str(row[twin]) for twin in twins}) == 1 for row in rows)
        kept += twins[:1] if alike else []
        became = "the first was read" if alike else "they differ and were left out"
        notes.append(("duplicate_column", f"has {len(twins)} columns {name}; {became}"))
    return [columns[place] for place in kept], [[row[place] for place in kept] for row in rows]


def frame_of(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> pl.DataFrame:
    """The table of `rows`, each with a value for each of `columns`."""
    by_column = zip(*rows, strict=True) if rows else ([] for _ in columns)
    return pl.DataFrame(
        {column: series_of(list(values)) for column, values in zip(columns, by_column, strict=True)}
    )


def series_of(values: list[Any]) -> pl.Series:
    """Numbers (float) when all that is there are numbers, else texts."""
    if all(map(_is_number_or_none, values)) and any(value is not None for value in values):
        return pl.Series([None if value is None or value != value else float(value) for value in values])
    return pl.Series([_text(value) for value in values], dtype=pl.String)


def _is_number_or_none(value: Any) -> bool:
    if value is None:
        return True
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) < 2**1023  # what a float can hold
    return isinstance(value, float)


def _text(value: Any) -> str | None:
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        return "Y" if value else "N"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    text = str(value).replace("\x00", "")
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text
