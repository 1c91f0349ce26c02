"""One bad partition never takes another one with it, and nothing is made twice for the same inputs."""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetRecordsFilter,
    BackfillPolicy,
    DagsterInstance,
    Definitions,
    ExecuteInProcessResult,
    MetadataValue,
    asset,
    in_process_executor,
)
from dagster._core.storage.partition_status_cache import AssetPartitionStatus

from reporting_pipeline import partitions
from reporting_pipeline.assets.batch import (
    STAGE_TIMES,
    Batch,
    Made,
    PartitionFailed,
    PartitionSkipped,
    finish,
    run_batch,
)
from reporting_pipeline.assets.scope import NO_VALUE, Scope
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.partitions import TrialPartition
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.results import results_of

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
WEEK = Period.last_closed(Cadence.WEEKLY, NOW)
FIRST, SECOND = AssetKey(["weekly", "first"]), AssetKey(["weekly", "second"])
TRIALS = ["A", "B", "C", "D"]

Make = Callable[[TrialPartition], Made]


@dataclass
class Rig:
    """Two assets, the second on the first, each made by a function the test gives."""

    database: Database
    scope: Scope
    instance: DagsterInstance
    makes: dict[AssetKey, Make]
    version: str = "1"
    made: list[str] = field(default_factory=list)

    def definitions(self) -> Definitions:
        return Definitions(
            assets=[self._asset(FIRST, []), self._asset(SECOND, [FIRST])], executor=in_process_executor
        )

    def _asset(self, key: AssetKey, deps: Sequence[AssetKey]) -> Any:
        @asset(
            key=key,
            partitions_def=self.scope.by_trial,
            backfill_policy=BackfillPolicy.single_run(),
            output_required=False,
            dagster_type=NO_VALUE,
            deps=deps,
        )
        def one(context: AssetExecutionContext) -> Iterator[Any]:
            batch = Batch[TrialPartition](
                asset_key=key,
                stage="fetch",
                item_of=lambda partition: partition.trial,
                input_version=lambda _: self.version,
                make=lambda partition: self._make(key, partition),
            )
            outcome = run_batch(context, self.database, batch, self.scope.trial_partitions(context))
            yield from finish(context, outcome)

        return one

    def _make(self, key: AssetKey, partition: TrialPartition) -> Made:
        self.made.append(f"{key.path[-1]}/{partition.trial}")
        return self.makes[key](partition)

    def run(self, *keys: AssetKey, first: str = "A", last: str = "D") -> ExecuteInProcessResult:
        job = self.definitions().resolve_implicit_global_asset_job_def()
        return job.get_subset(asset_selection=set(keys)).execute_in_process(
            instance=self.instance,
            raise_on_error=False,
            tags={
                "dagster/asset_partition_range_start": f"{WEEK.key}|{first}",
                "dagster/asset_partition_range_end": f"{WEEK.key}|{last}",
            },
        )

    def statuses(self, key: AssetKey) -> dict[str, str]:
        found = self.instance.get_status_by_partition(
            key, [f"{WEEK.key}|{trial}" for trial in TRIALS], self.scope.by_trial
        )
        return {
            name.split("|")[1]: status.value if isinstance(status, AssetPartitionStatus) else "NONE"
            for name, status in (found or {}).items()
        }

    def events(self, key: AssetKey) -> list[Any]:
        return list(
            self.instance.fetch_materializations(AssetRecordsFilter(key), limit=100, ascending=True).records
        )


def good(partition: TrialPartition) -> Made:
    return Made(
        version=f"v-{partition.trial}",
        detail={"name": partition.trial},
        metadata={"rows": MetadataValue.int(7), "preview": MetadataValue.md("| a |")},
    )


def bad_b(partition: TrialPartition) -> Made:
    if partition.trial == "B":
        raise PartitionFailed("B is blocked")
    return good(partition)


@pytest.fixture
def rig(database: Database, settings: Settings) -> Iterator[Rig]:
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("trials", TRIALS)
        yield Rig(database, Scope(Cadence.WEEKLY, settings, NOW), instance, {FIRST: good, SECOND: good})


def test_one_failed_partition_leaves_the_others_materialized_with_their_metadata(rig: Rig) -> None:
    rig.makes[FIRST] = bad_b
    result = rig.run(FIRST)
    assert not result.success
    assert rig.statuses(FIRST) == {
        "A": "MATERIALIZED",
        "B": "FAILED",
        "C": "MATERIALIZED",
        "D": "MATERIALIZED",
    }
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    told = failure.step_failure_data.user_failure_data
    description = told.description if told is not None else None
    assert description is not None
    assert "1 of 4" in description
    assert "B: B is blocked" in description
    event = rig.events(FIRST)[0]
    metadata = event.asset_materialization.metadata
    assert (metadata["rows"].value, metadata["version"].value) == (7, "v-A")
    assert event.asset_materialization.tags["dagster/partition/trial"] == "A"


def test_an_unexpected_exception_fails_its_partition_alone_and_may_be_tried_again(rig: Rig) -> None:
    def crash(partition: TrialPartition) -> Made:
        if partition.trial == "C":
            raise ConnectionError("the store went away")
        return good(partition)

    rig.makes[FIRST] = crash
    assert not rig.run(FIRST).success
    result = results_of(rig.database, "weekly/first", WEEK.key)["C"]
    assert (result.state, result.permanent, result.attempts) == ("failed", False, 1)
    assert "the store went away" in result.reason
    rig.run(FIRST)
    assert results_of(rig.database, "weekly/first", WEEK.key)["C"].attempts == 2


