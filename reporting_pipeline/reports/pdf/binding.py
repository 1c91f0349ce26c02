"""Pages to bytes: one body for all who share it, and the small tail that makes it one person's.

The body is a PDF file without its end. It has holes: the objects that hold the personal cover, the
personal running header, the reader's branch of the structure tree, the metadata, the document information
and the address below which figures lead to their documents are referenced, numbered, and not there.
`SharedBody.bind` appends those objects, the fonts only they need, and a table of them that leads to the
body's own: two tables, one file end.

reportlab builds the document: pages and their tree, resources, pictures, bookmarks, links, the catalog.
`_serialise` takes the place of the last step of its `PDFDocument.format`, which knows no holes, and adds the
structure, which reportlab has none of. A test compares with a document that reportlab makes of the same
pages in one piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from io import BytesIO
from typing import Any

from reportlab import rl_config
from reportlab.pdfbase import pdfdoc
from reportlab.pdfgen.canvas import Canvas

from reporting_pipeline.reports.pdf.faces import ALL_FACES, BOLD, REGULAR
from reporting_pipeline.reports.pdf.objects import (
    File,
    colour_profile,
    content_name,
    font_objects,
    information,
    metadata,
    stream,
)
from reporting_pipeline.reports.pdf.structure import Structure, references
from reporting_pipeline.reports.pdf.surface import Surface, number

# Streams stay binary: ASCII85 makes files a quarter larger and rendering several times slower.
rl_config.useA85 = 0
# No clock and no random number in the file.
rl_config.invariant = 1

PAGE_WIDTH, PAGE_HEIGHT = 595.28, 841.89
PRODUCER = "reporting-pipeline"
_COVER, _HEADER = "personalcover", "personalheader"
#: The holes: what a body refers to and every reader's tail brings.
_INFO, _METADATA, _BRANCH, _BRANCH_MARKS = "info", "metadata", "branch", "branchmarks"
_ADDRESS = "address"
_TREE = "structuretree"
_HOLES = (_COVER, _HEADER, _INFO, _METADATA, _BRANCH, _BRANCH_MARKS, _ADDRESS)


#: The first line of a file, and a comment of high bytes that says it is binary.
_BEGIN = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"


@dataclass(frozen=True)
class Bookmark:
    title: str
    level: int
    top: float


@dataclass(frozen=True)
class Link:
    """A box (x1, y1, x2, y2) on a page that leads to a bookmark; `element`: its Link in the structure.

    `outside`: it leads to an address below the one that each reader's own part brings.
    """

    box: tuple[float, float, float, float]
    target: str
    says: str
    element: int
    outside: bool = False


@dataclass
class BodyPage:
    """One page of a body."""

    surface: Surface = field(default_factory=Surface)
    bookmarks: list[Bookmark] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)


@dataclass(frozen=True)
class Personal:
    """What is one reader's own: drawn on the first page, on all others, and told of the file.

    `structure`: the reader's branch, whose content is the marked sequences of `cover`.
    """

    cover: Surface
    structure: Structure
    header: Surface
    title: str
    subject: str
    author: str
    keywords: str
    creator: str
    created: datetime
    address: str = ""  # that links to the outside stand below, ends with a slash

    @property
    def told(self) -> dict[str, Any]:
        """What the file says of itself, twice: as information and as metadata."""
        return {
            "title": self.title,
            "subject": self.subject,
            "author": self.author,
            "keywords": self.keywords,
            "creator": self.creator,
            "producer": PRODUCER,
            "created": self.created,
        }


@dataclass(frozen=True)
class SharedBody:
    """A file without its end: `bind` makes it whole, as often as there are readers."""

    content: bytes
    pages: int
    _holes: Mapping[str, int]  # each of _HOLES -> object number
    _fonts: Mapping[str, int]  # resource -> object number
    _catalog: int
    _first_page: int  # object numbers of the first page and of the root of the structure's elements
    _document: int
    _next: int  # the first object number that is free
    _table: int  # where the body's table is
    _digest: Any  # SHA-256 of `content`, to be continued

    def bind(self, personal: Personal) -> tuple[bytes, str]:
        """The file of one reader, and its SHA-256 in hexadecimal."""
        tail, holes = File(len(self.content), self._next), self._holes
        fonts = {**self._fonts, **_put_fonts(tail, _glyphs((personal.cover, personal.header)))}
        key = self.pages  # the pages' own keys of the parent tree come before
        tail.put(holes[_COVER], form_object(personal.cover, fonts, f"/StructParents {key}"))
        tail.put(holes[_HEADER], form_object(personal.header, fonts))
        tail.put(holes[_INFO], information(**personal.told))
        tail.put(holes[_METADATA], metadata(**personal.told))
        tail.put(holes[_ADDRESS], f"<</Base<{personal.address.encode('ascii').hex()}>>>".encode("ascii"))
        self._put_branch(tail, personal)
        identity = sha256(self._digest.digest() + b"".join(tail.parts)).hexdigest()[:32]
        ids = f"/ID[<{identity}><{identity}>]/Prev {self._table}"
        trailer = f"/Root {self._catalog} 0 R/Info {holes[_INFO]} 0 R{ids}"
        place = tail.finish(trailer)
        end = b"".join(tail.parts) + b"startxref\n%d\n%%%%EOF\n" % place
        digest = self._digest.copy()
        digest.update(end)
        return self.content + end, digest.hexdigest()

    def _put_branch(self, tail: File, personal: Personal) -> None:
        """The elements of the reader's branch: the first is a hole, the others are new."""
        own = personal.structure
        first = tail.reserve(len(own) - 1)
        numbers = [self._holes[_BRANCH], *range(first, first + len(own) - 1)]
        objects = own.objects(numbers, self._document, [self._first_page], stream=self._holes[_COVER])
        for place, data in zip(numbers, objects, strict=True):
            tail.put(place, data.encode("ascii"))
        marks = references(numbers[element] for element in personal.cover.marks)
        tail.put(self._holes[_BRANCH_MARKS], f"[{marks}]".encode("ascii"))


