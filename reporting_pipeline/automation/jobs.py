"""One job per stage and cadence, so that each can be queued, scaled and watched alone."""

from collections.abc import Mapping

from dagster import AssetSelection, define_asset_job
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from reporting_pipeline.assets.scope import (
    AGGREGATE,
    DOCUMENTS,
    FETCH,
    RENDER,
    SUBSCRIBER_REPORTS,
    TRIAL_DATASET,
    TRIAL_MEDIA,
    TRIAL_STATUS,
    Scope,
)
from reporting_pipeline.domain.periods import Cadence

#: asset -> the stage whose queue its runs wait in
STAGE_OF: Mapping[str, str] = {
    DOCUMENTS: FETCH,
    TRIAL_DATASET: AGGREGATE,
    TRIAL_MEDIA: AGGREGATE,
    TRIAL_STATUS: AGGREGATE,
    SUBSCRIBER_REPORTS: RENDER,
}


def job_name(cadence: Cadence, asset: str) -> str:
    return f"{cadence}_{asset}_job"


def op_name(cadence: Cadence, asset: str) -> str:
    """The op that Dagster makes for an asset: its key's parts joined by two underscores."""
    return f"{cadence}__{asset}"


def delivery_job_name(cadence: Cadence) -> str:
    return f"{cadence}_delivery_job"


def stage_jobs(scope: Scope) -> list[UnresolvedAssetJobDefinition]:
    """The asset jobs of one cadence."""
    return [
        define_asset_job(
            name=job_name(scope.cadence, asset),
            selection=AssetSelection.assets(scope.key(asset)),
            description=f"The {scope.cadence} {asset.replace('_', ' ')} over a range of partitions.",
            tags={"dagster-celery/queue": stage},
        )
        for asset, stage in STAGE_OF.items()
    ]
