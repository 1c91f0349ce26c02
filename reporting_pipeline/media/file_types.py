"""What a file claims to be by its name, and what it is by its first bytes. No decoding here."""

from __future__ import annotations

import re
from typing import Final

#: file type -> the Pillow plugins that may open it; nothing else ever sees such a file.
IMAGE_FORMATS: Final = {
    "jpg": ("JPEG", "MPO"),  # phones write multi-picture JPEGs under .jpg
    "png": ("PNG",),
    "gif": ("GIF",),
    "tiff": ("TIFF",),
    "bmp": ("BMP",),
    "webp": ("WEBP",),
}
TEXT_TYPES: Final = frozenset({"txt", "csv", "tsv", "json", "md", "log"})
_ZIP_TYPES: Final = frozenset({"zip", "docx", "xlsx", "pptx", "odt", "ods"})
_HTML_TYPES: Final = frozenset({"html", "htm", "xhtml"})

_HTML_START = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body|script)\b", re.IGNORECASE
)
_MAGIC: Final = (
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),  # BigTIFF
    (b"MM\x00+", "tiff"),
    (b"BM", "bmp"),
    (b"PK\x03\x04", "zip"),
)
#: Types that are opened here by a decoder in the worker process.
DECODED_TYPES: Final = frozenset({*IMAGE_FORMATS, "pdf", "dcm"})
_PDF_HEADER_WITHIN = 1024  # bytes; readers accept rubbish before %PDF-, and some scanners write it


def sniff(content: bytes) -> str:
    """The type that the first bytes show: a file type, "zip", "html", or "" when they show none."""
    if _HTML_START.match(content[:1024]):
        return "html"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    for magic, file_type in _MAGIC:
        if content.startswith(magic):
            return file_type
    return "pdf" if b"%PDF-" in content[:_PDF_HEADER_WITHIN] else ""


def mismatch(content: bytes, file_type: str) -> str | None:
    """What the content is instead of `file_type`, in words for a reader; None when they agree.

    Types without a signature we know (heic, svg, …) agree with everything, and so does a DICOM file of
    which nothing is known: whether it can be read is another question.
    """
    found = sniff(content)
    if file_type in IMAGE_FORMATS or file_type == "pdf":
        return None if found == file_type else _in_words(found)
    if file_type in _ZIP_TYPES:
        return None if found == "zip" else _in_words(found)
    if file_type == "dcm":
        return _in_words(found) if found else None
    if file_type in TEXT_TYPES and found not in ("", "bmp", "html"):  # "BM" can begin a sentence
        return _in_words(found)
    return None


def _in_words(found: str) -> str:
    if not found:
        return "something else"
    if found in _HTML_TYPES:
        return "a web page (HTML)"
    return {"zip": "a ZIP archive", "pdf": "a PDF"}.get(found, f"a {found.upper()} image")
