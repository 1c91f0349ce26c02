"""Materializations of many partitions of one step: what they say, and how they are logged.

Nothing here is private to Dagster. `context.log_event` costs a database transaction or two an event (10 ms
on SQLite, 16 ms on Postgres), so an event log that can store a step's materializations at once is asked to
(`event_log.BatchedEventLog`, chosen in dagster.yaml); with any other one they are logged one by one.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    MultiPartitionKey,
    OpExecutionContext,
)

_DIMENSION_TAG = "dagster/partition/"


@runtime_checkable
class StoresMaterializations(Protocol):
    """An event log that takes the materializations of a step together."""

    def store_materializations(
        self,
        context: AssetExecutionContext | OpExecutionContext,
        materializations: Sequence[AssetMaterialization],
    ) -> None:
        """Store them as events of the step that `context` runs, in order."""


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


def log_materializations(
    context: AssetExecutionContext | OpExecutionContext, materializations: Sequence[AssetMaterialization]
) -> None:
    """Log the materializations of this step, in order: at once where the event log can, else one by one."""
    storage = context.instance.event_log_storage
    if isinstance(storage, StoresMaterializations):
        storage.store_materializations(context, materializations)
        return
    for one in materializations:
        context.log_event(one)
