"""Migrating with its row in the audit log: for the operator's command, and for a local home at its start."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from reporting_pipeline.operations.migrations import Moved, migrate, moves
from reporting_pipeline.stores.audit import AuditAction
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.schema import schema_version
from reporting_pipeline.usecases.keeping import COMMAND, note


def migrate_and_note(database: Database, by: str, home: str, to: int | None = None) -> list[Moved]:
    """`migrate`, and a row in the log of `home` of what was reached, also where a step failed.

    The way back is noted before it is gone: while the log of this version stands. Raises as `migrate`.
    """
    standing = schema_version(database)
    way = moves(standing, to)
    back = bool(way) and way[0].back
    begun = partial(_note, database, standing, to, home) if back else None
    try:
        return migrate(database, lambda: datetime.now(UTC), by, to, begun=begun)
    finally:  # a step that fails leaves those before it taken
        if (reached := schema_version(database)) > standing:
            _note(database, standing, reached, home)


def _note(database: Database, before: int, to: int | None, home: str) -> None:
    details = {"from": before, "to": to}
    note(database, AuditAction.DATABASE_MIGRATED, "schema", COMMAND, home, datetime.now(UTC), details)
