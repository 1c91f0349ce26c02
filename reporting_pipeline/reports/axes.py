"""matplotlib's axes (scale, ticks, grid), drawn as PDF operators.

A module of its own, and imported where a chart has such axes: importing matplotlib's figures takes half a
second, which a process that draws none need not spend.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from matplotlib.backend_bases import FigureCanvasBase, GraphicsContextBase, RendererBase
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Transform

from reporting_pipeline.reports.pdf.surface import Surface, colour, number
from reporting_pipeline.reports.pdf.typesetting import width_of

_TICK, _GRID = "#5B6875", "#DCE2E8"
LABEL_SIZE = 7.0


def ticks_to(highest: int) -> tuple[float, ...]:
    """About four round whole numbers from 0 to at least `highest`."""
    return tuple(float(tick) for tick in MaxNLocator(4, integer=True).tick_values(0, highest))


@lru_cache(maxsize=256)
def drawn(
    labels: tuple[str, ...],
    ticks: tuple[float, ...],
    width: float,
    height: float,
    margins: tuple[float, float, float, float],
) -> Surface:
    """Axes without data: scale, grid and labels. Few differ, so most charts find theirs kept.

    Lengths in points; `margins`: left, right, top, below. `ticks` begin at 0 and end at the upper end.
    """
    left, right, top, below = margins
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    FigureCanvasBase(figure)
    figure.patch.set_visible(False)
    inner = (width - left - right, height - below - top)
    axes = figure.add_axes((left / width, below / height, inner[0] / width, inner[1] / height), frameon=False)
    axes.set_xlim(-0.5, len(labels) - 0.5)
    axes.set_ylim(0, ticks[-1])
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    shown = range(0, len(labels), max(1, len(labels) // 8))
    axes.set_xticks(list(shown), [labels[place] for place in shown])
    axes.tick_params(length=0, labelsize=LABEL_SIZE, labelcolor=_TICK, pad=3)
    axes.grid(axis="y", color=_GRID, linewidth=0.5)
    surface = Surface()
    figure.draw(SurfaceRenderer(surface, width, height))
    return surface


class SurfaceRenderer(RendererBase):
    """matplotlib's drawing interface, answered with PDF operators. One unit is one point."""

    def __init__(self, surface: Surface, width: float, height: float) -> None:
        super().__init__()
        self._surface = surface
        self._size = (width, height)

    def get_canvas_width_height(self) -> tuple[float, float]:
        return self._size

    def flipy(self) -> bool:
        return False

    def points_to_pixels(self, points: Any) -> Any:
        return points

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: Any
    ) -> tuple[float, float, float]:
        size = prop.get_size_in_points()
        return width_of(s, size, _is_bold(prop)), size * 0.95, size * 0.22

    def draw_text(
        self,
        gc: GraphicsContextBase,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: Any = False,
        mtext: Any = None,
    ) -> None:
        self._surface.text(x, y, s, prop.get_size_in_points(), gc.get_rgb()[:3], _is_bold(prop))

    def draw_path(
        self, gc: GraphicsContextBase, path: Path, transform: Transform, rgbFace: Any = None
    ) -> None:
        outline = _path_operators(path, transform)
        stroke = gc.get_linewidth() > 0 and gc.get_alpha() != 0
        if rgbFace is None and not stroke:
            return
        parts = ["q"]
        if rgbFace is not None:
            parts.append(f"{colour(rgbFace[:3])} rg")
        if stroke:
            parts.append(f"{colour(gc.get_rgb()[:3])} RG {number(gc.get_linewidth())} w")
        parts.append(outline)
        parts.append({(1, 1): "B", (1, 0): "f", (0, 1): "S"}[rgbFace is not None, stroke])
        parts.append("Q")
        self._surface.operators.append(" ".join(parts))

    def draw_image(self, gc: GraphicsContextBase, x: float, y: float, im: Any, transform: Any = None) -> None:
        raise NotImplementedError("charts of reports are drawn as vectors only")


def _is_bold(prop: FontProperties) -> bool:
    return prop.get_weight() in ("bold", 700)


def _path_operators(path: Path, transform: Transform) -> str:
    parts: list[str] = []
    for points, code in path.iter_segments(transform, simplify=False, curves=True):
        xy = " ".join(number(value) for value in points)
        if code == Path.MOVETO:
            parts.append(f"{xy} m")
        elif code == Path.LINETO:
            parts.append(f"{xy} l")
        elif code == Path.CURVE4:
            parts.append(f"{xy} c")
        elif code == Path.CLOSEPOLY:
            parts.append("h")
    return " ".join(parts)
