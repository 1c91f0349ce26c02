"""Every object that a record names, and whether a record stands to which an object belongs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.domain.planning import report_id
from reporting_pipeline.domain.reconciliation import Named, Source
from reporting_pipeline.domain.sealing import is_sealed, sealed_size
from reporting_pipeline.domain.trial_keys import trial_of
from reporting_pipeline.stores.dataset_keys import MANIFEST
from reporting_pipeline.stores.mongo import Database, Record, find_any
from reporting_pipeline.stores.results import DONE, result_id

#: Where objects lie that records name, in the order of their keys. The audit's anchors stand for themselves.
PREFIXES = ("datasets/", "files/", "media/", "reports/", "snapshots/")
#: S3 takes no longer key.
LONGEST_KEY_BYTES = 1_024
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PICTURE = re.compile(r"media/[0-9a-f]{2}/(?P<sha256>[0-9a-f]{64})-[^/]+")
#: Where a period's files lie -> the asset whose results name them.
_ASSETS = {"snapshots": "documents", "datasets": "trial_dataset", "media/manifests": "trial_media"}


@dataclass(frozen=True)
class UnreadableRecord:
    """A record that should name an object and does not say which."""

    source: Source
    record: str


@dataclass(frozen=True)
class _Read:
    """Where the records of a source lie and how they name their objects."""

    collection: str
    query: Mapping[str, Any]
    shown: Mapping[str, int]
    files: Callable[[Record], list[Any]]  # [{key, size, sha256}]


def _results_of(files: Callable[[Record], list[Any]], *assets: str) -> _Read:
    names = [f"{cadence.value}/{asset}" for cadence in Cadence for asset in assets]
    return _Read("asset_results", {"asset": {"$in": names}, "state": DONE}, {"detail": 1}, files)


def _parts_of_dataset(record: Record) -> list[Any]:
    """The tables that the dataset had when it was made, which may be fewer than today's."""
    prefix, rows = _detail(record, "prefix"), _detail(record, "rows")
    if not isinstance(prefix, str) or not prefix:
        return [None]
    tables = rows if isinstance(rows, dict) else {}
    return [{"key": f"{prefix}/{name}"} for name in (*(f"{table}.parquet" for table in tables), MANIFEST)]


def _detail(record: Record, name: str) -> Any:
    detail = record.get("detail")
    return detail.get(name) if isinstance(detail, dict) else None


def _file_before(record: Record) -> list[Any]:
    before = record.get("record")
    return [before["file"]] if isinstance(before, dict) and before.get("file") else []


_READS: Mapping[Source, _Read] = {
    Source.REPORT: _Read("reports", {}, {"key": 1, "size": 1, "sha256": 1}, lambda record: [record]),
    Source.DOCUMENT: _Read(
        "documents", {"file": {"$ne": None}}, {"file": 1}, lambda record: [record.get("file")]
    ),
    Source.DOCUMENT_VERSION: _Read("document_versions", {}, {"record.file": 1}, _file_before),
    Source.PICTURE: _Read("media", {}, {"key": 1}, lambda record: [{"key": record.get("key")}]),
    Source.SNAPSHOT: _results_of(lambda record: [{"key": _detail(record, "key")}], "documents"),
    Source.DATASET: _results_of(_parts_of_dataset, "trial_dataset", "trial_status"),
    Source.MEDIA_LIST: _results_of(lambda record: [{"key": _detail(record, "key")}], "trial_media"),
}


def all_names(database: Database) -> Iterator[Named | UnreadableRecord]:
    """Every object that any record names, in no order; what cannot be read in its place."""
    for source, read in _READS.items():
        for record in database[read.collection].find(dict(read.query), dict(read.shown)):
            yield from _names_of(source, record)


def names_now(database: Database, source: Source, records: Iterable[str]) -> set[Named]:
    """What these records of `source` name at this moment."""
    read = _READS[source]
    found = find_any(database[read.collection], "_id", records, read.query, read.shown)
    return {one for record in found for one in _names_of(source, record) if isinstance(one, Named)}


def collection_of(source: Source) -> str:
    return _READS[source].collection


def belonging(database: Database, keys: Iterable[str]) -> set[str]:
    """Those of `keys` that belong to a record that stands, looked up by index.

    Also what such a record does not name any more: an earlier rendering of a report, an earlier snapshot,
    dataset or picture. These go with their record, by retention.
    """
    asked = list(keys)
    owners: dict[str, dict[str, list[str]]] = {"reports": {}, "asset_results": {}, "media": {}}
    for key in asked:
        owner = _owner(key)
        if owner is not None:
            owners[owner[0]].setdefault(owner[1], []).append(key)
    standing = {
        key
        for collection, by_record in owners.items()
        for record in find_any(database[collection], "_id", by_record, None, {"_id": 1})
        for key in by_record[record["_id"]]
    }
    files = [key for key in asked if key.startswith("files/")]
    named = find_any(database.documents, "file.key", files, None, {"file": 1})
    again = (one for record in named for one in _names_of(Source.DOCUMENT, record))
    return standing | {one.key for one in again if isinstance(one, Named)}


def period_of(key: str) -> tuple[str, str] | None:
    """(cadence, period) of the edition that an object was made in; None for a picture or a file."""
    parts = (
        key.removeprefix("media/manifests/").split("/") if key.startswith("media/") else key.split("/")[1:]
    )
    return (parts[0], parts[1]) if len(parts) > 2 and parts[0] in set(Cadence) else None


def _names_of(source: Source, record: Record) -> Iterator[Named | UnreadableRecord]:
    identifier = record["_id"]
    for file in _READS[source].files(record):
        key = file.get("key") if isinstance(file, dict) else None
        if not isinstance(identifier, str) or not isinstance(key, str) or not _can_be_key(key):
            yield UnreadableRecord(source, str(identifier)[:100])
            continue
        size, digest = file.get("size"), file.get("sha256")
        known = isinstance(size, int) and not isinstance(size, bool)
        hashed = isinstance(digest, str) and _SHA256.fullmatch(digest)
        if is_sealed(key):  # the record tells of what a reader gets; the seal holds its own check
            yield Named(key, source, identifier, sealed_size(size) if known else None, "")
        else:
            yield Named(key, source, identifier, size if known else None, digest if hashed else "")


def _can_be_key(key: str) -> bool:
    return 0 < len(key.encode()) <= LONGEST_KEY_BYTES


def _owner(key: str) -> tuple[str, str] | None:
    """(collection, `_id`) of the record that an object belongs to; None where its key says no such thing."""
    picture = _PICTURE.fullmatch(key)
    if picture:
        return "media", picture["sha256"]
    for folder, asset in {"reports": "", **_ASSETS}.items():
        if not key.startswith(f"{folder}/"):
            continue
        parts = key.removeprefix(f"{folder}/").split("/")
        if len(parts) < 4 or parts[0] not in set(Cadence):
            return None
        cadence, period, item = parts[:3]
        if folder == "reports":
            return "reports", report_id(Cadence(cadence), period, item)
        return _owner_of_input(f"{cadence}/{asset}", period, item)
    return None


def _owner_of_input(asset: str, period: str, item: str) -> tuple[str, str] | None:
    try:
        return "asset_results", result_id(asset, period, trial_of(item))
    except ValueError:
        return None
