"""`report_email_sensor`: from new report materializations to deliveries that are due.

It reads every new materialization of `subscriber_reports` by cursor, not only the newest, and plans
the deliveries of the jobs they served. A report materialized again finds its deliveries planned and
is not sent again; one that failed, was mended and is materialized now is sent once. Jobs whose
materialization was never seen (a purged event log) are swept up from the database once a minute.
What a person asked for delivers itself (`assets.emails.deliver_what_was_asked_for`); this is its net.

While reports are made or delivered, a tick that asks for nothing stays and watches (`watching`): for the
first reports, and for the end of a run, after which the last of them may wait.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from dagster import (
    AssetRecordsFilter,
    DagsterInstance,
    DefaultSensorStatus,
    EventLogRecord,
    JobDefinition,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from reporting_pipeline.assets.emails import DELIVERY_SENSOR, PART, part_of
from reporting_pipeline.assets.scope import NOTIFY, RENDER, SUBSCRIBER_REPORTS, Scope
from reporting_pipeline.automation.control import UNDER_WAY, end_dead_runs
from reporting_pipeline.automation.jobs import delivery_job_name
from reporting_pipeline.automation.tags import STAGE, stage_tags
from reporting_pipeline.automation.watching import INTERVAL, changes, end_of_watch
from reporting_pipeline.domain.content_gate import AWAITED_AT_MOST, FORGOTTEN
from reporting_pipeline.domain.jobs import JobRecord
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.partitions import SubscriptionPartition
from reporting_pipeline.resources import MongoResource
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.deliveries import (
    count_due,
    deliveries_stand,
    due_cadences,
    end_never_drawn,
    plan_for_jobs,
    settle_jobs,
)
from reporting_pipeline.stores.jobs import (
    end_forgotten,
    end_without_report,
    jobs_with_report,
    jobs_without_deliveries,
)
from reporting_pipeline.stores.mongo import Database, server_time

_log = logging.getLogger(__name__)

#: Materializations read per tick and cadence.
EVENTS_PER_TICK = 5_000
#: A job with a report and without a delivery for so long was missed.
MISSED_AFTER = timedelta(minutes=2)
MISSED_PER_SWEEP = 1_000
SWEEP_EVERY = timedelta(minutes=1)
#: Another delivery run is worth its start when so many deliveries are due for each that is there.
DUE_FOR_ANOTHER = 500
#: The largest id that an event log can give.
LAST_POSITION = 2**62
_SWEPT = "swept"  # in the cursor, beside the cadences' positions


def report_email_sensor(
    scopes: Mapping[Cadence, Scope], settings: Settings, jobs: Sequence[JobDefinition]
) -> SensorDefinition:
    @sensor(
        name=DELIVERY_SENSOR,
        jobs=jobs,
        minimum_interval_seconds=min(INTERVAL, settings.sensor_interval_seconds),
        default_status=DefaultSensorStatus.RUNNING,
        description=(
            "Reads new report materializations, plans their deliveries, and requests a delivery run "
            "when something is due, several when much is. Nobody is mailed twice: the delivery's unique "
            "record sees to it."
        ),
    )
    def new_reports(
        context: SensorEvaluationContext, mongo: MongoResource
    ) -> Iterator[RunRequest | SkipReason]:
        database, until = mongo.database(), end_of_watch(settings.watch_seconds)
        cursors = _read_cursor(context.cursor, server_time(database))
        standing = partial(_standing, context.instance, scopes)
        while True:
            seen = standing()
            requests = _look(scopes, database, context, cursors)
            if requests or not seen or not changes(standing, seen, until):
                break
        yield from requests
        # Only now: a tick that dies before this reads the same events again, which changes nothing.
        context.update_cursor(json.dumps(cursors))
        if not requests:
            yield SkipReason("no delivery is due, or its run is under way")

    return new_reports


def _standing(instance: DagsterInstance, scopes: Mapping[Cadence, Scope]) -> tuple[object, ...]:
    """What another look depends on: the runs that make and deliver reports and, while none delivers, the
    newest report of each cadence. Empty when there is nothing to watch for.

    A run that delivers draws all that is planned, and what is new is planned for it at each tick: to look
    whenever something is new would only cost more looks at what is due.
    """
    rendering, delivering = (
        frozenset(instance.get_run_ids(RunsFilter(tags={STAGE: stage}, statuses=UNDER_WAY)))
        for stage in (RENDER, NOTIFY)
    )
    if delivering:
        return rendering, delivering
    if not rendering:
        return ()
    return (rendering, *(_newest_position(instance, scope) for scope in scopes.values()))


def _look(
    scopes: Mapping[Cadence, Scope],
    database: Database,
    context: SensorEvaluationContext,
    cursors: dict[str, float],
) -> list[RunRequest]:
    """Plan the deliveries of what is new, which moves `cursors` on; the delivery runs to ask for."""
    now = server_time(database)
    if now.timestamp() - cursors.get(_SWEPT, 0.0) >= SWEEP_EVERY.total_seconds():
        try:
            _sweep(database, now)
        except Exception:  # it is swept again; what is new and what is due waits for nobody
            context.log.exception("reports without deliveries could not be swept up")
        cursors[_SWEPT] = now.timestamp()
    for cadence, scope in scopes.items():
        try:
            position = int(cursors.get(cadence.value, 0))
            partitions, newest = _new_partitions(context.instance, scope, position)
            plan_for_jobs(database, _jobs_with_report(database, partitions), now)
            cursors[cadence.value] = newest
        except Exception:  # one cadence's trouble must not hold up the others; it is read again
            context.log.exception(f"the new {cadence} reports could not be read")
    return [
        RunRequest(
            job_name=delivery_job_name(scope.cadence),
            tags=stage_tags(scope.cadence.value, NOTIFY) | {PART: str(part)},
        )
        for scope in scopes.values()
        for part in _parts_wanted(context.instance, database, scope, now)
    ]


def _read_cursor(text: str | None, now: datetime) -> dict[str, float]:
    """Positions by cadence, and when was swept; anybody can set a cursor, and what is none begins anew.

    A position that is no number a database counts to, and a sweep still to come, are none either.
    """
    try:
        found = {str(name): float(value) for name, value in json.loads(text or "{}").items()}
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}
    usable = {name: value for name, value in found.items() if 0 <= value <= LAST_POSITION}
    if usable.get(_SWEPT, 0.0) > now.timestamp():
        del usable[_SWEPT]
    return usable


def _new_partitions(
    instance: DagsterInstance, scope: Scope, cursor: int
) -> tuple[list[SubscriptionPartition], int]:
    """(partitions materialized after `cursor`, oldest first; the new cursor)"""
    asset = scope.key(SUBSCRIBER_REPORTS)
    result = instance.fetch_materializations(
        AssetRecordsFilter(asset_key=asset, after_storage_id=cursor or None),
        limit=EVENTS_PER_TICK,
        ascending=True,
    )
    if not result.records:
        # A cursor set behind the last event would pass over all that come until then.
        return [], min(cursor, _newest_position(instance, scope))
    return list(_partitions(result.records, scope)), result.records[-1].storage_id


def _newest_position(instance: DagsterInstance, scope: Scope) -> int:
    """The position of the newest report's event in the event log; 0 where there is none."""
    newest = instance.fetch_materializations(scope.key(SUBSCRIBER_REPORTS), limit=1).records
    return newest[0].storage_id if newest else 0


