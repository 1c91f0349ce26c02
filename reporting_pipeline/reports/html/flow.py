"""Blocks to elements of one document. Nothing is cut for room: there are no pages."""

from __future__ import annotations

import re
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import sha256
from html import escape
from math import inf
from pathlib import Path
from unicodedata import bidirectional

from reporting_pipeline.languages import Words
from reporting_pipeline.reports import wording
from reporting_pipeline.reports.blocks import (
    BODY,
    KEPT_BELOW,
    SMALL,
    Cell,
    Chart,
    Column,
    Flag,
    Letterhead,
    Pair,
    Picture,
    Tile,
)
from reporting_pipeline.reports.html.svg import Drawings
from reporting_pipeline.reports.palette import INK, Colour
from reporting_pipeline.reports.pdf.typesetting import clean

#: Where the reader's own part goes, and where the address below which figures lead to their documents. No
#: text has them: controls are replaced.
PERSONAL, ADDRESS = "\x00", "\x01"
#: With more headings than these only the parts are in the table of contents.
_MOST_LISTED = 40
_ARROWS = {"up": "▲", "down": "▼"}


def told(text: object) -> str:
    """Text for an element's content; what is written from right to left does not turn what is around it."""
    plain = clean(text)
    shown = escape(plain, quote=False)
    turned = not plain.isascii() and any(bidirectional(one) in ("R", "AL", "AN") for one in plain)
    return f"<bdi>{shown}</bdi>" if turned else shown


def attribute(text: object) -> str:
    """Text for an attribute in double quotes."""
    return escape(clean(text))


