"""Thumbnails made from files, for the media of a trial and for a report whose picture is gone.

What a thumbnail looks like is decided in `media`; what is known of them is kept in `stores.media`.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from reporting_pipeline.assets.batch import PartitionFailed
from reporting_pipeline.domain.thumbnails import Thumbnail
from reporting_pipeline.media.sandbox import MediaFile, MediaWorkers
from reporting_pipeline.stores.media import file_of_thumbnail, remember_thumbnails, thumbnail_key
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectMissing, ObjectStore

#: Raise it when thumbnails change: it is part of their keys.
CODE_VERSION = "3"

_KEY = re.compile(r"media/[0-9a-f]{2}/(?P<sha256>[0-9a-f]{64})-(?P<version>[^/]+)\.jpg")


def make_thumbnails(
    database: Database, objects: ObjectStore, workers: MediaWorkers, files: Sequence[Record]
) -> list[Thumbnail]:
    """Thumbnails of those of the files that have one; each picture is stored before anybody names it.

    `files` are {key, name, size, sha256}.
    """

    def items() -> Iterator[MediaFile]:
        for file in files:
            try:
                content: bytes | None = objects.get(file["key"])
            except ObjectMissing:  # deleted since it was verified; the report will say so next time
                content = None
            yield MediaFile(content, file["name"], file["sha256"], file["size"])

    made = []
    for file, inspection in zip(files, workers.inspect_each(items()), strict=True):
        picture = inspection.thumbnail
        if picture is not None:
            key = thumbnail_key(file["sha256"], CODE_VERSION)
            objects.put(key, picture.jpeg, "image/jpeg")
            made.append(Thumbnail(file["sha256"], key, picture.width, picture.height, picture.pages))
    remember_thumbnails(
        database, made, {file["sha256"]: file for file in files}, CODE_VERSION, datetime.now(UTC)
    )
    return made


class ThumbnailSource:
    """Reads thumbnails for reports; one that is gone from the store is made again from its file."""

    def __init__(self, database: Database, objects: ObjectStore) -> None:
        self._database = database
        self._objects = objects

    def read(self, key: str) -> bytes:
        """The JPEG under `key`. PartitionFailed, not for good, when neither it nor its file can be had."""
        try:
            return self._objects.get(key)
        except ObjectMissing:
            self._make_again(key)
        try:
            return self._objects.get(key)
        except ObjectMissing:
            raise PartitionFailed(f"the picture {key} is gone and could not be made again", False) from None

    def _make_again(self, key: str) -> None:
        named = _KEY.fullmatch(key)
        file = file_of_thumbnail(self._database, named["sha256"]) if named else None
        if file is None or named is None or named["version"] != CODE_VERSION:
            return
        with MediaWorkers() as workers:
            make_thumbnails(self._database, self._objects, workers, [file])
