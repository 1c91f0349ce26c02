"""CSV and its relatives: comma, semicolon, tab or bar, read by the csv module."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

from reporting_pipeline.intake.content import Notes, UnreadableFile, text_of
from reporting_pipeline.intake.sdtm.formats.cells import (
    MOST_COLUMNS,
    Read,
    frame_of,
    one_of_each,
    told_rows,
)

_SEPARATORS = ",;\t|"
_SEPARATOR_TOLD = re.compile(r'"?sep=([,;|\t])"?\r?\n', re.IGNORECASE)
_LONGEST_CELL = 10_000_000
_MISSING = "."  # how SAS writes a number that is not there
_MOST_OPEN = 20  # quotation marks that nothing closes, of one file
_MOST_ABOVE = 20  # lines of a title
#: Identifiers of SDTM, and what a row of labels says in their place (SDTMIG 3.4, 2.2.4).
_LABELS = {
    "STUDYID": "STUDY IDENTIFIER",
    "DOMAIN": "DOMAIN ABBREVIATION",
    "RDOMAIN": "RELATED DOMAIN ABBREVIATION",
    "USUBJID": "UNIQUE SUBJECT IDENTIFIER",
    "SUBJID": "SUBJECT IDENTIFIER FOR THE STUDY",
}
_FEW = 3  # columns: in so narrow a table a row may hold one value alone


@dataclass(frozen=True)
class _Row:
    line: int  # the last one, of a row over several
    cells: list[str]
    is_open: bool = False  # a quotation mark in it is never closed


def read(content: bytes, name: str) -> list[Read]:
    """The table of the file called `name`. Raises UnreadableFile."""
    text, notes = text_of(content)
    separator = None
    if match := _SEPARATOR_TOLD.match(text):
        separator = match[1]
        text = text[match.end() :]
    lines = list(StringIO(text, newline=""))
    told = int(separator is not None)  # lines before these
    header = _header(lines, notes)
    separator = separator or max(_SEPARATORS, key="".join(lines[header : header + 1]).count)
    csv.field_size_limit(_LONGEST_CELL)
    try:
        columns, rows = _table(_rows(lines[header:], separator, told + header), notes)
    except csv.Error as error:
        raise UnreadableFile(f"{name}: {error}") from None
    if not any(columns):
        raise UnreadableFile(f"{name}: has no header line")
    columns, rows = one_of_each(columns, rows, notes)
    return [Read("", frame_of(columns, rows), tuple(notes))]


def _header(lines: Sequence[str], notes: Notes) -> int:
    """The place of the header: after empty lines and comments (#). A line that begins with # and has as many
    separators as the next one is the header itself."""
    comments = 0
    for place, line in enumerate(lines):
        if not line.strip(_SEPARATORS + ' "\r\n'):
            continue
        following = lines[place + 1] if place + 1 < len(lines) else ""
        separators = [(line.count(one), following.count(one)) for one in _SEPARATORS]
        if not line.lstrip().startswith("#") or any(here and here == next_ for here, next_ in separators):
            break
        comments += 1
    else:
        return 0
    if comments:
        notes.append(("comment", f"{comments} comments (#) before the header were left out"))
    if title := _lines_of_a_title(lines[place : place + _MOST_ABOVE + 1]):
        notes.append(("title", f"{title} lines above the header, as of a title, were left out"))
    return place + title


def _lines_of_a_title(lines: Sequence[str]) -> int:
    """How many lines stand above one that names identifiers of SDTM as a header does; 0 where none does."""
    for place, line in enumerate(lines):
        named = {cell.strip(' "\r\n').upper() for cell in re.split(f"[{_SEPARATORS}]", line)}
        if len(named & _LABELS.keys()) > 1:
            return place
    return 0


def _table(found: Iterator[_Row], notes: Notes) -> tuple[list[str], list[Any]]:
    """(columns, rows), each row with a cell for each column; what is odd is told. Raises csv.Error."""
    columns = [column.strip() for column in next(found, _Row(0, [])).cells]
    if len(columns) > MOST_COLUMNS:
        raise csv.Error(f"has {len(columns):,} columns; a table has {MOST_COLUMNS:,} at most")
    left_out: list[str] = []
    short: list[str] = []
    rows: list[Any] = []
    names = [column.upper() for column in columns]
    for row in found:
        counted = f"line {row.line} has {len(row.cells)} cells, the header {len(columns)} columns"
        if row.is_open:
            left_out.append(f"line {row.line} has a quotation mark that nothing closes")
        elif any(row.cells[len(columns) :]):
            left_out.append(counted)
        elif why := _no_record(row.cells, names):
            left_out.append(f"line {row.line} {why}")
        elif any(row.cells):
            if len(row.cells) < len(columns):
                short.append(counted)
            cells = [*row.cells[: len(columns)], *[""] * (len(columns) - len(row.cells))]
            rows.append(["" if cell.strip() == _MISSING else cell for cell in cells])
    notes += told_rows(left_out)
    notes += told_rows(short, "short_row", "what is missing was read as empty")
    return columns, rows


def _no_record(cells: Sequence[str], names: Sequence[str]) -> str:
    """Why a row is no record but a header, labels, a title or a total between them; "" for a record.

    `names`: the columns, in capitals.
    """
    said = [" ".join(cell.split()).upper() for cell in cells]
    by_name = dict(zip(names, said, strict=False))
    if said == names:
        return "is the header once more"
    if any(by_name.get(name) == label for name, label in _LABELS.items()):
        return "has the labels of the columns"
    if len(names) > _FEW and sum(map(bool, said)) == 1:
        return "has one cell alone, as a title or a total has"
    if {"DOMAIN", "USUBJID"} <= by_name.keys() and any(said):
        named = (by_name.get(name) for name in ("DOMAIN", "USUBJID", "SUBJID"))
        return "" if any(named) else "names neither domain nor subject, as a total does"
    return ""


def _rows(lines: Sequence[str], separator: str, before: int) -> Iterator[_Row]:
    """Every row of `lines`, which stand after `before` others. Raises csv.Error with the line.

    A quotation mark that nothing closes swallows all that follows: its line alone is left out, and the
    reading goes on after it.
    """
    first, opened = 0, 0
    while first < len(lines):
        begin = first
        reader = csv.reader(lines[begin:], delimiter=separator)
        try:
            for cells in reader:
                after = begin + reader.line_num
                if after == len(lines) and opened < _MOST_OPEN and _is_open(lines[first:], separator):
                    opened += 1
                    yield _Row(before + first + 1, [], is_open=True)
                    first += 1
                    break
                yield _Row(before + after, cells)
                first = after
        except csv.Error as error:
            raise csv.Error(f"line {before + begin + reader.line_num}: {error}") from None


def _is_open(lines: Sequence[str], separator: str) -> bool:
    """Whether the row that `lines` are ends within a quotation mark."""
    try:
        list(csv.reader(lines, delimiter=separator, strict=True))
    except csv.Error as error:
        return "unexpected end of data" in str(error)
    return False
