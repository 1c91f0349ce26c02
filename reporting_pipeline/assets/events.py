"""Writing many events at once: what leans on Dagster's internals stands here.

`context.log_event` costs a database transaction or two an event (10 ms on SQLite, 16 ms on Postgres).
Dagster's event log has a call for batches, but SQLite's and, for planned events, Postgres's carry it
out one event after the other. `InBatches` carries it out in one transaction; dagster.yaml names the
storage classes made with it, which is Dagster's own way to give it a storage. Planned events reach
them in batches because DAGSTER_EVENT_BATCH_SIZE is set.

`test_events.py` compares with the public path and fails loudly when an upgrade changes what is leaned
on. The public path stays as the way out: `log_one_by_one`, and dagster.yaml without our storage.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from logging import DEBUG
from pathlib import Path
from typing import Any, Self

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    DagsterEventType,
    MultiPartitionKey,
    OpExecutionContext,
    StringSource,
)
from dagster._core.events import DagsterEvent, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._serdes import ConfigurableClassData

_DIMENSION_TAG = "dagster/partition/"
#: What is stored in batches: events whose only effect on other tables is on their asset's row.
_BATCHED = (DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_MATERIALIZATION_PLANNED)


def materialization(
    asset_key: AssetKey, partition: MultiPartitionKey, metadata: Mapping[str, object]
) -> AssetMaterialization:
    """One partition's materialization, with the dimension tags that Dagster gives its own events."""
    tags = {f"{_DIMENSION_TAG}{name}": key for name, key in partition.keys_by_dimension.items()}
    return AssetMaterialization(
        asset_key=asset_key,
        partition=partition,
        metadata=dict(metadata),  # type: ignore[arg-type]
        tags=tags,
    )


def log_batch(
    context: AssetExecutionContext | OpExecutionContext, materializations: Sequence[AssetMaterialization]
) -> None:
    """Store the materializations of this step at once, in order."""
    if not materializations:
        return
    step = context.get_step_execution_context()
    entries = []
    for one in materializations:
        event = DagsterEvent(
            event_type_value=DagsterEventType.ASSET_MATERIALIZATION.value,
            job_name=step.job_name,
            step_handle=step.step.handle,
            node_handle=step.step.node_handle,
            step_kind_value=step.step.kind.value,
            logging_tags=step.event_tags,
            event_specific_data=StepMaterializationData(one),
            message=f"Materialized {one.partition}.",
        )
        entries.append(
            EventLogEntry(
                error_info=None,
                level=DEBUG,
                user_message=event.message or "",
                run_id=context.run.run_id,
                timestamp=time.time(),
                step_key=step.step.key,
                job_name=step.job_name,
                dagster_event=event,
            )
        )
    context.instance.event_log_storage.store_event_batch(entries)


def log_one_by_one(context: AssetExecutionContext, materializations: Sequence[AssetMaterialization]) -> None:
    """The public path: one transaction an event."""
    for one in materializations:
        context.log_event(one)


class InBatches(SqlEventLogStorage):
    """A storage of Dagster's whose `store_event_batch` is one transaction for each kind of event."""

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


class SqliteInBatches(InBatches, SqliteEventLogStorage):
    """SQLite: a file for each run, and the index of all assets' events in a file of its own."""

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
