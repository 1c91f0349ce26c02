"""`edition_sensor`: moves every open edition forward, and closes those that are complete.

Level-triggered: each tick looks at what is there (`control.Controller`) and asks for what is missing.
When every trial is settled it requests the reports in contiguous ranges. While runs of a stage are under way
a tick stays and watches for their end (`watching`): an edition has four stages, each of which would wait for
the daemon's next look.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

from reporting_pipeline.assets.edition_marker import report_standing_editions
from reporting_pipeline.assets.scope import AGGREGATE, FETCH, RENDER, Scope
from reporting_pipeline.automation.control import UNDER_WAY, Controller, TrialStates
from reporting_pipeline.automation.tags import STAGE
from reporting_pipeline.automation.watching import INTERVAL, changes, end_of_watch
from reporting_pipeline.domain.editions import Edition
from reporting_pipeline.domain.jobs import EditionState, JobState
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.trial_keys import usable_trial_key
from reporting_pipeline.partitions import holds
from reporting_pipeline.resources import MongoResource, ObjectStoreResource
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.audit import anchor_when_due
from reporting_pipeline.stores.away import AWAY, away
from reporting_pipeline.stores.documents import trials_of
from reporting_pipeline.stores.editions import keep_counts, note_reports_stand, open_editions, set_state
from reporting_pipeline.stores.jobs import (
    any_in,
    plan_edition,
    subscriptions_of,
    waiting_in,
    with_omissions,
)
from reporting_pipeline.stores.jobs.broken import end_unreadable
from reporting_pipeline.stores.jobs.reads import short_of_a_whole_report
from reporting_pipeline.stores.lifecycle import end_failed, serve_without_edition
from reporting_pipeline.stores.mongo import Database, server_time

_log = logging.getLogger(__name__)

#: An edition that still has failures after so long is closed as failed; a forced one starts anew.
GIVE_UP = timedelta(days=7)
#: Counting goes through all jobs of an edition: a large one is counted so seldom that it costs little.
COUNTED_EACH_TICK = 2_000
COUNT_AFTER = timedelta(milliseconds=1.5)  # for each job
#: The states of jobs that an edition waits for.
_OPEN = (JobState.PENDING, JobState.PROCESSING, JobState.RENDERED, JobState.DELIVERING)
#: Opening the object store costs a sensor more than most of its looks.
LOOK_AT_ANCHOR_EVERY = timedelta(minutes=1)


def edition_sensor(
    scopes: Mapping[Cadence, Scope], settings: Settings, jobs: Sequence[UnresolvedAssetJobDefinition]
) -> SensorDefinition:
    @sensor(
        name="edition_sensor",
        jobs=jobs,
        minimum_interval_seconds=min(INTERVAL, settings.sensor_interval_seconds),
        default_status=DefaultSensorStatus.RUNNING,
        description=(
            "Looks at every open edition and asks for what is missing: documents, datasets, media, then "
            "reports in ranges when every trial is settled; and closes the edition."
        ),
    )
    def edition_progress(
        context: SensorEvaluationContext, mongo: MongoResource, objects: ObjectStoreResource
    ) -> Iterator[RunRequest | SkipReason]:
        database, until = mongo.database(), end_of_watch(settings.watch_seconds)
        standing = partial(_stages_under_way, context.instance)
        while True:
            seen = standing()
            requests, still_open = _look(scopes, database, context)
            if requests or not seen or not changes(standing, seen, until):
                break
        yield from requests
        _anchor(context, database, objects)
        if not requests:
            yield SkipReason(f"{still_open} open editions, nothing to ask for")

    return edition_progress


def _stages_under_way(instance: DagsterInstance) -> frozenset[str]:
    """The runs whose end lets an edition go on, by id; none: there is nothing to watch for."""
    runs = RunsFilter(tags={STAGE: [FETCH, AGGREGATE, RENDER]}, statuses=UNDER_WAY)
    return frozenset(instance.get_run_ids(runs))


def _look(
    scopes: Mapping[Cadence, Scope], database: Database, context: SensorEvaluationContext
) -> tuple[list[RunRequest], int]:
    """(what all open editions need now, how many were open)"""
    now, editions = server_time(database), open_editions(database)
    requests: list[RunRequest] = []
    for edition in editions:
        try:
            requests += advance(scopes[edition.cadence], edition, database, context, now)
        except AWAY as error:
            context.log.warning(f"edition {edition.id} waits: {away(error)}")
        except Exception:  # one edition's trouble must not hold up the others
            context.log.exception(f"edition {edition.id} could not be advanced")
    report_standing_editions(database, context.instance, scopes, now)
    return requests, len(editions)


def _anchor(context: SensorEvaluationContext, database: Database, objects: ObjectStoreResource) -> None:
    """Anchor the audit log when it is due; the cursor says when it was last looked at."""
    try:
        now = server_time(database)
        if _anchor_was_looked_at(context, now):
            return
        anchor_when_due(database, objects.store(), now)
        context.update_cursor(now.isoformat())
    except Exception:  # a tick that raises loses its requests: no edition waits for the audit log
        context.log.exception("the audit log could not be anchored")


def _anchor_was_looked_at(context: SensorEvaluationContext, now: datetime) -> bool:
    try:
        if not context.cursor:
            return False
        return timedelta(0) <= now - datetime.fromisoformat(context.cursor) < LOOK_AT_ANCHOR_EVERY
    except (ValueError, TypeError, OverflowError):
        context.log.warning("the cursor, which anybody can set, is no time: the anchor is looked at")
        return False


def advance(
    scope: Scope, edition: Edition, database: Database, context: SensorEvaluationContext, now: datetime
) -> list[RunRequest]:
    """The runs that `edition` needs now; closes it when nothing is missing any more."""
    period = Period.from_key(edition.cadence, edition.period, scope.settings.timezone)
    if period.end_at > now:  # opened by a clock that is ahead: what is still to arrive belongs to it
        return []
    if not holds(edition.cadence, scope.settings, now, period):
        _let_go(database, edition, scope.settings.retention_days, now)
        return []
    controller = Controller(
        scope, period, database, context.instance, now, edition.reopened_at, trace=edition.trace
    )
    for run_id in controller.end_dead_runs():
        context.log.warning(f"run {run_id} of edition {edition.id} was dead and is ended")
    trials = [trial["_id"] for trial in trials_of(database) if usable_trial_key(trial["_id"])]
    states = controller.states()
    requests = controller.trial_requests(trials, states)
    settled = all(states.settled(trial) for trial in trials)
    if settled:
        # `subscription_sync` has planned most of it while runs fetched; nothing is rendered or closed
        # before all of it is.
        plan_edition(database, edition, period, now)
    is_counted = _count(database, edition, now)
    if settled:
        look_for_pending = is_counted or not controller.stage_under_way(RENDER)
        requests += _report_requests(controller, database, edition, states, look_for_pending, now)
    if not requests and settled and _nothing_under_way(controller):
        if edition.reports_stand_at is None and _reports_stand(database, edition):
            keep_counts(database, edition.id, now)
            note_reports_stand(database, edition.id, now)
        if not any_in(database, edition.id, _OPEN):
            _close(database, edition, states, now)
    return requests


def _reports_stand(database: Database, edition: Edition) -> bool:
    """Whether no report of the edition is still to be made, and none could not be."""
    to_make = any_in(database, edition.id, (JobState.PENDING, JobState.PROCESSING))
    return not to_make and not short_of_a_whole_report(database, [edition.id]).failed


def _count(database: Database, edition: Edition, now: datetime) -> bool:
    """Count the edition's jobs by state for those who look at it. False when that was done lately."""
    jobs = sum(edition.counts.values())
    is_large = jobs > COUNTED_EACH_TICK
    if is_large and edition.counted_at is not None and now - edition.counted_at < jobs * COUNT_AFTER:
        return False
    keep_counts(database, edition.id, now)
    return True


