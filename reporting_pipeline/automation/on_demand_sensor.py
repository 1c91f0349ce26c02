"""`on_demand_sensor`: jobs that no edition will serve: run now, a new subscription, a changed schedule.

It plans what became due outside the editions, takes over what waits in an edition that is over or that
nobody opened, and requests those jobs ahead of everything else.

It looks at all that wait, not at a number of the oldest: what is asked for already and what cannot be
served takes no place from the others. What is asked for while runs are under way gathers into the next
one (`Controller.asked_requests`), which makes and delivers it.

Somebody waits for this: a tick that finds nothing to ask for stays and watches (`watching`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from dagster import (
    DagsterInstance,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from reporting_pipeline.assets.scope import Scope
from reporting_pipeline.automation.control import UNDER_WAY, Controller, TrialStates
from reporting_pipeline.automation.tags import PROMPT
from reporting_pipeline.automation.watching import INTERVAL, changes, end_of_watch
from reporting_pipeline.domain.editions import edition_id
from reporting_pipeline.domain.jobs import JobRecord, JobState
from reporting_pipeline.domain.periods import Cadence, Period, oldest_start
from reporting_pipeline.domain.trial_keys import usable_trial_key
from reporting_pipeline.partitions import holds
from reporting_pipeline.resources import MongoResource
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.away import AWAY, away
from reporting_pipeline.stores.documents import trials_of
from reporting_pipeline.stores.editions import open_ids
from reporting_pipeline.stores.jobs import (
    editions_waited_for,
    failed_on_demand,
    newest_on_demand,
    plan_due_jobs,
    waiting_on_demand,
)
from reporting_pipeline.stores.jobs.broken import end_unreadable
from reporting_pipeline.stores.jobs.plan import EDITION_IS_LATE
from reporting_pipeline.stores.lifecycle import end_failed, end_unserved, serve_without_edition
from reporting_pipeline.stores.mongo import Database, server_time
from reporting_pipeline.stores.subscriptions import standing_of
from reporting_pipeline.usecases.subscriptions import resume_what_is_over

#: Due subscriptions looked at per tick; the longest due first.
DUE_PER_TICK = 10_000
#: A job whose rendering failed is looked at for so long; then a person must ask again.
GIVE_UP = timedelta(days=7)
#: So many runs for trials are asked for per tick and period; the rest when they are under way.
RUNS_PER_TICK = 25
NO_PARTITION = "its period is older than what is kept, so no run can make its report"


def on_demand_sensor(
    scopes: Mapping[Cadence, Scope], settings: Settings, jobs: Sequence[UnresolvedAssetJobDefinition]
) -> SensorDefinition:
    @sensor(
        name="on_demand_sensor",
        jobs=jobs,
        minimum_interval_seconds=min(INTERVAL, settings.sensor_interval_seconds),
        default_status=DefaultSensorStatus.RUNNING,
        description="Takes what was asked to run now and what no edition serves, with priority.",
    )
    def run_now(context: SensorEvaluationContext, mongo: MongoResource) -> Iterator[RunRequest | SkipReason]:
        database, until = mongo.database(), end_of_watch(settings.watch_seconds)
        standing = partial(_standing, database, context.instance)
        while True:
            seen = standing()
            requests, waiting = _look(scopes, settings, database, context)
            if requests or not changes(standing, seen, until):
                break
        yield from requests
        if not requests:
            yield SkipReason(f"{waiting} jobs wait, nothing to ask for")

    return run_now


def _look(
    scopes: Mapping[Cadence, Scope], settings: Settings, database: Database, context: SensorEvaluationContext
) -> tuple[list[RunRequest], int]:
    """(what to ask for now, how many jobs wait)"""
    now = server_time(database)
    resume_what_is_over(database, settings, now)
    planned = plan_due_jobs(database, now, settings.timezone, DUE_PER_TICK)
    if planned.jobs:
        context.log.info(f"{planned.jobs} jobs planned for {planned.subscriptions} due subscriptions")
    taken = serve_without_edition(database, editions_that_never_come(database, settings, now))
    if taken:
        context.log.info(f"{taken} jobs waited for editions that are over or were never opened")
    jobs = end_unreadable(
        database, [*waiting_on_demand(database), *failed_on_demand(database, now - GIVE_UP)], now
    )
    requests: list[RunRequest] = []
    for edition, group in _by_edition(jobs).items():
        try:
            requests += _requests(scopes, edition, group, database, context, now)
        except AWAY as error:
            context.log.warning(f"what is asked for of {edition} waits: {away(error)}")
        except Exception:  # one period's trouble must not hold up the others
            context.log.exception(f"the jobs of {edition} that are asked for could not be looked at")
    return requests, len(jobs)


def _standing(database: Database, instance: DagsterInstance) -> tuple[str | None, int]:
    """What another look depends on: the job asked for last, and the runs that people wait for."""
    under_way = RunsFilter(tags={PROMPT: "yes"}, statuses=UNDER_WAY)
    return newest_on_demand(database), instance.get_runs_count(under_way)


def editions_that_never_come(database: Database, settings: Settings, now: datetime) -> list[str]:
    """The editions in which a job waits, and which are over, or were not opened when it was time."""
    ids = [
        edition_id(cadence, period.key)
        for cadence in Cadence
        for period in _kept_periods(cadence, settings, now)
        if period.end_at + EDITION_IS_LATE <= now
    ]
    over = sorted(set(ids) - open_ids(database, ids))
    return editions_waited_for(database, over)


def _kept_periods(cadence: Cadence, settings: Settings, now: datetime) -> Iterator[Period]:
    """The closed periods that the retention period holds, the newest first."""
    oldest = oldest_start(cadence, settings.retention_days, now, settings.timezone)
    period = Period.last_closed(cadence, now, settings.timezone)
    while period.start >= oldest:
        yield period
        period = period.previous()


def _by_edition(jobs: Iterable[JobRecord]) -> dict[str, list[JobRecord]]:
    groups: dict[str, list[JobRecord]] = {}
    for job in jobs:
        groups.setdefault(str(job["edition"]), []).append(job)
    return groups


def _requests(
    scopes: Mapping[Cadence, Scope],
    edition: str,
    jobs: Sequence[JobRecord],
    database: Database,
    context: SensorEvaluationContext,
    now: datetime,
) -> list[RunRequest]:
    """The runs that the jobs of one period need; ends those that no run can serve."""
    cadence, _, key = edition.partition(":")
    scope = scopes[Cadence(cadence)]
    period = Period.from_key(scope.cadence, key, scope.settings.timezone)
    if not holds(scope.cadence, scope.settings, now, period):
        end_failed(database, edition, NO_PARTITION, now)
        return []
    end_unserved(database, edition, (job["subscription"] for job in jobs if _waits(job)), now)
    controller = Controller(scope, period, database, context.instance, now, trace=_trace_of_first(jobs))
    for run_id in controller.end_dead_runs():
        context.log.warning(f"run {run_id} of {edition} was dead and is ended")
    return _of_period(controller, database, jobs)


def _trace_of_first(jobs: Iterable[JobRecord]) -> str:
    """The trace of the job that a person asked for first, else of the oldest; "" where none has one."""
    traced = [job for job in jobs if job.get("trace")]
    asked = [job for job in traced if job.get("asked_at")]
    first = min(
        asked or traced, key=lambda job: (job.get("asked_at") or job["created_at"], job["_id"]), default=None
    )
    return str(first["trace"]) if first else ""


def _of_period(controller: Controller, database: Database, jobs: Sequence[JobRecord]) -> list[RunRequest]:
    """First the trials that the jobs' own reports are made from, then the reports whose trials are ready."""
    states = controller.states()
    needs = _needs(database, jobs)
    asked = _asked_at(needs)
    requests = controller.trial_requests(sorted(asked), states, prompt=True, fresh_since=asked)
    ready = [need for need in needs if _is_ready(need, controller, states)]
    mended = set(controller.retryable_reports(controller.failed_reports(), states))
    wanted = [need for need in ready if need.waits or need.subscription in mended]
    wanted.sort(key=lambda need: need.asked_at)
    return requests[:RUNS_PER_TICK] + controller.asked_requests(
        list(dict.fromkeys(need.subscription for need in wanted))
    )


