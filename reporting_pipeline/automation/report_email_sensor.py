"""`report_email_sensor`: from new report materializations to deliveries that are due.

It reads every new materialization of `subscriber_reports` by cursor, not only the newest, and plans
the deliveries of the jobs they served. A report materialized again finds its deliveries planned and
is not sent again; one that failed, was mended and is materialized now is sent once. Jobs whose
materialization was never seen (a purged event log) are swept up from the database once a minute.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from dagster import (
    AssetRecordsFilter,
    DagsterInstance,
    DefaultSensorStatus,
    JobDefinition,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from reporting_pipeline.assets.emails import PART, part_of
from reporting_pipeline.assets.scope import NOTIFY, SUBSCRIBER_REPORTS, Scope
from reporting_pipeline.automation.control import UNDER_WAY, end_dead_runs
from reporting_pipeline.automation.jobs import delivery_job_name
from reporting_pipeline.automation.tags import STAGE, stage_tags
from reporting_pipeline.domain.jobs import JobState
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.partitions import SubscriptionPartition
from reporting_pipeline.resources import MongoResource
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.deliveries import (
    count_due,
    deliveries_stand,
    due_cadences,
    plan_deliveries,
)
from reporting_pipeline.stores.mongo import Database, Record, find_any

#: Materializations read per tick and cadence.
EVENTS_PER_TICK = 5_000
#: A job with a report and without a delivery for so long was missed.
MISSED_AFTER = timedelta(minutes=2)
MISSED_PER_SWEEP = 1_000
SWEEP_EVERY = timedelta(minutes=1)
#: Another delivery run is worth its start when so many deliveries are due for each that is there.
DUE_FOR_ANOTHER = 500
_SWEPT = "swept"  # in the cursor, beside the cadences' positions
_WITH_REPORT = [JobState.RENDERED.value, JobState.DELIVERING.value]


def report_email_sensor(
    scopes: Mapping[Cadence, Scope], settings: Settings, jobs: Sequence[JobDefinition]
) -> SensorDefinition:
    @sensor(
        name="report_email_sensor",
        jobs=jobs,
        minimum_interval_seconds=settings.sensor_interval_seconds,
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
        database, now = mongo.database(), datetime.now(UTC)
        cursors = _read_cursor(context.cursor)
        requested = 0
        if now.timestamp() - cursors.get(_SWEPT, 0.0) >= SWEEP_EVERY.total_seconds():
            cursors[_SWEPT] = now.timestamp()
            _sweep(database, now)
        for cadence, scope in scopes.items():
            cursor = cursors.get(cadence.value)
            partitions, cursors[cadence.value] = _new_partitions(
                context.instance, scope, int(cursor) if cursor else None
            )
            _plan(database, _jobs_with_report(database, partitions), now)
        for scope in scopes.values():
            for part in _parts_wanted(context.instance, database, scope, now):
                requested += 1
                tags = stage_tags(scope.cadence.value, NOTIFY) | {PART: str(part)}
                yield RunRequest(job_name=delivery_job_name(scope.cadence), tags=tags)
        # Only now: a tick that dies before this reads the same events again, which changes nothing.
        context.update_cursor(json.dumps(cursors))
        if not requested:
            yield SkipReason("no delivery is due, or its run is under way")

    return new_reports


def _read_cursor(text: str | None) -> dict[str, float]:
    """Positions by cadence, and when was swept; anybody can set a cursor, and what is none begins anew."""
    try:
        found = json.loads(text or "{}")
        return {str(name): float(value) for name, value in found.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def _new_partitions(
    instance: DagsterInstance, scope: Scope, cursor: int | None
) -> tuple[list[SubscriptionPartition], int]:
    """(partitions materialized after `cursor`, oldest first; the new cursor)"""
    result = instance.fetch_materializations(
        AssetRecordsFilter(asset_key=scope.key(SUBSCRIBER_REPORTS), after_storage_id=cursor),
        limit=EVENTS_PER_TICK,
        ascending=True,
    )
    partitions = []
    for record in result.records:
        if record.partition_key is not None:
            partitions.append(
                SubscriptionPartition.parse(record.partition_key, scope.cadence, scope.settings.timezone)
            )
    newest = result.records[-1].storage_id if result.records else cursor
    return partitions, newest or 0


def _jobs_with_report(database: Database, partitions: Sequence[SubscriptionPartition]) -> list[Record]:
    by_period: dict[str, list[str]] = {}
    for partition in partitions:
        by_period.setdefault(partition.period.key, []).append(partition.subscription)
    jobs: list[Record] = []
    for period, subscriptions in by_period.items():
        query = {"period": period, "state": {"$in": _WITH_REPORT}}
        jobs += find_any(database.jobs, "subscription", subscriptions, query)
    return jobs


def _sweep(database: Database, now: datetime) -> None:
    """Plan the deliveries of jobs that got their report a while ago and were never seen here."""
    query = {
        "state": {"$in": _WITH_REPORT},
        "rendered_at": {"$lt": now - MISSED_AFTER},
        "deliveries_planned": {"$ne": True},
    }
    jobs = list(database.jobs.find(query).limit(MISSED_PER_SWEEP))
    _plan(database, jobs, now)
    # Those of a halted channel, too: else the same thousand would hide the next.
    deliveries_stand(database, jobs)


def _plan(database: Database, jobs: Sequence[Record], now: datetime) -> None:
    if not jobs:
        return
    ids = (job["subscription"] for job in jobs)
    subscriptions = {one["_id"]: one for one in find_any(database.subscriptions, "_id", ids)}
    plan_deliveries(database, jobs, subscriptions, now)
    # What is being delivered ends soon and needs no note; what waits for its time would be swept up.
    deliveries_stand(database, (job for job in jobs if job["state"] == JobState.RENDERED.value))


def _parts_wanted(instance: DagsterInstance, database: Database, scope: Scope, now: datetime) -> list[int]:
    """The numbers of the delivery runs to ask for: the first when anything is due, others when much is."""
    cadence, under_way = scope.cadence.value, _parts_under_way(instance, database, scope, now)
    if 0 not in under_way and cadence not in due_cadences(database, now):
        return []
    wanted = {0}
    if scope.settings.delivery_runs > 1:
        due = count_due(database, now, cadence, DUE_FOR_ANOTHER * scope.settings.delivery_runs)
        wanted |= {part for part in range(scope.settings.delivery_runs) if due >= part * DUE_FOR_ANOTHER}
    return sorted(wanted - under_way)


def _parts_under_way(instance: DagsterInstance, database: Database, scope: Scope, now: datetime) -> set[int]:
    """The numbers of the delivery runs of this cadence that are under way and alive."""
    filters = RunsFilter(job_name=delivery_job_name(scope.cadence), tags={STAGE: NOTIFY}, statuses=UNDER_WAY)
    records = list(instance.get_run_records(filters))
    dead = end_dead_runs(instance, database, records, now, scope.settings.heartbeat_seconds)
    runs = (record.dagster_run for record in records if record.dagster_run.run_id not in dead)
    return {part_of(run.tags) for run in runs}
