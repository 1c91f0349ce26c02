"""Drawing operators of a page, a form or a chart, with the glyphs and images they need.

Coordinates are points from the bottom left. Nothing here knows the document the operators end up
in, so a surface can be kept and placed on any page of any document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

from reporting_pipeline.reports.pdf.typesetting import Shaped, actual_text, shape

Colour = tuple[float, float, float]


@lru_cache(maxsize=16_384)
def number(value: float) -> str:
    """A PDF number with at most two decimals."""
    text = f"{value:.2f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@lru_cache(maxsize=256)
def colour(value: Colour) -> str:
    """The three operands of a colour operator."""
    return f"{value[0]:.3g} {value[1]:.3g} {value[2]:.3g}"


@dataclass(frozen=True)
class PlacedImage:
    """A JPEG on disk, drawn into a box; `mark`: its marked-content sequence on the page."""

    path: str
    x: float
    y: float
    width: float
    height: float
    mark: int
    above: bool = False  # over what is drawn, instead of under it


@dataclass
class Surface:
    """Collected operators. `glyphs`: resource -> glyph id -> text, beyond the base subset.

    `marks`: the element of the structure tree to which each marked-content sequence belongs, by its number.
    """

    operators: list[str] = field(default_factory=list)
    glyphs: dict[str, dict[int, str]] = field(default_factory=dict)
    images: list[PlacedImage] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)

    @contextmanager
    def marked(self, role: str, element: int) -> Iterator[int]:
        """What is drawn inside is content of the element; gives the number of the sequence."""
        number = len(self.marks)
        self.marks.append(element)
        self.operators.append(f"/{role}<</MCID {number}>>BDC")
        yield number
        self.operators.append("EMC")

    @contextmanager
    def artifact(self, kind: str = "") -> Iterator[None]:
        """What is drawn inside is no content: a ground, a rule, a footer (kind "Pagination")."""
        self.operators.append(f"/Artifact<</Type/{kind}>>BDC" if kind else "/Artifact BMC")
        yield
        self.operators.append("EMC")

    def rectangle(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: Colour | None = None,
        stroke: Colour | None = None,
        line_width: float = 0.5,
    ) -> None:
        paint = {(True, True): "B", (True, False): "f", (False, True): "S"}.get(
            (fill is not None, stroke is not None)
        )
        if paint is None:
            return
        prefix = f"{colour(fill)} rg " if fill is not None else ""
        if stroke is not None:
            prefix += f"{colour(stroke)} RG {number(line_width)} w "
        self.operators.append(f"{prefix}{number(x)} {number(y)} {number(width)} {number(height)} re {paint}")

    def line(
        self, x1: float, y1: float, x2: float, y2: float, stroke: Colour, line_width: float = 0.5
    ) -> None:
        self.operators.append(
            f"{colour(stroke)} RG {number(line_width)} w "
            f"{number(x1)} {number(y1)} m {number(x2)} {number(y2)} l S"
        )

    def polygon(self, points: list[tuple[float, float]], fill: Colour) -> None:
        path = " ".join(f"{number(x)} {number(y)} {'l' if n else 'm'}" for n, (x, y) in enumerate(points))
        self.operators.append(f"{colour(fill)} rg {path} f")

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        fill: Colour = (0.0, 0.0, 0.0),
        bold: bool = False,
        align: str = "left",
    ) -> None:
        """One line; `x` is its left, centre or right by `align`. Cut or wrap it before."""
        shaped = shape(text, bold)
        if not shaped.segments:
            return
        if align != "left":
            x -= shaped.width * size * (1 if align == "right" else 0.5)
        self.operators.append(_text_operators(shaped, number(x), number(y), size, fill))
        for resource, glyphs in shaped.glyphs.items():
            self.glyphs.setdefault(resource, {}).update(glyphs)

    def image(
        self, path: str, x: float, y: float, width: float, height: float, element: int, above: bool = False
    ) -> int:
        """The number of its marked-content sequence: content of `element`, a figure."""
        self.marks.append(element)
        self.images.append(PlacedImage(path, x, y, width, height, len(self.marks) - 1, above))
        return len(self.marks) - 1

    def place(self, other: Surface, x: float, y: float) -> None:
        """Draw another surface with its origin at (x, y)."""
        self.operators.append(f"q 1 0 0 1 {number(x)} {number(y)} cm")
        self.operators.extend(other.operators)
        self.operators.append("Q")
        self.takes_glyphs(other)

    def takes_glyphs(self, other: Surface) -> None:
        """What another surface needs to be embedded, this one needs."""
        for resource, glyphs in other.glyphs.items():
            self.glyphs.setdefault(resource, {}).update(glyphs)

    def joined(self) -> Surface:
        """The same drawing as one string of operators, for what is placed many times."""
        return Surface([self.content()], self.glyphs)

    def content(self) -> str:
        return "\n".join(self.operators)


_RISE = re.compile(r"\{(-?\d+)\}")


def _text_operators(shaped: Shaped, x: str, y: str, size: float, fill: Colour) -> str:
    parts = [f"BT {colour(fill)} rg {x} {y} Td"]
    for segment in shaped.segments:
        drawn = segment.operators
        if segment.rises:
            drawn = _RISE.sub(lambda match: number(int(match[1]) * size / 1000), drawn)
        if segment.faux_bold:  # scripts without a bold face: a thin outline in the text's colour
            drawn = f"{colour(fill)} RG {number(size / 55)} w 2 Tr {drawn} 0 Tr"
        parts.append(f"/{segment.resource} {number(size)} Tf {drawn}")
    parts.append("ET")
    operators = " ".join(parts)
    if shaped.actual:
        return f"/Span <</ActualText <{actual_text(shaped.actual)}>>> BDC {operators} EMC"
    return operators
