"""The charts of a report: vector, in the report's own fonts.

matplotlib makes the axes (`axes`: scale, ticks, grid) and draws them onto a `Surface`; they are few and kept.
The bars are drawn onto the surface directly: an artist per bar costs matplotlib 50 to 100 ms a report.
A chart depends on its figures alone, never on a subscriber or a document, and is kept by content.
Every bar says its number, so no reading depends on colour; legends are swatches with their hatch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import pandas as pd

from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.reports.palette import (
    ABNORMAL,
    ABOVE,
    BELOW,
    INK,
    KINDS,
    MISSED,
    MUTED,
    NOT_SAID,
    OTHER_KIND,
    PLANNED,
    SEVERITY,
    UNPLANNED,
    Fill,
    rgb,
)
from reporting_pipeline.reports.pdf.surface import Surface, colour, number
from reporting_pipeline.reports.pdf.typesetting import fit, width_of, wrap_label

#: Categories drawn in one chart; the others are summed into a last row that says how many they are.
MOST_BARS = 10
#: The columns of `visits_by_site` and of `labs_outside_range` as they are called, in their order.
VISIT_STATES = ("Planned", "Unplanned", "Missed", "To come or not stated")
LAB_STATES = ("Below range", "Above range", "Abnormal", "Assessed")
NO_SITE = "No site"
_LABEL = 7.0  # as `axes.LABEL_SIZE`
#: Begins the name of the row that sums the categories beyond the cap: a number, no bar to compare with.
_OTHERS = "\x00"
_ROW = 15.0


def _hatch(outline: str, box: tuple[float, float, float, float], pattern: str, ink: str) -> str:
    """The hatch as lines clipped to the outline: looks the same in every viewer, unlike tiling patterns."""
    x0, y0, x1, y1 = box
    step, lines = 3.2, []
    span = y1 - y0
    kind = set(pattern)
    if kind & {"/", "x"}:
        lines += [(x, y0, x + span, y1) for x in _steps(x0 - span, x1, step * 1.3)]
    if kind & {"\\", "x"}:
        lines += [(x, y1, x + span, y0) for x in _steps(x0 - span, x1, step * 1.3)]
    if "-" in kind:
        lines += [(x0, y, x1, y) for y in _steps(y0, y1, step)]
    if "|" in kind:
        lines += [(x, y0, x, y1) for x in _steps(x0, x1, step)]
    if "." in kind:
        lines += [(step * (x0 // step), y, x1, y) for y in _steps(y0, y1, step)]
    if not lines:
        return ""
    width = f"1 w 1 J [0 {step}] 0 d" if "." in kind else "0.45 w"
    drawn = " ".join(f"{number(a)} {number(b)} m {number(c)} {number(d)} l" for a, b, c, d in lines)
    return f"{outline} W n {width} {colour(rgb(ink))} RG {drawn} S"


def _steps(start: float, end: float, step: float) -> list[float]:
    """Multiples of `step` in the range, so that neighbouring areas share one grid."""
    first = int(start // step)
    return [n * step for n in range(first, int(end // step) + 1)]


def _bar(surface: Surface, x: float, y: float, width: float, height: float, fill: Fill) -> None:
    surface.rectangle(x, y, width, height, fill=rgb(fill.colour))
    if fill.hatch:
        outline = f"{number(x)} {number(y)} {number(width)} {number(height)} re"
        lines = _hatch(outline, (x, y, x + width, y + height), fill.hatch, fill.hatch_ink)
        surface.operators.append(f"q {lines} Q")


def _label(surface: Surface, right: float, middle: float, text: str, width: float) -> None:
    """A category's name left of its bar: one line, or two smaller ones."""
    if width_of(text, _LABEL) <= width:
        surface.text(right, middle, text, _LABEL, INK, align="right")
        return
    lines = wrap_label(text, width, _LABEL - 1)
    top = middle + (3.2 if len(lines) > 1 else 0)
    for place, line in enumerate(lines):
        surface.text(right, top - 6.6 * place, line, _LABEL - 1, INK, align="right")


