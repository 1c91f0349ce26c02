"""A thumbnail of a file that came with a document."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Thumbnail:
    """A small JPEG of a file: an image set upright, or the first page of a PDF."""

    sha256: str  # of the file it shows
    key: str  # S3 key of the JPEG
    width: int
    height: int
    pages: int = 1  # of a PDF, or of a picture that has several
