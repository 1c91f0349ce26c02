"""Where the parts of a dataset lie in S3; `stores.datasets` writes and reads them."""

from __future__ import annotations

from reporting_pipeline.domain.periods import Period
from reporting_pipeline.domain.trial_keys import trial_key

MANIFEST = "dataset.json"


def dataset_prefix(period: Period, trial: str, version: str) -> str:
    return f"datasets/{period.cadence}/{period.key}/{trial_key(trial)}/{version}"
