"""A backup: every collection in parts of bounded size, then the list of the bucket's objects.

Where the server gives snapshot reads (a MongoDB replica set) all collections are of one moment; else each
is of the moment it was read, and what is in doubt after a restore awaits a release (`restore`). MongoDB's own
`mongodump --oplog` and a provider's continuous backup restore to any second: they are the first choice
where they can be had.
"""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import bson
from pymongo.client_session import ClientSession
from pymongo.errors import ConfigurationError, InvalidOperation, OperationFailure

from reporting_pipeline import __version__
from reporting_pipeline.operations.backup.person_keys import COLLECTION, keep_person_keys
from reporting_pipeline.operations.backup.vault import Place, Vault
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.upkeep import save_upkeep

log = logging.getLogger(__name__)
#: MongoDB's code for a read of a moment that the server does not keep any more, after five minutes as a rule.
SNAPSHOT_TOO_OLD = 239
#: Plain bytes of one part: what is in memory at a time.
PART_BYTES = 8_000_000
#: Not worth keeping: made again by themselves, and wrong after a restore.
LEFT_OUT = frozenset(
    {"heartbeats", "partition_claims", "idempotency", "rate_counters", "rate_windows", "token_buckets"}
)
#: Kept in a place of its own.
APART = COLLECTION
MANIFEST = "manifest.json"
LATEST = "latest"


@dataclass
class Manifest:
    """What a backup holds; the last part that is written, so that a backup with one is whole."""

    backup: str
    at: str  # ISO 8601, UTC: what was written later is not in it
    database: str
    version: str
    snapshot: bool  # all collections are of one moment
    parts: dict[str, list[str]] = field(default_factory=dict)  # collection -> names of parts
    records: dict[str, int] = field(default_factory=dict)
    objects: int = 0
    object_parts: list[str] = field(default_factory=list)

    @property
    def taken_at(self) -> datetime:
        return datetime.fromisoformat(self.at)


def take_backup(
    database: Database, objects: ObjectStore, place: Place, key: bytes, now: datetime
) -> Manifest:
    """Write a backup into `place`; its name there is `{at}-{random}`, and `latest` names it at the end."""
    name = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{uuid4().hex[:8]}"
    vault = Vault(place, key, name)
    try:
        with _one_moment(database) as session:
            manifest = _collections(database, session, vault, now)
    except OperationFailure as error:
        if error.code != SNAPSHOT_TOO_OLD:
            raise
        log.warning(
            "the database is too large to be read as of one moment: each collection is taken as it is read; "
            "raise minSnapshotHistoryWindowInSeconds of MongoDB to have one moment"
        )
        manifest = _collections(database, None, vault, now)
    _object_list(objects, vault, manifest)
    vault.write(MANIFEST, json.dumps(manifest.__dict__, sort_keys=True).encode())
    place.write(LATEST, name.encode())
    keep_person_keys(database, place, key)
    figures = {"ok": True, "backup": name, "records": sum(manifest.records.values())}
    save_upkeep(database, "backup", figures | {"objects": manifest.objects}, now)
    return manifest


def _collections(database: Database, session: ClientSession | None, vault: Vault, now: datetime) -> Manifest:
    manifest = Manifest(vault.backup, now.isoformat(), database.name, __version__, session is not None)
    for collection in sorted(database.list_collection_names()):
        if not collection.startswith("system.") and collection not in {*LEFT_OUT, APART}:
            _collection(database, collection, session, vault, manifest)
    return manifest


@contextmanager
def _one_moment(database: Database) -> Iterator[ClientSession | None]:
    """A session whose reads are of one moment, or None where the server has no such thing."""
    try:
        with database.client.start_session(snapshot=True) as session:
            database["upkeep"].find_one({}, session=session)
            supported = True
            yield session
            return
    except (ConfigurationError, InvalidOperation, OperationFailure):
        if "supported" in locals():
            raise
    yield None


def _collection(
    database: Database, name: str, session: ClientSession | None, vault: Vault, manifest: Manifest
) -> None:
    rows: Any = database[name].find({}, session=session).sort("_id", 1)
    manifest.parts[name], manifest.records[name] = [], 0

    def encoded() -> Iterator[bytes]:
        for row in rows:
            manifest.records[name] += 1
            yield bson.encode(row)

    for number, part in enumerate(_parts(encoded())):
        part_name = f"database/{name}.{number:05}.bson.gz"
        vault.write(part_name, gzip.compress(part, compresslevel=1, mtime=0))
        manifest.parts[name].append(part_name)


def _object_list(objects: ObjectStore, vault: Vault, manifest: Manifest) -> None:
    def lines() -> Iterator[bytes]:
        for entry in objects.listing(""):
            manifest.objects += 1
            yield json.dumps([entry.key, entry.size]).encode() + b"\n"

    for number, part in enumerate(_parts(lines())):
        part_name = f"objects.{number:05}.jsonl.gz"
        vault.write(part_name, gzip.compress(part, compresslevel=1, mtime=0))
        manifest.object_parts.append(part_name)


def _parts(pieces: Iterable[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= PART_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
