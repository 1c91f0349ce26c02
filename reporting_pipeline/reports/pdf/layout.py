"""Blocks onto pages: headings, paragraphs, tables with repeating headers, charts, pictures.

`PageFlow` keeps a cursor and starts a page when a block does not fit. It knows nothing of trials.
Each block says what it is in the structure tree; what only decorates is an artifact. Lengths are points.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from reporting_pipeline.reports import wording
from reporting_pipeline.reports.blocks import (
    BODY,
    KEPT_BELOW,
    SMALL,
    Cell,
    Chart,
    Column,
    Letterhead,
    Picture,
    Tile,
)
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
from reporting_pipeline.reports.pdf.binding import PAGE_HEIGHT, PAGE_WIDTH, BodyPage, Bookmark, Link
from reporting_pipeline.reports.pdf.structure import PERSONAL, Content, LinkAnnotation, Structure
from reporting_pipeline.reports.pdf.surface import Surface, number
from reporting_pipeline.reports.pdf.typesetting import fit, width_of, wrap

MARGIN = 45.0
LEFT, RIGHT = MARGIN, PAGE_WIDTH - MARGIN
WIDTH = RIGHT - LEFT
TOP, BOTTOM = PAGE_HEIGHT - 62.0, 52.0
BAND_TOP = PAGE_HEIGHT - 128.0  # lower edge of the first page's title band
WHO_TOP = BAND_TOP - 22  # where the reader's own part begins, below it
HALF = WIDTH * 0.55
CODE_ROOM = 80.0  # at the right end of the band, for the square code that leads to the proof
_TITLE_WIDTH = WIDTH - CODE_ROOM - 14
TITLE_LINES = 32  # of a part: a title of a trial has up to 1,000 characters
_LOGO = (120.0, 36.0)  # at most so wide and high
#: The titles of a table and its first rows (two, or all of three), where they are no higher, stay together.
_BEGINNING = 84.0
_TOGETHER = 2  # lines or rows that stand on a page at least, where there are more on another


class PageFlow:
    """Pages being filled from the top."""

    def __init__(self, letterhead: Letterhead | None = None) -> None:
        self._letterhead = letterhead or Letterhead()
        self.pages: list[BodyPage] = [BodyPage()]
        self.structure = Structure()
        self.y = TOP
        self._links = 0

    @property
    def page(self) -> BodyPage:
        return self.pages[-1]

    @property
    def surface(self) -> Surface:
        return self.page.surface

    @property
    def room(self) -> float:
        """Points left on this page."""
        return self.y - BOTTOM

    def new_page(self) -> None:
        self.pages.append(BodyPage())
        self.y = TOP

    def need(self, height: float) -> None:
        """Start a page unless `height` is left on this one."""
        if self.y - height < BOTTOM and self.y < TOP:
            self.new_page()

    def space(self, height: float) -> None:
        self.y -= height

    def bookmark(self, title: str, level: int) -> None:
        self.page.bookmarks.append(Bookmark(title, level, self.y + 14))

    # --- structure -------------------------------------------------------------------------------

    def element(self, role: str, parent: int = 0, alt: str = "") -> int:
        return self.structure.add(role, parent, alt)

    @contextmanager
    def content(self, role: str, element: int) -> Iterator[None]:
        """What is drawn inside, on the page of the moment, is content of the element."""
        with self.surface.marked(role, element) as number:
            self.structure.add_kid(element, Content(len(self.pages) - 1, number))
            yield

    @contextmanager
    def block(self, role: str, parent: int = 0, alt: str = "") -> Iterator[int]:
        """A new element whose content is drawn inside."""
        element = self.element(role, parent, alt)
        with self.content(role, element):
            yield element

    def personal(self) -> None:
        """The reader's own branch is read here."""
        self.structure.add_kid(0, PERSONAL)

    def link(
        self,
        element: int,
        box: tuple[float, float, float, float],
        target: str,
        says: str,
        outside: bool = False,
    ) -> None:
        """A link to a bookmark (`outside`: an address) over `box` on the page; `element` is a Link."""
        self.page.links.append(Link(box, target, says, element, outside))
        self.structure.add_kid(element, LinkAnnotation(len(self.pages) - 1, self._links))
        self._links += 1

    def _list(self) -> int:
        """The list that the last block was in, or a new one."""
        last, role = self.structure.last_of_root()
        return last if role == "L" else self.element("L")

    # --- the first page --------------------------------------------------------------------------

    def first_page(
        self, organisation: str, title: str, subtitle: str, facts: Sequence[tuple[str, str]]
    ) -> None:
        """Band, the place of the reader's names, and at most three facts (label, text) to their right."""
        surface, own = self.surface, self._letterhead
        with surface.artifact():
            surface.rectangle(0, BAND_TOP, 1000, PAGE_HEIGHT - BAND_TOP, fill=TINT)
            surface.rectangle(0, BAND_TOP, 1000, 2.5, fill=own.colour)
        top = PAGE_HEIGHT
        beside = self._logo(own.logo, LEFT + _TITLE_WIDTH, top - 18) if own.logo else 0
        with self.block("P"):
            name = fit(organisation, _TITLE_WIDTH - beside, 10, True)
            surface.text(LEFT, top - 48, name, 10, MUTED, bold=True)
        with self.block("H1"):
            self._in_band(top - 82, title, (25, 21, 18, 14), own.colour, bold=True)
        with self.block("P"):
            self._in_band(top - 106, subtitle, (14, 11, 9), INK)
        self.personal()
        x = LEFT + HALF
        for place, (label, text) in enumerate(facts[:3]):
            y = WHO_TOP - 34 * place
            with self.block("P"):
                surface.text(x, y, label, 7.5, MUTED)
            with self.block("P"):
                surface.text(x, y - 13, fit(text, RIGHT - x, 9), 9, INK)
        self.y = WHO_TOP - 112

    def _in_band(self, y: float, text: str, sizes: Sequence[float], fill: Colour, bold: bool = False) -> None:
        """One line in the first size in which it is whole; in the last one two lines, the second at `y`."""
        size = next((one for one in sizes if width_of(text, one, bold) <= _TITLE_WIDTH), sizes[-1])
        lines = wrap(text, _TITLE_WIDTH, size, bold, 2)
        for place, line in enumerate(lines):
            self.surface.text(LEFT, y + size * 1.15 * (len(lines) - 1 - place), line, size, fill, bold=bold)

    def _logo(self, logo: Picture, right: float, top: float) -> float:
        """Drawn on the band, its upper right at (right, top); returns the width that it takes away."""
        height = min(_LOGO[1], _LOGO[0] / _ratio(logo))
        width = height * _ratio(logo)
        figure = self.element("Figure", alt=logo.says)
        x, y = right - width, top - height
        mark = self.surface.image(logo.path, x, y, width, height, figure, above=True)
        self.structure.add_kid(figure, Content(len(self.pages) - 1, mark))
        return width + 14

    def alert(self, title: str, texts: Sequence[str]) -> None:
        """A framed box; each text takes two lines at most."""
        lines = [line for text in texts for line in wrap(text, WIDTH - 18, 8, False, 2)]
        height, top = 24 + 11 * len(lines), self.y - 4
        with self.surface.artifact():
            self.surface.rectangle(LEFT, top - height, WIDTH, height, stroke=ALARM, line_width=0.8)
            self.surface.rectangle(LEFT, top - height, 3, height, fill=ALARM)
        with self.block("P"):
            self.surface.text(LEFT + 11, top - 14, title, 9.5, ALARM, bold=True)
        with self.block("P"):
            for place, line in enumerate(lines):
                self.surface.text(LEFT + 11, top - 27 - 11 * place, line, 8, INK)
        self.y = top - height - 4

    # --- text ------------------------------------------------------------------------------------

    def title(self, text: str, subtitle: str, bookmark: str) -> None:
        """The heading of a part, with a rule; starts where the cursor is."""
        lines = wrap(text, WIDTH, 17, True, TITLE_LINES)
        below = wrap(subtitle, WIDTH, BODY, False, TITLE_LINES) if subtitle else ()
        self.need(52 + 19 * max(2, len(lines)) + 12.5 * max(0, len(below) - 3))
        self.bookmark(bookmark, 0)
        with self.block("H2"):
            for line in lines:
                self.y -= 19
                self.surface.text(LEFT, self.y, line, 17, ACCENT, bold=True)
        self.y -= 3
        if subtitle:
            with self.block("P"):
                for line in below:
                    self.y -= 12.5
                    self.surface.text(LEFT, self.y, line, BODY, MUTED)
        self.y -= 8
        with self.surface.artifact():
            self.surface.line(LEFT, self.y, RIGHT, self.y, ACCENT, 1.2)
        self.y -= 6

    def heading(self, text: str, keep: float = KEPT_BELOW, level: int = 1, bookmark: str = "") -> None:
        """A heading that stays with the next `keep` points."""
        lines = wrap(text, WIDTH, 11.5, True, TITLE_LINES)
        self.need(24 + 14 * (len(lines) - 1) + keep)
        self.y -= 20
        if bookmark:
            self.bookmark(bookmark, level)
        with self.block("H3" if level else "H2"):
            for place, line in enumerate(lines):
                self.y -= 14 if place else 0
                self.surface.text(LEFT, self.y, line, 11.5, INK, bold=True)
        self.y -= 6

    def paragraph(
        self, text: str, size: float = BODY, fill: Colour = INK, most: int = 400, indent: float = 0
    ) -> int:
        """Returns how many lines it took."""
        leading = size * 1.42
        lines = wrap(text, WIDTH - indent, size, False, most)
        element = self.element("P")
        for place, line in enumerate(lines):
            self.need(leading * _stay_together(place, len(lines)))
            self.y -= leading
            with self.content("P", element):
                self.surface.text(LEFT + indent, self.y, line, size, fill)
        return len(lines)

    def note(self, text: str) -> None:
        """A line in small grey print: captions, caps, definitions."""
        self.paragraph(text, SMALL, MUTED)

    def bullet(self, text: str, size: float = BODY) -> None:
        leading = size * 1.42
        body = self.element("LBody", self.element("LI", self._list()))
        lines = wrap(text, WIDTH - 12, size)
        for place, line in enumerate(lines):
            self.need(leading * _stay_together(place, len(lines)))
            self.y -= leading
            if place == 0:
                with self.surface.artifact():
                    self.surface.rectangle(LEFT + 2, self.y + size * 0.22, 3, 3, fill=ACCENT)
            with self.content("LBody", body):
                self.surface.text(LEFT + 12, self.y, line, size, INK)
        self.y -= 2

    # --- figures ---------------------------------------------------------------------------------

    def tiles(self, tiles: Sequence[Tile], columns: int = 4, height: float = 58) -> None:
        gap = 8.0
        width = (WIDTH - gap * (columns - 1)) / columns
        whole = self.element("L")
        for first in range(0, len(tiles), columns):
            self.need(height + gap)
            for place, tile in enumerate(tiles[first : first + columns]):
                self._tile(whole, tile, LEFT + place * (width + gap), self.y - height, width, height)
            self.y -= height + gap

    def _tile(self, whole: int, tile: Tile, x: float, y: float, width: float, height: float) -> None:
        surface = self.surface
        ink = ALARM if tile.alarm else ACCENT
        with surface.artifact():
            surface.rectangle(x, y, width, height, fill=TINT)
            surface.rectangle(x, y, 2.4, height, fill=ink)
        inner = width - 18
        body = self.element("LBody", self.element("LI", whole))
        with self.block("P", body):
            surface.text(x + 11, y + height - 14, fit(tile.label, inner, SMALL), SMALL, MUTED)
        paragraph = self.element("P", body)
        element = self.element("Link", paragraph) if tile.leads_to else paragraph
        with self.content("Link" if tile.leads_to else "P", element):
            surface.text(x + 11, y + height - 36, fit(tile.value, inner, 19, True), 19, ink, bold=True)
        if tile.leads_to:
            says = wording.link_to_documents(tile.label)
            self.link(element, (x, y, x + width, y + height), tile.leads_to, says, outside=True)
        with self.block("P", body):
            surface.text(x + 11, y + 8.5, fit(tile.note, inner, 7), 7, MUTED)

    def charts(self, charts: Sequence[Chart], gap: float = 16) -> None:
        """Charts side by side."""
        titles = [wrap(chart.title, chart.width, 8.5, True, 4) for chart in charts]
        above = 20 + 10.5 * (max(map(len, titles)) - 1)
        height = max(chart.height for chart in charts) + above
        self.need(height)
        x = LEFT
        for chart, lines in zip(charts, titles, strict=True):
            with self.block("P"):
                for place, line in enumerate(lines):
                    self.surface.text(x, self.y - 12 - 10.5 * place, line, 8.5, INK, bold=True)
            with self.block("Figure", alt=chart.says):
                self.surface.place(chart.surface, x, self.y - above - chart.height)
            x += chart.width + gap
        self.y -= height + 6

    # --- tables ----------------------------------------------------------------------------------

    def table(
        self, columns: Sequence[Column], rows: Iterable[Sequence[Cell]], targets: Sequence[str] = ()
    ) -> None:
        """A table; its header is on every page that it reaches, and no row begins or ends it alone on one.

        `targets`: bookmarks to which the first rows lead, each as wide as the table.
        """
        columns = tuple(columns)
        header = tables.header(columns, WIDTH)
        strips = (tables.row(columns, tuple(cells), WIDTH) for cells in rows)
        ahead = _Ahead(strips)
        self.need(header.height + _first_rows(ahead.next(_TOGETHER + 2), _BEGINNING - header.height))
        table = self.element("Table")
        self._row(header, table, head=True)
        on_page = 0
        for place, row in enumerate(ahead):
            last = ahead.next(2)
            with_last = row.height + last[0].height if len(last) == 1 and on_page >= _TOGETHER else row.height
            if self.y - with_last < BOTTOM:
                self.new_page()
                self._head_again(header)
                on_page = 0
            on_page += 1
            if place < len(targets):
                self._linked_row(row, table, targets[place])
            else:
                self._row(row, table)
        self.y -= 4

    def _row(self, strip: tables.Strip, table: int, head: bool = False) -> None:
        marks = self.surface.marks
        first = len(marks)
        cell = self.structure.add_row(table, len(self.pages) - 1, first, strip.cells, head)
        marks.extend(range(cell, cell + strip.cells))
        self._strip(strip, strip.marked(first))

    def _linked_row(self, strip: tables.Strip, table: int, target: str) -> None:
        """Its first cell is a link over the whole row."""
        row = self.element("TR", table)
        first = len(self.surface.marks)
        cells = [self.element("TD", row) for _ in range(strip.cells)]
        link = self.element("Link", cells[0])
        for mark, owner in enumerate([link, *cells[1:]], first):
            self.structure.add_kid(owner, Content(len(self.pages) - 1, mark))
            self.surface.marks.append(owner)
        self.link(link, (LEFT, self.y - strip.height, RIGHT, self.y), target, wording.link_to(target))
        self._strip(strip, strip.marked(first))

    def _head_again(self, strip: tables.Strip) -> None:
        """The titles on a further page are there for the eye alone."""
        with self.surface.artifact("Pagination"):
            self._strip(strip, strip.unmarked())

    def _strip(self, strip: tables.Strip, operators: str) -> None:
        surface = self.surface
        surface.operators.append(f"q 1 0 0 1 {number(LEFT)} {number(self.y)} cm\n{operators}\nQ")
        surface.takes_glyphs(strip.surface)
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
        figure = self.element("Figure", alt=picture.says or " ".join(picture.caption))
        mark = self.surface.image(picture.path, x, top - height, width, height, figure)
        self.structure.add_kid(figure, Content(len(self.pages) - 1, mark))
        with self.surface.artifact():
            self.surface.rectangle(x, top - height, width, height, stroke=FAINT, line_width=0.5)
        if picture.badge:
            badge = width_of(picture.badge, 6.5, True) + 8
            with self.surface.artifact():
                self.surface.rectangle(x + 4, top - 15, badge, 11, fill=PAPER, stroke=INK, line_width=0.4)
            with self.block("P"):
                self.surface.text(x + 8, top - 12, picture.badge, 6.5, INK, bold=True)
        element = self.element("P")
        for place, line in enumerate(caption):
            with self.content("P", element):
                colour = INK if place == 0 else MUTED
                self.surface.text(x, top - height - 10 - 10.5 * place, line, SMALL, colour)


