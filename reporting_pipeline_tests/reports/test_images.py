"""The cache of thumbnails: fetched once a machine, and never in the way of a report."""

from __future__ import annotations

import errno
import gc
import os
from pathlib import Path
from typing import Any

import pytest

from reporting_pipeline.domain.thumbnails import Thumbnail
from reporting_pipeline.reports.images import ThumbnailCache

PICTURE = b"\xff\xd8\xff a picture"
THUMBNAIL = Thumbnail("ab" * 32, "media/ab/picture-1.jpg", 4, 3, 1)


class FullDisk:
    """Files below `folder` can be opened and hold nothing; every other disk has room."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write_bytes(self, path: Path, content: bytes) -> int:
        if path.parent == self._folder:
            path.touch()
            self._refuse()
        return _write_bytes(path, content)

    def replace(self, source: Any, target: Any) -> None:
        if Path(target).parent == self._folder:
            self._refuse()
        _replace(source, target)

    @staticmethod
    def _refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


_write_bytes, _replace = Path.write_bytes, os.replace


@pytest.mark.parametrize("refused", ["write_bytes", "os.replace", "a file is in the way"])
def test_a_cache_that_takes_no_more_is_passed_by_and_left_clean(
    refused: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cache"
    disk = FullDisk(folder)
    if refused == "write_bytes":
        monkeypatch.setattr(Path, "write_bytes", lambda path, content: disk.write_bytes(path, content))
    elif refused == "os.replace":
        monkeypatch.setattr(os, "replace", disk.replace)
    else:
        folder.write_text("no folder")
    fetched: list[str] = []

    def read(key: str) -> bytes:
        fetched.append(key)
        return PICTURE

    cache = ThumbnailCache(read, folder)
    paths = {Path(cache.path(THUMBNAIL)) for _ in range(3)}
    (path,) = paths
    assert path.read_bytes() == PICTURE
    assert len(fetched) == 1, "what lies beside the cache is found again"
    assert not folder.is_dir() or list(folder.iterdir()) == [], "nothing half-written stays"
    del cache
    gc.collect()
    assert not path.exists(), "what lay beside the cache goes with it"


def test_a_cache_with_room_keeps_what_it_fetched(tmp_path: Path) -> None:
    first = ThumbnailCache(lambda _: PICTURE, tmp_path).path(THUMBNAIL)
    again = ThumbnailCache(lambda _: b"never asked", tmp_path).path(THUMBNAIL)
    assert first == again
    assert Path(first).read_bytes() == PICTURE