def _legend(surface: Surface, x: float, y: float, entries: Sequence[tuple[str, Fill]], width: float) -> None:
    """Swatches in a row, wrapped at `width`; drawn downwards from `y`."""
    left = x
    for label, fill in entries:
        needed = 11 + width_of(label, _LABEL) + 9
        if left + needed > x + width and left > x:
            left, y = x, y - 11
        _bar(surface, left, y, 8, 7, fill)
        surface.text(left + 11, y + 0.8, label, _LABEL, MUTED)
        left += needed


def legend_lines(labels: Sequence[str], width: float) -> int:
    lines: int = 1
    left = 0.0
    for label in labels:
        needed = 11 + width_of(label, _LABEL) + 9
        if left + needed > width and left > 0:
            lines += 1
            left = 0.0
        left += needed
    return lines


def _frozen(frame: pd.DataFrame) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    return tuple(map(str, frame.index)), tuple(tuple(map(int, row)) for row in frame.to_numpy().tolist())


# --- documents by day and kind -------------------------------------------------------------------


def documents_by_day(frame: pd.DataFrame, labels: Sequence[str], width: float, height: float) -> Surface:
    """Stacked columns, one a day (labels), of the kinds that are columns of `frame`."""
    _, counts = _frozen(frame)
    return _documents_by_day(tuple(frame.columns), counts, tuple(labels), width, height)


_PLOT_LEFT, _PLOT_RIGHT, _PLOT_TOP = 22.0, 2.0, 10.0


@lru_cache(maxsize=512)
def _documents_by_day(
    kinds: tuple[str, ...],
    counts: tuple[tuple[int, ...], ...],
    labels: tuple[str, ...],
    width: float,
    height: float,
) -> Surface:
    from reporting_pipeline.reports import axes  # matplotlib: half a second that only this chart needs

    names = [_kind_label(kind) for kind in kinds]
    fills = [KINDS.get(kind, OTHER_KIND) for kind in kinds]
    below = 15.0 + 11 * legend_lines(names, width)
    highest = max(sum(row) for row in counts) or 1
    ticks = axes.ticks_to(highest)
    surface = Surface()
    surface.place(axes.drawn(labels, ticks, width, height, (_PLOT_LEFT, _PLOT_RIGHT, _PLOT_TOP, below)), 0, 0)
    day_width = (width - _PLOT_LEFT - _PLOT_RIGHT) / len(counts)
    unit = (height - below - _PLOT_TOP) / ticks[-1]
    for day, row in enumerate(counts):
        x, base = _PLOT_LEFT + day_width * (day + 0.19), below
        for count, fill in zip(row, fills, strict=True):
            if count:
                _bar(surface, x, base, day_width * 0.62, count * unit, fill)
                base += count * unit
        if len(counts) <= 16:
            middle = x + day_width * 0.31
            surface.text(middle, base + 2, str(sum(row)), _LABEL, INK, bold=True, align="center")
    _legend(surface, 2, below - 24, list(zip(names, fills, strict=True)), width)
    return surface


def _kind_label(kind: str) -> str:
    return Kind(kind).label if kind in set(Kind) else fit(kind, 80, _LABEL)


# --- horizontal bars -----------------------------------------------------------------------------


def adverse_events(frame: pd.DataFrame, width: float) -> Surface:
    """Horizontal stacked bars: system organ classes (index) by severity (columns)."""
    names, counts = _frozen(_capped(frame))
    return _stacked(names, counts, tuple((s.capitalize(), SEVERITY[s]) for s in frame.columns), width, 0.47)


def visits_by_site(frame: pd.DataFrame, width: float) -> Surface:
    """Horizontal stacked bars: sites (index), visits done (planned, unplanned), missed and others."""
    ordered = frame.iloc[(-frame.to_numpy().sum(axis=1)).argsort(kind="stable")]
    names, counts = _frozen(_capped(ordered))
    series = tuple(zip(VISIT_STATES, (PLANNED, UNPLANNED, MISSED, NOT_SAID), strict=True))
    return _stacked(tuple(name or NO_SITE for name in names), counts, series, width, 0.26)


def _capped(frame: pd.DataFrame) -> pd.DataFrame:
    if len(frame) <= MOST_BARS:
        return frame
    head, rest = frame.iloc[: MOST_BARS - 1], frame.iloc[MOST_BARS - 1 :]
    tail = pd.DataFrame([rest.sum()], index=[f"{_OTHERS}{len(rest)} others"], columns=frame.columns)
    return pd.concat([head, tail])


