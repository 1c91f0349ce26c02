"""Rows of tables, drawn once: the same cells in the same columns are the same operators anywhere.

The filter sets of one trial show the same adverse events and results again and again, and every report
ends with the same definitions. A row is drawn with its left upper corner at (0, 0); `layout` places it.
Lengths are points.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from reporting_pipeline.reports.blocks import Cell, Column, Flag, Pair
from reporting_pipeline.reports.palette import ACCENT, ALARM, HAIR, INK, MUTED, TINT
from reporting_pipeline.reports.pdf.surface import Surface
from reporting_pipeline.reports.pdf.typesetting import width_of, wrap, wrap_name

TEXT, HEADER, UNDER = 7.5, 7.0, 7.0  # font sizes
_LEADING = 9.2
_PADDING = 3.0  # left and right of a cell
#: What begins and ends a sequence or an artifact; the sequences of texts (ActualText) stay.
_MARKS = re.compile(r"^(?:/T[HD]<</MCID %d>>BDC|/Artifact BMC|EMC)$\n?", re.MULTILINE)
#: A row takes some two kilobytes.
_ROWS_KEPT = 8_000


@dataclass(frozen=True)
class Strip:
    """A drawn row: `surface` reaches from 0 down to -`height`.

    `content`: its operators, with %d for the number of each cell's marked-content sequence.
    """

    surface: Surface
    height: float
    cells: int
    content: str

    def marked(self, first: int) -> str:
        """The operators, with the cells' sequences numbered from `first`."""
        return self.content % tuple(range(first, first + self.cells))

    def unmarked(self) -> str:
        """The operators without sequences, for what is drawn again and not read again."""
        return _MARKS.sub("", self.content)


@dataclass(frozen=True)
class _Line:
    """One line of text of a cell."""

    text: str
    under: bool = False


@lru_cache(maxsize=256)
def header(columns: tuple[Column, ...], width: float) -> Strip:
    """The row of titles."""
    grid = _grid(columns, width)
    titles = [
        wrap(column.title, place.inner, HEADER, True, 2) for column, place in zip(columns, grid, strict=True)
    ]
    height = 9 * max(map(len, titles)) + 6
    surface = Surface()
    with surface.artifact():
        surface.rectangle(0, -height, width, height, fill=TINT)
        surface.line(0, -height, width, -height, ACCENT, 0.8)
    for column, place, lines in zip(columns, grid, titles, strict=True):
        _begin_cell(surface, "TH")
        for number, line in enumerate(lines):
            y = -10 - 9 * number
            surface.text(place.anchor(column), y, line, HEADER, ACCENT, bold=True, align=column.align)
        surface.operators.append("EMC")
    return _strip(surface, height, len(columns))


@lru_cache(maxsize=_ROWS_KEPT)
def row(columns: tuple[Column, ...], cells: tuple[Cell, ...], width: float) -> Strip:
    """One row with the hairline under it."""
    surface = Surface()
    most = 1
    for column, place, cell in zip(columns, _grid(columns, width), cells, strict=True):
        _begin_cell(surface, "TD")
        if isinstance(cell, Flag):
            most = max(most, _draw_flag(surface, cell, place, column.align))
            surface.operators.append("EMC")
            continue
        lines = _lines(cell, place.inner, column)
        most = max(most, len(lines))
        for number, line in enumerate(lines):
            surface.text(
                place.anchor(column),
                -9.6 - _LEADING * number,
                line.text,
                UNDER if line.under else TEXT,
                MUTED if line.under else INK,
                bold=column.bold and not line.under,
                align=column.align,
            )
        surface.operators.append("EMC")
    height = _LEADING * most + 4.6
    with surface.artifact():
        surface.line(0, -height, width, -height, HAIR, 0.5)
    return _strip(surface, height, len(columns))


def _begin_cell(surface: Surface, role: str) -> None:
    """Operators hold no percent sign of their own: texts are hexadecimal."""
    surface.operators.append(f"/{role}<</MCID %d>>BDC")


def _strip(surface: Surface, height: float, cells: int) -> Strip:
    return Strip(Surface(glyphs=surface.glyphs), height, cells, surface.content())


def _lines(cell: str | Pair, width: float, column: Column) -> list[_Line]:
    text = cell.text if isinstance(cell, Pair) else cell
    wrapped = wrap_name if column.names else wrap
    lines = [_Line(line) for line in wrapped(text, width, TEXT, column.bold, column.lines)]
    if isinstance(cell, Pair):
        lines += [
            _Line(line, under=True) for line in wrapped(cell.under, width, UNDER, False, column.lines_under)
        ]
    return lines


def _draw_flag(surface: Surface, flag: Flag, place: _Place, align: str) -> int:
    """Draw it whole, wrapped where it is too long for a line. Returns its lines."""
    y = -9.6
    offset = 9 if flag.direction else 0
    words = wrap(flag.text, place.inner - offset, TEXT, True, 3)
    under = wrap(flag.under, place.inner - offset, UNDER, False, 2) if flag.under else []
    x = place.x + _PADDING
    if align == "right":
        widths = [width_of(line, TEXT, True) for line in words] + [width_of(line, UNDER) for line in under]
        x += place.inner - offset - max(widths)
    if flag.direction:
        base, tip = (y, y + 5) if flag.direction == "up" else (y + 5, y)
        surface.polygon([(x, base), (x + 6, base), (x + 3, tip)], ALARM)
    for number, line in enumerate(words):
        surface.text(x + offset, y - _LEADING * number, line, TEXT, ALARM, bold=True)
    for number, line in enumerate(under, len(words)):
        surface.text(x + offset, y - _LEADING * number, line, UNDER, MUTED)
    return len(words) + len(under)


@dataclass(frozen=True)
class _Place:
    """Where a column stands."""

    x: float
    width: float

    @property
    def inner(self) -> float:
        return self.width - 2 * _PADDING

    def anchor(self, column: Column) -> float:
        return self.x + self.width - _PADDING if column.align == "right" else self.x + _PADDING


@lru_cache(maxsize=256)
def _grid(columns: tuple[Column, ...], width: float) -> Sequence[_Place]:
    whole = sum(column.share for column in columns)
    x, grid = 0.0, []
    for column in columns:
        grid.append(_Place(x, width * column.share / whole))
        x += grid[-1].width
    return grid