class HtmlFlow:
    """A document being filled from its beginning."""

    room = inf

    def __init__(self, say: Words, letterhead: Letterhead | None = None) -> None:
        self._letterhead = letterhead or Letterhead()
        self._say = say
        self._head: list[str] = []
        self._parts: list[str] = []
        self._begins = -1  # the place in _parts of the first heading: the contents stand before it
        self._listed: list[tuple[int, str, str]] = []  # level, id, text of each heading
        self._regions: Counter[str] = Counter()  # labels given
        self._ids: set[str] = set()
        self._drawings = Drawings()
        self._heading = ""  # text of the last one
        self._in_list = False

    def body(self) -> str:
        """All that readers share, with PERSONAL once and ADDRESS wherever a figure leads to its documents."""
        self._end_list()
        first = max(self._begins, 0)
        return "".join(
            [
                f'<header class="cover">{"".join(self._head)}</header>\n<main>\n',
                *self._parts[:first],
                self._contents(),
                *self._parts[first:],
                "</main>\n",
                self._drawings.letters(),
            ]
        )

    def _contents(self) -> str:
        parts = [one for one in self._listed if len(self._listed) <= _MOST_LISTED or not one[0]]
        if len(parts) < 3:
            return ""
        rows = "".join(
            f'<li class="l{level}"><a href="#{name}">{text}</a></li>' for level, name, text in parts
        )
        say = self._say
        word = say("Contents")
        return f'<nav aria-label="{attribute(word)}"><h2>{told(word)}</h2><ul>{rows}</ul></nav>\n'

    def _add(self, html: str) -> None:
        self._end_list()
        self._parts.append(f"{html}\n")

    def _end_list(self) -> None:
        if self._in_list:
            self._parts.append("</ul>\n")
            self._in_list = False

    def _anchor(self, bookmark: str, level: int, text: str) -> str:
        """The attribute of a heading that the contents name and rows lead to."""
        self._end_list()
        if self._begins < 0:
            self._begins = len(self._parts)
        name = anchor_of(bookmark or f"{len(self._ids)} {text}")
        if name in self._ids:
            name = f"{name}-{len(self._ids)}"
        self._ids.add(name)
        if bookmark:
            self._listed.append((level, name, told(text)))
        return f' id="{name}"'

    # --- pages, which there are none of -----------------------------------------------------------

    def new_page(self) -> None:
        """Where a printer begins one is the style sheet's to say."""

    def need(self, height: float) -> None:
        """There is always room."""

    def space(self, height: float) -> None:
        """Distances are the style sheet's."""

    # --- text ------------------------------------------------------------------------------------

    def first_page(
        self, organisation: str, title: str, subtitle: str, facts: Sequence[tuple[str, str]]
    ) -> None:
        rows = "".join(f"<div><dt>{told(label)}</dt><dd>{told(text)}</dd></div>" for label, text in facts)
        logo = self._letterhead.logo
        shown = f'<img class="logo" {_source(logo)} alt="{attribute(logo.says)}">' if logo else ""
        self._head.append(
            f'<div class="band">{shown}<p class="house">{told(organisation)}</p><h1>{told(title)}</h1>'
            f'<p class="when">{told(subtitle)}</p></div>\n{PERSONAL}<dl class="facts">{rows}</dl>\n'
        )

    def alert(self, title: str, texts: Sequence[str]) -> None:
        told_texts = "".join(f"<p>{told(text)}</p>" for text in texts)
        self._add(f'<div class="alert"><p><strong>{told(title)}</strong></p>{told_texts}</div>')

    def title(self, text: str, subtitle: str, bookmark: str) -> None:
        self._heading = text
        self._add(f"<h2{self._anchor(bookmark, 0, text)}>{told(text)}</h2>")
        if subtitle:
            self._add(f'<p class="subtitle">{told(subtitle)}</p>')

    def heading(self, text: str, keep: float = KEPT_BELOW, level: int = 1, bookmark: str = "") -> None:
        self._heading = text
        name = "h3" if level else "h2"
        self._add(f"<{name}{self._anchor(bookmark, level, text)}>{told(text)}</{name}>")

    def paragraph(
        self, text: str, size: float = BODY, fill: Colour = INK, most: int = 400, indent: float = 0
    ) -> int:
        look = ' class="note"' if size <= SMALL or fill != INK else ""
        self._add(f"<p{look}>{told(text)}</p>")
        return 1

    def note(self, text: str) -> None:
        self._add(f'<p class="note">{told(text)}</p>')

    def bullet(self, text: str, size: float = BODY) -> None:
        if not self._in_list:
            self._add("<ul>")
            self._in_list = True
        self._parts.append(f"<li>{told(text)}</li>\n")

    # --- figures ---------------------------------------------------------------------------------

    def tiles(self, tiles: Sequence[Tile], columns: int = 4, height: float = 58) -> None:
        self._add(f'<ul class="tiles">{"".join(map(_tile, tiles))}</ul>')

    def charts(self, charts: Sequence[Chart], gap: float = 16) -> None:
        self._add(f'<div class="charts">{"".join(map(self._chart, charts))}</div>')

    def _chart(self, chart: Chart) -> str:
        drawn = self._drawings.svg(chart.surface, chart.width, chart.height, clean(chart.says))
        numbers = ""
        if chart.rows:
            head = "".join(f'<th scope="col">{told(cell)}</th>' for cell in chart.head)
            rows = "".join(
                f"<tr>{''.join(f'<td>{told(cell)}</td>' for cell in row)}</tr>" for row in chart.rows
            )
            numbers = (
                f"<details><summary>{told('Numbers')}: {told(chart.title)}</summary>"
                f"{self._region(f'Numbers: {chart.title}')}<table><thead><tr>{head}</tr></thead>"
                f"<tbody>{rows}</tbody></table></div></details>"
            )
        wide = " wide" if chart.width > 300 else ""
        return (
            f'<figure class="chart{wide}"><figcaption>{told(chart.title)}</figcaption>'
            f"{self._region(chart.title)}{drawn}</div>{numbers}</figure>"
        )

    # --- tables ----------------------------------------------------------------------------------

    def table(
        self, columns: Sequence[Column], rows: Iterable[Sequence[Cell]], targets: Sequence[str] = ()
    ) -> None:
        head = "".join(f'<th{_right(column)} scope="col">{told(column.title)}</th>' for column in columns)
        made = [
            _row(columns, cells, targets[place] if place < len(targets) else "")
            for place, cells in enumerate(rows)
        ]
        self._add(
            f"{self._region(self._heading)}<table><thead><tr>{head}</tr></thead>\n<tbody>{''.join(made)}</tbody>"
            "</table></div>"
        )

    def _region(self, label: str) -> str:
        """What is wider than the window scrolls in here, by the keyboard, too. No two have one name."""
        self._regions[label] += 1
        told_apart = label if self._regions[label] == 1 else f"{label} ({self._regions[label]})"
        return f'<div class="scroll" tabindex="0" role="region" aria-label="{attribute(told_apart)}">'

    # --- pictures --------------------------------------------------------------------------------

    def pictures(self, pictures: Sequence[Picture]) -> None:
        self._add(f'<div class="pictures">{"".join(map(_picture, pictures))}</div>')


