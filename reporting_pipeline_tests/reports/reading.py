"""Read finished reports back with pdfium: text and pixels of every page."""

from __future__ import annotations

import pypdfium2 as pdfium


def page_texts(content: bytes) -> list[str]:
    document = pdfium.PdfDocument(content)
    try:
        return [page.get_textpage().get_text_range() for page in document]
    finally:
        document.close()


def page_pixels(content: bytes, scale: float = 1.0) -> list[bytes]:
    document = pdfium.PdfDocument(content)
    try:
        return [page.render(scale=scale).to_pil().tobytes() for page in document]
    finally:
        document.close()
