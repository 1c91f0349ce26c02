"""`on_demand_sensor`: jobs that no edition will serve: run now, a new subscription, a changed schedule.

It plans what became due outside the editions, and requests those jobs ahead of everything else.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from dagster import (
    DefaultSensorStatus,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from reporting_pipeline.assets.scope import Scope
from reporting_pipeline.automation.control import Controller
from reporting_pipeline.automation.tags import ON_DEMAND_PRIORITY
from reporting_pipeline.domain.jobs import JobState
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.resources import MongoResource
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.documents import trials_of
from reporting_pipeline.stores.jobs import plan_due_jobs
from reporting_pipeline.stores.mongo import Database, Record

#: Due subscriptions looked at per tick; the longest due first.
DUE_PER_TICK = 10_000
#: A job whose rendering failed is looked at for so long; then a person must ask again.
GIVE_UP = timedelta(days=7)
#: On-demand jobs taken per tick; the rest waits for the next.
JOBS_PER_TICK = 50


def on_demand_sensor(
    scopes: Mapping[Cadence, Scope], settings: Settings, jobs: Sequence[UnresolvedAssetJobDefinition]
) -> SensorDefinition:
    @sensor(
        name="on_demand_sensor",
        jobs=jobs,
        minimum_interval_seconds=settings.sensor_interval_seconds,
        default_status=DefaultSensorStatus.RUNNING,
        description="Takes what was asked to run now and what no edition serves, with priority.",
    )
    def run_now(context: SensorEvaluationContext, mongo: MongoResource) -> Iterator[RunRequest | SkipReason]:
        database, now = mongo.database(), datetime.now(UTC)
        planned = plan_due_jobs(database, now, settings.timezone, DUE_PER_TICK)
        if planned.jobs:
            context.log.info(f"{planned.jobs} jobs planned for {planned.subscriptions} due subscriptions")
        jobs = [*_waiting(database), *_failed(database, now)]
        requested = 0
        for (cadence, key), group in _by_period(jobs).items():
            period = Period.from_key(cadence, key, settings.timezone)
            controller = Controller(scopes[cadence], period, database, context.instance, now)
            controller.end_dead_runs()
            for request in _requests(controller, database, group):
                requested += 1
                yield request
        if not requested:
            yield SkipReason(f"{len(jobs)} jobs wait, nothing to ask for")

    return run_now


def _waiting(database: Database) -> list[Record]:
    query = {"on_demand": True, "state": JobState.PENDING.value}
    return list(database.jobs.find(query).sort("due_at", 1).limit(JOBS_PER_TICK))


def _failed(database: Database, now: datetime) -> list[Record]:
    """Jobs whose rendering failed for a reason that may pass or be mended, the latest first."""
    query = {
        "on_demand": True,
        "state": JobState.FAILED.value,
        "failed_in": "rendering",
        "permanent": False,
        "completed_at": {"$gt": now - GIVE_UP},
    }
    return list(database.jobs.find(query).sort("due_at", -1).limit(JOBS_PER_TICK))


def _by_period(jobs: list[Record]) -> dict[tuple[Cadence, str], list[Record]]:
    groups: dict[tuple[Cadence, str], list[Record]] = {}
    for job in jobs:
        cadence = Cadence(job["edition"].split(":", 1)[0])
        groups.setdefault((cadence, job["period"]), []).append(job)
    return groups


def _requests(controller: Controller, database: Database, jobs: list[Record]) -> list[RunRequest]:
    """First the trials of the jobs' organisations, then the reports whose trials are settled."""
    states = controller.states()
    results = controller.failed_reports()
    requests: list[RunRequest] = []
    ready = []
    for organisation in sorted({job["organisation"] for job in jobs}):
        trials = [trial["_id"] for trial in trials_of(database, organisation)]
        requests += controller.trial_requests(trials, states, ON_DEMAND_PRIORITY)
        if all(states.settled(trial) for trial in trials):
            ready += [job["subscription"] for job in jobs if job["organisation"] == organisation]
    pending = {job["subscription"] for job in jobs if job["state"] == JobState.PENDING.value}
    wanted = set(ready) & (pending | set(controller.retryable_reports(results, states)))
    return requests + controller.report_requests(wanted, priority=ON_DEMAND_PRIORITY)
