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

import json
import logging
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Lock
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

from reporting_pipeline import tracing
from reporting_pipeline.dagster_instance.events import log_materializations, materialization
from reporting_pipeline.domain.periods import Period
from reporting_pipeline.operations import logs
from reporting_pipeline.stores.away import AWAY, away
from reporting_pipeline.stores.error_texts import error_told
from reporting_pipeline.stores.heartbeats import RunProgress, beating, longest_silence
from reporting_pipeline.stores.measures import MEASURES
from reporting_pipeline.stores.mongo import VALUES_AT_ONCE, Database, server_time
from reporting_pipeline.stores.partition_claims import PartitionClaims
from reporting_pipeline.stores.results import DONE, FAILED, SKIPPED, AssetResult, results_of, save_results
from reporting_pipeline.stores.usage import edition_of, note_compute

_log = logging.getLogger(__name__)

Metadata = Mapping[str, MetadataValue[Any]]

#: A batch of records and events is written after so many partitions or seconds, whichever is first.
FLUSH_PARTITIONS = 250
FLUSH_SECONDS = 5.0
#: So many partitions are claimed, and looked up, at a time: as many as one look-up of the database names.
CLAIMED_AT_ONCE = VALUES_AT_ONCE
#: What another run works on is looked at again after so long.
LOOK_AGAIN_SECONDS = 0.25
#: So many failures are named one by one in a run's error; the rest is counted.
NAMED_FAILURES = 50
#: Begins the line of a run's log that says where its time went; JSON follows.
STAGE_TIMES = "stage times: "


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
    """What one partition came to.

    `under_way`: files still being written in the background. Nothing is recorded before they stand,
    and their failure is the partition's.
    """

    version: str
    detail: Mapping[str, Any] = field(default_factory=dict)  # what later stages need
    metadata: Metadata = field(default_factory=dict)  # what an analyst wants to see
    under_way: Future[Any] | None = None


class StageTimes:
    """Seconds of wall time by activity, of all threads: their sum may exceed the run's time."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._turn = Lock()

    @contextmanager
    def on(self, activity: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(activity, time.perf_counter() - started)

    def add(self, activity: str, seconds: float) -> None:
        with self._turn:
            self.seconds[activity] = self.seconds.get(activity, 0.0) + seconds


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
    `begin` is called with the partitions that this run has just claimed, before they are made.
    `after_flush` is called with the results of each written batch, failed ones included.
    `times` collects where the time goes; `make` may add activities of its own.
    `inputs_at`: when the run began to read what all its partitions are made from; None where `input_version`
    reads it anew for each.
    """

    asset_key: AssetKey
    stage: str
    item_of: Callable[[P], str]
    input_version: Callable[[P], str]
    make: Callable[[P], Made]
    begin: Callable[[Sequence[P]], None] | None = None
    after_flush: Callable[[Sequence[AssetResult]], None] | None = None
    times: StageTimes = field(default_factory=StageTimes)
    inputs_at: datetime | None = None


@dataclass
class BatchOutcome(Generic[P]):
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


@contextmanager
def away_fails_the_run() -> Iterator[None]:
    """A store that does not answer ends the run with one line; the sensors ask again for what is missing."""
    try:
        yield
    except AWAY as error:
        raise Failure(
            description=f"{away(error)}; what is missing is asked for again", allow_retries=False
        ) from None


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
) -> BatchOutcome[P]:
    """Make every partition, each on its own, and record what came of it. Never raises for a partition.

    What another run works on comes last: it is confirmed, or made when that run did not.
    """
    outcome: BatchOutcome[P] = BatchOutcome(batch.asset_key)
    progress = RunProgress(total=len(partitions))
    claims = PartitionClaims(
        database, asset_name(batch.asset_key), context.run.run_id, longest_silence(heartbeat_seconds)
    )
    cpu_before = time.process_time()
    with (
        away_fails_the_run(),
        logs.bound(run=context.run.run_id, stage=batch.stage),
        tracing.span(
            f"{batch.stage} run",
            context.run.tags.get(tracing.RUN_TAG, ""),
            run=context.run.run_id,
            stage=batch.stage,
            partitions=len(partitions),
        ) as span,
        beating(database, context.run.run_id, batch.stage, progress, heartbeat_seconds),
        # One thread, so in order: while the database works on a batch, the next one is made.
        ThreadPoolExecutor(1, thread_name_prefix="settling") as settler,
    ):
        work = _Work(context, database, batch, outcome, progress, claims, settler, force, now)
        left = list(partitions)
        while left:
            left = work.through(left)
            if left:
                time.sleep(LOOK_AGAIN_SECONDS)
        claims.release(server_time(database))
        span.note(failed=len(outcome.failed), unchanged=outcome.unchanged)
    tracing.flush()
    _log_times(context, batch.times, len(partitions), outcome.unchanged)
    editions = Counter(edition_of(partition.period) for partition in partitions)
    note_compute(database, batch.stage, time.process_time() - cpu_before, editions, now())
    return outcome


