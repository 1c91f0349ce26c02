"""Charts of points: values of persons and sites between two axes, with limits that mean something.

Drawn straight onto a surface. Nothing is told by colour alone: what stands out is a filled square with its
name beside it, the rest are open squares. Lengths are points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from reporting_pipeline.reports.palette import ACCENT, ALARM, FAINT, INK, MUTED, PAPER
from reporting_pipeline.reports.pdf.surface import Surface
from reporting_pipeline.reports.pdf.typesetting import fit, width_of, wrap_label, wrap_name

_LEFT, _BOTTOM, _TOP, _RIGHT = 40.0, 30.0, 16.0, 12.0
_SIZE = 7.0
_NAMED = 15


@dataclass(frozen=True)
class Point:
    """One value; `name` is written beside what stands out."""

    x: float
    y: float
    name: str = ""
    stands_out: bool = False


@dataclass(frozen=True)
class Axis:
    """A scale from `low` to `high` with ticks, and limits drawn across the chart."""

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]
    limits: tuple[float, ...] = ()
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """From 0 to 1; what lies outside is drawn at the edge."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(max(value, 1e-9))
        return min(max((value - low) / (high - low), 0.0), 1.0)


Curve = Callable[[float], float]


def scatter(
    points: Sequence[Point], x: Axis, y: Axis, width: float, height: float, curves: Sequence[Curve] = ()
) -> Surface:
    """The points between two axes; `curves` give y by x (the limits of a funnel)."""
    surface = Surface()
    across, up = width - _LEFT - _RIGHT, height - _BOTTOM - _TOP

    def at(px: float, py: float) -> tuple[float, float]:
        return _LEFT + across * x.place(px), _BOTTOM + up * y.place(py)

    _axes(surface, x, y, across, up)
    for curve in curves:
        _curve(surface, curve, x, y, at)
    for point in sorted(points, key=lambda one: (one.stands_out, one.name)):
        px, py = at(point.x, point.y)
        _mark(surface, px, py, point.stands_out)
    named = [one for one in points if one.stands_out][:_NAMED]
    shown = [wrap_name(one.name, 90, _SIZE, most=1)[0] for one in named]
    out = [at(one.x, one.y) for one in points if one.stands_out]
    others = [at(one.x, one.y) for one in points if not one.stands_out]
    room = _Box(_LEFT, _BOTTOM, width, height - _TOP + 4)
    places = _beside_marks(
        [(*at(one.x, one.y), name) for one, name in zip(named, shown, strict=True)], out, others, room
    )
    for name, place in zip(shown, places, strict=True):
        if place is not None:
            surface.text(place.left, place.low + _DESCENT, name, _SIZE, INK)
    return surface


@dataclass(frozen=True)
class _Box:
    left: float
    low: float
    right: float
    high: float

    def meets(self, other: _Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.low < other.high
            and other.low < self.high
        )

    def holds(self, other: _Box) -> bool:
        return (
            self.left <= other.left
            and self.low <= other.low
            and self.right >= other.right
            and self.high >= other.high
        )


_DESCENT, _ASCENT = 1.8, 5.4  # of a name, below and above its line
#: Where a name may stand: left or right of its mark, and how far its line is above the mark's middle.
_SIDES = tuple((side, up) for up in (-2.4, 4.2, -9.0, 10.4, -15.2) for side in (1, -1))


def _beside_marks(
    named: Sequence[tuple[float, float, str]],
    out: Sequence[tuple[float, float]],
    others: Sequence[tuple[float, float]],
    room: _Box,
) -> list[_Box | None]:
    """Where each name stands; None for one that would cover another or a mark that stands out: it is in the
    table alone. What covers no mark at all goes first."""
    marks = [_Box(x - 2.6, y - 2.6, x + 2.6, y + 2.6) for x, y in out]
    faint = [_Box(x - 1.8, y - 1.8, x + 1.8, y + 1.8) for x, y in others]
    taken: list[_Box] = []
    places: list[_Box | None] = []
    for x, y, name in named:
        free = [
            one
            for side, up in _SIDES
            if room.holds(one := _name_box(x, y + up, name, side))
            and not any(map(one.meets, (*taken, *marks)))
        ]
        place = next((one for one in free if not any(map(one.meets, faint))), free[0] if free else None)
        places.append(place)
        if place is not None:
            taken.append(place)
    return places


def _name_box(x: float, line: float, name: str, side: int) -> _Box:
    wide = width_of(name, _SIZE)
    left = x + 5 if side > 0 else x - 5 - wide
    return _Box(left, line - _DESCENT, left + wide, line + _ASCENT)


@dataclass(frozen=True)
class Dot:
    """A named value of a dot chart; 0 and more."""

    name: str
    value: float
    stands_out: bool = False


_DOT_ROW, _DOT_LABELS = 14.0, 0.38


def dots_height(rows: int) -> float:
    return _BOTTOM + _DOT_ROW * rows + 18


