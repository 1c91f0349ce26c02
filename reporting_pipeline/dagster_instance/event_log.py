"""Dagster's event log where an edition would wait for it: one transaction for a batch of events.

Dagster's event log has a call for batches, but SQLite's and, for planned events, Postgres's carry it out
one event after the other. `BatchedEventLog` carries it out in one transaction; planned events reach it in
batches because DAGSTER_EVENT_BATCH_SIZE is set. Its children in `sqlite` and `postgres` are what
dagster.yaml names. `test_events.py` pins both to Dagster's own and fails loudly when an upgrade changes
what is leaned on.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from logging import DEBUG
from typing import Any

from dagster import AssetExecutionContext, AssetMaterialization, DagsterEventType, OpExecutionContext
from dagster._core.events import DagsterEvent, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable

from reporting_pipeline.dagster_instance.partition_health import WithPartitionHealth

#: What is stored in batches: events whose only effect on other tables is on their asset's row.
_BATCHED = (DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
#: So old may a list of partition keys be.
KEYS_KEPT_SECONDS = 2.0
_LONG_AGO = float("-inf")


class BatchedEventLog(WithPartitionHealth):
    """An event log of Dagster's whose `store_event_batch` is one transaction for each kind of event."""

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

    def store_materializations(
        self,
        context: AssetExecutionContext | OpExecutionContext,
        materializations: Sequence[AssetMaterialization],
    ) -> None:
        """Store what a step made, in order (`events.StoresMaterializations`)."""
        if materializations:
            self.store_event_batch([_entry(context, one) for one in materializations])

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


def _entry(context: AssetExecutionContext | OpExecutionContext, one: AssetMaterialization) -> EventLogEntry:
    """The entry that Dagster itself would store for this materialization of the step."""
    step = context.get_step_execution_context()
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
    return EventLogEntry(
        error_info=None,
        level=DEBUG,
        user_message=event.message or "",
        run_id=context.run.run_id,
        timestamp=time.time(),
        step_key=step.step.key,
        job_name=step.job_name,
        dagster_event=event,
    )


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