def test_a_second_run_makes_only_what_is_not_done_and_mends_the_status(rig: Rig) -> None:
    rig.makes[FIRST] = bad_b
    rig.run(FIRST)
    rig.made.clear()
    rig.makes[FIRST] = good
    assert rig.run(FIRST).success
    assert rig.made == ["first/B"]
    assert set(rig.statuses(FIRST).values()) == {"MATERIALIZED"}
    metadata = rig.events(FIRST)[-1].asset_materialization.metadata
    assert metadata["preview"].value == "| a |", "a confirmed partition keeps its metadata"


def test_changed_inputs_are_made_again(rig: Rig) -> None:
    rig.run(FIRST)
    rig.made.clear()
    rig.version = "2"
    rig.run(FIRST)
    assert rig.made == [f"first/{trial}" for trial in TRIALS]


def test_a_skipped_partition_is_no_failure_and_no_materialization(rig: Rig) -> None:
    def skip_a(partition: TrialPartition) -> Made:
        if partition.trial == "A":
            raise PartitionSkipped("its owner left")
        return good(partition)

    rig.makes[FIRST] = skip_a
    assert rig.run(FIRST).success
    assert len(rig.events(FIRST)) == 3
    assert results_of(rig.database, "weekly/first", WEEK.key)["A"].reason == "its owner left"


def test_two_assets_selected_together_both_run_and_write_one_event_per_partition(rig: Rig) -> None:
    """A step without an Output makes the next one skip in silence, and the run says success."""
    assert rig.run(FIRST, SECOND).success
    assert set(rig.statuses(SECOND).values()) == {"MATERIALIZED"}
    for key in (FIRST, SECOND):
        events = rig.events(key)
        assert sorted(event.partition_key for event in events) == [f"{WEEK.key}|{trial}" for trial in TRIALS]
        assert all(event.asset_materialization.metadata["rows"].value == 7 for event in events)


def test_two_assets_selected_together_fail_loudly_when_the_first_has_a_failure(rig: Rig) -> None:
    rig.makes[FIRST] = bad_b
    assert not rig.run(FIRST, SECOND).success
    assert rig.statuses(FIRST)["A"] == "MATERIALIZED"
    assert rig.statuses(FIRST)["B"] == "FAILED"
    assert rig.events(SECOND) == []


def test_what_was_recorded_before_a_kill_is_confirmed_and_not_made_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is written before Dagster's event: a run killed between the two is run again."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("reporting_pipeline.assets.batch.log_materializations", killed)
        assert not rig.run(FIRST).success
    assert rig.events(FIRST) == []
    rig.made.clear()
    assert rig.run(FIRST).success
    assert rig.made == []
    assert set(rig.statuses(FIRST).values()) == {"MATERIALIZED"}


def test_no_heartbeat_is_left_behind(rig: Rig) -> None:
    rig.run(FIRST)
    assert rig.database.heartbeats.count_documents({}) == 0


def test_the_trials_dimension_is_the_one_that_partitions_declares(rig: Rig) -> None:
    assert rig.scope.by_trial.partition_dimension_names == [partitions.PERIOD, partitions.TRIAL]


def test_a_file_that_cannot_be_stored_in_the_background_fails_its_partition_alone(rig: Rig) -> None:
    def stored_beside(partition: TrialPartition) -> Made:
        storing: Future[None] = Future()
        if partition.trial == "B":
            storing.set_exception(ConnectionError("the store went away"))
        else:
            storing.set_result(None)
        return replace(good(partition), under_way=storing)

    rig.makes[FIRST] = stored_beside
    assert not rig.run(FIRST).success
    assert rig.statuses(FIRST)["A"] == "MATERIALIZED"
    assert rig.statuses(FIRST)["B"] == "FAILED"
    result = results_of(rig.database, "weekly/first", WEEK.key)["B"]
    assert (result.state, result.permanent, result.attempts) == ("failed", False, 1)
    assert "the store went away" in result.reason
    assert (result.version, dict(result.detail), dict(result.metadata)) == ("", {}, {})


def test_nothing_is_recorded_before_its_file_stands(rig: Rig) -> None:
    recorded: list[int] = []

    def file_first(partition: TrialPartition) -> Made:
        def store() -> None:
            recorded.append(len(results_of(rig.database, "weekly/first", WEEK.key)))

        return replace(good(partition), under_way=pool.submit(store))

    rig.makes[FIRST] = file_first
    with ThreadPoolExecutor(1) as pool:
        assert rig.run(FIRST).success
    assert recorded == [0, 0, 0, 0]


def test_a_run_says_where_its_time_went(rig: Rig) -> None:
    result = rig.run(FIRST)
    lines = [entry.user_message for entry in rig.instance.all_logs(result.run_id)]
    (spent,) = [json.loads(line.removeprefix(STAGE_TIMES)) for line in lines if line.startswith(STAGE_TIMES)]
    assert spent["partitions"] == 4
    assert {"inputs", "make", "records", "events"} <= set(spent["seconds"])
    assert spent["peak_mb"] > 0