def _stay_together(place: int, count: int) -> int:
    """How many lines of a paragraph, from this one on, go to the next page rather than be parted."""
    if place == 0:
        return count if count <= _TOGETHER + 1 else _TOGETHER
    return _TOGETHER if place == count - _TOGETHER else 1


def _first_rows(rows: Sequence[tables.Strip], most: float) -> float:
    """The height of those that begin a table together; of the first where they are higher than `most`."""
    together = rows if len(rows) == _TOGETHER + 1 else rows[:_TOGETHER]
    for several in (together, rows[:_TOGETHER]):
        if (height := sum(row.height for row in several)) <= most:
            return height
    return rows[0].height


class _Ahead:
    """Rows one after the other, with a look at the next ones; never more of them in memory than looked at."""

    def __init__(self, rows: Iterator[tables.Strip]) -> None:
        self._rows, self._seen = rows, deque[tables.Strip]()

    def __iter__(self) -> Iterator[tables.Strip]:
        while self.next(1):
            yield self._seen.popleft()

    def next(self, count: int) -> Sequence[tables.Strip]:
        """At most so many rows that come next."""
        while len(self._seen) < count and (row := next(self._rows, None)) is not None:
            self._seen.append(row)
        return tuple(self._seen)[:count]


def _ratio(picture: Picture) -> float:
    """Width by height, as it is: an ECG strip that is stretched says something else."""
    return picture.width / max(picture.height, 1)