def form_object(surface: Surface, fonts: Mapping[str, int], entries: str = "") -> bytes:
    """A form XObject as large as the page."""
    resources = " ".join(f"/{resource} {n} 0 R" for resource, n in fonts.items())
    return stream(
        f"/Type/XObject/Subtype/Form/BBox[0 0 {number(PAGE_WIDTH)} {number(PAGE_HEIGHT)}]"
        f"/Resources<</Font<<{resources}>>>>{entries}",
        surface.content().encode("ascii"),
    )


class _Raw(pdfdoc.PDFObject):  # type: ignore[misc]
    """An object whose bytes are given, for reportlab to number and write."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data

    def format(self, document: Any) -> bytes:
        return self.data


class _Picture(pdfdoc.PDFImageXObject):  # type: ignore[misc]
    """A JPEG as it is. Archives want the line's end before "endstream" that reportlab leaves out."""

    def format(self, document: Any) -> bytes:
        written: bytes = super().format(document)
        return written.removesuffix(b"endstream\n") + b"\nendstream"


class _TaggedLink(pdfdoc.LinkAnnotation):  # type: ignore[misc]
    """A link that the structure leads to."""

    permitted = (*pdfdoc.LinkAnnotation.permitted, "StructParent")


def bind_body(pages: Sequence[BodyPage], structure: Structure, language: str = "en") -> SharedBody:
    """The body that all readers of these pages share."""
    canvas = Canvas(
        BytesIO(),
        pagesize=(PAGE_WIDTH, PAGE_HEIGHT),
        pageCompression=1,
        invariant=1,
        pdfVersion=(1, 7),
        lang=language,
    )
    canvas.setViewerPreference("DisplayDocTitle", "true")
    document = canvas._doc
    holes = {name: document.Reference(_Raw(), _hole(name)) for name in _HOLES}
    drawn = [_draw(canvas, page, place) for place, page in enumerate(pages)]
    if any(page.bookmarks for page in pages):
        canvas.showOutline()
    links = _add_links(document, pages, drawn)
    fonts = _add_fonts(document, _glyphs(page.surface for page in pages))
    _tag_catalog(document, holes)
    if any(link.outside for page in pages for link in page.links):
        catalog = document.Catalog  # relative addresses of the body, and each reader's own place for them
        catalog.__NoDefault__ = [*catalog.__NoDefault__, "URI"]
        catalog.URI = holes[_ADDRESS]
    return _serialise(canvas, pages, structure, fonts, drawn, links)


def _hole(name: str) -> str:
    """What reportlab knows it by: the forms by their names in the pages' resources."""
    return str(pdfdoc.xObjectName(name)) if name in (_COVER, _HEADER) else name


def _number(document: Any, reference: Any) -> int:
    """The object number of what reportlab refers to."""
    numbered: int = document.idToObjectNumberAndVersion[reference.name][0]
    return numbered