def _report_requests(
    controller: Controller,
    database: Database,
    edition: Edition,
    states: TrialStates,
    look_for_pending: bool,
    now: datetime,
) -> list[RunRequest]:
    """The reports to render. While reports are rendered, pending jobs are looked for now and then only:
    nearly all of them are under way."""
    # A job that is pending although its report failed or was skipped is newer than that: it was
    # requeued, its owner has returned, or a run was killed before it could note the failure on it.
    wanted = set(controller.retryable_reports(controller.failed_reports(), states))
    wanted |= _mended(with_omissions(database, edition.id), states)
    if look_for_pending:
        waiting = end_unreadable(database, waiting_in(database, edition.id), now)
        wanted |= {job["subscription"] for job in waiting}
    if edition.forced:
        wanted |= set(subscriptions_of(database, edition.id)).difference(controller.report_results())
    return controller.report_requests(wanted)


def _mended(left_out: Iterable[tuple[str, set[str], datetime]], states: TrialStates) -> set[str]:
    """Subscriptions whose report left something out of a trial that was made anew since, and can be used."""
    made_at = {
        trial: max(dataset.at, medium.at)
        for trial, dataset in states.datasets.items()
        if dataset.done and (medium := states.media.get(trial)) is not None and medium.done
    }
    return {
        subscription
        for subscription, trials, rendered_at in left_out
        if any(trial in made_at and made_at[trial] > rendered_at for trial in trials)
    }


def _let_go(database: Database, edition: Edition, retention_days: int, now: datetime) -> None:
    """Close an edition whose period is not kept any more: it has no partition, so no run can serve it."""
    reason = f"its period is older than the {retention_days} days that are kept"
    ended = end_failed(database, edition.id, reason, now)
    _log.error("edition %s is closed, with %s jobs: %s", edition.id, ended, reason)
    counts = keep_counts(database, edition.id, now)
    set_state(database, edition.id, EditionState.FAILED, now, reason=reason, counts=counts)


def _nothing_under_way(controller: Controller) -> bool:
    return not any(controller.stage_under_way(stage) for stage in (FETCH, AGGREGATE, RENDER))


def _close(database: Database, edition: Edition, states: TrialStates, now: datetime) -> None:
    """Completed when every job ended well; failed when failures outlived GIVE_UP; open until then."""
    counts = keep_counts(database, edition.id, now)
    if any(counts.get(state) for state in _OPEN):  # requeued since we looked
        return
    failed_trials = sorted(
        trial
        for results in (states.documents, states.datasets, states.media)
        for trial, result in results.items()
        if not result.done
    )
    failed_jobs = counts.get(JobState.FAILED, 0)
    if not failed_trials and not failed_jobs:
        set_state(database, edition.id, EditionState.COMPLETED, now, counts=counts)
        # What was requeued between the count and this is not the edition's any more.
        serve_without_edition(database, [edition.id])
    elif now - (edition.reopened_at or edition.opened_at) > GIVE_UP:
        reason = f"{failed_jobs} jobs failed" + (
            f"; trials without a dataset: {', '.join(failed_trials)}" if failed_trials else ""
        )
        set_state(database, edition.id, EditionState.FAILED, now, reason=reason, counts=counts)
        serve_without_edition(database, [edition.id])