@dataclass(frozen=True)
class _Need:
    """One job that is asked for, and the trials that its report is made from."""

    subscription: str
    trials: tuple[str, ...]
    asked_at: datetime
    waits: bool  # False: its rendering failed


def _needs(database: Database, jobs: Sequence[JobRecord]) -> list[_Need]:
    """Jobs whose subscription still stands."""
    standing = standing_of(database, (job["subscription"] for job in jobs))
    trials: dict[str, tuple[str, ...]] = {}
    needs = []
    for job in jobs:
        subscription = standing.get(job["subscription"])
        if subscription is None or subscription["status"] != "active":
            continue
        organisation = subscription["organisation"]
        if organisation not in trials:
            trials[organisation] = tuple(
                trial["_id"] for trial in trials_of(database, organisation) if usable_trial_key(trial["_id"])
            )
        named = set((subscription.get("filters") or {}).get("trials") or ())
        own = tuple(one for one in trials[organisation] if not named or one in named)
        asked_at = job.get("asked_at") or job["created_at"]
        needs.append(_Need(job["subscription"], own, asked_at, _waits(job)))
    return needs


def _asked_at(needs: Iterable[_Need]) -> dict[str, datetime]:
    """trial -> when it was last asked for: a snapshot older than that may lack what came since."""
    found: dict[str, datetime] = {}
    for need in needs:
        for trial in need.trials:
            found[trial] = max(found.get(trial, need.asked_at), need.asked_at)
    return found


def _is_ready(need: _Need, controller: Controller, states: TrialStates) -> bool:
    return all(
        states.settled(trial)
        and not controller.is_stale(trial, states, need.asked_at)
        and not controller.status_is_stale(trial, states, need.asked_at)
        for trial in need.trials
    )


def _waits(job: JobRecord) -> bool:
    return job["state"] in (JobState.PENDING.value, JobState.PROCESSING.value)