def anchor_of(bookmark: str) -> str:
    return "b" + sha256(bookmark.encode("utf-8", "replace")).hexdigest()[:16]


def _tile(tile: Tile) -> str:
    value = f"<strong>{told(tile.value)}</strong>"
    if tile.leads_to:
        says = attribute(f"{tile.value}: {wording.link_to_documents(tile.label)}")
        value = (
            f'<a href="{ADDRESS}{attribute(tile.leads_to)}" aria-label="{says}" rel="noreferrer">{value}</a>'
        )
    look = ' class="alarm"' if tile.alarm else ""
    note = f'<span class="under">{told(tile.note)}</span>' if tile.note else ""
    return f"<li{look}><span>{told(tile.label)}</span>{value}{note}</li>"


def _right(column: Column) -> str:
    return ' class="n"' if column.align == "right" else ""


def _row(columns: Sequence[Column], cells: Sequence[Cell], target: str) -> str:
    made = []
    for place, (column, cell) in enumerate(zip(columns, cells, strict=True)):
        inner = _cell(cell)
        if column.bold and not isinstance(cell, Flag):
            inner = _bold(cell)
        if target and not place:
            inner = f'<a href="#{anchor_of(target)}">{inner}</a>'
        name = 'th scope="row"' if not place else "td"
        made.append(f"<{name}{_right(column)}>{inner}</{name[:2]}>")
    return f"<tr>{''.join(made)}</tr>\n"


def _bold(cell: Cell) -> str:
    if isinstance(cell, str):
        return f"<b>{told(cell)}</b>"
    return f"<b>{told(cell.text)}</b>{_under(cell.under)}"


#: A day as tables write it; its hyphens are no places to break a line.
_DAY = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")


def _in_cell(text: str) -> str:
    return _DAY.sub(r'<span class="day">\g<0></span>', told(text))


def _cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return _in_cell(cell)
    if isinstance(cell, Pair):
        return f"{_in_cell(cell.text)}{_under(cell.under)}"
    arrow = f'<span aria-hidden="true">{_ARROWS[cell.direction]}</span>&#160;' if cell.direction else ""
    return f'<strong class="flag">{arrow}{told(cell.text)}</strong>{_under(cell.under)}'


def _under(text: str) -> str:
    return f' <span class="under">{_in_cell(text)}</span>' if text else ""


def _source(picture: Picture) -> str:
    data = b64encode(Path(picture.path).read_bytes()).decode("ascii")
    return f'src="data:image/jpeg;base64,{data}" width="{picture.width}" height="{picture.height}"'


def _picture(picture: Picture) -> str:
    says = attribute(picture.says or " ".join(picture.caption))
    badge = f'<span class="badge">{told(picture.badge)}</span>' if picture.badge else ""
    lines = "".join(f"<span>{told(line)}</span>" for line in picture.caption)
    return f'<figure><img {_source(picture)} alt="{says}">{badge}<figcaption>{lines}</figcaption></figure>\n'
