"""`edition` says by Dagster's own freshness whether the reports of the newest period stood in time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dagster import AssetKey, AssetMaterialization, AssetRecordsFilter, DagsterInstance
from dagster._core.definitions.freshness import CronFreshnessPolicy, FreshnessState
from dagster._core.loader import LoadingContextForTest
from dagster._core.test_utils import freeze_time
from dagster._daemon.freshness import FreshnessDaemon

from reporting_pipeline.assets.edition_marker import deadline, report_standing_editions
from reporting_pipeline.assets.scope import Scope
from reporting_pipeline.definitions import build_defs
from reporting_pipeline.domain.jobs import EditionState
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.editions import note_reports_stand, open_edition, set_state
from reporting_pipeline.stores.mongo import Database

MARKER = AssetKey(["weekly", "edition"])
WEEK = Period.from_key(Cadence.WEEKLY, "2026-11-16")
MONDAY = WEEK.end_at  # 2026-11-23 00:00, when its reports are begun


@pytest.fixture
def scope(settings: Settings) -> Scope:
    return Scope(Cadence.WEEKLY, settings, MONDAY)


def told(instance: DagsterInstance) -> list[dict[str, Any]]:
    """The metadata of each materialization of `weekly/edition`, oldest first."""
    found = instance.fetch_materializations(AssetRecordsFilter(MARKER), limit=100, ascending=True)
    events = [record.asset_materialization for record in found.records]
    return [{name: value.value for name, value in event.metadata.items()} for event in events if event]


def freshness(instance: DagsterInstance, scope: Scope, now: datetime) -> FreshnessState:
    """What Dagster's daemon finds and keeps at `now`, as the UI shows it."""
    node = build_defs(scope.settings, now).resolve_asset_graph().get(MARKER)
    with freeze_time(now):
        asyncio.run(FreshnessDaemon()._evaluate_asset(context=LoadingContextForTest(instance), node=node))
    return instance.get_freshness_state_records([MARKER])[MARKER].freshness_state


def tell(instance: DagsterInstance, database: Database, scope: Scope, now: datetime) -> None:
    with freeze_time(now):
        report_standing_editions(database, instance, {scope.cadence: scope}, now)


@pytest.fixture
def opened(database: Database) -> Database:
    """The weekly edition of WEEK is open and nothing of it stands."""
    open_edition(database, Cadence.WEEKLY, WEEK.key, "schedule", MONDAY + timedelta(minutes=5))
    return database


def test_dagster_finds_an_edition_fresh_in_time_failed_after_its_deadline_and_fresh_when_it_came_late(
    opened: Database, instance: DagsterInstance, scope: Scope
) -> None:
    def at(**units: float) -> FreshnessState:
        now = MONDAY + timedelta(**units)
        tell(instance, opened, scope, now)
        return freshness(instance, scope, now)

    assert at(hours=1) is FreshnessState.UNKNOWN
    note_reports_stand(opened, f"weekly:{WEEK.key}", MONDAY + timedelta(hours=2))
    assert at(hours=2) is FreshnessState.PASS
    assert at(hours=7) is FreshnessState.PASS
    assert at(days=6, hours=23) is FreshnessState.PASS
    assert at(days=7, hours=5) is FreshnessState.PASS, "the next week's deadline has not come"
    assert at(days=7, hours=6, minutes=1) is FreshnessState.FAIL
    late = MONDAY + timedelta(days=8)
    open_edition(opened, Cadence.WEEKLY, WEEK.next().key, "schedule", late)
    assert at(days=8) is FreshnessState.FAIL
    note_reports_stand(opened, f"weekly:{WEEK.next().key}", late)
    assert at(days=8, hours=1) is FreshnessState.PASS


def test_an_older_edition_that_stands_at_last_makes_nothing_fresh(
    opened: Database, instance: DagsterInstance, scope: Scope
) -> None:
    note_reports_stand(opened, f"weekly:{WEEK.key}", MONDAY + timedelta(days=7, hours=3))
    tell(instance, opened, scope, MONDAY + timedelta(days=7, hours=3))
    assert told(instance) == []


def test_what_completed_without_a_note_is_told_and_what_was_opened_by_force_is_told_again(
    opened: Database, instance: DagsterInstance, scope: Scope
) -> None:
    now = MONDAY + timedelta(hours=3)
    set_state(opened, f"weekly:{WEEK.key}", EditionState.COMPLETED, now)
    for _ in range(2):
        tell(instance, opened, scope, now)
    assert len(told(instance)) == 1
    open_edition(opened, Cadence.WEEKLY, WEEK.key, "usr_admin", now + timedelta(hours=1), force=True)
    tell(instance, opened, scope, now + timedelta(hours=1))
    assert len(told(instance)) == 1, "it is made anew and does not stand"
    note_reports_stand(opened, f"weekly:{WEEK.key}", now + timedelta(hours=2))
    for _ in range(2):
        tell(instance, opened, scope, now + timedelta(hours=2))
    assert len(told(instance)) == 2


def test_a_failure_to_tell_fails_nothing_and_is_made_up_for(
    opened: Database, instance: DagsterInstance, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_reports_stand(opened, f"weekly:{WEEK.key}", MONDAY + timedelta(hours=1))
    with monkeypatch.context() as patch:
        patch.setattr(type(instance), "report_runless_asset_event", _refuse)
        tell(instance, opened, scope, MONDAY + timedelta(hours=1))
    assert told(instance) == []
    tell(instance, opened, scope, MONDAY + timedelta(hours=1))
    assert len(told(instance)) == 1


def _refuse(*_: object) -> None:
    raise OSError("Dagster's database is away")


def test_what_somebody_reports_by_hand_is_no_edition(
    opened: Database, instance: DagsterInstance, scope: Scope
) -> None:
    note_reports_stand(opened, f"weekly:{WEEK.key}", MONDAY + timedelta(hours=1))
    instance.report_runless_asset_event(AssetMaterialization(MARKER))
    tell(instance, opened, scope, MONDAY + timedelta(hours=1))
    assert [one.get("edition") for one in told(instance)] == [None, f"weekly:{WEEK.key}"]


def deadlines() -> Iterator[tuple[Cadence, str, float]]:
    yield Cadence.DAILY, "0 6 * * *", 7
    yield Cadence.WEEKLY, "0 6 * * 1", 7
    yield Cadence.MONTHLY, "0 6 1 * *", 7
    yield Cadence.DAILY, "30 23 * * *", 24
    yield Cadence.WEEKLY, "0 12 * * 3", 61
    yield Cadence.MONTHLY, "0 0 28 * *", 27 * 24 + 1
    yield Cadence.MONTHLY, "0 6 1 1 *", 7


@pytest.mark.parametrize(("cadence", "cron", "hours"), list(deadlines()))
def test_a_deadline_looks_back_to_the_periods_end_and_never_over_the_deadline_before(
    settings: Settings, cadence: Cadence, cron: str, hours: float
) -> None:
    changed = settings.model_copy(update={f"{cadence}_deadline": cron, "timezone": "Europe/Zurich"})
    policy = deadline(Scope(cadence, changed, datetime(2026, 11, 27, 12, tzinfo=UTC)))
    assert isinstance(policy, CronFreshnessPolicy)
    assert (policy.deadline_cron, policy.timezone) == (cron, "Europe/Zurich")
    assert policy.lower_bound_delta == timedelta(hours=hours)