def _partitions(records: Sequence[EventLogRecord], scope: Scope) -> Iterator[SubscriptionPartition]:
    """The partitions of these events; anybody can report an event, for a key of any form."""
    for record in records:
        try:
            yield SubscriptionPartition.parse(
                record.partition_key or "", scope.cadence, scope.settings.timezone
            )
        except ValueError:
            _log.warning("a materialization of %s is passed over: its key is not ours", scope.group)


def _jobs_with_report(database: Database, partitions: Sequence[SubscriptionPartition]) -> list[JobRecord]:
    by_period: dict[str, list[str]] = {}
    for partition in partitions:
        by_period.setdefault(partition.period.key, []).append(partition.subscription)
    jobs: list[JobRecord] = []
    for period, subscriptions in by_period.items():
        jobs += jobs_with_report(database, period, subscriptions)
    return jobs


def _sweep(database: Database, now: datetime) -> None:
    """Plan the deliveries of jobs that got their report a while ago and were never seen here.

    What a hand in the database took from all other looks ends here, with the field that is wrong.
    """
    end_forgotten(database, now - AWAITED_AT_MOST, FORGOTTEN, now)
    end_without_report(database, now)
    settle_jobs(database, end_never_drawn(database, now), now)
    jobs = jobs_without_deliveries(database, now - MISSED_AFTER, MISSED_PER_SWEEP)
    plan_for_jobs(database, jobs, now)
    # Those of a halted channel, too: else the same thousand would hide the next.
    deliveries_stand(database, jobs)


def _parts_wanted(instance: DagsterInstance, database: Database, scope: Scope, now: datetime) -> list[int]:
    """The numbers of the delivery runs to ask for: the first when anything is due, others when much is."""
    cadence, under_way = scope.cadence.value, _parts_under_way(instance, database, scope)
    if 0 not in under_way and cadence not in due_cadences(database, now):
        return []
    wanted = {0}
    if scope.settings.delivery_runs > 1:
        due = count_due(database, now, cadence, DUE_FOR_ANOTHER * scope.settings.delivery_runs)
        wanted |= {part for part in range(scope.settings.delivery_runs) if due >= part * DUE_FOR_ANOTHER}
    return sorted(wanted - under_way)


def _parts_under_way(instance: DagsterInstance, database: Database, scope: Scope) -> set[int]:
    """The numbers of the delivery runs of this cadence that are under way and alive."""
    filters = RunsFilter(job_name=delivery_job_name(scope.cadence), tags={STAGE: NOTIFY}, statuses=UNDER_WAY)
    records = list(instance.get_run_records(filters))
    dead = end_dead_runs(instance, database, records, scope.settings)
    runs = (record.dagster_run for record in records if record.dagster_run.run_id not in dead)
    return {part_of(run.tags) for run in runs}
