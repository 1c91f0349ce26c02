"""What a report is made of, whatever it is drawn on: tiles, tables, charts, pictures, and what takes them.

Sections speak to a `Flow`. There are two: pages (`pdf.layout`) and one document that has none (`html.flow`).
A new kind of block is a method of both. Nothing here draws. Lengths are points.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from reporting_pipeline.reports.palette import ACCENT, INK, Colour
from reporting_pipeline.reports.pdf.surface import Surface

#: Sizes of running text, and of notes.
BODY, SMALL = 9.0, 7.5
#: What follows a heading on its page at least: a note of three lines, and a table's titles with two rows.
KEPT_BELOW = 124.0


@dataclass(frozen=True)
class Tile:
    """A key figure: its value in large print, its name, and one line under it."""

    label: str
    value: str
    note: str
    alarm: bool = False
    leads_to: str = ""  # an address below the reader's own


@dataclass(frozen=True)
class Picture:
    """A JPEG on disk with its size in pixels and the lines under it."""

    path: str
    width: int
    height: int
    caption: tuple[str, ...]
    badge: str = ""
    says: str = ""  # what it shows, for who does not see it


@dataclass(frozen=True)
class Letterhead:
    """What is an organisation's own on a report; its logo says the organisation's name."""

    colour: Colour = ACCENT
    logo: Picture | None = None


@dataclass(frozen=True)
class Chart:
    """A drawing of data: what it says in words, and the numbers behind it as a table."""

    title: str
    surface: Surface
    width: float
    height: float
    says: str
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Column:
    """A table column; `share` of the table's width. `lines`: cells of a page are cut after so many."""

    title: str
    share: float
    align: str = "left"
    lines: int = 2
    bold: bool = False
    lines_under: int = 2  # of the second line of a `Pair`
    names: bool = False  # of subjects, sites, documents: cut in the middle, not at the end


@dataclass(frozen=True)
class Flag:
    """A table cell that stands out without relying on colour: a triangle up or down, or a bold word."""

    text: str
    direction: str = ""  # "up", "down" or ""
    under: str = ""  # something less important under it


@dataclass(frozen=True)
class Pair:
    """A table cell of two lines: what it is, and something less important under it."""

    text: str
    under: str


Cell = str | Flag | Pair


class Flow(Protocol):
    """A report being filled from its beginning."""

    @property
    def room(self) -> float:
        """Points left on this page; infinite where there are no pages."""

    def new_page(self) -> None: ...

    def need(self, height: float) -> None:
        """Start a page unless `height` is left on this one."""

    def space(self, height: float) -> None: ...

    def first_page(
        self, organisation: str, title: str, subtitle: str, facts: Sequence[tuple[str, str]]
    ) -> None:
        """What a report begins with, the reader's own part, and at most three facts (label, text)."""

    def alert(self, title: str, texts: Sequence[str]) -> None:
        """What must be read before anything else."""

    def title(self, text: str, subtitle: str, bookmark: str) -> None:
        """The heading of a part."""

    def heading(self, text: str, keep: float = KEPT_BELOW, level: int = 1, bookmark: str = "") -> None:
        """A heading that stays with the next `keep` points; `level` 0 is that of a part."""

    def paragraph(
        self, text: str, size: float = BODY, fill: Colour = INK, most: int = 400, indent: float = 0
    ) -> int:
        """Returns how many lines of `most` it took."""

    def note(self, text: str) -> None:
        """A line in small grey print: captions, caps, definitions."""

    def bullet(self, text: str, size: float = BODY) -> None: ...

    def tiles(self, tiles: Sequence[Tile], columns: int = 4, height: float = 58) -> None: ...

    def charts(self, charts: Sequence[Chart], gap: float = 16) -> None:
        """Charts side by side."""

    def table(
        self, columns: Sequence[Column], rows: Iterable[Sequence[Cell]], targets: Sequence[str] = ()
    ) -> None:
        """`targets`: bookmarks to which the first rows lead."""

    def pictures(self, pictures: Sequence[Picture]) -> None: ...
