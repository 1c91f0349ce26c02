"""Pins the one place that leans on Dagster's internals: batched events equal the public path's."""

from collections.abc import Iterator
from typing import Any

import pytest
from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetRecordsFilter,
    BackfillPolicy,
    DagsterInstance,
    Definitions,
    DynamicPartitionsDefinition,
    MetadataValue,
    MultiPartitionKey,
    MultiPartitionsDefinition,
    StaticPartitionsDefinition,
    asset,
)

from reporting_pipeline.assets.events import log_batch, log_one_by_one, materialization

KEY = AssetKey(["weekly", "probe"])
PARTITIONS = MultiPartitionsDefinition(
    {
        "period": StaticPartitionsDefinition(["2026-11-16"]),
        "trial": DynamicPartitionsDefinition(name="trials"),
    }
)


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
        if entry.is_dagster_event and entry.dagster_event.is_step_materialization
    ]
    assert [entry.step_key for entry in logged] == ["weekly__probe"] * 3, "the run page lists them"
    return [
        (
            record.partition_key,
            {name: value.value for name, value in record.asset_materialization.metadata.items()},
            dict(record.asset_materialization.tags or {}),
            record.event_log_entry.step_key,
            record.event_log_entry.dagster_event.event_type_value,
        )
        for record in records
    ]


@pytest.fixture
def instances(tmp_path: Any) -> Iterator[list[DagsterInstance]]:
    for name in "ab":
        (tmp_path / name).mkdir()
    with (
        DagsterInstance.local_temp(str(tmp_path / "a")) as one,
        DagsterInstance.local_temp(str(tmp_path / "b")) as two,
    ):
        for instance in (one, two):
            instance.add_dynamic_partitions("trials", ["A", "B", "C"])
        yield [one, two]


def test_a_batch_of_events_equals_the_same_events_written_one_by_one(
    instances: list[DagsterInstance],
) -> None:
    batched, single = _run(instances[0], log_batch), _run(instances[1], log_one_by_one)
    assert batched == single
    assert [row[0] for row in batched] == ["2026-11-16|A", "2026-11-16|B", "2026-11-16|C"]


def test_dagster_counts_batched_events_as_materialized_partitions(instances: list[DagsterInstance]) -> None:
    _run(instances[0], log_batch)
    assert instances[0].get_materialized_partitions(KEY) == {"2026-11-16|A", "2026-11-16|B", "2026-11-16|C"}
