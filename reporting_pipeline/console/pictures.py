"""Pages of our own PDFs as pictures, for reading in a page."""

from __future__ import annotations

from io import BytesIO
from threading import Lock

import pypdfium2

PREVIEW_PAGES = 4
_WIDTH = 900  # pixels: sharp at the size of a page's column on a fine screen
_PDFIUM = Lock()  # the library is not made for several threads


def page_as_png(pdf: bytes, number: int) -> bytes:
    """Page `number` (from 1) of a report. Raises PdfiumError for what is no PDF or has no such page."""
    with _PDFIUM:
        document = pypdfium2.PdfDocument(pdf)
        try:
            page = document[number - 1]
            image = page.render(scale=_WIDTH / page.get_width()).to_pil()
        except IndexError:
            raise pypdfium2.PdfiumError(f"there is no page {number}") from None
        finally:
            document.close()
    target = BytesIO()
    image.convert("P", palette=1, colors=128).save(target, "PNG", optimize=True)
    return target.getvalue()
