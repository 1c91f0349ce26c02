"""Blocks onto pages: headings, paragraphs, tables with repeating headers, charts, pictures.

`Flow` keeps a cursor and starts a page when a block does not fit. It knows nothing of trials.
Lengths are points.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reporting_pipeline.reports.palette import (
    ACCENT,
    ALARM,
    FAINT,
    INK,
    MUTED,
    PAPER,
    TINT,
    Colour,
)
from reporting_pipeline.reports.pdf import tables
from reporting_pipeline.reports.pdf.binding import PAGE_HEIGHT, PAGE_WIDTH, Bookmark, Page
from reporting_pipeline.reports.pdf.surface import Surface
from reporting_pipeline.reports.pdf.tables import Cell, Column
from reporting_pipeline.reports.pdf.typesetting import fit, width_of, wrap

MARGIN = 45.0
LEFT, RIGHT = MARGIN, PAGE_WIDTH - MARGIN
WIDTH = RIGHT - LEFT
TOP, BOTTOM = PAGE_HEIGHT - 62.0, 52.0

BODY, SMALL = 9.0, 7.5


@dataclass(frozen=True)
class Tile:
    """A key figure: its value in large print, its name, and one line under it."""

    label: str
    value: str
    note: str
    alarm: bool = False


@dataclass(frozen=True)
class Picture:
    """A JPEG on disk with its size in pixels and the lines under it."""

    path: str
    width: int
    height: int
    caption: tuple[str, ...]
    badge: str = ""


class Flow:
    """Pages being filled from the top."""

    def __init__(self) -> None:
        self.pages: list[Page] = [Page()]
        self.y = TOP

    @property
    def page(self) -> Page:
        return self.pages[-1]

    @property
    def surface(self) -> Surface:
        return self.page.surface

    def new_page(self) -> None:
        self.pages.append(Page())
        self.y = TOP

    def need(self, height: float) -> None:
        """Start a page unless `height` is left on this one."""
        if self.y - height < BOTTOM and self.y < TOP:
            self.new_page()

    def space(self, height: float) -> None:
        self.y -= height

    def bookmark(self, title: str, level: int) -> None:
        self.page.bookmarks.append(Bookmark(title, level, self.y + 14))

    # --- text ------------------------------------------------------------------------------------

    def title(self, text: str, subtitle: str, bookmark: str) -> None:
        """The heading of a part, with a rule; starts where the cursor is."""
        self.need(90)
        self.bookmark(bookmark, 0)
        for line in wrap(text, WIDTH, 17, True, 2):
            self.y -= 19
            self.surface.text(LEFT, self.y, line, 17, ACCENT, bold=True)
        self.y -= 3
        for line in wrap(subtitle, WIDTH, BODY, False, 3) if subtitle else ():
            self.y -= 12.5
            self.surface.text(LEFT, self.y, line, BODY, MUTED)
        self.y -= 8
        self.surface.line(LEFT, self.y, RIGHT, self.y, ACCENT, 1.2)
        self.y -= 6

    def heading(self, text: str, keep: float = 60, level: int = 1, bookmark: str = "") -> None:
        """A heading that stays with the next `keep` points."""
        self.need(24 + keep)
        self.y -= 20
        if bookmark:
            self.bookmark(bookmark, level)
        self.surface.text(LEFT, self.y, fit(text, WIDTH, 11.5, True), 11.5, INK, bold=True)
        self.y -= 6

    def paragraph(
        self, text: str, size: float = BODY, fill: Colour = INK, most: int = 400, indent: float = 0
    ) -> int:
        """Returns how many lines it took."""
        leading = size * 1.42
        lines = wrap(text, WIDTH - indent, size, False, most)
        for line in lines:
            self.need(leading)
            self.y -= leading
            self.surface.text(LEFT + indent, self.y, line, size, fill)
        return len(lines)

    def note(self, text: str) -> None:
        """A line in small grey print: captions, caps, definitions."""
        self.paragraph(text, SMALL, MUTED)

    def bullet(self, text: str, size: float = BODY) -> None:
        leading = size * 1.42
        for number, line in enumerate(wrap(text, WIDTH - 12, size)):
            self.need(leading)
            self.y -= leading
            if number == 0:
                self.surface.rectangle(LEFT + 2, self.y + size * 0.22, 3, 3, fill=ACCENT)
            self.surface.text(LEFT + 12, self.y, line, size, INK)
        self.y -= 2

    # --- figures ---------------------------------------------------------------------------------

    def tiles(self, tiles: Sequence[Tile], columns: int = 4, height: float = 58) -> None:
        gap = 8.0
        width = (WIDTH - gap * (columns - 1)) / columns
        for first in range(0, len(tiles), columns):
            self.need(height + gap)
            for place, tile in enumerate(tiles[first : first + columns]):
                self._tile(tile, LEFT + place * (width + gap), self.y - height, width, height)
            self.y -= height + gap

    def _tile(self, tile: Tile, x: float, y: float, width: float, height: float) -> None:
        surface = self.surface
        ink = ALARM if tile.alarm else ACCENT
        surface.rectangle(x, y, width, height, fill=TINT)
        surface.rectangle(x, y, 2.4, height, fill=ink)
        inner = width - 18
        surface.text(x + 11, y + height - 14, fit(tile.label, inner, SMALL), SMALL, MUTED)
        surface.text(x + 11, y + height - 36, fit(tile.value, inner, 19, True), 19, ink, bold=True)
        surface.text(x + 11, y + 8.5, fit(tile.note, inner, 7), 7, MUTED)

    def charts(self, charts: Sequence[tuple[str, Surface, float, float]], gap: float = 16) -> None:
        """Charts side by side: (title, surface, width, height)."""
        height = max(chart[3] for chart in charts) + 20
        self.need(height)
        x = LEFT
        for title, chart, width, chart_height in charts:
            self.surface.text(x, self.y - 12, fit(title, width, 8.5, True), 8.5, INK, bold=True)
            self.surface.place(chart, x, self.y - 20 - chart_height)
            x += width + gap
        self.y -= height + 6

    # --- tables ----------------------------------------------------------------------------------

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> None:
        """A table whose header is repeated on every page it reaches."""
        columns = tuple(columns)
        header = tables.header(columns, WIDTH)
        self.need(52)
        self._strip(header)
        for cells in rows:
            row = tables.row(columns, tuple(cells), WIDTH)
            if self.y - row.height < BOTTOM:
                self.new_page()
                self._strip(header)
            self._strip(row)
        self.y -= 4

    def _strip(self, strip: tables.Strip) -> None:
        self.surface.place(strip.surface, LEFT, self.y)
        self.y -= strip.height

    # --- pictures --------------------------------------------------------------------------------

    def pictures(self, pictures: Sequence[Picture], target: float = 178, gap: float = 12) -> None:
        """Rows of pictures of one height each, as wide as the page where there are enough of them."""
        row: list[Picture] = []
        for picture in pictures:
            row.append(picture)
            if sum(_ratio(p) for p in row) * target + gap * (len(row) - 1) >= WIDTH:
                self._picture_row(row, target, gap)
                row = []
        if row:
            self._picture_row(row, target, gap)

    def _picture_row(self, row: Sequence[Picture], target: float, gap: float) -> None:
        height = min(target, (WIDTH - gap * (len(row) - 1)) / sum(_ratio(p) for p in row))
        widths = [_ratio(picture) * height for picture in row]
        captions = [
            [line for text in picture.caption for line in wrap(text, max(width, 60), SMALL, False, 3)]
            for picture, width in zip(row, widths, strict=True)
        ]
        whole = height + 10.5 * max(map(len, captions)) + 16
        self.need(whole)
        x = LEFT
        for picture, caption, width in zip(row, captions, widths, strict=True):
            self._picture(picture, caption, x, width, height)
            x += width + gap
        self.y -= whole

    def _picture(
        self, picture: Picture, caption: Sequence[str], x: float, width: float, height: float
    ) -> None:
        top = self.y - 4
        self.surface.image(picture.path, x, top - height, width, height)
        self.surface.rectangle(x, top - height, width, height, stroke=FAINT, line_width=0.5)
        if picture.badge:
            badge = width_of(picture.badge, 6.5, True) + 8
            self.surface.rectangle(x + 4, top - 15, badge, 11, fill=PAPER, stroke=INK, line_width=0.4)
            self.surface.text(x + 8, top - 12, picture.badge, 6.5, INK, bold=True)
        for number, line in enumerate(caption):
            self.surface.text(
                x, top - height - 10 - 10.5 * number, line, SMALL, INK if number == 0 else MUTED
            )


def _ratio(picture: Picture) -> float:
    """Width by height, as it is: an ECG strip that is stretched says something else."""
    return picture.width / max(picture.height, 1)
