"""Pins what leans on Dagster's internals: batched events equal the public path's.

The first instance of `instances` has our storage, the second has Dagster's own, which is the off switch:
everything then goes the public way, and nothing private is loaded.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    AssetRecordsFilter,
    BackfillPolicy,
    DagsterInstance,
    Definitions,
    DynamicPartitionsDefinition,
    EventLogRecord,
    MetadataValue,
    MultiPartitionKey,
    MultiPartitionsDefinition,
    StaticPartitionsDefinition,
    asset,
)
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.partition_status_cache import AssetPartitionStatus

from reporting_pipeline.dagster_instance.event_log import BatchedEventLog
from reporting_pipeline.dagster_instance.events import log_materializations, materialization
from reporting_pipeline.dagster_instance.postgres import BatchedPostgresEventLog
from reporting_pipeline.dagster_instance.sqlite import BatchedSqliteEventLog

KEY = AssetKey(["weekly", "probe"])
PARTITIONS = MultiPartitionsDefinition(
    {
        "period": StaticPartitionsDefinition(["2026-11-16"]),
        "trial": DynamicPartitionsDefinition(name="trials"),
    }
)


def made(record: EventLogRecord) -> AssetMaterialization:
    materialization = record.asset_materialization
    assert materialization is not None
    return materialization


def _run(instance: DagsterInstance, log: Any) -> list[Any]:
    @asset(
        key=KEY, partitions_def=PARTITIONS, backfill_policy=BackfillPolicy.single_run(), output_required=False
    )
    def probe(context: AssetExecutionContext) -> Iterator[Any]:
        log(
            context,
            [
                materialization(
                    KEY,
                    MultiPartitionKey({"period": "2026-11-16", "trial": trial}),
                    {"n": MetadataValue.int(n)},
                )
                for n, trial in enumerate(["A", "B", "C"])
            ],
        )
        yield from ()

    result = (
        Definitions(assets=[probe])
        .resolve_implicit_global_asset_job_def()
        .execute_in_process(
            instance=instance,
            tags={
                "dagster/asset_partition_range_start": "2026-11-16|A",
                "dagster/asset_partition_range_end": "2026-11-16|C",
            },
        )
    )
    assert result.success
    records = instance.fetch_materializations(AssetRecordsFilter(KEY), limit=10, ascending=True).records
    logged = [
        entry
        for entry in instance.all_logs(result.run_id)
        if entry.dagster_event is not None and entry.dagster_event.is_step_materialization
    ]
    assert [entry.step_key for entry in logged] == ["weekly__probe"] * 3, "the run page lists them"
    return [
        (
            record.partition_key,
            {name: value.value for name, value in made(record).metadata.items()},
            dict(made(record).tags or {}),
            record.event_log_entry.step_key,
            record.event_log_entry.get_dagster_event().event_type_value,
        )
        for record in records
    ]


@pytest.fixture
def instances(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[DagsterInstance]]:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    ours = {
        "event_log_storage": {
            "module": BatchedSqliteEventLog.__module__,
            "class": BatchedSqliteEventLog.__name__,
            "config": {"home": str(tmp_path / "a")},
        }
    }
    for name in "ab":
        (tmp_path / name).mkdir()
    with (
        DagsterInstance.local_temp(str(tmp_path / "a"), overrides=ours) as one,
        DagsterInstance.local_temp(str(tmp_path / "b")) as two,
    ):
        for instance in (one, two):
            instance.add_dynamic_partitions("trials", ["A", "B", "C"])
        yield [one, two]


def _batches(storage: type[BatchedEventLog], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that `storage` will have stored together."""
    counted: list[int] = []
    original = storage._store_together

    def count(one: BatchedEventLog, events: Any) -> None:
        counted.append(len(events))
        original(one, events)

    monkeypatch.setattr(storage, "_store_together", count)
    return counted


def _rows(instance: DagsterInstance) -> list[tuple[object, ...]]:
    """The index of events, of tags and of assets, without ids of runs, times and serialized events."""
    storage = instance.event_log_storage
    assert isinstance(storage, SqliteEventLogStorage)
    found: list[tuple[object, ...]] = []
    with storage.index_connection() as connection:
        for query in (
            "select dagster_event_type, step_key, asset_key, partition from event_logs order by id",
            "select asset_key, key, value from asset_event_tags order by id",
            "select asset_key, last_materialization is null, last_run_id is null from asset_keys",
        ):
            found += [tuple(row) for row in connection.exec_driver_sql(query)]
    return found


