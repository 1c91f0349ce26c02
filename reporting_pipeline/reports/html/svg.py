"""Charts as SVG: what a `Surface` holds, read as the few PDF operators that it writes.

Letters are outlines of the fonts of the pages, so that a chart looks the same wherever it is opened; what
it says is its label and the table behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from html import escape

from reporting_pipeline.reports.pdf.faces import ALL_FACES
from reporting_pipeline.reports.pdf.surface import Surface, number

_TOKEN = re.compile(r"<<.*?>>(?=\s)|<[0-9A-Fa-f]*>|\[|\]|/[^\s/<\[\]]+|[-+.\d]+|[A-Za-z*]+")
_SKIPPED = frozenset({"BDC", "BMC", "EMC", "BT", "ET"})


@dataclass(frozen=True)
class _State:
    """The graphics state, as far as charts have one. Colours as "#rrggbb"."""

    fill: str = "#000000"
    stroke: str = "#000000"
    width: float = 1.0
    dots: float = 0.0  # distance of round dots along a line; 0: a whole line
    outlined: bool = False  # letters with a thin edge, for scripts without a bold face
    face: str = "FR"
    size: float = 1.0
    rise: float = 0.0


@dataclass
class Drawings:
    """The charts of one document: outlines of letters are there once, and ids are the document's own."""

    _letters: dict[tuple[str, int], None] = field(default_factory=dict)
    _clips: int = 0

    def svg(self, surface: Surface, width: float, height: float, says: str) -> str:
        """The element, `width` by `height` points large. Raises ValueError for an unknown operator."""
        drawn = "".join(_Reading(self).read(surface.content()))
        box = f"0 0 {number(width)} {number(height)}"
        return (
            f'<svg viewBox="{box}" width="{number(width)}" height="{number(height)}" role="img"'
            f' aria-label="{escape(says)}">'
            f'<g transform="matrix(1 0 0 -1 0 {number(height)})">{drawn}</g></svg>'
        )

    def letters(self) -> str:
        """The outlines that the charts refer to; "" for none."""
        if not self._letters:
            return ""
        paths = "".join(
            f'<path id="{_id(face, glyph)}" d="{_outline(face, glyph)}"/>' for face, glyph in self._letters
        )
        return f'<svg class="letters" aria-hidden="true" width="0" height="0"><defs>{paths}</defs></svg>'

    def letter(self, face: str, glyph: int) -> str:
        self._letters.setdefault((face, glyph))
        return _id(face, glyph)

    def clip(self) -> str:
        self._clips += 1
        return f"clip{self._clips}"


def _id(face: str, glyph: int) -> str:
    return f"{face}-{glyph}"


