"""`edition`: one unpartitioned asset a cadence that says whether its newest edition stands in time.

Assets with partitions cannot carry a freshness policy, so this one does: external, materialized when every
report of the newest closed period stands. Dagster's freshness daemon holds that against the deadline of the
cadence: PASS, FAIL once it has passed, UNKNOWN before the first. What it says is of making: when reports
are sent is up to each subscription, which the absence alarm watches.
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim
from dagster import AssetMaterialization, AssetSpec, DagsterInstance, FreshnessPolicy, MetadataValue

from reporting_pipeline.assets.scope import EDITION, OWNERS, SUBSCRIBER_REPORTS, Scope
from reporting_pipeline.domain.editions import Edition, edition_id
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.stores.editions import EditionMissing, get_edition
from reporting_pipeline.stores.mongo import Database

_log = logging.getLogger(__name__)

#: Deadlines that are looked at for the shortest time between two: more than a year of months.
_DEADLINES = 15
#: The night in which clocks go back is an hour longer than its deadline says.
_CLOCK_CHANGE = timedelta(hours=1)


def edition_spec(scope: Scope) -> AssetSpec:
    return AssetSpec(
        key=scope.key(EDITION),
        deps=[scope.key(SUBSCRIBER_REPORTS)],
        group_name=scope.group,
        owners=OWNERS,
        kinds={"mongodb"},
        freshness_policy=deadline(scope),
        description=(
            f"Materialized by edition_sensor when every report of the {scope.cadence.noun} that closed last "
            "stands. Its freshness fails at the deadline of the settings if it was not so by then."
        ),
    )


def deadline(scope: Scope) -> FreshnessPolicy | None:
    """By when the reports of the period that closed last stand: at each deadline, since that period's end.

    None where the settings name no deadline after the opening.
    Dagster takes no span longer than the shortest time between two deadlines.
    """
    cadence, settings = scope.cadence, scope.settings
    cron = settings.deadline_of(cadence)
    if cron is None:
        return None
    local = scope.now.astimezone(ZoneInfo(settings.timezone))
    ticks = list(islice(CronSim(cron, local), _DEADLINES))
    spans = [tick - Period.last_closed(cadence, tick, settings.timezone).end_at for tick in ticks]
    between = [after.timestamp() - before.timestamp() for before, after in pairwise(ticks)]
    return FreshnessPolicy.cron(
        deadline_cron=cron,
        lower_bound_delta=min(max(spans) + _CLOCK_CHANGE, timedelta(seconds=min(between))),
        timezone=settings.timezone,
    )


def report_standing_editions(
    database: Database, instance: DagsterInstance, scopes: Mapping[Cadence, Scope], now: datetime
) -> None:
    """Materialize `edition` of each cadence whose newest edition stands and is not the last one told of.

    An older edition is not told of: the newest would pass for fresh with it. What cannot be told now is
    told at the next look; nothing is raised.
    """
    for scope in scopes.values():
        try:
            _report(database, instance, scope, now)
        except Exception:  # no edition waits for what is told of it
            _log.exception("the %s edition could not be told of", scope.cadence)


def _report(database: Database, instance: DagsterInstance, scope: Scope, now: datetime) -> None:
    period = Period.last_closed(scope.cadence, now, scope.settings.timezone)
    try:
        edition = get_edition(database, edition_id(scope.cadence, period.key))
    except EditionMissing:
        return
    stood_at = edition.stood_at()
    if stood_at is None:
        return
    told = _materialization(scope, edition, period, stood_at)
    if _of_opening(instance.get_latest_materialization_event(told.asset_key)) != _opening(told.metadata):
        instance.report_runless_asset_event(told)


def _materialization(
    scope: Scope, edition: Edition, period: Period, stood_at: datetime
) -> AssetMaterialization:
    page = f"{scope.settings.public_url.rstrip('/')}/console/editions/{edition.id}"
    return AssetMaterialization(
        asset_key=scope.key(EDITION),
        description=f"Every report of {period.start} to {period.last_day} stands.",
        metadata={
            "console": MetadataValue.url(page),
            "edition": MetadataValue.text(edition.id),
            "first day": MetadataValue.text(period.start.isoformat()),
            "last day": MetadataValue.text(period.last_day.isoformat()),
            "opened": MetadataValue.timestamp(edition.reopened_at or edition.opened_at),
            "reports stand": MetadataValue.timestamp(stood_at),
            **{f"jobs {state}": MetadataValue.int(edition.counts[state]) for state in sorted(edition.counts)},
        },
    )


def _of_opening(event: Any) -> object:
    """Which opening of which edition the event tells of; None where there is no event, or one by hand."""
    told = event.asset_materialization if event is not None else None
    return _opening(told.metadata) if told is not None else None


def _opening(metadata: Mapping[str, MetadataValue[Any]]) -> object:
    if "edition" not in metadata or "opened" not in metadata:
        return None
    return metadata["edition"].value, metadata["opened"].value
