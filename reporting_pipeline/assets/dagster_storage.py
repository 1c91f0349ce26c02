"""Dagster's storage, where an edition would wait for it: one transaction a batch, and opened quickly.

Dagster's event log has a call for batches, but SQLite's and, for planned events, Postgres's carry it
out one event after the other. `InBatches` carries it out in one transaction; planned events reach it in
batches because DAGSTER_EVENT_BATCH_SIZE is set. Every tick of a sensor opens the instance anew, and
SQLite's storages then read all of Dagster's migrations to see that nothing is to be migrated: a third
of a second, half of what ticks cost. Ours look once a process.

dagster.yaml names these classes, which is Dagster's own way to give it a storage; without them it
uses its own on the same files. `test_events.py` and `test_dagster_storage.py` fail loudly when an
upgrade changes what is leaned on.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar, Self

from dagster import DagsterEventType, StringSource
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.sqlite import create_db_conn_string
from dagster._serdes import ConfigurableClassData
from sqlalchemy.engine import Engine

from reporting_pipeline.assets.partition_health import WithPartitionHealth

#: What is stored in batches: events whose only effect on other tables is on their asset's row.
_BATCHED = (DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
#: So old may a list of partition keys be.
KEYS_KEPT_SECONDS = 2.0
_LONG_AGO = float("-inf")


class InBatches(WithPartitionHealth):
    """A storage of Dagster's whose `store_event_batch` is one transaction for each kind of event."""

    _keys: tuple[float, dict[str, Sequence[str]]] = (_LONG_AGO, {})

    def get_dynamic_partitions(self, partitions_def_name: str) -> Sequence[str]:
        """The keys, at most KEYS_KEPT_SECONDS old: a run's inputs ask for them once a partition."""
        read_at, keys = self._keys
        if time.monotonic() - read_at > KEYS_KEPT_SECONDS:
            read_at, keys = self._keys = (time.monotonic(), {})
        if partitions_def_name not in keys:
            keys[partitions_def_name] = super().get_dynamic_partitions(partitions_def_name)
        return keys[partitions_def_name]

    def add_dynamic_partitions(self, partitions_def_name: str, partition_keys: Sequence[str]) -> None:
        super().add_dynamic_partitions(partitions_def_name, partition_keys)
        self._keys = (_LONG_AGO, {})

    def delete_dynamic_partition(self, partitions_def_name: str, partition_key: str) -> None:
        super().delete_dynamic_partition(partitions_def_name, partition_key)
        self._keys = (_LONG_AGO, {})

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of one run, in order. What is not of `_BATCHED` is stored alone."""
        for batched, group in _grouped(events):
            if batched and len(group) > 1:
                self._store_together(group)
            else:
                for event in group:
                    self.store_event(event)

    def _store_together(self, events: Sequence[EventLogEntry]) -> None:
        raise NotImplementedError

    def _index(self, connection: Any, events: Sequence[EventLogEntry], ids: Sequence[int]) -> None:
        self._store_asset_event_tags(connection, events, ids)
        # The asset's row holds its newest event only.
        newest = {event.get_dagster_event().asset_key: at for at, event in enumerate(events)}
        for at in newest.values():
            self._store_asset_event(connection, events[at], ids[at])

    def _insert(self, connection: Any, events: Sequence[EventLogEntry]) -> list[int]:
        """Insert in order; the ids in the same order."""
        statement = SqlEventLogStorageTable.insert().returning(
            SqlEventLogStorageTable.c.id, sort_by_parameter_order=True
        )
        with closing(connection.execute(statement, [self._event_to_row(event) for event in events])) as rows:
            return [int(row[0]) for row in rows]


#: Files of databases that this process has found, or brought, up to date.
_READY: set[str] = set()


class SqliteInBatches(InBatches, SqliteEventLogStorage):
    """SQLite: a file for each run, and the index of all assets' events in a file of its own."""

    def _initdb(self, engine: Engine, for_index_shard: bool = False) -> None:
        database = engine.url.database or ""
        if database in _READY and Path(database).is_file():
            return
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
        opened = super().from_local(base_dir, inst_data)  # type: ignore[misc]
        _READY.add(str(database))
        return opened


class SqliteRuns(_LookedOverOnce, SqliteRunStorage):
    """Dagster's runs on SQLite."""

    FOLDER, NAME = "history", "runs"


class SqliteSchedules(_LookedOverOnce, SqliteScheduleStorage):
    """Dagster's schedules and sensors on SQLite."""

    FOLDER, NAME = "schedules", "schedules"


def _grouped(events: Sequence[EventLogEntry]) -> Iterator[tuple[bool, list[EventLogEntry]]]:
    """Neighbours that can be stored together: of one run and one batched kind."""
    group: list[EventLogEntry] = []
    for event in events:
        if group and _kind(event) != _kind(group[0]):
            yield _kind(group[0])[1] in _BATCHED, group
            group = []
        group.append(event)
    if group:
        yield _kind(group[0])[1] in _BATCHED, group


def _kind(event: EventLogEntry) -> tuple[str, DagsterEventType]:
    return event.run_id, event.get_dagster_event().event_type
