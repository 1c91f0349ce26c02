"""What is missing of a period, and the runs to ask for: the level-triggered heart of the sensors.

Nothing here remembers what it asked for. Each look compares what should be there with what is there
and what is under way; missed ticks, restarts, killed runs and new subscriptions are all caught up by
the same comparison.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dagster import DagsterInstance, DagsterRunStatus, MultiPartitionKey, RunRequest, RunsFilter
from dagster._core.storage.dagster_run import RunRecord

from reporting_pipeline.assets.documents import documents_fingerprint
from reporting_pipeline.assets.scope import (
    DOCUMENTS,
    NEED_STATUS,
    SUBSCRIBER_REPORTS,
    TRIAL_DATASET,
    TRIAL_MEDIA,
    TRIAL_STATUS,
    Scope,
)
from reporting_pipeline.assets.status import status_fingerprint
from reporting_pipeline.automation.jobs import STAGE_OF, job_name, op_name
from reporting_pipeline.automation.subscription_sync import synchronize
from reporting_pipeline.automation.tags import (
    EDITION,
    RANGE_END,
    RANGE_START,
    STAGE,
    asked_of,
    asked_request,
    range_request,
    stage_tags,
)
from reporting_pipeline.domain.editions import edition_id
from reporting_pipeline.domain.periods import Period
from reporting_pipeline.domain.trial_keys import trial_of, usable_trial_key
from reporting_pipeline.partitions import (
    PERIOD,
    SUBSCRIPTION,
    TRIAL,
    SubscriptionPartition,
    TrialPartition,
    contiguous_ranges,
    subscriptions,
    trials,
)
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.heartbeats import (
    forget_heartbeat,
    has_heartbeat,
    longest_silence,
    silent_runs,
)
from reporting_pipeline.stores.lifecycle import end_unserved
from reporting_pipeline.stores.mongo import Database, server_time
from reporting_pipeline.stores.results import AssetResult, failed_results_of, results_of
from reporting_pipeline.stores.trials import trials_followed

UNDER_WAY = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
DEAD_RUN = (
    "The run's process is gone: its heartbeat stopped. What it finished stands; the rest is asked for again."
)
#: Fewer reports than this are not spread over several runs.
FEWEST_REPORTS = 250
#: So many reports that were asked for are one run's; the next who ask wait for so many at most.
MOST_ASKED = 500


def end_dead_runs(
    instance: DagsterInstance,
    database: Database,
    under_way: Iterable[RunRecord],
    settings: Settings,
) -> set[str]:
    """Mark those of the runs `under_way` as failed whose process is gone; returns their ids.

    The default launcher does not notice a kill -9, and a run that counts as started would keep its
    range from being asked for again.
    """
    started = [record for record in under_way if record.dagster_run.status == DagsterRunStatus.STARTED]
    if not started:
        return set()
    now, limit = server_time(database), longest_silence(settings.heartbeat_seconds)
    silent = set(silent_runs(database, [record.dagster_run.run_id for record in started], now, limit))
    oldest = now - timedelta(seconds=settings.start_up_seconds)
    dead = set()
    for record in started:
        run = record.dagster_run
        if run.run_id in silent or _never_beat(instance, database, record, oldest.timestamp()):
            instance.report_run_failed(run, DEAD_RUN)
            forget_heartbeat(database, run.run_id)
            dead.add(run.run_id)
    return dead


def _never_beat(instance: DagsterInstance, database: Database, record: RunRecord, oldest: float) -> bool:
    """Whether a run has neither a heartbeat nor written any event since `oldest` (epoch seconds).

    A run that is about to end has removed its heartbeat, but goes on to write its last events.
    """
    run_id = record.dagster_run.run_id
    if record.start_time is None or record.start_time > oldest:
        return False
    if has_heartbeat(database, run_id):
        return False
    newest = instance.get_records_for_run(run_id, limit=1, ascending=False).records
    return not newest or newest[0].timestamp < oldest


@dataclass(frozen=True)
class TrialStates:
    """What became of the trials of a period."""

    documents: Mapping[str, AssetResult]
    datasets: Mapping[str, AssetResult]
    media: Mapping[str, AssetResult]
    statuses: Mapping[str, AssetResult] = field(default_factory=dict)
    of_status: frozenset[str] = frozenset()  # trials of which a report stands on the trial so far

    def settled(self, trial: str) -> bool:
        """Whether the trial's reports can be made, or are known to fail."""
        documents = self.documents.get(trial)
        if documents is None:
            return False
        if not documents.done:
            return True
        needed = [self.datasets, self.media, *([self.statuses] if trial in self.of_status else [])]
        return all(_is_of(results.get(trial), documents) for results in needed)

    def newest_at(self) -> datetime | None:
        """When the last dataset, medium or status was made."""
        made = (*self.datasets.values(), *self.media.values(), *self.statuses.values())
        return max((one.at for one in made if one.done), default=None)