class _Reading:
    """Operators of one surface, from the first to the last."""

    def __init__(self, drawings: Drawings) -> None:
        self._drawings = drawings
        self._state = _State()
        self._kept: list[tuple[_State, int]] = []
        self._groups = 0  # opened since the last `q`
        self._path: list[str] = []
        self._clip_next = False
        self._at = (0.0, 0.0)  # where the next text begins
        self._pen = 0.0  # from there, in thousandths of the font size

    def read(self, content: str) -> Iterator[str]:
        operands: list[str] = []
        for word in _TOKEN.findall(content):
            if word[0] in "</[]+-.0123456789":
                operands.append(word)
                continue
            if word not in _SKIPPED:
                operator = _OPERATORS.get(word)
                if operator is None:
                    raise ValueError(f"a chart is drawn with {word!r}, which SVG charts do not know")
                yield operator(self, operands)
            elif word == "ET":
                self._state = replace(self._state, rise=0.0, outlined=False)
            operands = []
        yield "</g>" * self._groups

    # --- state -----------------------------------------------------------------------------------

    def keep(self, _: list[str]) -> str:
        self._kept.append((self._state, self._groups))
        self._groups = 0
        return ""

    def restore(self, _: list[str]) -> str:
        closed = "</g>" * self._groups
        self._state, self._groups = self._kept.pop()
        return closed

    def move_origin(self, operands: list[str]) -> str:
        self._groups += 1
        if operands[:4] != ["1", "0", "0", "1"]:
            raise ValueError(f"a chart is turned or stretched: {' '.join(operands)} cm")
        return f'<g transform="translate({operands[4]} {operands[5]})">'

    def set_fill(self, operands: list[str]) -> str:
        self._state = replace(self._state, fill=_hex(operands))
        return ""

    def set_stroke(self, operands: list[str]) -> str:
        self._state = replace(self._state, stroke=_hex(operands))
        return ""

    def set_width(self, operands: list[str]) -> str:
        self._state = replace(self._state, width=float(operands[0]))
        return ""

    def set_dash(self, operands: list[str]) -> str:
        lengths = operands[operands.index("[") + 1 : operands.index("]")]
        self._state = replace(self._state, dots=float(lengths[-1]) if lengths else 0.0)
        return ""

    def nothing(self, _: list[str]) -> str:
        return ""

    # --- paths -----------------------------------------------------------------------------------

    def rectangle(self, operands: list[str]) -> str:
        x, y, width, height = operands
        self._path.append(f"M{x} {y}h{width}v{height}h{_minus(width)}z")
        return ""

    def move(self, operands: list[str]) -> str:
        self._path.append(f"M{' '.join(operands)}")
        return ""

    def line(self, operands: list[str]) -> str:
        self._path.append(f"L{' '.join(operands)}")
        return ""

    def curve(self, operands: list[str]) -> str:
        self._path.append(f"C{' '.join(operands)}")
        return ""

    def close(self, _: list[str]) -> str:
        self._path.append("z")
        return ""

    def clip(self, _: list[str]) -> str:
        self._clip_next = True
        return ""

    def paint(self, filled: bool, stroked: bool) -> str:
        outline, state = "".join(self._path), self._state
        self._path = []
        if self._clip_next:
            self._clip_next = False
            self._groups += 1
            name = self._drawings.clip()
            return f'<clipPath id="{name}"><path d="{outline}"/></clipPath><g clip-path="url(#{name})">'
        if not outline or not (filled or stroked):
            return ""
        look = f' fill="{state.fill}"' if filled else ' fill="none"'
        if stroked:
            look += f' stroke="{state.stroke}" stroke-width="{number(state.width)}"'
            if state.dots:
                look += f' stroke-linecap="round" stroke-dasharray="0 {number(state.dots)}"'
        return f'<path d="{outline}"{look}/>'

    # --- text ------------------------------------------------------------------------------------

    def place_text(self, operands: list[str]) -> str:
        self._at, self._pen = (float(operands[0]), float(operands[1])), 0.0
        return ""

    def set_face(self, operands: list[str]) -> str:
        self._state = replace(self._state, face=operands[0][1:], size=float(operands[1]))
        return ""

    def set_rise(self, operands: list[str]) -> str:
        self._state = replace(self._state, rise=float(operands[0]))
        return ""

    def set_outlined(self, operands: list[str]) -> str:
        self._state = replace(self._state, outlined=operands[0] == "2")
        return ""

    def show(self, operands: list[str]) -> str:
        """Glyphs as hexadecimal, and between them what the pen goes back, in thousandths."""
        state, uses = self._state, []
        face = ALL_FACES[state.face]
        for operand in operands:
            if operand.startswith("<"):
                for place in range(1, len(operand) - 1, 4):
                    glyph = int(operand[place : place + 4], 16)
                    if _outline(state.face, glyph):
                        name = self._drawings.letter(state.face, glyph)
                        uses.append(f'<use href="#{name}" x="{number(self._pen)}"/>')
                    self._pen += face.advance(glyph)
            elif operand not in "[]":
                self._pen -= float(operand)
        if not uses:
            return ""
        edge = f' stroke="{state.stroke}" stroke-width="18"' if state.outlined else ""
        origin = f"{number(self._at[0])} {number(self._at[1] + state.rise)}"
        scale = f"{state.size / 1000:g}"
        return (
            f'<g transform="translate({origin}) scale({scale})" fill="{state.fill}"{edge}>{"".join(uses)}</g>'
        )


def _minus(text: str) -> str:
    return text[1:] if text.startswith("-") else f"-{text}"


def _hex(operands: list[str]) -> str:
    return "#" + "".join(f"{round(float(one) * 255):02x}" for one in operands)


def _paints(filled: bool, stroked: bool) -> Callable[[_Reading, list[str]], str]:
    return lambda reading, _: reading.paint(filled, stroked)


_OPERATORS: dict[str, Callable[[_Reading, list[str]], str]] = {
    "q": _Reading.keep,
    "Q": _Reading.restore,
    "cm": _Reading.move_origin,
    "rg": _Reading.set_fill,
    "RG": _Reading.set_stroke,
    "w": _Reading.set_width,
    "d": _Reading.set_dash,
    "J": _Reading.nothing,  # ends of lines are round where they are dots, as `paint` says
    "re": _Reading.rectangle,
    "m": _Reading.move,
    "l": _Reading.line,
    "c": _Reading.curve,
    "h": _Reading.close,
    "W": _Reading.clip,
    "n": _paints(False, False),
    "f": _paints(True, False),
    "S": _paints(False, True),
    "B": _paints(True, True),
    "Td": _Reading.place_text,
    "Tf": _Reading.set_face,
    "Ts": _Reading.set_rise,
    "Tr": _Reading.set_outlined,
    "Tj": _Reading.show,
    "TJ": _Reading.show,
}


class _Pen:
    """Takes an outline in the font's units; `path`: in thousandths of the font size, whole numbers."""

    def __init__(self, upem: int) -> None:
        self._scale = 1000 / upem
        self.path: list[str] = []

    def _add(self, letter: str, *points: tuple[float, float]) -> None:
        numbers = (f"{round(x * self._scale)} {round(y * self._scale)}" for x, y in points)
        self.path.append(letter + " ".join(numbers))

    def moveTo(self, point: tuple[float, float]) -> None:
        self._add("M", point)

    def lineTo(self, point: tuple[float, float]) -> None:
        self._add("L", point)

    def qCurveTo(self, *points: tuple[float, float]) -> None:
        self._add("Q", *points)

    def curveTo(self, *points: tuple[float, float]) -> None:
        self._add("C", *points)

    def closePath(self) -> None:
        self.path.append("z")


@lru_cache(maxsize=4_096)
def _outline(resource: str, glyph: int) -> str:
    """The path of a glyph, upright; "" for a blank."""
    face = ALL_FACES[resource]
    pen = _Pen(face.upem)
    face.hb_font.draw_glyph_with_pen(glyph, pen)
    return "".join(pen.path)
