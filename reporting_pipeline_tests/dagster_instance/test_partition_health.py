"""Pins the health of partitions to Dagster's own answer: the same events, with and without our storage.

Dagster's answer is the one that it counts afresh, by its own storage on the same database.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    AssetKey,
    AssetMaterialization,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    Definitions,
    DynamicPartitionsDefinition,
    MultiPartitionKey,
    MultiPartitionsDefinition,
    StaticPartitionsDefinition,
    WeeklyPartitionsDefinition,
    asset,
)
from dagster._core.definitions.partitions.subset import DefaultPartitionsSubset
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.storage import partition_status_cache
from dagster._core.storage.event_log import base as event_log_base
from dagster._core.storage.event_log.schema import AssetKeyTable, SqlEventLogStorageTable
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster_graphql.implementation.partition_status_utils import build_multi_partition_ranges_generic
from dagster_graphql.test.utils import execute_dagster_graphql
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from reporting_pipeline.dagster_instance import partition_health
from reporting_pipeline.dagster_instance.events import materialization
from reporting_pipeline.dagster_instance.partition_health import WithPartitionHealth
from reporting_pipeline.dagster_instance.postgres import BatchedPostgresEventLog
from reporting_pipeline.dagster_instance.subsets import GroupedSubset

OWN = Path(__file__).parents[2] / "dagster.yaml"
SUBSCRIPTIONS = "weekly_subscriptions"
WEEKS = ("2025-01-06", "2025-01-13", "2025-01-20", "2025-01-27")
PERIODS = WeeklyPartitionsDefinition(start_date=WEEKS[0], end_date="2025-02-03", day_offset=1)
BY_SUBSCRIPTION = DynamicPartitionsDefinition(name=SUBSCRIPTIONS)


@asset(
    key=["weekly", "reports"],
    partitions_def=MultiPartitionsDefinition({"period": PERIODS, "subscription": BY_SUBSCRIPTION}),
)
def reports() -> None: ...


@asset(
    key=["time", "second"],
    partitions_def=MultiPartitionsDefinition({"a": BY_SUBSCRIPTION, "week": PERIODS}),
)
def time_second() -> None: ...


@asset(
    key=["no", "time"],
    partitions_def=MultiPartitionsDefinition({"a": StaticPartitionsDefinition(["x"]), "b": BY_SUBSCRIPTION}),
)
def no_time() -> None: ...


@asset(key=["one", "dimension"], partitions_def=BY_SUBSCRIPTION)
def one_dimension() -> None: ...


DEFINITIONS = Definitions(assets=[reports, time_second, no_time, one_dimension])
REPORTS = AssetKey(["weekly", "reports"])
ASSETS: dict[AssetKey, Callable[[str, str], str]] = {
    REPORTS: lambda week, key: MultiPartitionKey({"period": week, "subscription": key}),
    AssetKey(["time", "second"]): lambda week, key: MultiPartitionKey({"week": week, "a": key}),
    AssetKey(["no", "time"]): lambda week, key: MultiPartitionKey({"a": "x", "b": key}),
    AssetKey(["one", "dimension"]): lambda week, key: key,
}
_ONE = """
  ... on TimePartitionStatuses { ranges { status startTime endTime startKey endKey } }
  ... on DefaultPartitionStatuses {
    materializedPartitions failedPartitions materializingPartitions unmaterializedPartitions }
"""
#: What the pages of an asset and the overview of all assets ask.
QUERY = """
  query Health($asset: AssetKeyInput!) {
  assetOrError(assetKey: $asset) { ... on Asset {
    assetHealth { assetHealth materializationStatus materializationStatusMetadata {
      ... on AssetHealthMaterializationDegradedPartitionedMeta {
        numFailedPartitions numMissingPartitions totalNumPartitions }
      ... on AssetHealthMaterializationHealthyPartitionedMeta { numMissingPartitions totalNumPartitions } } }
  } }
  assetNodeOrError(assetKey: $asset) { ... on AssetNode {
    partitionKeysByDimension { name type partitionKeys }
    partitionStats { numMaterialized numFailed numMaterializing numPartitions }
    assetPartitionStatuses { ONE ... on MultiPartitionStatuses { primaryDimensionName ranges {
      primaryDimStartKey primaryDimEndKey primaryDimStartTime primaryDimEndTime secondaryDim { ONE } } } }
  } } }
