"""Dagster's SQLite storages on the files where it keeps them itself, opened quickly.

Every tick of a sensor opens the instance anew, and SQLite's storages then read all of Dagster's migrations
to see that nothing is to be migrated: a third of a second, half of what ticks cost. Ours look once a
process. dagster.yaml names these classes; `test_sqlite.py` fails loudly when an upgrade changes what is
leaned on.

A process makes or migrates a database alone: Dagster's processes start together, and of two that make one
at once the second leaves a table of versions with two rows, after which no sensor ticks any more.
"""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

from dagster import StringSource
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.sqlite import create_db_conn_string
from dagster._serdes import ConfigurableClassData
from sqlalchemy.engine import Engine

from reporting_pipeline.dagster_instance.event_log import BatchedEventLog

#: Files of databases that this process has found, or brought, up to date.
_READY: set[str] = set()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait for the other processes of this home that look its databases over."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "looked-over.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # ends with the file, whatever ends the process
        yield


class BatchedSqliteEventLog(BatchedEventLog, SqliteEventLogStorage):
    """SQLite: a file for each run, and the index of all assets' events in a file of its own."""

    def _initdb(self, engine: Engine, for_index_shard: bool = False) -> None:
        database = engine.url.database or ""
        if database in _READY and Path(database).is_file():
            return
        with _alone(Path(database).parent):
            super()._initdb(engine, for_index_shard)
        _READY.add(database)

    def _store_together(self, events: Sequence[EventLogEntry]) -> None:
        with self.run_connection(events[0].run_id) as connection:
            self._insert(connection, events)
        with self.index_transaction() as connection:
            self._index(connection, events, self._insert(connection, events))

    @classmethod
    def config_type(cls) -> Any:
        return {"home": StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """`home`: Dagster's home; the files lie where Dagster's own SQLite storage keeps them."""
        folder = Path(config_value["home"]) / "history" / "runs"
        return cls(inst_data=inst_data, base_dir=str(folder))


class _LookedOverOnce:
    """`from_local` of a storage of Dagster's that is one file, once a process."""

    FOLDER: ClassVar[str]  # under Dagster's home
    NAME: ClassVar[str]

    @classmethod
    def config_type(cls) -> Any:
        return {"home": StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Any:
        return cls.from_local(str(Path(config_value["home"]) / cls.FOLDER), inst_data)

    @classmethod
    def from_local(cls, base_dir: str, inst_data: ConfigurableClassData | None = None) -> Any:
        database = Path(base_dir) / f"{cls.NAME}.db"
        if str(database) in _READY and database.is_file():
            return cls(create_db_conn_string(base_dir, cls.NAME), inst_data)  # type: ignore[call-arg]
        with _alone(Path(base_dir)):
            opened = super().from_local(base_dir, inst_data)  # type: ignore[misc]
        _READY.add(str(database))
        return opened


class SqliteRuns(_LookedOverOnce, SqliteRunStorage):
    """Dagster's runs on SQLite."""

    FOLDER, NAME = "history", "runs"


class SqliteSchedules(_LookedOverOnce, SqliteScheduleStorage):
    """Dagster's schedules and sensors on SQLite."""

    FOLDER, NAME = "schedules", "schedules"
