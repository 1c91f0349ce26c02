"""The trials under the reports of one run: which are usable, and their datasets, read once and kept."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from reporting_pipeline.assets.batch import (
    PartitionFailed,
)
from reporting_pipeline.assets.scope import (
    DOCUMENTS,
    TRIAL_DATASET,
    TRIAL_MEDIA,
    TRIAL_STATUS,
    Scope,
)
from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.disclosure import restricted
from reporting_pipeline.domain.participation import TrialProgress, progress_of
from reporting_pipeline.domain.periods import Period
from reporting_pipeline.domain.trial_keys import usable_trial_key
from reporting_pipeline.domain.trial_so_far import Medians, site_measures, site_medians
from reporting_pipeline.stores.datasets import load_dataset
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectMissing, ObjectStore
from reporting_pipeline.stores.results import AssetResult, forget_result, results_of

#: Datasets kept in memory at a time; partitions are worked in the order of their trials.
DATASETS_KEPT = 8
#: Marks the key of a period when the trial so far is meant.
_SO_FAR = "/so far"


class TrialsOfRun:
    """The trials under the reports of one run: what became of each stage, by (period key, trial)."""

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        scope: Scope,
        periods: Sequence[str],
        trials: Sequence[str],
    ) -> None:
        self._database = database
        self._objects = objects
        self._max_attempts = scope.settings.max_attempts
        self.documents = _results(database, scope.name(DOCUMENTS), periods, trials)
        self.datasets = _results(database, scope.name(TRIAL_DATASET), periods, trials)
        self.media = _results(database, scope.name(TRIAL_MEDIA), periods, trials)
        self.statuses = _results(database, scope.name(TRIAL_STATUS), periods, trials)
        self._known_measures: dict[tuple[str, str], Mapping[str, Mapping[str, float]]] = {}
        self._known_progress: dict[tuple[str, str], TrialProgress] = {}
        self.load = lru_cache(maxsize=DATASETS_KEPT)(self._load_dataset)

    def load_so_far(
        self, period: str, trial: str, sites: tuple[str, ...] | None, subject: str
    ) -> TrialDataset:
        """The trial so far, with the rows the reader may see."""
        return self.load(f"{period}{_SO_FAR}", trial, sites, subject)

    def _load_dataset(
        self,
        period: str,
        trial: str,
        sites: tuple[str, ...] | None,
        subject: str,
        deferrable: frozenset[str] = frozenset(),
    ) -> TrialDataset:
        """The dataset with the rows the reader may see, and no others; `deferrable`: of tables that may
        stay on disk, those that are very large do.

        What the store no longer has is forgotten here, so that the next look asks for it again.
        """
        if sites is not None or subject:
            return restricted(self.load(period, trial, None, "", deferrable), sites, subject)
        if period.endswith(_SO_FAR):
            return self._load_status(period.removesuffix(_SO_FAR), trial)
        dataset, media = self.datasets[period, trial], self.media[period, trial]
        try:
            return load_dataset(self._objects, dataset.detail["prefix"], media.detail["key"], deferrable)
        except ObjectMissing as gone:
            for one in (dataset, media):
                forget_result(self._database, one.asset, one.period, one.item)
            raise PartitionFailed(
                f"{gone.args[0]} of trial {trial} is gone from the store; it is made again", permanent=False
            ) from None

    def _load_status(self, period: str, trial: str) -> TrialDataset:
        status = self.statuses[period, trial]
        try:
            return load_dataset(self._objects, status.detail["prefix"])
        except ObjectMissing as gone:
            forget_result(self._database, status.asset, status.period, status.item)
            raise PartitionFailed(
                f"{gone.args[0]} of trial {trial} is gone from the store; it is made again", permanent=False
            ) from None

    def medians(self, period: Period, trial: str, seen: tuple[str, ...] | None) -> Medians:
        """Over all sites of the trial, as far as they may be told to somebody who knows the sites `seen`."""
        if (period.key, trial) not in self._known_measures:
            whole = self.load_so_far(period.key, trial, None, "")
            self._known_measures[period.key, trial] = site_measures(whole, period.last_day)
        return site_medians(self._known_measures[period.key, trial], seen)

    def progress(self, period: Period, trial: str) -> TrialProgress:
        """The whole trial's totals, as far as somebody who takes part may know them."""
        if (period.key, trial) not in self._known_progress:
            self._known_progress[period.key, trial] = progress_of(
                self.load_so_far(period.key, trial, None, "")
            )
        return self._known_progress[period.key, trial]

    def trouble(self, period: str, trial: str, so_far: bool = False) -> str | None:
        """Why a trial cannot be used, for good; None when it can. Raises while that is not known."""
        if usable_trial_key(trial) is None:
            return "its id makes too long a key for a partition; give the trial a shorter id"
        stages = [(self.documents, "documents"), (self.datasets, "dataset"), (self.media, "media")]
        if so_far:
            stages.append((self.statuses, "status"))
        for results, what in stages:
            result = results.get((period, trial))
            if result is None:
                raise PartitionFailed(f"the {what} of trial {trial} is not materialized yet", permanent=False)
            if result.done:
                continue
            reason = f"the {what} of trial {trial} failed: {result.reason}"
            if not result.permanent and result.attempts < self._max_attempts:
                raise PartitionFailed(reason, permanent=False)
            return reason
        return None


def _results(
    database: Database, asset: str, periods: Sequence[str], trials: Sequence[str]
) -> dict[tuple[str, str], AssetResult]:
    return {
        (period, trial): result
        for period in periods
        for trial, result in results_of(database, asset, period, trials).items()
    }