class _Work(Generic[P]):
    """The partitions of one run, claimed some at a time, made, and settled in batches."""

    def __init__(
        self,
        context: AssetExecutionContext,
        database: Database,
        batch: Batch[P],
        outcome: BatchOutcome[P],
        progress: RunProgress,
        claims: PartitionClaims,
        settler: ThreadPoolExecutor,
        force: bool,
        now: Callable[[], datetime],
    ) -> None:
        self._context = context
        self._database = database
        self._batch = batch
        self._outcome = outcome
        self._progress = progress
        self._claims = claims
        self._settler = settler
        self._force = force
        self._now = now
        self._keep_all = _later_steps_wait(context)
        self._tried: list[_Tried[P]] = []
        self._settling: Future[None] | None = None
        self._in_settling: list[_Tried[P]] = []
        self._flushed_at = time.monotonic()

    def through(self, partitions: Sequence[P]) -> list[P]:
        """Make all of them that no other run works on, to the last record; returns those that one does."""
        others: list[P] = []
        for start in range(0, len(partitions), CLAIMED_AT_ONCE):
            some = partitions[start : start + CLAIMED_AT_ONCE]
            with self._batch.times.on("inputs"):
                wanted = {str(one.key) for one in some}
                claimed = self._claims.take(wanted, self._unsettled(), server_time(self._database))
                ours = [one for one in some if str(one.key) in claimed.keys]
                earlier = _earlier_results(self._database, self._batch, ours)
                if self._batch.begin is not None:
                    self._batch.begin(ours)
            others += (one for one in some if str(one.key) not in claimed.keys)
            for partition in ours:
                before = earlier.get((partition.period.key, self._batch.item_of(partition)))
                self._make(partition, before, str(partition.key) in claimed.unfinished)
        self._flush()
        self._wait_until_settled()
        return others

    def _make(self, partition: P, before: AssetResult | None, is_unfinished: bool) -> None:
        run_id = self._context.run.run_id
        with self._batch.times.on("make"):
            self._tried.append(
                _left_as_it_is(self._batch, partition, before, is_unfinished, run_id)
                or _try(self._batch, partition, before, self._force, run_id, self._now)
            )
        self._progress.done += 1
        is_late = time.monotonic() - self._flushed_at >= FLUSH_SECONDS
        if len(self._tried) >= FLUSH_PARTITIONS or is_late:
            self._flush()
            done, total, failed = self._progress.done, self._progress.total, self._progress.failed
            self._context.log.info(f"{done} of {total} done, {failed} failed")

    def _unsettled(self) -> set[str]:
        """What this run goes on to hold: it was tried, and its records and events may not stand yet."""
        if self._settling is not None and self._settling.done():
            self._wait_until_settled()
        return {str(one.partition.key) for one in (*self._in_settling, *self._tried)}

    def _flush(self) -> None:
        self._wait_until_settled()
        self._in_settling, self._tried = self._tried, []
        self._settling = self._settler.submit(
            _settle,
            self._context,
            self._database,
            self._batch,
            self._in_settling,
            self._outcome,
            self._keep_all,
            self._now,
        )
        self._flushed_at = time.monotonic()

    def _wait_until_settled(self) -> None:
        """Raises what kept the records from being written."""
        if self._settling is None:
            return
        with self._batch.times.on("waiting for records"):
            self._settling.result()
        self._settling, self._in_settling = None, []
        self._progress.failed = len(self._outcome.failed)


def finish(context: AssetExecutionContext, outcome: BatchOutcome[P]) -> Iterator[Output[None]]:
    """Raise Failure that names what failed; yield the Output only where a later step waits for it."""
    failed = outcome.failed
    if failed:
        if _later_steps_wait(context):
            log_materializations(
                context,
                [
                    _materialization(outcome.asset_key, one, result)
                    for one, result in outcome.results
                    if result.done
                ],
            )
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


@dataclass
class _Tried(Generic[P]):
    """A partition that was tried; its result counts once nothing is under way for it any more."""

    partition: P
    result: AssetResult
    metadata: Metadata | None = None  # of what was made now; that of an unchanged one is in its result
    unchanged: bool = False
    under_way: Future[Any] | None = None
    attempts_before: int = 0  # at the same inputs
    is_settled: bool = False  # another run wrote all that follows from it


def _left_as_it_is(
    batch: Batch[P], partition: P, before: AssetResult | None, is_unfinished: bool, run_id: str
) -> _Tried[P] | None:
    """A partition that another run has tried from inputs that it read after this one read its own, None for
    any other: an older report takes no newer one's place. `is_unfinished`: that run did not settle it."""
    if before is None or before.inputs_at is None or batch.inputs_at is None or before.run_id == run_id:
        return None
    if before.inputs_at <= batch.inputs_at:
        return None
    return _Tried(partition, before, unchanged=True, is_settled=not is_unfinished)


