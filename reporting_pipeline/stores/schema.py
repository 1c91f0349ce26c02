"""Which migrations a database has seen, and whether this version of the product may work on it.

The steps themselves are `operations/migrations/`; only their numbers are known here, because every
process asks when it opens the database. Collection `schema`: one record a step
(`_id` its number, `name`, `applied_at`, `by`, `changed`), the lock of who migrates (`_id: "lock"`), and while
a restore fills the database the backup's name (`_id: "restoring"`, `backup`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

if TYPE_CHECKING:
    from reporting_pipeline.stores.mongo import Database

#: The newest step that this version knows: `operations/migrations/steps.py` ends with it.
SCHEMA_VERSION = 4
#: A migration that showed no sign of life for so long is taken for dead; its step is begun again.
LOCK_FOR = timedelta(minutes=10)
_LOCK = "lock"
_RESTORING = "restoring"
#: Where one of these holds something the database is no empty one.
_TELLING = ("subscriptions", "users", "documents", "jobs", "trials", "audit")


class SchemaMismatch(RuntimeError):
    """The database is of another version of the product; the message says what to do."""


class MigrationLocked(RuntimeError):
    """Somebody else migrates this database."""


def schema_version(database: Database) -> int:
    """The newest step that this database has seen; 0 for one that was made before there were steps."""
    newest = database.schema.find_one({"_id": {"$type": "number"}}, sort=[("_id", -1)])
    return int(newest["_id"]) if newest else 0


def is_new(database: Database) -> bool:
    """Whether the database holds nothing yet: no step and no record."""
    return schema_version(database) == 0 and all(
        database[name].find_one({}, {"_id": 1}) is None for name in _TELLING
    )


def begin_restore(database: Database, backup: str) -> None:
    """From here on every process and migration refuses the database, until `end_restore`."""
    database.schema.delete_many({})
    database.schema.insert_one({"_id": _RESTORING, "backup": backup})


def end_restore(database: Database) -> None:
    """All that a restore has to do is done."""
    database.schema.delete_one({"_id": _RESTORING})


def refuse_half_restored(database: Database) -> None:
    """Raise SchemaMismatch where a restore fills this database or was cut off: nobody knows what it lacks."""
    restoring = database.schema.find_one({"_id": _RESTORING})
    if restoring is not None:
        raise SchemaMismatch(
            f"a restore of the backup {restoring['backup']} into the database {database.name!r} is under way "
            "or was cut off. Wait for its end; if it is not running any more, drop the database and restore "
            "again, into this name or another (REPORTING_MONGODB_DATABASE)"
        )


def refuse_other_schema(database: Database) -> None:
    """Raise SchemaMismatch when the database is not at SCHEMA_VERSION, or half restored."""
    refuse_half_restored(database)
    standing = schema_version(database)
    if standing > SCHEMA_VERSION:
        raise SchemaMismatch(
            f"the database {database.name!r} is at migration {standing}, this version knows "
            f"{SCHEMA_VERSION}: install the version that migrated it, or with that one go back first "
            f"(`reporting-pipeline migrate --to {SCHEMA_VERSION}`)"
        )
    if standing < SCHEMA_VERSION:
        raise SchemaMismatch(
            f"the database {database.name!r} is at migration {standing}, this version needs "
            f"{SCHEMA_VERSION}: stop the other processes and run `reporting-pipeline migrate`"
        )


def record_step(database: Database, number: int, name: str, by: str, changed: int, now: datetime) -> None:
    """Write down that a step has been taken; `changed` records were touched by it."""
    taken = {"name": name, "by": by, "changed": changed, "applied_at": now}
    database.schema.update_one({"_id": number}, {"$set": taken}, upsert=True)


def forget_step(database: Database, number: int) -> None:
    """Write down that a step has been taken back."""
    database.schema.delete_one({"_id": number})


class MigrationLock:
    """The right to migrate, for as long as it is renewed."""

    def __init__(self, database: Database, owner: str) -> None:
        self._database, self._owner = database, owner

    def renew(self, now: datetime) -> None:
        """Say that the migration lives. Raises MigrationLocked when another has taken over."""
        mine = self._database.schema.find_one_and_update(
            {"_id": _LOCK, "owner": self._owner},
            {"$set": {"until": now + LOCK_FOR}},
            return_document=ReturnDocument.AFTER,
        )
        if mine is None:
            raise MigrationLocked("another migration took over, because this one was silent for too long")


@contextmanager
def migration_lock(database: Database, now: datetime) -> Iterator[MigrationLock]:
    """Hold the lock for the length of a block. Raises MigrationLocked when another holds it."""
    owner = uuid4().hex
    free = {"_id": _LOCK, "$or": [{"until": {"$lte": now}}, {"until": {"$gt": now + 2 * LOCK_FOR}}]}
    try:
        database.schema.update_one(free, {"$set": {"owner": owner, "until": now + LOCK_FOR}}, upsert=True)
    except DuplicateKeyError:
        held = database.schema.find_one({"_id": _LOCK}) or {}
        until = held.get("until")
        raise MigrationLocked(
            "another migration of this database is under way"
            + (f"; if it died, the lock ends at {until:%H:%M:%S} UTC" if until else "")
        ) from None
    try:
        yield MigrationLock(database, owner)
    finally:
        database.schema.delete_one({"_id": _LOCK, "owner": owner})
