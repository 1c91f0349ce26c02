"""What a delivery run tells of reports of other cadences than its own, which went in a mail with its own."""

from __future__ import annotations

from datetime import UTC, datetime

from dagster import AssetKey

from reporting_pipeline.assets.emails import by_cadence, materialization_of
from reporting_pipeline.assets.scope import Scope
from reporting_pipeline.delivery.sender.worker import DeliveryOutcome
from reporting_pipeline.domain.jobs import DeliveryState
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.settings import Settings


def scope_of(settings: Settings) -> Scope:
    return Scope(Cadence.WEEKLY, settings, datetime(2026, 11, 23, 6, tzinfo=UTC))


def test_a_report_of_another_cadence_is_told_of_its_own_asset_and_period(settings: Settings) -> None:
    outcome = DeliveryOutcome(
        delivery="del_1",
        job="job_1",
        subscription="sub_1",
        report="rep_1",
        cadence="daily",
        period="2026-11-22",
        channel="email",
        state=DeliveryState.SENT,
        error=None,
        provider_id=None,
    )
    event = materialization_of(scope_of(settings), outcome)
    assert event.asset_key == AssetKey(["daily", "report_emails"])
    assert event.partition == "2026-11-22|sub_1"


def test_checks_are_looked_at_for_each_cadence_and_always_for_the_runs_own(settings: Settings) -> None:
    editions = ["daily:2026-11-21", "daily:2026-11-22", "hourly:2026-11-22"]
    found = {one.cadence: periods for one, periods in by_cadence(scope_of(settings), editions)}
    assert found == {Cadence.WEEKLY: set(), Cadence.DAILY: {"2026-11-21", "2026-11-22"}}
