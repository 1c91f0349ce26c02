"""Thumbnails from the object store, kept on disk by content.

The files they show were verified and turned upright when the media were made; here they are only
fetched once per machine and handed to the PDF by path, which embeds a JPEG without decoding it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from uuid import uuid4
from weakref import finalize

from reporting_pipeline.domain.thumbnails import Thumbnail
from reporting_pipeline.reports.request import ReportError

IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of a random name is made in it

_JPEG = b"\xff\xd8\xff"
_log = logging.getLogger(__name__)


class ThumbnailCache:
    """`path` of a thumbnail's JPEG. Several processes may share the folder."""

    def __init__(self, read_object: Callable[[str], bytes], folder: Path) -> None:
        self._read_object = read_object
        self._folder = folder
        self._beside: Path | None = None

    def path(self, thumbnail: Thumbnail) -> str:
        """The JPEG on disk. What `read_object` raises passes through: a retry may find it.

        A cache that takes no more (full, read-only, not ours) is passed by: the picture then lies in a
        folder of this process. Raises ReportError when the object is no JPEG.
        """
        name = f"{sha256(thumbnail.key.encode()).hexdigest()[:32]}.jpg"
        for folder in self._folders():
            if (folder / name).exists():
                return str(folder / name)
        content = self._read_object(thumbnail.key)
        if not content.startswith(_JPEG):
            raise ReportError(f"the thumbnail {thumbnail.key} is not a JPEG")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return _keep(self._folder, name, content)
        except OSError as error:
            _log.warning("the cache %s takes no pictures (%s): passed by", self._folder, error.strerror)
            return _keep(self._own_folder(), name, content)

    def _folders(self) -> list[Path]:
        return [self._folder, *([self._beside] if self._beside else [])]

    def _own_folder(self) -> Path:
        """In memory where the machine has such a folder: the disk may be what is full."""
        if self._beside is None:
            memory = IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None
            self._beside = Path(mkdtemp(prefix="reporting-pictures-", dir=memory))
            finalize(self, rmtree, self._beside, ignore_errors=True)
        return self._beside


def _keep(folder: Path, name: str, content: bytes) -> str:
    """Write whole or not at all; whatever goes wrong, nothing half-written stays."""
    part = folder / f".{uuid4().hex}.part"
    try:
        part.write_bytes(content)
        os.replace(part, folder / name)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return str(folder / name)
