"""All samples of one organisation: two trials with their files, as far as they have arrived."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from reporting_pipeline.samples import cdisc_pilot, synthetic_trial
from reporting_pipeline.stores.documents import Ingested
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore

Progress = Callable[[str, int], None]  # trial, documents looked at so far


@dataclass(frozen=True)
class Loaded:
    """What a load did, by trial."""

    trials: dict[str, Ingested]

    @property
    def created(self) -> int:
        return sum(len(one.created) for one in self.trials.values())

    @property
    def changed(self) -> int:
        return sum(len(one.changed) for one in self.trials.values())


def load_samples(
    database: Database,
    objects: ObjectStore,
    *,
    organisation: str = "default",
    timezone: str = "UTC",
    now: datetime,
    progress: Progress = lambda trial, done: None,
) -> Loaded:
    """Take in both trials as they stand at `now`. A second call at the same time adds nothing; a later
    one adds exactly what has arrived since.

    Raises DocumentInvalid or TrialInvalid when another organisation has the trials already.
    """
    return Loaded(
        {
            trial.TRIAL: trial.load(
                database,
                objects,
                organisation=organisation,
                timezone=timezone,
                now=now,
                progress=lambda done, name=trial.TRIAL: progress(name, done),
            )
            for trial in (cdisc_pilot, synthetic_trial)
        }
    )