def _try(
    batch: Batch[P],
    partition: P,
    before: AssetResult | None,
    force: bool,
    run_id: str,
    now: Callable[[], datetime],
) -> _Tried[P]:
    blank = AssetResult(
        asset=asset_name(batch.asset_key),
        period=partition.period.key,
        item=batch.item_of(partition),
        state=FAILED,
        input_version="",
        at=now(),
        run_id=run_id,
        inputs_at=batch.inputs_at,
    )
    try:
        blank = replace(blank, input_version=batch.input_version(partition))
        if before and before.done and before.input_version == blank.input_version and not force:
            return _Tried(partition, before, unchanged=True)
        with MEASURES.timed("stage", stage=batch.stage):
            made = batch.make(partition)
    except PartitionSkipped as skip:
        return _Tried(partition, replace(blank, state=SKIPPED, reason=skip.reason))
    except Exception as error:  # isolation: whatever one partition raises is that partition's failure
        return _Tried(partition, _failed(blank, _attempts(before, blank), error, now))
    done = replace(
        blank,
        state=DONE,
        at=now(),
        version=made.version,
        detail=made.detail,
        metadata={name: _serialized(value) for name, value in made.metadata.items()},
        attempts=1,
    )
    return _Tried(partition, done, made.metadata, False, made.under_way, _attempts(before, blank))


def _attempts(before: AssetResult | None, now: AssetResult) -> int:
    """How often the partition was tried with the same inputs before."""
    return before.attempts if before and before.input_version == now.input_version else 0


def _failed(
    tried: AssetResult, attempts_before: int, error: Exception, now: Callable[[], datetime]
) -> AssetResult:
    if isinstance(error, AWAY):
        _log.warning("%s %s|%s: %s", tried.asset, tried.period, tried.item, away(error))
    elif not isinstance(error, PartitionFailed):
        _log.error("%s %s|%s", tried.asset, tried.period, tried.item, exc_info=error)
    return replace(
        tried,
        state=FAILED,
        at=now(),
        version="",
        detail={},
        metadata={},
        reason=error.reason if isinstance(error, PartitionFailed) else error_told(error),
        permanent=isinstance(error, PartitionFailed) and error.permanent,
        attempts=attempts_before + 1,
    )


def _serialized(value: MetadataValue[Any]) -> str:
    return serialize_value(cast(Any, value))


def _settle(
    context: AssetExecutionContext,
    database: Database,
    batch: Batch[P],
    pending: Sequence[_Tried[P]],
    outcome: BatchOutcome[P],
    keep_all: bool,
    now: Callable[[], datetime],
) -> None:
    """Files first, then the records, then what follows from them, then Dagster's events."""
    with batch.times.on("waiting for files"):
        for tried in pending:
            _wait_for_files(tried, now)
    pairs = [(tried.partition, tried.result) for tried in pending]
    ours = [tried for tried in pending if not tried.is_settled]
    with batch.times.on("records"):
        save_results(database, [tried.result for tried in ours if not tried.unchanged])
        if batch.after_flush is not None:
            batch.after_flush([tried.result for tried in ours])
    if not keep_all:
        with batch.times.on("events"):
            log_materializations(
                context,
                [
                    _materialization(batch.asset_key, tried.partition, tried.result, tried.metadata)
                    for tried in ours
                    if tried.result.done
                ],
            )
    # What a run keeps to its end must not grow with what people see of each partition.
    outcome.results += pairs if keep_all else [(one, replace(result, metadata={})) for one, result in pairs]
    outcome.unchanged += sum(tried.unchanged for tried in pending)


def _wait_for_files(tried: _Tried[P], now: Callable[[], datetime]) -> None:
    if tried.under_way is None:
        return
    try:
        tried.under_way.result()
    except Exception as error:  # isolation holds for what is written in the background, too
        tried.result = _failed(tried.result, tried.attempts_before, error, now)


def _log_times(context: AssetExecutionContext, times: StageTimes, partitions: int, unchanged: int) -> None:
    """One line in the run's log: where its time went, in seconds."""
    figures = {
        "partitions": partitions,
        "unchanged": unchanged,
        "seconds": {name: round(seconds, 3) for name, seconds in times.seconds.items()},
        "cpu_seconds": round(time.process_time(), 3),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    context.log.info(STAGE_TIMES + json.dumps(figures))


def _materialization(
    asset_key: AssetKey, partition: Partition, result: AssetResult, metadata: Metadata | None = None
) -> AssetMaterialization:
    """The partition's event; `metadata` is given where it need not be read back from the result."""
    return materialization(asset_key, partition.key, _event_metadata(result, metadata))


def _event_metadata(result: AssetResult, metadata: Metadata | None = None) -> Metadata:
    if metadata is None:
        metadata = {name: cast(Any, deserialize_value(value)) for name, value in result.metadata.items()}
    return {**metadata, "version": MetadataValue.text(result.version)}
