"""Batches with isolation: the one mechanism under every asset.

A run takes a range of partitions. For each partition the work is done on its own: on success one
materialization with its metadata, on failure the reason is kept and the others go on; at the end
`Failure` names what failed. Dagster then shows the good partitions as materialized and only the bad
ones as failed.

The order of writing is: files, then the partition's record in `asset_results`, then Dagster's event.
A run that is killed anywhere is run again; what has a record for the same inputs is not made again,
only confirmed by its event.

A step that yields no Output makes later steps of the same run skip in silence. Each stage therefore
has runs of its own, and where somebody selects several assets in the UI, the step yields its Output
when every partition is good, so that the later steps run.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar, cast

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    Failure,
    MetadataValue,
    MultiPartitionKey,
    Output,
    deserialize_value,
    serialize_value,
)

from reporting_pipeline.assets.events import log_batch, materialization
from reporting_pipeline.domain.periods import Period
from reporting_pipeline.stores.heartbeats import Progress, beating
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.results import DONE, FAILED, SKIPPED, AssetResult, results_of, save_results

_log = logging.getLogger(__name__)

Metadata = Mapping[str, MetadataValue[Any]]

#: A batch of records and events is written after so many partitions or seconds, whichever is first.
FLUSH_PARTITIONS = 100
FLUSH_SECONDS = 5.0
#: So many failures are named one by one in a run's error; the rest is counted.
NAMED_FAILURES = 50


class PartitionFailed(Exception):
    """This partition cannot be made. `permanent`: trying again with the same inputs cannot help."""

    def __init__(self, reason: str, permanent: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent


class PartitionSkipped(Exception):
    """This partition must not be made, and that is no failure, e.g. its owner may no longer read it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Made:
    """What one partition came to."""

    version: str
    detail: Mapping[str, Any] = field(default_factory=dict)  # what later stages need
    metadata: Metadata = field(default_factory=dict)  # what an analyst wants to see


class Partition(Protocol):
    """`partitions.TrialPartition` or `partitions.SubscriptionPartition`."""

    @property
    def period(self) -> Period: ...

    @property
    def key(self) -> MultiPartitionKey: ...


P = TypeVar("P", bound=Partition)


@dataclass(frozen=True)
class Batch(Generic[P]):
    """One asset's work over the partitions of a run.

    `input_version` says what a partition would be made from; it may raise PartitionFailed.
    `make` makes one partition; whatever it raises fails that partition alone.
    `after_flush` is called with the results of each written batch, failed ones included.
    """

    asset_key: AssetKey
    stage: str
    item_of: Callable[[P], str]
    input_version: Callable[[P], str]
    make: Callable[[P], Made]
    after_flush: Callable[[Sequence[AssetResult]], None] | None = None


@dataclass
class Outcome(Generic[P]):
    """What a run came to, partition by partition."""

    asset_key: AssetKey
    results: list[tuple[P, AssetResult]] = field(default_factory=list)
    unchanged: int = 0

    @property
    def failed(self) -> list[AssetResult]:
        return [result for _, result in self.results if result.state == FAILED]

    @property
    def done(self) -> list[AssetResult]:
        return [result for _, result in self.results if result.done]


def asset_name(asset_key: AssetKey) -> str:
    """The asset as `asset_results` names it: "weekly/documents"."""
    return asset_key.to_user_string()