def _draw(canvas: Canvas, page: BodyPage, place: int) -> Any:
    """A page of the document; reportlab's reference to it."""
    document = canvas._doc
    own = _HEADER if place else _COVER
    canvas.doForm(own)
    parts: list[str] = []
    over: list[str] = []
    for image in page.surface.images:
        name = content_name(image.path)  # once in a file, by its bytes and not by the folder it lies in
        if not document.hasForm(name):
            document.addForm(name, _Picture(name, image.path))
        canvas.doForm(name)
        box = " ".join(map(number, (image.width, 0, 0, image.height, image.x, image.y)))
        shown = f"q {box} cm /{document.getXObjectName(name)} Do Q"
        (over if image.above else parts).append(f"/Figure<</MCID {image.mark}>>BDC {shown} EMC")
    parts.append(page.surface.content())
    parts.extend(over)
    parts.append(f"/{document.getXObjectName(own)} Do")  # over the grounds of what is shared
    for bookmark in page.bookmarks:
        key = "b" + sha256(bookmark.title.encode("utf-8", "replace")).hexdigest()[:20]
        canvas.bookmarkPage(key, fit="XYZ", left=0, top=bookmark.top)
        canvas.addOutlineEntry(bookmark.title, key, bookmark.level, closed=bookmark.level > 0)
    canvas.showPage()
    written = document.Pages.pages[-1]
    # Compressed here: reportlab's own way takes twice the time for a tenth less. And without the preamble of
    # its canvas, which names a font that is not embedded.
    written.Contents = _Raw(stream("", "\n".join(parts).encode("ascii")))
    # Its page has no place for these two, so they are named.
    written.__NoDefault__ = [*written.__NoDefault__, "StructParents", "Tabs"]
    written.StructParents, written.Tabs = place, pdfdoc.PDFName("S")
    return document.Reference(written)


def _add_links(document: Any, pages: Sequence[BodyPage], drawn: Sequence[Any]) -> list[int]:
    """Every page's links, in order; their object numbers."""
    targets = {
        bookmark.title: f"[{_number(document, page)} 0 R /XYZ 0 {number(bookmark.top)} null]"
        for held, page in zip(pages, drawn, strict=True)
        for bookmark in held.bookmarks
    }
    numbers: list[int] = []
    for held, page in zip(pages, document.Pages.pages, strict=True):
        references = []
        for link in held.links:
            # After the pages' own keys of the structure and the personal cover's.
            key = len(pages) + 1 + len(numbers)
            box = [float(number(side)) for side in link.box]
            annotation = (
                _outward(box, link, key)
                if link.outside
                else _TaggedLink(box, link.says, targets[link.target], "[0 0 0]", F=4, StructParent=key)
            )
            references.append(document.Reference(annotation))
            numbers.append(_number(document, references[-1]))
        if references:
            page.Annots = references
    return numbers


def _outward(box: list[float], link: Link, key: int) -> Any:
    """A link to an address below the reader's own."""
    action = {"S": pdfdoc.PDFName("URI"), "URI": pdfdoc.PDFString(link.target)}
    return pdfdoc.PDFDictionary(
        {
            "Type": pdfdoc.PDFName("Annot"),
            "Subtype": pdfdoc.PDFName("Link"),
            "Rect": pdfdoc.PDFArray(box),
            "Contents": pdfdoc.PDFString(link.says),
            "Border": pdfdoc.PDFArray([0, 0, 0]),
            "F": 4,
            "StructParent": key,
            "A": pdfdoc.PDFDictionary(action),
        }
    )


def _add_fonts(document: Any, glyphs: Mapping[str, dict[int, str]]) -> dict[str, int]:
    """Embed the two Latin faces and whatever else is drawn with; resource -> object number."""
    numbers: dict[str, int] = {}
    embedded: dict[str, Any] = {}
    for resource in sorted({*glyphs, REGULAR.resource, BOLD.resource}):
        holders = [_Raw() for _ in range(5)]
        references = [document.Reference(holder) for holder in holders]
        first = _number(document, references[0])
        font = ALL_FACES[resource].embedded(glyphs.get(resource, {}))
        for holder, data in zip(holders, font_objects(font, first), strict=True):
            holder.data = data
        embedded[resource] = references[0]
        numbers[resource] = first
    # In the place of the canvas's own Helvetica, which nothing is drawn with.
    document.idToObject["BasicFonts"].dict = embedded
    return numbers


