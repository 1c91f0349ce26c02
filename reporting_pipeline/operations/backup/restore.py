"""A restore: every part is opened and checked first, then an empty database is filled, then it is marked.

What was sent between the backup and the restore is not in the backup. So whatever was due by the moment
of the restore and is not known to be settled awaits a release (`stores.restores`): a person decides, and what
the outbox or a provider's events show is learnt.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import bson
from bson.codec_options import CodecOptions

from reporting_pipeline import __version__
from reporting_pipeline.domain.reconciliation import Stored
from reporting_pipeline.operations.backup.person_keys import kept_person_keys, restore_person_keys
from reporting_pipeline.operations.backup.take import LATEST, MANIFEST, Manifest
from reporting_pipeline.operations.backup.vault import BackupDamaged, Place, Vault
from reporting_pipeline.operations.reconciliation.sorting import SortedOnDisk
from reporting_pipeline.stores.mongo import Database, Record, ensure_indexes
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.restores import let_nothing_go, note_restore
from reporting_pipeline.stores.schema import SCHEMA_VERSION, begin_restore, end_restore

_DECODING: CodecOptions[Record] = CodecOptions(tz_aware=True)
INSERTED_AT_ONCE = 1_000
SCHEMA = "schema"


class NotEmpty(ValueError):
    """The database holds records already; a restore never mixes two histories."""


class BackupTooNew(ValueError):
    """The backup was written by a newer version of the product, which alone can restore it."""


@dataclass(frozen=True)
class RestoreResult:
    manifest: Manifest
    migration: int  # at which the restored records stand; below SCHEMA_VERSION they are to be migrated
    records: int
    awaiting_release: int  # deliveries that may have been sent since the backup
    missing_objects: int  # listed in the backup, not in the bucket now


def read_manifest(place: Place, key: bytes, backup: str | None = None) -> tuple[Vault, Manifest]:
    """The backup of that name, or the latest. Raises BackupDamaged (also for a wrong key), BackupTooNew."""
    if backup is None:
        try:
            backup = place.read(LATEST).decode("ascii").strip()
        except (KeyError, UnicodeDecodeError):
            raise BackupDamaged("there is no backup here: nothing is named latest") from None
    vault = Vault(place, key, backup)
    written = json.loads(vault.read(MANIFEST))
    if unknown := written.keys() - {field.name for field in fields(Manifest)}:
        raise BackupTooNew(
            _too_new(backup, str(written.get("version")), f"know {', '.join(sorted(unknown))}")
        )
    return vault, Manifest(**written)


def _too_new(backup: str, version: str, lacks: str) -> str:
    return (
        f"the backup {backup} was written by version {version}, and this one ({__version__}) does not "
        f"{lacks}: restore it with that version"
    )


def verify_backup(vault: Vault, manifest: Manifest) -> int:
    """Open every part and count its records. Returns how many; BackupDamaged where one is not whole."""
    total = 0
    for collection, names in manifest.parts.items():
        found = sum(len(_rows(vault, name)) for name in names)
        if found != manifest.records[collection]:
            raise BackupDamaged(
                f"{collection}: {found} records of {manifest.records[collection]} are in the backup"
            )
        total += found
    if sum(1 for _ in _listed(vault, manifest)) != manifest.objects:
        raise BackupDamaged("the list of the bucket's objects is not whole")
    kept_person_keys(vault.place, vault.key)
    return total


def restore_backup(
    database: Database,
    place: Place,
    key: bytes,
    now: datetime,
    backup: str | None = None,
    objects: ObjectStore | None = None,
) -> RestoreResult:
    """Fill the empty `database` from a backup and mark it restored.

    Raises NotEmpty, BackupDamaged, BackupTooNew; nothing is written then.
    `objects` is the bucket as it is now; what the backup lists and it lacks is counted.
    """
    vault, manifest = read_manifest(place, key, backup)
    _refuse_filled(database)
    records = verify_backup(vault, manifest)
    migration = _migration(vault, manifest)
    begin_restore(database, manifest.backup)
    restore = note_restore(database, manifest.taken_at, now)
    ensure_indexes(database)
    for collection in manifest.parts:
        if collection != SCHEMA:
            _fill(database, collection, vault, manifest)
    restore_person_keys(database, place, key)
    awaiting = let_nothing_go(database, restore, now)
    _fill(database, SCHEMA, vault, manifest)
    end_restore(database)
    missing = _missing(vault, manifest, objects) if objects is not None else 0
    return RestoreResult(manifest, migration, records, awaiting, missing)


def _migration(vault: Vault, manifest: Manifest) -> int:
    """The migration at which the backup's records stand. Raises BackupTooNew."""
    rows = [row for name in manifest.parts.get(SCHEMA, ()) for row in _rows(vault, name)]
    standing = max((int(row["_id"]) for row in rows if isinstance(row["_id"], int)), default=0)
    if standing > SCHEMA_VERSION:
        lacks = f"know migration {standing}, at which its records stand"
        raise BackupTooNew(_too_new(manifest.backup, manifest.version, lacks))
    return standing


def _fill(database: Database, collection: str, vault: Vault, manifest: Manifest) -> None:
    for name in manifest.parts.get(collection, ()):
        rows: list[Any] = _rows(vault, name)
        if collection == SCHEMA:  # a lock that was held at that moment
            rows = [row for row in rows if isinstance(row["_id"], int)]
        for start in range(0, len(rows), INSERTED_AT_ONCE):
            database[collection].insert_many(rows[start : start + INSERTED_AT_ONCE], ordered=False)


def _refuse_filled(database: Database) -> None:
    """A schema's mark alone is no record: `doctor` and `migrate` write it into an empty database."""
    for name in sorted(set(database.list_collection_names()) - {SCHEMA}):
        if not name.startswith("system.") and database[name].find_one({}, {"_id": 1}) is not None:
            raise NotEmpty(
                f"the database {database.name} holds records ({name}); restore into an empty one: set "
                "REPORTING_MONGODB_DATABASE to a new name, and point the deployment to it afterwards"
            )


def _rows(vault: Vault, name: str) -> list[Record]:
    try:
        return bson.decode_all(gzip.decompress(vault.read(name)), _DECODING)
    except (OSError, EOFError, bson.errors.InvalidBSON):
        raise BackupDamaged(f"the part {name} is not readable") from None


def _listed(vault: Vault, manifest: Manifest) -> Iterator[tuple[str, int]]:
    for name in manifest.object_parts:
        for line in gzip.decompress(vault.read(name)).splitlines():
            key, size = json.loads(line)
            yield key, size


def _missing(vault: Vault, manifest: Manifest, objects: ObjectStore) -> int:
    """How many of the listed objects are not in the bucket: both lists sorted on disk, one pass over each."""
    at = datetime.fromisoformat(manifest.at)
    with closing(SortedOnDisk()) as then, closing(SortedOnDisk()) as now:
        then.add_objects(Stored(key, size, at) for key, size in _listed(vault, manifest))
        now.add_objects(Stored(one.key, one.size, one.modified_at) for one in objects.listing(""))
        standing = (one.key for one in now.objects())
        current = next(standing, None)
        missing = 0
        for listed in then.objects():
            while current is not None and current.encode() < listed.key.encode():
                current = next(standing, None)
            missing += current != listed.key
        return missing
