"""Pages to bytes: one body for all who share it, and the small tail that makes it one person's.

The body is a PDF file without its end. It has holes: the objects that hold the personal cover,
the personal running header and the document information are referenced by every page, numbered,
and not there. `SharedBody.bind` appends those objects, the fonts only they need, and one
cross-reference table over everything: a plain file of a single revision.

reportlab builds the pages, outlines, images and resources; `_serialise` replaces the last step of its
`PDFDocument.format`, which knows no holes. A test compares with a document bound in one piece.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from io import BytesIO
from typing import Any

from reportlab import rl_config
from reportlab.pdfbase import pdfdoc
from reportlab.pdfgen.canvas import Canvas

from reporting_pipeline.reports.pdf.faces import ALL_FACES, BOLD, REGULAR, EmbeddedFont
from reporting_pipeline.reports.pdf.surface import Surface, number
from reporting_pipeline.reports.pdf.typesetting import actual_text

# Streams stay binary: ASCII85 makes files a quarter larger and rendering several times slower.
rl_config.useA85 = 0
# No clock and no random number in the file.
rl_config.invariant = 1

PAGE_WIDTH, PAGE_HEIGHT = 595.28, 841.89
#: Half the time of zlib's usual 6; a report grows by one per cent.
_DEFLATE_LEVEL = 4
#: Bytes. Setting zlib up costs more than a reader's cover and header save: one per cent of a file.
_WORTH_DEFLATING = 2_048
_COVER, _HEADER = "personalcover", "personalheader"
_FORMS = (_COVER, _HEADER)


@dataclass(frozen=True)
class Bookmark:
    title: str
    level: int
    top: float


@dataclass
class Page:
    """One page of a body. `links`: (x1, y1, x2, y2, bookmark title) on this page."""

    surface: Surface = field(default_factory=Surface)
    bookmarks: list[Bookmark] = field(default_factory=list)
    links: list[tuple[float, float, float, float, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Personal:
    """What is one reader's own: drawn on the first page, on all others, and told of the file."""

    cover: Surface
    header: Surface
    title: str
    subject: str
    author: str
    keywords: str
    creator: str
    created: datetime


