"""Writing many events of a step at once, which leans on Dagster's internals.

`context.log_event` costs a database transaction or two an event (10 ms on SQLite, 16 ms on Postgres).
Dagster's event log has a call for batches, and `dagster_storage` one that carries it out in one
transaction.

`test_events.py` compares with the public path and fails loudly when an upgrade changes what is leaned
on. The public path stays as the way out: `log_one_by_one`, and dagster.yaml without our storage.
"""

import time
from collections.abc import Mapping, Sequence
from logging import DEBUG

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    DagsterEventType,
    MultiPartitionKey,
    OpExecutionContext,
)
from dagster._core.events import DagsterEvent, StepMaterializationData
from dagster._core.events.log import EventLogEntry

_DIMENSION_TAG = "dagster/partition/"


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