@lru_cache(maxsize=1024)
def _stacked(
    names: tuple[str, ...],
    counts: tuple[tuple[int, ...], ...],
    series: tuple[tuple[str, Fill], ...],
    width: float,
    label_share: float,
) -> Surface:
    used = [n for n in range(len(series)) if any(row[n] for row in counts)]
    height = bars_height(len(names))
    surface = Surface()
    label_width = width * label_share
    longest = max(sum(row) for name, row in zip(names, counts, strict=True) if name[:1] != _OTHERS) or 1
    unit = (width - label_width - 20) / longest
    for row, (name, values) in enumerate(zip(names, counts, strict=True)):
        bottom = height - (row + 1) * _ROW + 2.5
        middle = bottom + 2.6
        if name.startswith(_OTHERS):
            surface.text(label_width - 5, middle, name[1:], _LABEL, MUTED, align="right")
            surface.text(label_width + 3, middle, str(sum(values)), _LABEL, MUTED)
            continue
        _label(surface, label_width - 5, middle, name, label_width - 6)
        x = label_width
        for place in used:
            if count := values[place]:
                _bar(surface, x, bottom, count * unit, _ROW - 5, series[place][1])
                x += count * unit
        surface.text(x + 3, middle, str(sum(values)), _LABEL, INK, bold=True)
    _legend(surface, label_width, 2, [series[n] for n in used], width - label_width)
    return surface


def bars_height(rows: int) -> float:
    """The height in points of a chart of horizontal bars."""
    return max(rows, 1) * _ROW + 14


def labs_outside_range(frame: pd.DataFrame, width: float) -> Surface:
    """Diverging bars: tests (index) with results below, above or else outside their range, of how many."""
    names, counts = _frozen(_capped(frame))
    return _diverging(names, counts, width)


@lru_cache(maxsize=1024)
def _diverging(names: tuple[str, ...], counts: tuple[tuple[int, ...], ...], width: float) -> Surface:
    height = bars_height(len(names))
    surface = Surface()
    label_width, right = width * 0.40, 34.0
    drawn = [row for name, row in zip(names, counts, strict=True) if name[:1] != _OTHERS]
    most_below, most_above = max(row[0] for row in drawn), max(row[1] + row[2] for row in drawn)
    room = width - label_width - right - 24  # 12 points for the number at either end
    unit = room / max(most_below + most_above, 1)
    zero = label_width + 12 + most_below * unit
    for row, (name, (below, above, other, assessed)) in enumerate(zip(names, counts, strict=True)):
        bottom = height - (row + 1) * _ROW + 2.5
        middle = bottom + 2.6
        surface.text(width, middle, f"of {assessed}", _LABEL, MUTED, align="right")
        if name.startswith(_OTHERS):
            surface.text(label_width - 3, middle, name[1:], _LABEL, MUTED, align="right")
            surface.text(zero - 3, middle, str(below), _LABEL, MUTED, align="right")
            surface.text(zero + 3, middle, str(above + other), _LABEL, MUTED)
            continue
        _label(surface, label_width - 3, middle, name, label_width - 4)
        if below:
            _bar(surface, zero - below * unit, bottom, below * unit, _ROW - 5, BELOW)
            surface.text(zero - below * unit - 3, middle, str(below), _LABEL, INK, bold=True, align="right")
        if above:
            _bar(surface, zero, bottom, above * unit, _ROW - 5, ABOVE)
        if other:
            _bar(surface, zero + above * unit, bottom, other * unit, _ROW - 5, ABNORMAL)
        if above or other:
            number_text = " + ".join(str(each) for each in (above, other) if each)
            end = zero + (above + other) * unit + 3
            surface.text(end, middle, number_text, _LABEL, INK, bold=True)
    surface.line(zero, height, zero, height - len(names) * _ROW, MUTED, 0.7)
    legend = list(zip(LAB_STATES, (BELOW, ABOVE, ABNORMAL), strict=False))
    if not any(row[2] for row in counts):
        legend.pop()
    _legend(surface, label_width, 2, legend, width - label_width)
    return surface
