"""Which partitions of an asset are made, failed or under way, in the time somebody waits for Dagster's UI.

Dagster keeps the answer as one text in the asset's row. With half a million partitions that is 19 MB, read
and taken apart at each answer; and it is counted anew, key by key, whenever a key of a dynamic partition
comes or goes, which here is whenever somebody subscribes. So for assets of two dimensions our storages
answer from memory: keys lie grouped by period, an answer reads the events since the one before, and which
keys are valid is asked each time. Nothing is written: the text never comes to be, and a run pays nothing.

`BatchedEventLog` inherits this, so it is dagster.yaml that names it; without it Dagster answers from the same
events. What is shown equals what Dagster counts when it has nothing kept. (From what it has kept, it goes
on to call a partition failed whose next run was cancelled or is under way.) `test_partition_health.py`
compares them and fails loudly when an upgrade changes what is leaned on.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from dagster import AssetKey, DagsterEventType, DagsterRunStatus, MultiPartitionsDefinition, RunsFilter
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.definitions.partitions.definition import PartitionsDefinition
from dagster._core.definitions.partitions.subset import PartitionsSubset
from dagster._core.definitions.partitions.utils.multi import MULTIPARTITION_KEY_DELIMITER
from dagster._core.loader import LoadingContext
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.partition_status_cache import AssetStatusCacheValue
from sqlalchemy import func, select

from reporting_pipeline.dagster_instance.subsets import GroupedSubset

#: After so long everything is read again: an event that was deleted is not in those that are new.
WHOLE_LOOK_SECONDS = 600.0
#: So many events before the newest are read again: transactions end in another order than they began in.
EVENTS_AGAIN = 10_000
ROWS_AT_ONCE = 500
IDS_AT_ONCE = 500
RUNS_AT_ONCE = 100
_MADE = DagsterEventType.ASSET_MATERIALIZATION.value
_PLANNED = DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value
_EVENTS = SqlEventLogStorageTable.c


class _Health(AssetStatusCacheValue):
    """What Dagster takes for the deserialized text, with the subsets themselves."""

    made: GroupedSubset
    failed: GroupedSubset
    under_way: GroupedSubset

    def deserialize_materialized_partition_subsets(self, partitions_def: Any) -> PartitionsSubset:
        return self.made

    def deserialize_failed_partition_subsets(self, partitions_def: Any) -> PartitionsSubset:
        return self.failed

    def deserialize_in_progress_partition_subsets(self, partitions_def: Any) -> PartitionsSubset:
        return self.under_way


@dataclass
class _Seen:
    """What the events of one asset have said so far."""

    primary_first: bool
    wiped_at: float | None
    read_at: float
    newest: int = 0
    made: dict[str, set[str]] = field(default_factory=dict)
    #: Partition -> its newest planned event and the run of it, where no materialization followed.
    not_made: dict[str, tuple[int, str]] = field(default_factory=dict)
    #: Finished run -> whether it failed.
    finished: dict[str, bool] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)

    def grouped(
        self, partitions: Iterable[str], into: dict[str, set[str]] | None = None
    ) -> dict[str, set[str]]:
        """The keys of two dimensions among `partitions`, by that of the primary one."""
        groups, names, first = {} if into is None else into, self._names, self.primary_first
        for partition in partitions:
            one, delimiter, two = partition.partition(MULTIPARTITION_KEY_DELIMITER)
            if not delimiter or MULTIPARTITION_KEY_DELIMITER in two:
                continue  # no key of two dimensions
            primary, other = (one, two) if first else (two, one)
            keys = groups.get(primary)
            if keys is None:
                keys = groups[primary] = set()
            keys.add(names.setdefault(other, other))  # one text for a key of all periods
        return groups

    def add(self, planned: Mapping[str, tuple[int, str]], made: Mapping[str, int]) -> None:
        """Take in the newest events of each kind, by partition; the same ones again change nothing."""
        for partition, event in planned.items():
            self.not_made[partition] = max(event, self.not_made.get(partition, event))
        for partition in self.not_made.keys() & made.keys():
            if self.not_made[partition][0] < made[partition]:
                del self.not_made[partition]
        self.grouped(made, self.made)


class WithPartitionHealth(SqlEventLogStorage):
    """A storage of Dagster's that answers from memory which partitions are made, failed or under way."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        # Before Dagster's own, which may answer already: the threads of a webserver share both.
        self._looking = Lock()
        self._seen: dict[tuple[str, bool], _Seen] = {}
        super().__init__(*arguments, **named)  # type: ignore[no-untyped-call]

    def get_asset_status_cache_values(
        self,
        partitions_defs_by_key: Iterable[tuple[AssetKey, PartitionsDefinition | None]],
        context: LoadingContext,
    ) -> Sequence[AssetStatusCacheValue | None]:
        """Dagster's hook for storages that know better than the text in the asset's row."""
        found: list[AssetStatusCacheValue | None] = []
        for asset_key, definition in partitions_defs_by_key:
            if isinstance(definition, MultiPartitionsDefinition):
                found.append(self._health(asset_key, definition, context))
            else:
                found.extend(super().get_asset_status_cache_values([(asset_key, definition)], context))
        return found

    def _health(
        self, asset_key: AssetKey, definition: MultiPartitionsDefinition, context: LoadingContext
    ) -> _Health | None:
        primary, other = definition.primary_dimension, definition.secondary_dimension
        primary_first = definition.partition_dimension_names[0] == primary.name
        store = getattr(context, "dynamic_partitions_loader", None) or self._instance
        with partition_loading_context(None, store):
            valid_primary = set(primary.partitions_def.get_partition_keys())
            valid_other = set(other.partitions_def.get_partition_keys())
        with self._looking:
            seen = self._look(asset_key, primary_first)
            if not seen.newest:
                return None
            failed, under_way = self._not_made(seen)
            health = _Health(latest_storage_id=seen.newest)
            health.made, health.failed, health.under_way = (
                GroupedSubset(
                    {one: keys & valid_other for one, keys in groups.items() if one in valid_primary},
                    primary_first,
                )
                for groups in (seen.made, seen.grouped(failed), seen.grouped(under_way))
            )
        return health

    def _look(self, asset_key: AssetKey, primary_first: bool) -> _Seen:
        """What the events say now: those since the last look, or all."""
        details = self._get_assets_details([asset_key])
        wiped_at = details[0].last_wipe_timestamp if details[0] else None
        name, now = (asset_key.to_string(), primary_first), time.monotonic()
        seen = self._seen.get(name)
        if seen is None or seen.wiped_at != wiped_at or now - seen.read_at > WHOLE_LOOK_SECONDS:
            seen = _Seen(primary_first, wiped_at, now)
            self._read_all(seen, asset_key, details)
            self._seen[name] = seen
        else:
            self._read_new(seen, asset_key, details)
        return seen

    def _read_all(self, seen: _Seen, asset_key: AssetKey, details: Sequence[Any]) -> None:
        """The newest event of each kind and partition, which an index holds; then the runs of loose ends."""
        # Side by side, which Postgres does in half the time. What is made between the two looks is a loose
        # end of a run that is under way or succeeded, and among the new events of the next look.
        with ThreadPoolExecutor(2, thread_name_prefix="partition-health") as pool:
            planned, made = pool.map(lambda kind: self._newest(kind, asset_key, details), (_PLANNED, _MADE))
        seen.newest = max([0, *planned.values(), *made.values()])
        open_ends = {one: at for one, at in planned.items() if at > made.get(one, 0)}
        runs = self._runs_of(sorted(open_ends.values()))
        seen.not_made = {one: (at, runs[at]) for one, at in open_ends.items() if at in runs}
        seen.grouped(made, seen.made)

    def _newest(self, kind: str, asset_key: AssetKey, details: Sequence[Any]) -> dict[str, int]:
        query = self._of_asset(select(_EVENTS.partition, func.max(_EVENTS.id)), asset_key, details)
        query = query.where(_EVENTS.dagster_event_type == kind).group_by(_EVENTS.partition)
        with self.index_connection() as connection:
            rows = connection.execute(query)
            # In parts: a million rows at once wake the garbage collector, which walks the whole webserver.
            return {row[0]: row[1] for some in rows.partitions(ROWS_AT_ONCE) for row in some}

    def _read_new(self, seen: _Seen, asset_key: AssetKey, details: Sequence[Any]) -> None:
        columns = (_EVENTS.partition, _EVENTS.id, _EVENTS.dagster_event_type, _EVENTS.run_id)
        query = self._of_asset(select(*columns), asset_key, details)
        query = query.where(_EVENTS.dagster_event_type.in_((_MADE, _PLANNED)))
        query = query.where(_EVENTS.id > seen.newest - EVENTS_AGAIN)
        planned: dict[str, tuple[int, str]] = {}
        made: dict[str, int] = {}
        with self.index_connection() as connection:
            for partition, at, kind, run in connection.execute(query).fetchall():
                seen.newest = max(seen.newest, at)
                if kind == _MADE:
                    made[partition] = max(at, made.get(partition, 0))
                else:
                    planned[partition] = max((at, run), planned.get(partition, (0, "")))
        seen.add(planned, made)

    def _of_asset(self, query: Any, asset_key: AssetKey, details: Sequence[Any]) -> Any:
        query = query.where(_EVENTS.asset_key == asset_key.to_string(), _EVENTS.partition.is_not(None))
        return self._add_assets_wipe_filter_to_query(query, details, [asset_key])

    def _runs_of(self, events: Sequence[int]) -> dict[int, str]:
        found: dict[int, str] = {}
        with self.index_connection() as connection:
            for some in _chunks(events, IDS_AT_ONCE):
                rows = connection.execute(select(_EVENTS.id, _EVENTS.run_id).where(_EVENTS.id.in_(some)))
                found |= {row[0]: row[1] for row in rows.fetchall()}
        return found

    def _not_made(self, seen: _Seen) -> tuple[list[str], list[str]]:
        """The partitions that failed, and those under way: planned by a run that did not make them.

        What a run that was cancelled or deleted had planned is neither.
        """
        unknown = {run for _, run in seen.not_made.values()} - seen.finished.keys()
        running: set[str] = set()
        for some in _chunks(sorted(unknown), RUNS_AT_ONCE):
            for run in self._instance.get_runs(filters=RunsFilter(run_ids=list(some))):
                if run.status in FINISHED_STATUSES:
                    seen.finished[run.run_id] = run.status is DagsterRunStatus.FAILURE
                else:
                    running.add(run.run_id)
        failed = [one for one, (_, run) in seen.not_made.items() if seen.finished.get(run)]
        return failed, [one for one, (_, run) in seen.not_made.items() if run in running]


def _chunks(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
