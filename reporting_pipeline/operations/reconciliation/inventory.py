"""An S3 inventory in place of a listing: what the bucket held when the inventory was made.

Its manifest names data files in CSV (gzipped) or Parquet, in no order. With `s3://bucket/key` they are
read from that bucket, with a local path from beside the manifest. Each is checked against its MD5.
Form: https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote_plus

from botocore.exceptions import ClientError

from reporting_pipeline.domain.reconciliation import Stored
from reporting_pipeline.operations.reconciliation.names import PREFIXES
from reporting_pipeline.stores.objects import ObjectStore

ROWS_AT_ONCE = 10_000
CHUNK_BYTES = 1_000_000
NEEDED = ("Key", "Size", "LastModifiedDate")
#: Column of a CSV -> of a Parquet file.
_PARQUET = {
    "Key": "key",
    "Size": "size",
    "LastModifiedDate": "last_modified_date",
    "IsLatest": "is_latest",
    "IsDeleteMarker": "is_delete_marker",
}
Row = Mapping[str, Any]


@dataclass(frozen=True)
class _Place:
    """Where a manifest and its data files lie."""

    objects: ObjectStore
    bucket: str  # "": on this machine
    manifest: str

    @classmethod
    def of(cls, objects: ObjectStore, manifest: str) -> _Place:
        if not manifest.startswith("s3://"):
            return cls(objects, "", manifest)
        bucket, _, key = manifest.removeprefix("s3://").partition("/")
        if not bucket or not key:
            raise ValueError(f"{manifest} names no object; give s3://bucket/…/manifest.json or a file")
        return cls(objects, bucket, key)

    def copied(self, name: str, folder: Path) -> Path:
        """The file `name` of this place on this machine; `folder` takes what must be brought."""
        if not self.bucket:
            return Path(self.manifest).parent / Path(name).name
        target = folder / "data"
        try:
            body = self.objects.client.get_object(Bucket=self.bucket, Key=name)["Body"]
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("NoSuchKey", "NoSuchBucket", "404"):
                raise
            raise ValueError(f"the inventory has no file s3://{self.bucket}/{name}") from None
        with target.open("wb") as file:
            copyfileobj(body, file, CHUNK_BYTES)
        return target


def inventory_objects(objects: ObjectStore, manifest: str) -> Iterator[Stored]:
    """The objects under PREFIXES that an inventory lists, in no order; only what is current.

    Raises ValueError for a manifest that is none, of another bucket, without NEEDED, or with a file whose
    MD5 is another.
    """
    place = _Place.of(objects, manifest)
    with TemporaryDirectory(prefix="inventory-") as folder:
        described = _manifest(place.copied(place.manifest, Path(folder)), objects.bucket)
        for file in described["files"]:
            path = place.copied(str(file["key"]), Path(folder))
            _check(path, str(file["key"]), file.get("MD5checksum"))
            for row in _rows(path, described):
                if str(row["Key"]).startswith(PREFIXES) and _current(row):
                    yield _stored(row)


def _manifest(path: Path, bucket: str) -> dict[str, Any]:
    try:
        described = json.loads(path.read_bytes())
        form, files, source = described["fileFormat"], described["files"], described["sourceBucket"]
        columns = [column.strip() for column in str(described.get("fileSchema", "")).split(",")]
        names = [str(file["key"]) for file in files]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no manifest of an S3 inventory: {error}") from None
    if form not in ("CSV", "Parquet"):
        raise ValueError(f"the inventory's fileFormat is {form!r}; order one in CSV or Parquet")
    if source != bucket:
        raise ValueError(f"the inventory is of the bucket {source!r}, the deployment's is {bucket!r}")
    missing = [name for name in NEEDED if form == "CSV" and name not in columns]
    if missing:
        raise ValueError(f"the inventory has no {' and '.join(missing)}; order it with these fields")
    return {"form": form, "columns": columns, "files": files, "names": names}


def _check(path: Path, name: str, md5: Any) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with path.open("rb") as file:
            while some := file.read(CHUNK_BYTES):
                digest.update(some)
    except FileNotFoundError:
        raise ValueError(f"the inventory's file {name} is not beside its manifest") from None
    if md5 and digest.hexdigest() != md5:
        raise ValueError(f"the inventory's file {name} is not as its manifest says (MD5); fetch it again")


def _rows(path: Path, described: Mapping[str, Any]) -> Iterator[Row]:
    if described["form"] == "CSV":
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            for values in csv.reader(file):
                row = dict(zip(described["columns"], values, strict=False))
                yield {**row, "Key": unquote_plus(row.get("Key", ""))}
        return
    import pyarrow.parquet as pq  # here: an inventory is rare, and Parquet is a slow import

    table = pq.ParquetFile(path)
    standing = {name: column for name, column in _PARQUET.items() if column in table.schema_arrow.names}
    missing = [name for name in NEEDED if name not in standing]
    if missing:
        raise ValueError(f"the inventory has no {' and '.join(missing)}; order it with these fields")
    for batch in table.iter_batches(ROWS_AT_ONCE, columns=list(standing.values())):
        for found in batch.to_pylist():
            yield {name: found[column] for name, column in standing.items()}


def _current(row: Row) -> bool:
    """Not an old version, not the mark of a deletion."""
    return _flag(row.get("IsLatest"), True) and not _flag(row.get("IsDeleteMarker"), False)


def _flag(value: Any, absent: bool) -> bool:
    return absent if value in (None, "") else str(value).lower() == "true"


def _stored(row: Row) -> Stored:
    try:
        at = row["LastModifiedDate"]
        moment = at if isinstance(at, datetime) else datetime.fromisoformat(str(at))
        return Stored(row["Key"], int(row["Size"]), moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the inventory's row of {row.get('Key')!r} cannot be read: {error}") from None
