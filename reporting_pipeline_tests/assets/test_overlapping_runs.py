"""Two runs over the same partitions: each is made by one of them, and by one that lives to its end."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event, Lock
from typing import Any

import pytest
from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetRecordsFilter,
    BackfillPolicy,
    Config,
    DagsterInstance,
    Definitions,
    ExecuteInProcessResult,
    asset,
    in_process_executor,
)
from dagster._core.storage.partition_status_cache import AssetPartitionStatus
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reporting_pipeline.assets import batch as batches
from reporting_pipeline.assets.batch import Batch, Made, finish, run_batch
from reporting_pipeline.assets.scope import NO_VALUE, Scope
from reporting_pipeline.dagster_instance.events import log_materializations
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.partitions import TrialPartition
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.partition_claims import PartitionClaims
from reporting_pipeline.stores.results import AssetResult, results_of, save_results
from reporting_pipeline_tests.automation.crank import dagster_instance
from reporting_pipeline_tests.waiting import PATIENCE

WEEK = Period.last_closed(Cadence.WEEKLY, datetime(2026, 11, 23, 12, tzinfo=UTC))
KEY = AssetKey(["weekly", "first"])
ALL = ("A", "B", "C", "D", "E", "F")
STEPS = ("claim", "make", "record", "follow", "event")


class Killed(BaseException):
    """What ends a run at once, whatever it is at."""


class Named(Config):
    """As `ReportsConfig`: the partitions of one run, and the name by which the test knows it."""

    items: list[str]
    name: str


@dataclass
class Overlap:
    """One asset that two runs make, and what they did. `kill` is asked at each step of a run."""

    database: Database
    scope: Scope
    instance: DagsterInstance
    kill: Callable[[str, str], bool] = lambda run, step: False
    version: str = "1"
    inputs_at: dict[str, datetime] = field(default_factory=dict)  # by run
    making: Counter[str] = field(default_factory=Counter)
    made: list[tuple[str, str]] = field(default_factory=list)  # (run, item)
    followed: Counter[str] = field(default_factory=Counter)
    names: dict[str, str] = field(default_factory=dict)  # of runs, by id
    turn: Any = field(default_factory=Lock)
    begun: Callable[[str], None] = lambda run: None
    meanwhile: Callable[[str, str], None] = lambda run, item: None

    def step(self, run: str, step: str) -> None:
        if self.kill(run, step):
            raise Killed(f"{run} at {step}")

    def job(self) -> Any:
        @asset(
            key=KEY,
            partitions_def=self.scope.by_trial,
            backfill_policy=BackfillPolicy.single_run(),
            output_required=False,
            dagster_type=NO_VALUE,
        )
        def one(context: AssetExecutionContext, config: Named) -> Iterator[Any]:
            run, version = config.name, self.version
            self.names[context.run.run_id] = run
            self.begun(run)
            batch = Batch[TrialPartition](
                asset_key=KEY,
                stage="render",
                item_of=lambda partition: partition.trial,
                input_version=lambda _: version,
                make=lambda partition: self._make(run, version, partition),
                after_flush=lambda results: self._follow(run, results),
                inputs_at=self.inputs_at.get(run),
            )
            wanted = [TrialPartition(WEEK, item) for item in config.items]
            yield from finish(context, run_batch(context, self.database, batch, wanted))

        return Definitions(assets=[one], executor=in_process_executor).resolve_implicit_global_asset_job_def()

    def _make(self, run: str, version: str, partition: TrialPartition) -> Made:
        item = partition.trial
        with self.turn:
            self.making[item] += 1
            assert self.making[item] == 1, f"{item} is made by two at the same time"
        try:
            self.step(run, "make")
            self.meanwhile(run, item)
            with self.turn:
                self.made.append((run, item))
        finally:
            with self.turn:
                self.making[item] -= 1
        return Made(version=f"v{version}-{item}")

    def _follow(self, run: str, results: Sequence[AssetResult]) -> None:
        self.step(run, "follow")
        with self.turn:
            self.followed.update(result.item for result in results)

    def run(self, name: str, items: Sequence[str]) -> ExecuteInProcessResult | None:
        """None when it was killed."""
        first = f"{WEEK.key}|{items[0]}"
        try:
            result: ExecuteInProcessResult = self.job().execute_in_process(
                instance=self.instance,
                raise_on_error=False,
                run_config={"ops": {"weekly__first": {"config": {"items": list(items), "name": name}}}},
                tags={
                    "dagster/asset_partition_range_start": first,
                    "dagster/asset_partition_range_end": first,
                },
            )
        except Killed:
            return None
        return result

    def together(self, first: Sequence[str], second: Sequence[str]) -> list[ExecuteInProcessResult | None]:
        """Dagster sets up logging for the process at the start of a run: the second starts while the first
        stands still, and then both go on."""
        started, runs = Event(), []

        def begun(run: str) -> None:
            if run == "first":
                runs.append(pool.submit(self.run, "second", second))
                assert started.wait(PATIENCE)
            else:
                started.set()

        self.begun = begun
        with ThreadPoolExecutor(1) as pool:
            result = self.run("first", first)
        self.begun = lambda run: None
        return [result, runs[0].result()]

    def events(self) -> Counter[str]:
        found = self.instance.fetch_materializations(AssetRecordsFilter(KEY), limit=1_000).records
        return Counter(str(record.partition_key).split("|")[1] for record in found)

    def versions(self) -> dict[str, str]:
        found = results_of(self.database, "weekly/first", WEEK.key)
        return {item: result.version for item, result in found.items()}

    def statuses(self) -> set[AssetPartitionStatus | None]:
        keys = [f"{WEEK.key}|{item}" for item in ALL]
        return set((self.instance.get_status_by_partition(KEY, keys, self.scope.by_trial) or {}).values())


@pytest.fixture
def overlap(database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Overlap]:
    """One partition is claimed at a time, and two are written together: as many steps as there can be."""
    with dagster_instance() as instance:
        instance.add_dynamic_partitions("trials", list(ALL))
        one = Overlap(database, Scope(Cadence.WEEKLY, settings, datetime.now(UTC)), instance)
        monkeypatch.setattr(batches, "CLAIMED_AT_ONCE", 1)
        monkeypatch.setattr(batches, "FLUSH_PARTITIONS", 2)
        monkeypatch.setattr(batches, "LOOK_AGAIN_SECONDS", 0.01)
        take = PartitionClaims.take

        def claim(claims: PartitionClaims, *given: Any) -> Any:
            one.step(one.names[claims._run_id], "claim")
            return take(claims, *given)

        def record(database: Database, results: Sequence[AssetResult]) -> None:
            save_results(database, results)
            for run_id in {result.run_id for result in results}:
                one.step(one.names[run_id], "record")

        def event(context: AssetExecutionContext, events: Any) -> None:
            one.step(one.names[context.run.run_id], "event")
            log_materializations(context, events)

        monkeypatch.setattr(PartitionClaims, "take", claim)
        monkeypatch.setattr(batches, "save_results", record)
        monkeypatch.setattr(batches, "log_materializations", event)
        yield one


def test_of_two_runs_at_the_same_time_each_partition_is_made_by_one(overlap: Overlap) -> None:
    both = overlap.together(ALL, ("E", "B", "F", "C"))
    assert all(result is not None and result.success for result in both)
    assert sorted(item for _, item in overlap.made) == list(ALL)
    assert overlap.statuses() == {AssetPartitionStatus.MATERIALIZED}
    assert not overlap.database.partition_claims.find_one()["runs"]  # type: ignore[index]


def test_what_was_made_from_newer_inputs_meanwhile_stands_and_is_told_once(overlap: Overlap) -> None:
    """A run of the edition has read its inputs; then documents come, and somebody asks for a report."""
    overlap.inputs_at = {
        "first": datetime(2026, 11, 23, 12, tzinfo=UTC),
        "second": datetime(2026, 11, 23, 12, 0, 1, tzinfo=UTC),
    }

    def asked(run: str, item: str) -> None:
        if (run, item) == ("first", "A"):
            overlap.version = "2"
            assert overlap.run("second", ["E", "C"]) is not None

    overlap.meanwhile = asked
    result = overlap.run("first", ALL)
    assert result is not None
    assert result.success
    assert overlap.versions() == {item: f"v{2 if item in 'CE' else 1}-{item}" for item in ALL}
    assert overlap.events() == Counter(ALL)
    assert overlap.followed == Counter(ALL)
    assert overlap.statuses() == {AssetPartitionStatus.MATERIALIZED}

    # The other way round: what a run made from older inputs is made anew for who asks later.
    overlap.meanwhile = lambda run, item: None
    overlap.inputs_at["third"] = datetime(2026, 11, 23, 12, 0, 2, tzinfo=UTC)
    assert overlap.run("third", ["A", "C"]) is not None
    assert overlap.versions()["A"] == "v2-A"
    assert overlap.made[-1] == ("third", "A")


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=8,
    phases=(Phase.explicit, Phase.generate),
)
@given(
    dies=st.sampled_from([("first",), ("second",), ("first", "second")]),
    step=st.sampled_from(STEPS),
    times=st.integers(1, 3),
    late=st.booleans(),
)
def test_whichever_run_is_killed_at_whatever_step_the_other_makes_all_of_its_own(
    overlap: Overlap, dies: tuple[str, ...], step: str, times: int, late: bool
) -> None:
    overlap.database.asset_results.delete_many({})
    overlap.database.partition_claims.delete_many({})
    overlap.made.clear()
    overlap.followed.clear()
    known = overlap.events()
    now = datetime.now(UTC)
    overlap.inputs_at = {"first": now, "second": now + timedelta(seconds=1 if late else -1)}
    seen = Counter[tuple[str, str]]()

    def kill(run: str, at: str) -> bool:
        seen[run, at] += 1
        return run in dies and at == step and seen[run, at] == times

    overlap.kill = kill
    wanted = {"first": ALL, "second": ("E", "B", "F")}
    overlap.together(*wanted.values())
    killed = {run for run in dies if seen[run, step] >= times}
    for run in wanted.keys() - killed:
        assert set(wanted[run]) <= overlap.followed.keys(), f"{run} lived to its end"
        assert set(wanted[run]) <= (overlap.events() - known).keys()
    # The sensors ask again for what is missing; nothing that was recorded is made a second time.
    overlap.kill = lambda run, step: False
    overlap.inputs_at["again"] = now + timedelta(seconds=2)
    again = overlap.run("again", ALL)
    assert again is not None
    assert again.success
    assert overlap.versions() == {item: f"v1-{item}" for item in ALL}
    assert set(overlap.followed) == set(ALL)
    assert set(overlap.events() - known) == set(ALL)
    assert overlap.statuses() == {AssetPartitionStatus.MATERIALIZED}
    assert not overlap.database.heartbeats.find_one()
    if not killed:
        assert sorted(item for _, item in overlap.made) == list(ALL)