def _tag_catalog(document: Any, holes: Mapping[str, Any]) -> None:
    catalog = document.Catalog
    catalog.MarkInfo = _Raw(b"<</Marked true>>")
    catalog.Metadata = holes[_METADATA]
    catalog.StructTreeRoot = document.Reference(_Raw(), _TREE)
    profile = document.Reference(_Raw(colour_profile()))
    catalog.__NoDefault__ = [*catalog.__NoDefault__, "OutputIntents"]
    catalog.OutputIntents = (
        f"[<</Type/OutputIntent/S/GTS_PDFA1/OutputConditionIdentifier(sRGB)/Info(sRGB)"
        f"/DestOutputProfile {_number(document, profile)} 0 R>>]"
    )


def _serialise(
    canvas: Canvas,
    pages: Sequence[BodyPage],
    structure: Structure,
    fonts: Mapping[str, int],
    drawn: Sequence[Any],
    links: Sequence[int],
) -> SharedBody:
    """The document's objects but the holes, then the structure's, packed, and the table of both."""
    document = canvas._doc
    catalog = _number(document, document.Reference(document.Catalog))
    document.Outlines.prepare(document, canvas)
    if document.Outlines.ready < 0:
        document.Catalog.Outlines = None
    numbers = document.idToObjectNumberAndVersion
    holes = {name: numbers[_hole(name)][0] for name in _HOLES}
    tree = numbers[_TREE][0]
    left_out = {*holes.values(), tree, *_unused_fonts(document)}
    file = File()
    file.raw(_BEGIN)
    while file.next in document.numberToId:  # formatting an object may number new ones
        here = file.reserve()
        if here not in left_out:
            file.put(here, pdfdoc.format(document.idToObject[document.numberToId[here]], document, 1))
    first = file.reserve(len(structure))
    elements = range(first, first + len(structure))
    page_numbers = [_number(document, page) for page in drawn]
    file.pack(first, list(structure.objects(elements, tree, page_numbers, links, personal=holes[_BRANCH])))
    file.put(tree, _tree(pages, elements, holes[_BRANCH_MARKS]).encode("ascii"))
    table = file.finish(f"/Root {catalog} 0 R")
    content = b"".join(file.parts)
    return SharedBody(
        content=content,
        pages=len(pages),
        _holes=holes,
        _fonts=fonts,
        _catalog=catalog,
        _first_page=page_numbers[0],
        _document=first,
        _next=file.next,
        _table=table,
        _digest=sha256(content),
    )


def _unused_fonts(document: Any) -> list[int]:
    """Those that the canvas brings of itself."""
    own = [name for name, what in document.idToObject.items() if isinstance(what, pdfdoc.PDFType1Font)]
    return [document.idToObjectNumberAndVersion[name][0] for name in own]


def _glyphs(surfaces: Iterable[Surface]) -> dict[str, dict[int, str]]:
    """Resource -> glyph -> text, of what is drawn beyond the base subsets."""
    glyphs: dict[str, dict[int, str]] = {}
    for surface in surfaces:
        for resource, used in surface.glyphs.items():
            glyphs.setdefault(resource, {}).update(used)
    return glyphs


def _put_fonts(
    file: File, glyphs: Mapping[str, dict[int, str]], always: Sequence[str] = ()
) -> dict[str, int]:
    """Embed what the glyphs need and the faces that every body has; resource -> object number."""
    numbers: dict[str, int] = {}
    for resource in sorted({*glyphs, *always}):
        first = file.reserve(5)
        for place, data in enumerate(
            font_objects(ALL_FACES[resource].embedded(glyphs.get(resource, {})), first)
        ):
            file.put(first + place, data)
        numbers[resource] = first
    return numbers


def _tree(pages: Sequence[BodyPage], elements: Sequence[int], branch_marks: int) -> str:
    """The root of the structure, with the way from content back to its element."""
    links = [link for page in pages for link in page.links]
    ways = [
        f"{key}[{references([elements[one] for one in page.surface.marks])}]"
        for key, page in enumerate(pages)
    ]
    ways.append(f"{len(pages)} {branch_marks} 0 R")
    ways += [f"{key} {elements[link.element]} 0 R" for key, link in enumerate(links, len(pages) + 1)]
    return (
        f"<</Type/StructTreeRoot/K[{elements[0]} 0 R]/ParentTree<</Nums[{' '.join(ways)}]>>"
        f"/ParentTreeNextKey {len(ways)}>>"
    )