def test_a_batch_of_events_equals_the_same_events_written_one_by_one(
    instances: list[DagsterInstance],
) -> None:
    batched, single = _run(instances[0], log_materializations), _run(instances[1], log_materializations)
    assert batched == single
    assert [row[0] for row in batched] == ["2026-11-16|A", "2026-11-16|B", "2026-11-16|C"]
    assert _rows(instances[0]) == _rows(instances[1])


def test_a_batch_is_one_transaction_for_the_run_and_one_for_the_index(
    instances: list[DagsterInstance], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planned events of a range as well as what a step made of it."""
    counted = _batches(BatchedSqliteEventLog, monkeypatch)
    _run(instances[0], log_materializations)
    assert counted == [3, 3], "one batch of planned events, one of materializations"


def test_dagster_counts_batched_events_as_materialized_partitions(instances: list[DagsterInstance]) -> None:
    for instance in instances:
        _run(instance, log_materializations)
        assert instance.get_materialized_partitions(KEY) == {f"2026-11-16|{one}" for one in "ABC"}


@pytest.mark.parametrize("which", [0, 1], ids=["ours", "dagsters"])
def test_planned_partitions_of_a_run_that_fails_are_marked_failed(
    instances: list[DagsterInstance], which: int
) -> None:
    def log_one_and_fail(context: AssetExecutionContext, materializations: list[Any]) -> None:
        log_materializations(context, materializations[:2])
        raise RuntimeError("the third one")

    with pytest.raises(RuntimeError, match="the third one"):
        _run(instances[which], log_one_and_fail)
    statuses = instances[which].get_status_by_partition(
        KEY, [f"2026-11-16|{one}" for one in "ABC"], PARTITIONS
    )
    assert statuses == {
        "2026-11-16|A": AssetPartitionStatus.MATERIALIZED,
        "2026-11-16|B": AssetPartitionStatus.MATERIALIZED,
        "2026-11-16|C": AssetPartitionStatus.FAILED,
    }


@pytest.fixture
def on_postgres(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DagsterInstance]:
    """An instance on an empty PostgreSQL database of this test's own."""
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    ours = {
        "module": BatchedPostgresEventLog.__module__,
        "class": BatchedPostgresEventLog.__name__,
        "config": {"postgres_url": postgres_url},
    }
    (tmp_path / "c").mkdir()
    with DagsterInstance.local_temp(str(tmp_path / "c"), overrides={"event_log_storage": ours}) as instance:
        instance.add_dynamic_partitions("trials", ["A", "B", "C"])
        yield instance


def test_a_batch_on_postgres_equals_the_same_events_written_one_by_one(
    instances: list[DagsterInstance], on_postgres: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = _batches(BatchedPostgresEventLog, monkeypatch)
    assert _run(on_postgres, log_materializations) == _run(instances[1], log_materializations)
    assert counted == [3, 3], "one batch of planned events, one of materializations"
    assert on_postgres.get_materialized_partitions(KEY) == {f"2026-11-16|{one}" for one in "ABC"}


def _loaded(code: str) -> set[str]:
    """The modules of `dagster_instance` that a new process has loaded after `code`."""
    listing = "; import sys; print(*(one for one in sys.modules if 'dagster_instance.' in one))"
    done = subprocess.run([sys.executable, "-c", code + listing], capture_output=True, text=True, check=True)
    return {one.removeprefix("reporting_pipeline.dagster_instance.") for one in done.stdout.split()}


def test_switched_off_nothing_that_leans_on_internals_is_loaded(tmp_path: Path) -> None:
    """An upgrade that moves private names stops nobody who leaves our storages out of dagster.yaml."""
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    code = (
        "from dagster import DagsterInstance; import reporting_pipeline.definitions; "
        f"DagsterInstance.from_config({str(tmp_path)!r}).get_dynamic_partitions('trials')"
    )
    assert _loaded(code) == {"events", "switches"}
    assert _loaded("import reporting_pipeline.dagster_instance.sqlite") >= {"event_log", "partition_health"}