class _Raw(pdfdoc.PDFObject):
    """An object whose bytes are given, for reportlab to number and write."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data

    def format(self, document: Any) -> bytes:
        return self.data


@dataclass(frozen=True)
class SharedBody:
    """A file without its end: `bind` makes it whole, as often as there are readers."""

    content: bytes
    pages: int
    _entries: bytes  # 20 bytes for each object number from 0; holes are zeros
    _holes: Mapping[str, int]  # personalcover, personalheader, info -> object number
    _fonts: Mapping[str, int]  # resource -> object number
    _catalog: int
    _digest: Any  # SHA-256 of `content`, to be continued

    def bind(self, personal: Personal) -> tuple[bytes, str]:
        """The file of one reader, and its SHA-256 in hexadecimal."""
        tail = _Tail(len(self.content), self._entries)
        personal_fonts = self._personal_fonts(tail, personal)
        fonts = {**self._fonts, **personal_fonts}
        for name, surface in ((_COVER, personal.cover), (_HEADER, personal.header)):
            tail.add(self._holes[name], form_object(surface, fonts))
        tail.add(self._holes["info"], info_object(personal))
        end = tail.finish(self._catalog, self._holes["info"], self._digest.digest())
        digest = self._digest.copy()
        digest.update(end)
        return self.content + end, digest.hexdigest()

    def _personal_fonts(self, tail: _Tail, personal: Personal) -> dict[str, int]:
        """Fonts for glyphs that the body may not have embedded."""
        glyphs: dict[str, dict[int, str]] = {}
        for surface in (personal.cover, personal.header):
            for resource, used in surface.glyphs.items():
                glyphs.setdefault(resource, {}).update(used)
        numbers: dict[str, int] = {}
        for resource in sorted(glyphs):
            font = ALL_FACES[resource].embedded(glyphs[resource])
            first = tail.next_number
            for offset, data in enumerate(font_objects(font, first)):
                tail.add(first + offset, data)
            numbers[resource] = first
        return numbers


class _Tail:
    """Objects appended to a body, and the cross-reference table over both."""

    def __init__(self, start: int, entries: bytes) -> None:
        self._start = start
        self._entries = bytearray(entries)
        self._parts: list[bytes] = []
        self._length = 0

    @property
    def next_number(self) -> int:
        return len(self._entries) // 20

    def add(self, object_number: int, data: bytes) -> None:
        entry = b"%010d 00000 n \n" % (self._start + self._length)
        place = object_number * 20
        self._entries[place : place + 20] = entry
        written = b"%d 0 obj\n%s\nendobj\n" % (object_number, data)
        self._parts.append(written)
        self._length += len(written)

    def finish(self, catalog: int, info: int, body_digest: bytes) -> bytes:
        objects = b"".join(self._parts)
        identity = sha256(body_digest + objects).hexdigest()[:32].encode()
        size = self.next_number
        table = b"xref\n0 %d\n%s" % (size, self._entries)
        trailer = b"trailer\n<< /Size %d /Root %d 0 R /Info %d 0 R /ID [<%s> <%s>] >>\n" % (
            size,
            catalog,
            info,
            identity,
            identity,
        )
        start = b"startxref\n%d\n%%%%EOF\n" % (self._start + len(objects))
        return objects + table + trailer + start


def stream_object(dictionary: str, content: bytes) -> bytes:
    if len(content) < _WORTH_DEFLATING:
        return b"<< %s /Length %d >>\nstream\n%s\nendstream" % (
            dictionary.encode("ascii"),
            len(content),
            content,
        )
    packed = zlib.compress(content, _DEFLATE_LEVEL)
    return b"<< %s /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (
        dictionary.encode("ascii"),
        len(packed),
        packed,
    )


def form_object(surface: Surface, fonts: Mapping[str, int]) -> bytes:
    """A form XObject as large as the page."""
    resources = " ".join(f"/{resource} {n} 0 R" for resource, n in fonts.items())
    return stream_object(
        f"/Type /XObject /Subtype /Form /BBox [0 0 {number(PAGE_WIDTH)} {number(PAGE_HEIGHT)}] "
        f"/Resources << /Font << {resources} >> >>",
        surface.content().encode("ascii"),
    )


def text_string(text: str) -> str:
    """A PDF text string of any script."""
    return f"<{actual_text(text)}>"


def info_object(personal: Personal) -> bytes:
    moment = f"(D:{personal.created:%Y%m%d%H%M%S}Z)"
    entries = {
        "Title": text_string(personal.title),
        "Subject": text_string(personal.subject),
        "Author": text_string(personal.author),
        "Keywords": text_string(personal.keywords),
        "Creator": text_string(personal.creator),
        "Producer": text_string("reporting-pipeline"),
        "CreationDate": moment,
        "ModDate": moment,
    }
    return f"<< {' '.join(f'/{key} {value}' for key, value in entries.items())} >>".encode("ascii")


def font_objects(font: EmbeddedFont, first: int) -> list[bytes]:
    """The five objects of a composite font whose numbers start at `first`."""
    name = font.base_name
    return [
        f"<< /Type /Font /Subtype /Type0 /BaseFont /{name} /Encoding /Identity-H "
        f"/DescendantFonts [{first + 1} 0 R] /ToUnicode {first + 4} 0 R >>".encode(),
        f"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /{name} "
        f"/CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> "
        f"/FontDescriptor {first + 2} 0 R /DW 1000 /W {font.widths} /CIDToGIDMap /Identity >>".encode(),
        f"<< /Type /FontDescriptor /FontName /{name} /Flags 4 /FontBBox {font.bounds} /ItalicAngle 0 "
        f"/Ascent {font.ascent} /Descent {font.descent} /CapHeight 714 /StemV 80 "
        f"/FontFile2 {first + 3} 0 R >>".encode(),
        b"<< /Length1 %d /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream"
        % (font.font_file_length, len(font.font_file), font.font_file),
        b"<< /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream"
        % (len(font.to_unicode), font.to_unicode),
    ]


def bind_body(pages: list[Page], language: str = "en") -> SharedBody:
    """The body that all readers of these pages share."""
    canvas = _canvas(language)
    for name in _FORMS:
        canvas._doc.Reference(_Raw(), pdfdoc.xObjectName(name))
    for index, page in enumerate(pages):
        canvas.doForm(_HEADER if index else _COVER)
        _draw(canvas, page)
        _pack_last_page(canvas._doc)
    fonts = _add_fonts(canvas._doc, (page.surface for page in pages))
    return _serialise(canvas, fonts, len(pages))


def bind_whole(pages: list[Page], personal: Personal, language: str = "en") -> bytes:
    """The same document in one piece, by reportlab's own means: nothing shared, no holes.

    What the shared way is compared with; slower by all that it does again.
    """
    canvas = _canvas(language)
    for index, page in enumerate(pages):
        own = personal.header if index else personal.cover
        canvas.addLiteral(f"q\n{own.content()}\nQ")
        _draw(canvas, page)
    _add_fonts(canvas._doc, [*(page.surface for page in pages), personal.cover, personal.header])
    canvas.setTitle(personal.title)
    canvas.setSubject(personal.subject)
    canvas.setAuthor(personal.author)
    canvas.setKeywords(personal.keywords)
    canvas.setCreator(personal.creator)
    return bytes(canvas.getpdfdata())


def _canvas(language: str) -> Canvas:
    canvas = Canvas(
        BytesIO(),
        pagesize=(PAGE_WIDTH, PAGE_HEIGHT),
        pageCompression=1,
        invariant=1,
        pdfVersion=(1, 7),
        lang=language,
        initialFontName="Helvetica",
    )
    canvas.setViewerPreference("DisplayDocTitle", "true")
    canvas.showOutline()
    # The page preamble sets Helvetica, which no page uses and strict archives refuse.
    canvas._preamble = "1 0 0 1 0 0 cm"
    return canvas


def _draw(canvas: Canvas, page: Page) -> None:
    for image in page.surface.images:
        name = _image(canvas._doc, image.path)
        canvas.addLiteral(
            f"q {number(image.width)} 0 0 {number(image.height)} {number(image.x)} {number(image.y)} cm"
        )
        canvas.doForm(name)
        canvas.addLiteral("Q")
    canvas.addLiteral(page.surface.content())
    for bookmark in page.bookmarks:
        key = bookmark_key(bookmark.title)
        canvas.bookmarkPage(key, fit="XYZ", left=0, top=bookmark.top)
        canvas.addOutlineEntry(bookmark.title, key, bookmark.level, closed=bookmark.level > 0)
    for x1, y1, x2, y2, title in page.links:
        canvas.linkRect("", bookmark_key(title), (x1, y1, x2, y2), relative=0, thickness=0)
    canvas.showPage()


def _pack_last_page(document: Any) -> None:
    """Compress a page's operators here: reportlab's own way takes twice the time for a tenth less."""
    page = document.Pages.pages[-1]
    page.Contents = _Raw(stream_object("", page.stream.encode("ascii")))


def bookmark_key(title: str) -> str:
    return "b" + sha256(title.encode("utf-8", "replace")).hexdigest()[:20]


def _image(document: Any, path: str) -> str:
    """Embed a JPEG once, under a name that its content gives, not the folder it lies in."""
    with open(path, "rb") as file:
        name = "i" + sha256(file.read()).hexdigest()[:24]
    if not document.hasForm(name):
        document.addForm(name, pdfdoc.PDFImageXObject(name, path))
    return name


def _add_fonts(document: Any, surfaces: Iterable[Surface]) -> dict[str, int]:
    """Embed the two Latin faces and whatever else the surfaces use; resource -> object number."""
    glyphs: dict[str, dict[int, str]] = {REGULAR.resource: {}, BOLD.resource: {}}
    for surface in surfaces:
        for resource, used in surface.glyphs.items():
            glyphs.setdefault(resource, {}).update(used)
    numbers: dict[str, int] = {}
    for resource in sorted(glyphs):
        holders = [_Raw() for _ in range(5)]
        references = [document.Reference(holder) for holder in holders]
        first = document.idToObjectNumberAndVersion[references[0].name][0]
        embedded = ALL_FACES[resource].embedded(glyphs[resource])
        for holder, data in zip(holders, font_objects(embedded, first), strict=True):
            holder.data = data
        document.idToObject["BasicFonts"].dict[resource] = references[0]
        numbers[resource] = first
    return numbers


def _serialise(canvas: Canvas, fonts: Mapping[str, int], pages: int) -> SharedBody:
    document = canvas._doc
    catalog = document.Reference(document.Catalog)
    info = document.Reference(document.info)
    document.Outlines.prepare(document, canvas)
    if document.Outlines.ready < 0:
        document.Catalog.Outlines = None
    numbers = document.idToObjectNumberAndVersion
    holes = {name: numbers[pdfdoc.xObjectName(name)][0] for name in _FORMS}
    holes["info"] = numbers[info.name][0]
    missing = set(holes.values())
    file = pdfdoc.PDFFile(document._pdfVersion)
    entries = [b"0000000000 65535 f \n"]
    object_number = 1
    while object_number in document.numberToId:  # formatting an object may number new ones
        if object_number in missing:
            entries.append(bytes(20))
        else:
            identifier = document.numberToId[object_number]
            written = pdfdoc.PDFIndirectObject(identifier, document.idToObject[identifier]).format(document)
            entries.append(b"%010d 00000 n \n" % file.add(written))
        object_number += 1
    content = file.format(document)
    return SharedBody(
        content=content,
        pages=pages,
        _entries=b"".join(entries),
        _holes=holes,
        _fonts=fonts,
        _catalog=numbers[catalog.name][0],
        _digest=sha256(content),
    )
