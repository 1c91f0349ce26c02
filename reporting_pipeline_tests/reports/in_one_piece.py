"""The same pages as one document that reportlab writes: nothing shared, no holes, no structure.

What the shared way is compared with.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from reportlab import rl_config
from reportlab.pdfbase import pdfdoc
from reportlab.pdfgen.canvas import Canvas

from reporting_pipeline.reports.pdf.binding import PAGE_HEIGHT, PAGE_WIDTH, BodyPage, Personal
from reporting_pipeline.reports.pdf.faces import ALL_FACES
from reporting_pipeline.reports.pdf.objects import font_objects
from reporting_pipeline.reports.pdf.surface import number


class _Raw(pdfdoc.PDFObject):  # type: ignore[misc]  # reportlab has no types
    """An object whose bytes are given, for reportlab to number and write."""

    data = b""

    def format(self, document: Any) -> bytes:
        return self.data


def bind_whole(pages: list[BodyPage], personal: Personal) -> bytes:
    canvas = Canvas(BytesIO(), pagesize=(PAGE_WIDTH, PAGE_HEIGHT), pageCompression=1, invariant=1)
    for index, page in enumerate(pages):
        own = personal.header if index else personal.cover
        canvas.addLiteral(f"q\n{own.content()}\nQ")
        _draw(canvas, page)
    _add_fonts(canvas._doc, [*(page.surface for page in pages), personal.cover, personal.header])
    return bytes(canvas.getpdfdata())


def _draw(canvas: Canvas, page: BodyPage) -> None:
    for image in page.surface.images:
        name = f"picture{len(canvas._doc.idToObject)}"
        canvas._doc.addForm(name, pdfdoc.PDFImageXObject(name, image.path))
        box = f"{number(image.width)} 0 0 {number(image.height)} {number(image.x)} {number(image.y)}"
        canvas.addLiteral(f"q {box} cm")
        canvas.doForm(name)
        canvas.addLiteral("Q")
    canvas.addLiteral(page.surface.content())
    canvas.showPage()


def _add_fonts(document: Any, surfaces: Any) -> None:
    glyphs: dict[str, dict[int, str]] = {"FR": {}, "FB": {}}
    for surface in surfaces:
        for resource, used in surface.glyphs.items():
            glyphs.setdefault(resource, {}).update(used)
    for resource in sorted(glyphs):
        holders = [_Raw() for _ in range(5)]
        kept = [document.Reference(holder) for holder in holders]
        first = document.idToObjectNumberAndVersion[kept[0].name][0]
        embedded = ALL_FACES[resource].embedded(glyphs[resource])
        for holder, data in zip(holders, font_objects(embedded, first), strict=True):
            holder.data = data
        document.idToObject["BasicFonts"].dict[resource] = kept[0]


rl_config.useA85 = 0