def dots(values: Sequence[Dot], label: str, out: str, others: str, width: float) -> Surface:
    """One row for each value, its whole name at the left; `out` and `others` say what the two marks mean."""
    surface = Surface()
    scale = linear(label, [one.value for one in values])
    left = width * _DOT_LABELS
    across, up = width - left - 40, _DOT_ROW * len(values)
    for tick in scale.ticks:
        px = left + across * scale.place(tick)
        surface.line(px, _BOTTOM, px, _BOTTOM + up, FAINT, 0.4)
        surface.text(px, _BOTTOM - 10, _number(tick), _SIZE, MUTED, align="center")
    for place, one in enumerate(values):
        py = _BOTTOM + up - _DOT_ROW * (place + 0.5)
        px = left + across * scale.place(one.value)
        surface.line(left, py, px, py, FAINT, 0.8)
        _mark(surface, px, py, one.stands_out)
        lines = wrap_label(one.name, left - 8, _SIZE)
        size = _SIZE if len(lines) == 1 else _SIZE - 1
        lines = lines if len(lines) == 1 else wrap_label(one.name, left - 8, size)
        for number, line in enumerate(lines):
            top = py - 2.4 + (3.2 if len(lines) > 1 else 0)
            surface.text(left - 6, top - 6.4 * number, line, size, INK, align="right")
        surface.text(px + 6, py - 2.4, f"{one.value:.1f}", _SIZE, INK, bold=one.stands_out)
    surface.line(left, _BOTTOM, left, _BOTTOM + up, MUTED, 0.8)
    surface.text(left + across / 2, _BOTTOM - 22, label, _SIZE, INK, align="center")
    x = left
    for stands_out, text in ((True, out), (False, others)):
        _mark(surface, x + 3, _BOTTOM + up + 9, stands_out)
        surface.text(x + 9, _BOTTOM + up + 6.6, text, _SIZE, MUTED)
        x += 24 + width_of(text, _SIZE)
    return surface


def _mark(surface: Surface, x: float, y: float, stands_out: bool) -> None:
    if stands_out:
        surface.rectangle(x - 2.6, y - 2.6, 5.2, 5.2, fill=ALARM)
    else:
        surface.rectangle(x - 1.8, y - 1.8, 3.6, 3.6, fill=PAPER, stroke=ACCENT, line_width=0.8)


def _axes(surface: Surface, x: Axis, y: Axis, across: float, up: float) -> None:
    for tick in x.ticks:
        px = _LEFT + across * x.place(tick)
        surface.line(px, _BOTTOM, px, _BOTTOM + up, FAINT, 0.4)
        surface.text(px, _BOTTOM - 10, _number(tick), _SIZE, MUTED, align="center")
    for tick in y.ticks:
        py = _BOTTOM + up * y.place(tick)
        surface.line(_LEFT, py, _LEFT + across, py, FAINT, 0.4)
        surface.text(_LEFT - 4, py - 2.4, _number(tick), _SIZE, MUTED, align="right")
    for limit in x.limits:
        px = _LEFT + across * x.place(limit)
        surface.line(px, _BOTTOM, px, _BOTTOM + up, INK, 1.0)
    for limit in y.limits:
        py = _BOTTOM + up * y.place(limit)
        surface.line(_LEFT, py, _LEFT + across, py, INK, 1.0)
    surface.line(_LEFT, _BOTTOM, _LEFT + across, _BOTTOM, MUTED, 0.8)
    surface.line(_LEFT, _BOTTOM, _LEFT, _BOTTOM + up, MUTED, 0.8)
    surface.text(_LEFT + across / 2, _BOTTOM - 22, x.label, _SIZE, INK, align="center")
    surface.text(0, _BOTTOM + up + 7, fit(y.label, across, _SIZE), _SIZE, INK)


def _curve(
    surface: Surface, curve: Curve, x: Axis, y: Axis, at: Callable[[float, float], tuple[float, float]]
) -> None:
    steps = [x.low + (x.high - x.low) * step / 60 for step in range(1, 61)]
    places = [at(step, value) for step in steps if y.low <= (value := curve(step)) <= y.high]
    for (x1, y1), (x2, y2) in pairwise(places):
        surface.line(x1, y1, x2, y2, MUTED, 0.7)


def linear(label: str, values: Sequence[float], limits: tuple[float, ...] = ()) -> Axis:
    """A scale from 0 that holds the values, with round ticks."""
    most = max((value for value in (*values, *limits) if math.isfinite(value)), default=1.0) or 1.0
    step = 10 ** math.floor(math.log10(most))
    step = next(one for one in (step / 5, step / 2, step, step * 2) if most / one <= 6)
    count = math.ceil(most * 1.04 / step)
    return Axis(label, 0.0, step * count, tuple(step * place for place in range(count + 1)), limits)


def _number(value: float) -> str:
    return f"{value:g}".replace("-", "−")