def run_batch(
    context: AssetExecutionContext,
    database: Database,
    batch: Batch[P],
    partitions: Sequence[P],
    force: bool = False,
    heartbeat_seconds: float = 5.0,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Outcome[P]:
    """Make every partition, each on its own, and record what came of it. Never raises for a partition."""
    progress = Progress(total=len(partitions))
    outcome: Outcome[P] = Outcome(batch.asset_key)
    with beating(database, context.run.run_id, batch.stage, progress, heartbeat_seconds, now):
        earlier = _earlier_results(database, batch, partitions)
        pending: list[tuple[P, AssetResult]] = []
        flushed_at = time.monotonic()
        for partition in partitions:
            before = earlier.get((partition.period.key, batch.item_of(partition)))
            result, unchanged = _result_of(batch, partition, before, force, context.run.run_id, now)
            pending.append((partition, result))
            outcome.results.append((partition, result))
            outcome.unchanged += unchanged
            progress.done += 1
            progress.failed += result.state == FAILED
            if len(pending) >= FLUSH_PARTITIONS or time.monotonic() - flushed_at >= FLUSH_SECONDS:
                _flush(context, database, batch, pending)
                pending, flushed_at = [], time.monotonic()
                context.log.info(f"{progress.done} of {progress.total} done, {progress.failed} failed")
        _flush(context, database, batch, pending)
    return outcome


def finish(context: AssetExecutionContext, outcome: Outcome[P]) -> Iterator[Output[None]]:
    """Raise Failure that names what failed; yield the Output only where a later step waits for it."""
    failed = outcome.failed
    if failed:
        if _later_steps_wait(context):
            log_batch(context, _materializations(outcome.asset_key, outcome.results))
        listed = "\n".join(f"- {result.item}: {result.reason}" for result in failed[:NAMED_FAILURES])
        more = f"\nand {len(failed) - NAMED_FAILURES} more" if len(failed) > NAMED_FAILURES else ""
        raise Failure(
            description=(
                f"{len(failed)} of {len(outcome.results)} partitions failed; the others are done.\n"
                f"{listed}{more}"
            ),
            metadata={"failed": len(failed), "done": len(outcome.done)},
            allow_retries=False,
        )
    context.log.info(f"all {len(outcome.results)} partitions done, {outcome.unchanged} of them unchanged")
    if _later_steps_wait(context):
        # Dagster writes the events of an Output itself; this gives them their metadata. It reads all
        # partition keys at each call, which a selection made by hand in the UI can bear.
        for partition, result in outcome.results:
            context.add_asset_metadata(dict(_event_metadata(result)), partition_key=partition.key)
        yield Output(None)


def _later_steps_wait(context: AssetExecutionContext) -> bool:
    return len(set(context.job_def.asset_layer.executable_asset_keys)) > 1


def _earlier_results(
    database: Database, batch: Batch[P], partitions: Sequence[P]
) -> dict[tuple[str, str], AssetResult]:
    items_by_period: dict[str, list[str]] = {}
    for partition in partitions:
        items_by_period.setdefault(partition.period.key, []).append(batch.item_of(partition))
    return {
        (period, item): result
        for period, items in items_by_period.items()
        for item, result in results_of(database, asset_name(batch.asset_key), period, items).items()
    }


def _result_of(
    batch: Batch[P],
    partition: P,
    before: AssetResult | None,
    force: bool,
    run_id: str,
    now: Callable[[], datetime],
) -> tuple[AssetResult, bool]:
    """(what came of the partition, whether it was already done for the same inputs)"""
    blank = AssetResult(
        asset=asset_name(batch.asset_key),
        period=partition.period.key,
        item=batch.item_of(partition),
        state=FAILED,
        input_version="",
        at=now(),
        run_id=run_id,
    )
    input_version = ""
    try:
        input_version = batch.input_version(partition)
        if before and before.done and before.input_version == input_version and not force:
            return before, True
        made = batch.make(partition)
    except PartitionSkipped as skip:
        return replace(blank, state=SKIPPED, input_version=input_version, reason=skip.reason), False
    except Exception as error:  # isolation: whatever one partition raises is that partition's failure
        tried = before.attempts if before and before.input_version == input_version else 0
        if not isinstance(error, PartitionFailed):
            _log.exception("%s %s", blank.asset, partition.key)
        failed = replace(
            blank,
            at=now(),
            input_version=input_version,
            reason=error.reason if isinstance(error, PartitionFailed) else f"{type(error).__name__}: {error}",
            permanent=isinstance(error, PartitionFailed) and error.permanent,
            attempts=tried + 1,
        )
        return failed, False
    done = replace(
        blank,
        state=DONE,
        at=now(),
        input_version=input_version,
        version=made.version,
        detail=made.detail,
        metadata={name: _serialized(value) for name, value in made.metadata.items()},
        attempts=1,
    )
    return done, False


def _serialized(value: MetadataValue[Any]) -> str:
    return serialize_value(cast(Any, value))


def _flush(
    context: AssetExecutionContext,
    database: Database,
    batch: Batch[P],
    pending: Sequence[tuple[P, AssetResult]],
) -> None:
    """Records first, then what follows from them, then Dagster's events."""
    results = [result for _, result in pending]
    save_results(database, [result for result in results if result.run_id == context.run.run_id])
    if batch.after_flush is not None:
        batch.after_flush(results)
    if not _later_steps_wait(context):
        log_batch(context, _materializations(batch.asset_key, pending))


def _materializations(
    asset_key: AssetKey, results: Sequence[tuple[P, AssetResult]]
) -> list[AssetMaterialization]:
    return [
        materialization(asset_key, partition.key, _event_metadata(result))
        for partition, result in results
        if result.done
    ]


def _event_metadata(result: AssetResult) -> Metadata:
    values = {name: cast(Any, deserialize_value(value)) for name, value in result.metadata.items()}
    return {**values, "version": MetadataValue.text(result.version)}
