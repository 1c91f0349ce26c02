"""A restore drill: the latest backup restored into a database of its own, measured, and forgotten again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from pymongo import MongoClient

from reporting_pipeline.operations.backup.restore import restore_backup
from reporting_pipeline.operations.backup.vault import Place
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.upkeep import save_upkeep

#: What was promised: at most so much is lost, and the deployment's records stand again after so long.
RECOVERY_POINT = timedelta(minutes=5)
RECOVERY_TIME = timedelta(minutes=15)


@dataclass(frozen=True)
class Drill:
    """What a drill showed."""

    backup: str
    point: timedelta  # age of the backup: what would be lost if the database were lost now
    time: timedelta  # from the first byte read to the last index
    records: int
    missing_objects: int  # listed in the backup, not in the bucket

    def problems(self, point: timedelta, time: timedelta) -> list[str]:
        """What is worse than it may be; for a person."""
        told = []
        if self.point > point:
            told.append(f"the latest backup is {_minutes(self.point)} old, and may be {_minutes(point)}")
        if self.time > time:
            told.append(f"the restore took {_minutes(self.time)}, and may take {_minutes(time)}")
        if self.missing_objects:
            told.append(f"{self.missing_objects:,} objects that the backup lists are not in the bucket")
        return told


def drill_restore(
    database: Database, objects: ObjectStore, place: Place, key: bytes, clock: Callable[[], datetime]
) -> Drill:
    """Restore the latest backup beside the deployment's database and drop it again.

    Nothing else is touched: no process knows the other database's name. The outcome is kept in `upkeep`.
    Raises BackupDamaged.
    """
    client: MongoClient[Record] = database.client
    name = f"{database.name[:40]}_drill_{uuid4().hex[:8]}"
    other = client.get_database(name, codec_options=database.codec_options)
    begun = clock()
    try:
        done = restore_backup(other, place, key, begun, objects=objects)
        ended = clock()
    finally:
        client.drop_database(name)
    drill = Drill(
        done.manifest.backup,
        begun - datetime.fromisoformat(done.manifest.at),
        ended - begun,
        done.records,
        done.missing_objects,
    )
    figures = {
        "ok": not drill.missing_objects,
        "backup": drill.backup,
        "point_seconds": drill.point.total_seconds(),
        "time_seconds": drill.time.total_seconds(),
        "records": drill.records,
        "missing_objects": drill.missing_objects,
    }
    save_upkeep(database, "restore_drill", figures, ended)
    return drill


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:.1f} minutes"