class Controller:
    """The look at one period of one cadence."""

    def __init__(
        self,
        scope: Scope,
        period: Period,
        database: Database,
        instance: DagsterInstance,
        now: datetime,
        made_before: datetime | None = None,
        trace: str = "",
    ) -> None:
        """`made_before`: what was made earlier counts as missing (an edition opened again by force).

        `trace` is that of who opened the edition or asked first; its runs carry it.
        """
        self._scope = scope
        self._period = period
        self._database = database
        self._instance = instance
        self._now = now
        self._stale_before = made_before
        self._trace = trace
        self.edition = edition_id(scope.cadence, period.key)
        self._under_way = self._runs_under_way()
        self._fingerprints: dict[str, str] = {}

    # --- what is there

    def states(self) -> TrialStates:
        names = (DOCUMENTS, TRIAL_DATASET, TRIAL_MEDIA, TRIAL_STATUS)
        cadence = self._scope.cadence.value
        of_status = trials_followed(self._database, cadence, NEED_STATUS)
        documents, datasets, media, statuses = (self._results(name) for name in names)
        return TrialStates(documents, datasets, media, statuses, of_status)

    def report_results(self) -> dict[str, AssetResult]:
        return self._results(SUBSCRIBER_REPORTS)

    def failed_reports(self) -> dict[str, AssetResult]:
        """The failed ones of `report_results`: few, where all of them are tens of thousands."""
        failed = failed_results_of(self._database, self._scope.name(SUBSCRIBER_REPORTS), self._period.key)
        return self._fresh(failed)

    def stage_under_way(self, stage: str) -> bool:
        return any(record.dagster_run.tags.get(STAGE) == stage for record in self._under_way)

    # --- what to ask for

    def trial_requests(
        self,
        wanted: Iterable[str],
        states: TrialStates,
        prompt: bool = False,
        fresh_since: Mapping[str, datetime] | None = None,
    ) -> list[RunRequest]:
        """Runs for the trials whose documents, dataset or media are missing, outdated or worth a retry.

        `fresh_since`: of these trials a snapshot taken before that instant is looked at again.
        """
        wanted = list(wanted)
        asked = fresh_since or {}
        to_fetch = [
            trial
            for trial in wanted
            if self._needs_fetch(trial, states) or self.is_stale(trial, states, asked.get(trial))
        ]
        requests = self._trial_runs(DOCUMENTS, to_fetch, prompt)
        if requests or self.stage_under_way(STAGE_OF[DOCUMENTS]):
            # Reports wait for all trials anyway; asking now would start a run for every few trials.
            return requests
        fetched = {
            trial: states.documents[trial]
            for trial in wanted
            if trial not in to_fetch and trial in states.documents and states.documents[trial].done
        }
        for asset, results in ((TRIAL_DATASET, states.datasets), (TRIAL_MEDIA, states.media)):
            missing = [
                trial
                for trial, documents in fetched.items()
                if not _is_of(results.get(trial), documents) or self._worth_retry(results.get(trial))
            ]
            requests += self._trial_runs(asset, missing, prompt)
        return requests + self._trial_runs(TRIAL_STATUS, self._without_status(fetched, states, asked), prompt)

    def _without_status(
        self,
        fetched: Mapping[str, AssetResult],
        states: TrialStates,
        asked: Mapping[str, datetime],
    ) -> list[str]:
        """Trials whose status is wanted and missing, outdated, worth a retry, or older than who asks."""
        missing = []
        for trial, documents in fetched.items():
            status = states.statuses.get(trial)
            if trial not in states.of_status:
                continue
            outdated = not _is_of(status, documents) or self._worth_retry(status)
            if outdated or self.status_is_stale(trial, states, asked.get(trial)):
                missing.append(trial)
        return missing

    def status_is_stale(self, trial: str, states: TrialStates, asked_at: datetime | None) -> bool:
        """Whether any document, of whatever period, was written to since the trial's status, which is older
        than `asked_at`; False where no report stands on the status."""
        documents, status = states.documents.get(trial), states.statuses.get(trial)
        if trial not in states.of_status or documents is None or not documents.done or status is None:
            return False
        if asked_at is None or status.at >= asked_at:
            return False
        snapshots = {(self._period.key, trial): documents}
        fingerprint = status_fingerprint(self._database, TrialPartition(self._period, trial), snapshots)
        return fingerprint != status.input_version

    def report_requests(
        self,
        wanted: Iterable[str],
    ) -> list[RunRequest]:
        """Runs over ranges that render the reports of `wanted` subscriptions.

        A range may pass over reports that are done or that people asked for, which makes for fewer runs.
        What waits for a subscription that has no partition (any more) is ended, with its reason.
        """
        keys, unasked = self._unasked_reports(wanted)
        missing = unasked - self._covered(SUBSCRIBER_REPORTS, SUBSCRIPTION, keys)
        if not missing:
            return []
        passable = self._confirmable().union(*self._asked_under_way())
        ranges = contiguous_ranges(keys, missing, self._reports_in_a_run(len(missing)), passable)
        return [
            self._range(
                SUBSCRIBER_REPORTS,
                SubscriptionPartition(self._period, one.first).key,
                SubscriptionPartition(self._period, one.last).key,
            )
            for one in ranges
        ]

    def asked_requests(self, wanted: Sequence[str]) -> list[RunRequest]:
        """Runs that make and deliver the reports of `wanted` subscriptions, the first of them first.

        At most `render_runs` of them are under way at a time, each of MOST_ASKED reports: what is asked for
        meanwhile gathers, so that a thousand who ask in the same seconds are a few runs, and who asks after
        a crowd waits for a part of it only. What lies in the range of a run under way is asked for all the
        same: that run can be minutes from it, and each is made by the run that comes to it first
        (`assets.batch`). What has no partition (any more) is ended, as in `report_requests`.
        """
        keys, missing = self._unasked_reports(wanted)
        free = self._scope.settings.render_runs - sum(bool(named) for named in self._asked_under_way())
        now = [one for one in wanted if one in missing][: max(free, 0) * MOST_ASKED]
        if not now:
            return []
        position = {key: number for number, key in enumerate(keys)}
        now.sort(key=position.__getitem__)  # that is the order of their bodies: each is made by one run
        share = min(max(-(-len(now) // free), FEWEST_REPORTS), MOST_ASKED)
        return [
            asked_request(
                job_name(self._scope.cadence, SUBSCRIBER_REPORTS),
                [SubscriptionPartition(self._period, one) for one in now[start : start + share]],
                stage_tags(self.edition, STAGE_OF[SUBSCRIBER_REPORTS], prompt=True, trace=self._trace),
                op_name(self._scope.cadence, SUBSCRIBER_REPORTS),
            )
            for start in range(0, len(now), share)
        ]

    def _unasked_reports(self, wanted: Iterable[str]) -> tuple[Sequence[str], set[str]]:
        """(all partition keys, those of `wanted` that no run under way names); ends what has no partition."""
        missing = set(wanted)
        keys = self._keys(str(subscriptions(self._scope.cadence).name), missing)
        without = missing.difference(keys)
        if without:
            end_unserved(self._database, self.edition, without, self._now)
        return keys, missing.difference(without, *self._asked_under_way())

    def _asked_under_way(self) -> list[list[str]]:
        """The subscriptions that each run under way names itself."""
        name = op_name(self._scope.cadence, SUBSCRIBER_REPORTS)
        return [asked_of(record.dagster_run, name) for record in self._under_way]

    def _confirmable(self) -> set[str]:
        """Reports that are done and newer than all data: a run that passes over them makes none anew."""
        newest = self.states().newest_at()
        return {
            item
            for item, one in self.report_results().items()
            if one.done and (newest is None or one.at >= newest)
        }

    def _reports_in_a_run(self, wanted: int) -> int:
        """An equal share for each run that renders at a time: a run costs seconds before its first report."""
        settings = self._scope.settings
        share = -(-wanted // settings.render_runs)
        return min(max(share, FEWEST_REPORTS), settings.range_size)

    def retryable_reports(self, results: Mapping[str, AssetResult], states: TrialStates) -> list[str]:
        """Failed reports that are worth another try: their time has come, or their trials were mended."""
        newest = states.newest_at()
        return [
            item
            for item, result in results.items()
            if not result.done
            and result.state == "failed"
            and (self._worth_retry(result) or (newest is not None and newest > result.at))
        ]

    # --- runs that died

    def end_dead_runs(self) -> list[str]:
        """Mark runs as failed whose process is gone; returns their ids."""
        dead = end_dead_runs(self._instance, self._database, self._under_way, self._scope.settings)
        self._under_way = [record for record in self._under_way if record.dagster_run.run_id not in dead]
        return sorted(dead)

    # --- details

    def _results(self, asset: str) -> dict[str, AssetResult]:
        return self._fresh(results_of(self._database, self._scope.name(asset), self._period.key, brief=True))

    def _fresh(self, results: dict[str, AssetResult]) -> dict[str, AssetResult]:
        if self._stale_before is None:
            return results
        return {item: result for item, result in results.items() if result.at >= self._stale_before}

    def is_stale(self, trial: str, states: TrialStates, asked_at: datetime | None) -> bool:
        """Whether documents arrived or changed since the trial's snapshot, which is older than `asked_at`.

        A snapshot taken since then is fresh enough: else a trial to which documents keep coming would
        never be ready.
        """
        documents = states.documents.get(trial)
        if asked_at is None or documents is None or documents.at >= asked_at:
            return False
        return self._fingerprint(trial) != documents.input_version

    def _fingerprint(self, trial: str) -> str:
        """Of the trial's documents as they are; looked at once, however many ask."""
        if trial not in self._fingerprints:
            partition = TrialPartition(self._period, trial)
            self._fingerprints[trial] = documents_fingerprint(self._database, partition)
        return self._fingerprints[trial]

    def _needs_fetch(self, trial: str, states: TrialStates) -> bool:
        documents = states.documents.get(trial)
        if documents is None:
            return True
        if documents.done and all(
            results[trial].done for results in (states.datasets, states.media) if trial in results
        ):
            return False
        if not documents.done and self._worth_retry(documents):
            return True
        # Something of this trial failed: it is fetched again as soon as its documents were written to.
        return self._fingerprint(trial) != documents.input_version

    def _worth_retry(self, result: AssetResult | None) -> bool:
        if result is None or result.state != "failed" or result.permanent:
            return False
        if result.attempts >= self._scope.settings.max_attempts:
            return False
        waits = self._scope.settings.generation_retries
        wait = waits[min(result.attempts, len(waits)) - 1]
        return result.at + wait <= self._now

    def _trial_runs(self, asset: str, wanted: Sequence[str], prompt: bool) -> list[RunRequest]:
        wanted_keys = {key for key in map(usable_trial_key, wanted) if key is not None}
        keys = self._keys(str(trials.name), wanted_keys)
        missing = wanted_keys - self._covered(asset, TRIAL, keys)
        return [
            self._range(
                asset,
                TrialPartition(self._period, trial_of(one.first)).key,
                TrialPartition(self._period, trial_of(one.last)).key,
                prompt,
            )
            for one in contiguous_ranges(keys, missing, self._scope.settings.range_size)
        ]

    def _keys(self, name: str, wanted: Iterable[str]) -> Sequence[str]:
        """The partition keys of a dimension, with what is newer than `subscription_sync`'s last look."""
        keys = self._instance.get_dynamic_partitions(name)
        if set(wanted).issubset(keys):
            return keys
        synchronize(self._database, self._instance)
        return self._instance.get_dynamic_partitions(name)

    def _range(
        self, asset: str, first: MultiPartitionKey, last: MultiPartitionKey, prompt: bool = False
    ) -> RunRequest:
        cadence = self._scope.cadence
        return range_request(
            job_name(cadence, asset),
            first,
            last,
            stage_tags(self.edition, STAGE_OF[asset], prompt, self._trace),
            op_name(cadence, asset),
            force=self._stale_before is not None,
        )

    def _runs_under_way(self) -> list[RunRecord]:
        filters = RunsFilter(tags={EDITION: self.edition}, statuses=UNDER_WAY)
        return list(self._instance.get_run_records(filters))

    def _covered(self, asset: str, dimension: str, ordered_keys: Sequence[str]) -> set[str]:
        """The keys of `dimension` that a run under way is working on."""
        position = {key: number for number, key in enumerate(ordered_keys)}
        covered: set[str] = set()
        for record in self._under_way:
            run = record.dagster_run
            if run.job_name != job_name(self._scope.cadence, asset) or RANGE_START not in run.tags:
                continue
            first, last = (_dimension(run.tags[tag], dimension) for tag in (RANGE_START, RANGE_END))
            if first in position and last in position:
                covered.update(ordered_keys[position[first] : position[last] + 1])
        return covered


def _is_of(result: AssetResult | None, documents: AssetResult) -> bool:
    """Whether `result` was made, or failed, from the documents as they stand."""
    return result is not None and result.input_version.startswith(f"{documents.version}/")


def _dimension(key: str, dimension: str) -> str:
    """One dimension of a multi-partition key as it stands in a tag; PERIOD sorts before the others."""
    period, item = key.split("|", 1)
    return period if dimension == PERIOD else item
