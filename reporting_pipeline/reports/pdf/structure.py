"""The structure tree: what each piece of a page is, in reading order (ISO 32000-1, 14.7 and 14.8).

An element is a heading, a paragraph, a table ...; its content lies on pages, as marked-content sequences
whose numbers count from 0 on each `Surface`. Elements are numbered as they are made; 0 is the root. What
is in no element is an artifact: rules, grounds, running headers, repeated heads of tables.
Nothing here knows the words of a report, or the objects of a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from reporting_pipeline.reports.pdf.typesetting import actual_text

#: The kid that stands for the branch of the reader's own.
PERSONAL = -1


class Content(NamedTuple):
    """A marked-content sequence: the page it is on, from 0, and its number there."""

    page: int
    number: int


class LinkAnnotation(NamedTuple):
    """A link annotation: its place among all links of the document."""

    page: int
    link: int


Kid = int | Content | LinkAnnotation


@dataclass(slots=True)
class Element:
    """`attributes`: further entries of its dictionary, as PDF text."""

    role: str
    parent: int
    attributes: str = ""
    kids: list[Kid] = field(default_factory=list)


class _Row(NamedTuple):
    """A row of a table and its cells, of one marked-content sequence each."""

    table: int
    page: int
    first: int  # number of the first cell's sequence
    cells: int
    head: bool


_SCOPE = "/A<</O/Table/Scope/Column>>"


class Structure:
    """Elements in the order in which they are read."""

    def __init__(self, root: str = "Document") -> None:
        self._made: list[Element | _Row] = [Element(root, PERSONAL)]
        self._starts: list[int] = [0]  # number of each of `_made`; a row takes one more for each cell
        self._elements: dict[int, Element] = {0: self._root}
        self._next = 1

    @property
    def _root(self) -> Element:
        root = self._made[0]
        assert isinstance(root, Element)  # noqa: S101 - set above
        return root

    def __len__(self) -> int:
        return self._next

    def add(self, role: str, parent: int = 0, alt: str = "") -> int:
        """A new element, the last one of its parent; its number. `alt`: what a figure shows."""
        element = Element(role, parent, f"/Alt<{actual_text(alt)}>" if alt else "")
        return self._keep(element, parent, 1)

    def add_row(self, table: int, page: int, first: int, cells: int, head: bool) -> int:
        """A row whose cells are the sequences from `first`; the number of its first cell."""
        return self._keep(_Row(table, page, first, cells, head), table, 1 + cells) + 1

    def _keep(self, made: Element | _Row, parent: int, numbers: int) -> int:
        number = self._next
        self._made.append(made)
        self._starts.append(number)
        self._next += numbers
        self._elements[parent].kids.append(number)
        if isinstance(made, Element):
            self._elements[number] = made
        return number

    def add_kid(self, element: int, kid: Kid) -> None:
        """What an element of `add` (or the root) holds next."""
        self._elements[element].kids.append(kid)

    def last_of_root(self) -> tuple[int, str]:
        """Number and role of the last element under the root: a list may go on."""
        kid = self._root.kids[-1] if self._root.kids else 0
        element = self._elements.get(kid) if isinstance(kid, int) else None
        return (kid, element.role) if isinstance(kid, int) and element is not None else (0, "")

    def objects(
        self, numbers: Sequence[int], parent: int, pages: Sequence[int], links: Sequence[int] = (),
        personal: int = 0, stream: int = 0,
    ) -> Iterable[str]:  # fmt: skip
        """The dictionaries of all elements in the order of their numbers.

        `numbers`, `pages`, `links`: the objects of elements, pages and link annotations; `parent`: that of
        what holds the root; `personal`: that of the reader's branch; `stream`: the form XObject in which the
        sequences are, where they are not in the pages' own content.
        """
        for made, start in zip(self._made, self._starts, strict=True):
            if isinstance(made, _Row):
                yield from _row_objects(
                    made, numbers[made.table], numbers[start : start + 1 + made.cells], pages
                )
                continue
            above = numbers[made.parent] if made.parent != PERSONAL else parent
            kids = _kids(made.kids, numbers, pages, links, personal, stream)
            yield f"<</S/{made.role}/P {above} 0 R{made.attributes}{kids}>>"


def _row_objects(row: _Row, table: int, numbers: Sequence[int], pages: Sequence[int]) -> Iterable[str]:
    itself, page = numbers[0], pages[row.page]
    yield f"<</S/TR/P {table} 0 R/K[{references(numbers[1:])}]>>"
    role = f"TH{_SCOPE}" if row.head else "TD"
    for number in range(row.first, row.first + row.cells):
        yield f"<</S/{role}/P {itself} 0 R/Pg {page} 0 R/K {number}>>"


def _kids(
    kids: Sequence[Kid], numbers: Sequence[int], pages: Sequence[int], links: Sequence[int], personal: int,
    stream: int,
) -> str:  # fmt: skip
    if not kids:
        return ""
    first = kids[0]
    if (
        not stream
        and isinstance(first, Content)
        and all(isinstance(kid, Content) and kid.page == first.page for kid in kids)
    ):
        plain = " ".join(str(kid.number) for kid in kids if isinstance(kid, Content))
        return f"/Pg {pages[first.page]} 0 R/K[{plain}]"
    parts = []
    for kid in kids:
        if isinstance(kid, Content):
            inside = f"/Stm {stream} 0 R" if stream else ""
            parts.append(f"<</Type/MCR/Pg {pages[kid.page]} 0 R{inside}/MCID {kid.number}>>")
        elif isinstance(kid, LinkAnnotation):
            parts.append(f"<</Type/OBJR/Pg {pages[kid.page]} 0 R/Obj {links[kid.link]} 0 R>>")
        else:
            parts.append(f"{personal if kid == PERSONAL else numbers[kid]} 0 R")
    return f"/K[{' '.join(parts)}]"


def references(numbers: Iterable[int]) -> str:
    """ "5 0 R 6 0 R"."""
    return " ".join([f"{number} 0 R" for number in numbers])
