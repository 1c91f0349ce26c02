"""The assets of one cadence, from one factory: weekly, daily and monthly are the same code.

MongoDB documents, S3 files
  -> documents            period x trial
    -> trial_dataset      period x trial
    -> trial_media        period x trial
    -> trial_status       period x trial, where a report stands on the trial so far
      -> subscriber_reports   period x subscription
        -> report_emails      period x subscription, external
        -> edition            one a cadence, external: with the deadline
"""

from dagster import AssetsDefinition, AssetSpec

from reporting_pipeline.assets.datasets import trial_dataset_asset
from reporting_pipeline.assets.documents import documents_asset
from reporting_pipeline.assets.edition_marker import edition_spec
from reporting_pipeline.assets.emails import report_emails_spec
from reporting_pipeline.assets.media import trial_media_asset
from reporting_pipeline.assets.reports import subscriber_reports_asset
from reporting_pipeline.assets.scope import OWNERS, Scope
from reporting_pipeline.assets.status import trial_status_asset


def source_assets() -> list[AssetSpec]:
    """Where the data begins: kept by others, so they stand in the lineage as external assets."""
    return [
        AssetSpec(
            "mongodb_documents",
            group_name="sources",
            owners=OWNERS,
            kinds={"mongodb"},
            description=(
                "The collection `documents`: one record per trial document, with or without a file. "
                "Its `received_at` decides the period."
            ),
        ),
        AssetSpec(
            "s3_files",
            group_name="sources",
            owners=OWNERS,
            kinds={"s3"},
            description="The files that document records name by key, size and SHA-256.",
        ),
    ]


def edition_assets(scope: Scope) -> list[AssetsDefinition | AssetSpec]:
    """Every asset of one cadence."""
    return [
        documents_asset(scope),
        trial_dataset_asset(scope),
        trial_media_asset(scope),
        trial_status_asset(scope),
        subscriber_reports_asset(scope),
        report_emails_spec(scope),
        edition_spec(scope),
    ]
