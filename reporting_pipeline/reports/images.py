"""Thumbnails from the object store, kept on disk by content.

The files they show were verified and turned upright when the media were made; here they are only
fetched once per machine and handed to the PDF by path, which embeds a JPEG without decoding it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile

from reporting_pipeline.domain.datasets import Thumbnail
from reporting_pipeline.reports.request import ReportError

_JPEG = b"\xff\xd8\xff"


class ThumbnailCache:
    """`path` of a thumbnail's JPEG. Several processes may share the folder."""

    def __init__(self, read_object: Callable[[str], bytes], folder: Path) -> None:
        self._read_object = read_object
        self._folder = folder

    def path(self, thumbnail: Thumbnail) -> str:
        """The JPEG on disk. What `read_object` raises passes through: a retry may find it.

        Raises ReportError when the object is no JPEG.
        """
        path = self._folder / f"{sha256(thumbnail.key.encode()).hexdigest()[:32]}.jpg"
        if not path.exists():
            content = self._read_object(thumbnail.key)
            if not content.startswith(_JPEG):
                raise ReportError(f"the thumbnail {thumbnail.key} is not a JPEG")
            self._keep(path, content)
        return str(path)

    def _keep(self, path: Path, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self._folder, suffix=".part", delete=False) as part:
            part.write(content)
        os.replace(part.name, path)  # a reader sees the whole file or none