""".replace("ONE", _ONE)
COUNTS = ("numMaterialized", "numFailed", "numMaterializing", "numPartitions")


class Home:
    """One database, seen by the deployment's storage (`ours`) and by Dagster's own."""

    def __init__(self, ours: DagsterInstance, dagsters: DagsterInstance) -> None:
        self.ours, self.dagsters = ours, dagsters

    def write(self, run: str, kind: DagsterEventType, *partitions: tuple[str, str]) -> None:
        """Store events of a run for all assets, as steps store them; the run begins with the first."""
        if not self.ours.has_run(run):
            self.ours.add_run(DagsterRun("job", run_id=run, status=DagsterRunStatus.STARTED))
        for key, joined in ASSETS.items():
            self.ours.event_log_storage.store_event_batch(
                [_event(run, kind, key, joined(week, subscription)) for week, subscription in partitions]
            )

    def ends(self, run: str, status: DagsterRunStatus) -> None:
        found = self.ours.get_run_by_id(run)
        assert found is not None
        report = {
            DagsterRunStatus.FAILURE: self.ours.report_run_failed,
            DagsterRunStatus.CANCELED: self.ours.report_run_canceled,
        }
        report[status](found)

    def answers(self) -> dict[str, Any]:
        """What the UI shows of each asset; an assertion says where it differs from Dagster's own."""
        shown = {key.to_user_string(): self._ask(self.ours, key) for key in ASSETS}
        for key in ASSETS:
            assert shown[key.to_user_string()] == self._dagsters_own(key), key.to_user_string()
        return shown

    def counts(self) -> tuple[int, ...]:
        """Of the reports: made, failed, under way, all."""
        stats = self.answers()["weekly/reports"]["partitionStats"]
        return tuple(stats[one] for one in COUNTS)

    def _dagsters_own(self, key: AssetKey) -> Any:
        self.dagsters.wipe_asset_cached_status([key])
        answer = self._ask(self.dagsters, key)
        self.dagsters.wipe_asset_cached_status([key])
        return answer

    @staticmethod
    def _ask(instance: DagsterInstance, key: AssetKey) -> Any:
        origin = InProcessCodeLocationOrigin(
            LoadableTargetOrigin(
                executable_path=sys.executable, module_name=__name__, attribute="DEFINITIONS"
            ),
            location_name="here",
        )
        with WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget([origin])) as process:
            context = process.create_request_context()
            answer = execute_dagster_graphql(context, QUERY, {"asset": {"path": key.path}})
        return answer.data["assetNodeOrError"] | answer.data["assetOrError"]


MADE, PLANNED = DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_MATERIALIZATION_PLANNED


def _event(run: str, kind: DagsterEventType, key: AssetKey, partition: str) -> EventLogEntry:
    data: StepMaterializationData | AssetMaterializationPlannedData
    if kind is MADE and isinstance(partition, MultiPartitionKey):
        data = StepMaterializationData(materialization(key, partition, {"pages": 1}))
    elif kind is MADE:
        data = StepMaterializationData(AssetMaterialization(key, partition=partition))
    else:
        data = AssetMaterializationPlannedData(key, partition=partition)
    event = DagsterEvent(
        event_type_value=kind.value, job_name="job", step_key="step", event_specific_data=data
    )
    return EventLogEntry(
        error_info=None,
        level=10,
        user_message="",
        run_id=run,
        timestamp=time.time(),
        step_key="step",
        job_name="job",
        dagster_event=event,
    )


@pytest.fixture
def on_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """The deployment's own dagster.yaml, and Dagster's storages on the files that it names."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text(OWN.read_text())
    with ExitStack() as stack:
        ours = stack.enter_context(DagsterInstance.from_config(str(tmp_path)))
        (tmp_path / "dagster.yaml").write_text("")
        home = Home(ours, stack.enter_context(DagsterInstance.from_config(str(tmp_path))))
        assert not isinstance(home.dagsters.event_log_storage, WithPartitionHealth)
        ours.add_dynamic_partitions(SUBSCRIPTIONS, ["A", "B", "C"])
        yield home


@pytest.fixture
def on_postgres(postgres_url: str, tmp_path: Path) -> Iterator[Home]:
    """An empty PostgreSQL database of this test's own; runs lie in it, too."""
    with ExitStack() as stack:
        instances = []
        for kind in (
            (BatchedPostgresEventLog.__module__, BatchedPostgresEventLog.__name__),
            ("dagster_postgres.event_log", "PostgresEventLogStorage"),
        ):
            overrides = {
                storage: {"module": module, "class": one, "config": {"postgres_url": postgres_url}}
                for storage, (module, one) in {
                    "run_storage": ("dagster_postgres.run_storage", "PostgresRunStorage"),
                    "event_log_storage": kind,
                    "schedule_storage": ("dagster_postgres.schedule_storage", "PostgresScheduleStorage"),
                }.items()
            }
            folder = tmp_path / kind[1]
            folder.mkdir()
            instances.append(
                stack.enter_context(DagsterInstance.local_temp(str(folder), overrides=overrides))
            )
        instances[0].add_dynamic_partitions(SUBSCRIPTIONS, ["A", "B", "C"])
        yield Home(*instances)


