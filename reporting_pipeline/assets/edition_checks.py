"""Checks of what an edition came to: its reports and their deliveries, judged where they are written.

Each looks at the newest closed period and at those of the run, whichever part of them the run made, so that
a run for one report does not hide what is wrong with the others. It counts by index what went wrong, and
nothing of what went well: ten thousand good reports cost what ten do.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypedDict

from dagster import (
    AssetCheckEvaluation,
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    asset_check,
)

from reporting_pipeline.assets.scope import REPORT_EMAILS, SUBSCRIBER_REPORTS, Scope
from reporting_pipeline.domain.editions import edition_id
from reporting_pipeline.domain.periods import Period
from reporting_pipeline.resources import MongoResource
from reporting_pipeline.stores.deliveries.reads import lost_or_unknown
from reporting_pipeline.stores.jobs.reads import short_of_a_whole_report
from reporting_pipeline.stores.mongo import Database

REPORTS_STAND = "reports_stand"
REPORTS_WHOLE = "reports_whole"
REPORTS_MAY_GO = "reports_may_go"
DELIVERIES_ARRIVE = "deliveries_arrive"
#: So many periods are named in a check; a backfill may touch more, which are counted.
NAMED_PERIODS = 20


class _Judged(TypedDict):
    """What a check's result and the event of its evaluation are both made of."""

    passed: bool
    severity: AssetCheckSeverity
    metadata: dict[str, int | str]


def report_check_specs(scope: Scope) -> list[AssetCheckSpec]:
    """What `subscriber_reports` says of its periods beside its materializations."""
    asset = scope.key(SUBSCRIBER_REPORTS)
    return [
        AssetCheckSpec(
            REPORTS_STAND,
            asset=asset,
            description="No report of these periods failed. A failed one is a dead letter: mend, requeue.",
        ),
        AssetCheckSpec(
            REPORTS_WHOLE,
            asset=asset,
            description="No report of these periods leaves something out whose data was not mended yet.",
        ),
        AssetCheckSpec(
            REPORTS_MAY_GO,
            asset=asset,
            description="No report of these periods waits for a person to release or refuse it.",
        ),
    ]


def judge_reports(
    database: Database, scope: Scope, periods: Iterable[str], failed_now: int, now: datetime
) -> list[AssetCheckResult]:
    """The results of `report_check_specs` for these period keys and the newest closed one.

    `failed_now` are the run's own failures, which have no job where somebody materialized by hand.
    """
    editions, seen = _looked_at(scope, periods, now)
    short = short_of_a_whole_report(database, editions)
    failed = max(short.failed, failed_now)
    key = scope.key(SUBSCRIBER_REPORTS)

    def result(name: str, what: str, count: int, severity: AssetCheckSeverity) -> AssetCheckResult:
        return AssetCheckResult(
            asset_key=key,
            check_name=name,
            passed=not count,
            severity=severity,
            metadata={what: count, "periods": seen},
        )

    return [
        result(REPORTS_STAND, "failed", failed, AssetCheckSeverity.ERROR),
        result(REPORTS_WHOLE, "with omissions", short.with_omissions, AssetCheckSeverity.WARN),
        result(REPORTS_MAY_GO, "waiting for a person", short.waiting, AssetCheckSeverity.WARN),
    ]


def deliveries_check(scope: Scope) -> AssetChecksDefinition:
    """The check of `report_emails`, for the UI's button; each delivery run evaluates the same."""

    @asset_check(
        asset=scope.key(REPORT_EMAILS),
        name=DELIVERIES_ARRIVE,
        description=(
            "Every delivery of the newest period and of the run's reached the other side: none failed or "
            "bounced (an error: a dead letter), and of none the outcome is unknown (a warning)."
        ),
    )
    def deliveries_arrive(_context: AssetCheckExecutionContext, mongo: MongoResource) -> AssetCheckResult:
        return AssetCheckResult(**_judged_deliveries(mongo.database(), scope, (), datetime.now(UTC)))

    return deliveries_arrive


def evaluate_deliveries(
    database: Database, scope: Scope, periods: Iterable[str], now: datetime
) -> AssetCheckEvaluation:
    """The event of `deliveries_check` for these period keys and the newest closed one."""
    return AssetCheckEvaluation(
        asset_key=scope.key(REPORT_EMAILS),
        check_name=DELIVERIES_ARRIVE,
        **_judged_deliveries(database, scope, periods, now),
    )


def _judged_deliveries(database: Database, scope: Scope, periods: Iterable[str], now: datetime) -> _Judged:
    editions, seen = _looked_at(scope, periods, now)
    lost, unknown = lost_or_unknown(database, editions)
    return {
        "passed": not lost and not unknown,
        "severity": AssetCheckSeverity.ERROR if lost else AssetCheckSeverity.WARN,
        "metadata": {"dead letters": lost, "outcome unknown": unknown, "periods": seen},
    }


def _looked_at(scope: Scope, periods: Iterable[str], now: datetime) -> tuple[list[str], str]:
    """(ids of the editions, how they are named in the check)"""
    newest = Period.last_closed(scope.cadence, now, scope.settings.timezone).key
    keys = sorted({newest, *periods})
    more = f" and {len(keys) - NAMED_PERIODS} more" if len(keys) > NAMED_PERIODS else ""
    named = ", ".join(keys[-NAMED_PERIODS:]) + more
    return [edition_id(scope.cadence, key) for key in keys], named
