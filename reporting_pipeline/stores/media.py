"""The `media` collection: which thumbnail stands for which file, and where it lies.

One record per content, `_id` the SHA-256 of the file shown:

    key, width, height, pages   of the thumbnail in S3
    code_version                of what made it; another version's is not used
    file                        {key, name, size} of the file it shows: what it can be made from again
    remembered_at               when (UTC)

The pictures are a cache: whatever deletes one, the record is forgotten and the picture made again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime

from pymongo import UpdateOne

from reporting_pipeline.domain.thumbnails import Thumbnail
from reporting_pipeline.stores.mongo import Database, Record, find_any
from reporting_pipeline.stores.objects import ObjectStore


def thumbnail_key(sha256: str, code_version: str) -> str:
    """The S3 key of the thumbnail of a file: by the file's content and what made it."""
    return f"media/{sha256[:2]}/{sha256}-{code_version}.jpg"


def standing_thumbnails(
    database: Database, objects: ObjectStore, hashes: Iterable[str], code_version: str
) -> dict[str, Thumbnail]:
    """The thumbnails of these files that are known and whose pictures are really there, by SHA-256.

    The store is asked for each: a lifecycle rule or a person may have deleted what the record names.
    """
    found = find_any(database.media, "_id", hashes, {"code_version": code_version})
    known = {
        record["_id"]: Thumbnail(
            record["_id"], record["key"], record["width"], record["height"], record["pages"]
        )
        for record in found
    }
    gone = objects.missing([one.key for one in known.values()])
    return {sha256: one for sha256, one in known.items() if one.key not in gone}


def remember_thumbnails(
    database: Database,
    made: Iterable[Thumbnail],
    files: Mapping[str, Record],
    code_version: str,
    now: datetime,
) -> None:
    """Keep the records of thumbnails whose pictures stand; `files` by SHA-256 are what they show."""
    writes = [
        UpdateOne(
            {"_id": one.sha256},
            {
                "$set": {
                    "key": one.key,
                    "width": one.width,
                    "height": one.height,
                    "pages": one.pages,
                    "code_version": code_version,
                    "file": {name: files[one.sha256][name] for name in ("key", "name", "size")},
                    "remembered_at": now,
                }
            },
            upsert=True,
        )
        for one in made
    ]
    if writes:
        database.media.bulk_write(writes, ordered=False)


def file_of_thumbnail(database: Database, sha256: str) -> Record | None:
    """The file {key, name, size, sha256} that a thumbnail shows, or None where nobody remembers it."""
    record = database.media.find_one({"_id": sha256}, {"file": 1})
    return {**record["file"], "sha256": sha256} if record and record.get("file") else None


def save_media(objects: ObjectStore, key: str, media: Mapping[str, Thumbnail]) -> None:
    """Store the manifest of a trial's thumbnails, by the SHA-256 of the file each shows."""
    rows = {
        sha256: {"key": one.key, "width": one.width, "height": one.height, "pages": one.pages}
        for sha256, one in sorted(media.items())
    }
    objects.put(key, json.dumps(rows, sort_keys=True).encode(), "application/json")


def load_media(objects: ObjectStore, key: str) -> dict[str, Thumbnail]:
    return {
        sha256: Thumbnail(sha256=sha256, **fields) for sha256, fields in json.loads(objects.get(key)).items()
    }