def _goes_by(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A life of partitions. Each `counts` compares all that the UI shows with Dagster's own answer."""
    monkeypatch.setattr("reporting_pipeline.dagster_instance.event_log.KEYS_KEPT_SECONDS", 0.0)
    one, two, three, four = WEEKS
    assert home.counts() == (0, 0, 0, 12), "nothing was ever planned"

    home.write("first", PLANNED, *((one, key) for key in "ABC"), *((two, key) for key in "ABC"))
    assert home.counts() == (0, 0, 6, 12)
    home.write("first", MADE, (one, "A"), (one, "B"), (two, "A"), (two, "B"))
    assert home.counts() == (4, 0, 2, 12)
    ranges = home.answers()["weekly/reports"]["assetPartitionStatuses"]["ranges"]
    assert [(range_["primaryDimStartKey"], range_["primaryDimEndKey"]) for range_ in ranges] == [(one, two)]
    home.ends("first", DagsterRunStatus.FAILURE)
    assert home.counts() == (4, 2, 0, 12)

    home.write("second", PLANNED, (one, "C"), (four, "B"), (one, "A"))
    assert home.counts() == (3, 1, 3, 12), "again, one anew, and one that is made already"
    home.ends("second", DagsterRunStatus.CANCELED)
    assert home.counts() == (4, 1, 0, 12), "what was cancelled is neither"
    home.write("third", PLANNED, (two, "C"), (three, "A"))
    home.write("third", MADE, (two, "C"))
    assert home.counts() == (5, 0, 1, 12)

    home.ours.add_dynamic_partitions(SUBSCRIPTIONS, ["D"])
    assert home.counts() == (5, 0, 1, 16), "a key came"
    home.write("third", MADE, (one, "D"), (four, "D"))
    assert home.counts() == (7, 0, 1, 16)
    home.ours.delete_dynamic_partition(SUBSCRIPTIONS, "A")
    assert home.counts() == (5, 0, 0, 12), "a key went"
    home.ours.add_dynamic_partitions(SUBSCRIPTIONS, ["A"])
    assert home.counts() == (7, 0, 1, 16), "and is back"

    home.write("third", PLANNED, (one, "unknown"), ("2024-01-01", "A"), ("2025-01-07", "B"))
    home.write("third", MADE, (two, "unknown"), ("2024-01-01", "B"), ("no week", "B"))
    for key in list(ASSETS)[:3]:
        odd = [_event("third", MADE, key, partition) for partition in ("alone", f"{one}|A|B", "|", "")]
        for event in odd:
            home.ours.event_log_storage.store_event(event)
    assert home.counts() == (7, 0, 1, 16), "what is no key is not shown"

    home.ends("third", DagsterRunStatus.FAILURE)
    assert home.counts() == (7, 1, 0, 16)


def test_the_ui_shows_what_dagster_counts_on_sqlite(on_sqlite: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    _goes_by(on_sqlite, monkeypatch)


def test_the_ui_shows_what_dagster_counts_on_postgres(
    on_postgres: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    _goes_by(on_postgres, monkeypatch)


def test_a_new_process_shows_the_same(on_sqlite: Home) -> None:
    on_sqlite.write("first", PLANNED, *((week, key) for week in WEEKS for key in "ABC"))
    on_sqlite.write("first", MADE, (WEEKS[0], "A"), (WEEKS[1], "B"))
    on_sqlite.ends("first", DagsterRunStatus.FAILURE)
    on_sqlite.write("second", PLANNED, (WEEKS[0], "B"), (WEEKS[0], "C"))
    before = on_sqlite.answers()
    storage: Any = on_sqlite.ours.event_log_storage
    storage._seen.clear()
    assert on_sqlite.answers() == before
    assert on_sqlite.counts() == (2, 8, 2, 12)


def test_what_was_wiped_is_gone_and_can_be_made_again(on_sqlite: Home) -> None:
    on_sqlite.write("first", MADE, (WEEKS[0], "A"), (WEEKS[1], "B"))
    assert on_sqlite.counts() == (2, 0, 0, 12)
    on_sqlite.ours.wipe_assets(list(ASSETS))
    assert on_sqlite.counts() == (0, 0, 0, 12)
    on_sqlite.write("first", MADE, (WEEKS[0], "B"))
    assert on_sqlite.counts() == (1, 0, 0, 12)


def test_a_deleted_run_is_noticed_at_the_next_whole_look(
    on_sqlite: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_sqlite.write("first", MADE, (WEEKS[0], "A"))
    on_sqlite.write("second", MADE, (WEEKS[1], "B"))
    assert on_sqlite.counts() == (2, 0, 0, 12)
    on_sqlite.ours.delete_run("first")
    now = time.monotonic() + partition_health.WHOLE_LOOK_SECONDS + 1
    monkeypatch.setattr(partition_health, "time", _Clock(now))
    assert on_sqlite.counts() == (1, 0, 0, 12)


class _Clock:
    def __init__(self, now: float) -> None:
        self.monotonic: Callable[[], float] = lambda: now


def test_an_event_that_becomes_visible_after_a_newer_one_is_not_missed(on_sqlite: Home) -> None:
    """As of two transactions on Postgres, of which the one that began later ends first."""
    storage = on_sqlite.ours.event_log_storage
    assert isinstance(storage, WithPartitionHealth)
    for at, key in ((1000, "A"), (999, "B")):
        event = _event("first", MADE, REPORTS, ASSETS[REPORTS](WEEKS[0], key))
        with storage.index_transaction() as connection:
            connection.execute(SqlEventLogStorageTable.insert(), [{**storage._event_to_row(event), "id": at}])
            storage._store_asset_event(connection, event, at)
        stats = on_sqlite._ask(on_sqlite.ours, REPORTS)["partitionStats"]
    assert stats["numMaterialized"] == 2


@contextmanager
def _refused(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("Dagster counted itself")

    with monkeypatch.context() as patch:
        patch.setattr(event_log_base, "get_and_update_asset_status_cache_value", refuse)
        patch.setattr(partition_status_cache, "get_and_update_asset_status_cache_value", refuse)
        yield


def test_the_webserver_takes_our_answers_and_nothing_is_written(
    on_sqlite: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_sqlite.write("first", MADE, (WEEKS[0], "A"))
    with _refused(monkeypatch):
        shown = on_sqlite._ask(on_sqlite.ours, REPORTS)
    assert shown["partitionStats"]["numMaterialized"] == 1
    storage: Any = on_sqlite.ours.event_log_storage
    with storage.index_connection() as connection:
        texts = connection.execute(select(AssetKeyTable.c.cached_status_data)).scalars().all()
    assert texts == [None] * len(ASSETS)


# --- the parts, on what nobody would think of

_KEYS = st.sampled_from(["A", "B", "C", "E"])
_GROUPS = st.dictionaries(st.sampled_from(WEEKS), st.frozensets(_KEYS, max_size=4), max_size=4)


def _plain(groups: Mapping[str, frozenset[str]], primary_first: bool) -> DefaultPartitionsSubset:
    pairs = [(week, key) for week, keys in groups.items() for key in keys]
    return DefaultPartitionsSubset({f"{w}|{k}" if primary_first else f"{k}|{w}" for w, k in pairs})


@given(_GROUPS, _GROUPS, st.booleans())
def test_grouped_keys_are_the_same_set(one: Any, other: Any, primary_first: bool) -> None:
    ours = [GroupedSubset(groups, primary_first) for groups in (one, other)]
    dagsters = [_plain(groups, primary_first) for groups in (one, other)]
    for name in ("__sub__", "__or__", "__and__"):
        expected = getattr(dagsters[0], name)(dagsters[1])
        for right in (ours[1], dagsters[1]):
            found = getattr(ours[0], name)(right)
            assert found == expected
            assert expected == found
            assert len(found) == len(expected)
            assert found.is_empty == expected.is_empty
            assert set(found.get_partition_keys()) == set(expected.get_partition_keys())
            assert found.serialize() == expected.serialize()
        assert getattr(dagsters[0], name)(ours[1]) == expected
    for key in dagsters[0].subset | dagsters[1].subset | {"", "A", "A|B|C"}:
        assert ours[0].__contains__(key) == dagsters[0].__contains__(key)
    assert ours[0].with_partition_keys(["x|y"]) == dagsters[0].with_partition_keys(["x|y"])
    assert type(ours[0].to_serializable_subset()) is DefaultPartitionsSubset


@settings(deadline=None)
@given(_GROUPS, _GROUPS, _GROUPS, st.booleans())
def test_dagster_makes_the_same_ranges_of_them(
    made: Any, failed: Any, under_way: Any, primary_first: bool
) -> None:
    name = "a" if primary_first else "z"
    definition = MultiPartitionsDefinition({name: PERIODS, "k": BY_SUBSCRIPTION})
    groups = {"made": made, "failed": failed, "under way": under_way}

    def ranges(subset: Any) -> Sequence[Any]:
        subsets: Any = {status: subset(one, primary_first) for status, one in groups.items()}
        nobody: Any = None  # no dynamic partition is asked for
        return build_multi_partition_ranges_generic(subsets, definition, nobody, lambda one: dict(one))

    assert ranges(GroupedSubset) == ranges(_plain)
