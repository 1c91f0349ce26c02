"""What the assets of one cadence have in common: names, partitions, owners, tags."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from dagster import (
    AssetExecutionContext,
    AssetKey,
    BackfillPolicy,
    Config,
    DagsterType,
    MultiPartitionsDefinition,
    Nothing,
)
from pydantic import Field

from reporting_pipeline import partitions
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.partitions import SubscriptionPartition, TrialPartition
from reporting_pipeline.settings import Settings

#: Stages, in the order of an edition. Each is a queue of its own that can be scaled alone.
FETCH, AGGREGATE, RENDER, NOTIFY = "fetch", "aggregate", "render", "notify"

DOCUMENTS, TRIAL_DATASET, TRIAL_MEDIA = "documents", "trial_dataset", "trial_media"
TRIAL_STATUS = "trial_status"
SUBSCRIBER_REPORTS, REPORT_EMAILS = "subscriber_reports", "report_emails"

#: Assets keep their own files, so no IO manager may touch their outputs.
NO_VALUE = cast(DagsterType, Nothing)

OWNERS = ["team:clinical-reporting"]


class BatchConfig(Config):
    """How a run treats partitions that are already done."""

    force: bool = Field(
        default=False, description="Make every partition again, also where its inputs have not changed."
    )


@dataclass(frozen=True)
class Scope:
    """One cadence in one deployment."""

    cadence: Cadence
    settings: Settings
    now: datetime  # when the definitions were built; decides the oldest period shown

    def key(self, name: str) -> AssetKey:
        return AssetKey([self.cadence.value, name])

    def name(self, name: str) -> str:
        """The asset as `asset_results` names it."""
        return self.key(name).to_user_string()

    @property
    def group(self) -> str:
        return self.cadence.value

    @property
    def by_trial(self) -> MultiPartitionsDefinition:
        return partitions.by_trial(self.cadence, self.settings, self.now)

    @property
    def by_subscription(self) -> MultiPartitionsDefinition:
        return partitions.by_subscription(self.cadence, self.settings, self.now)

    def batch_asset(
        self,
        name: str,
        partitions_def: MultiPartitionsDefinition,
        stage: str,
        kinds: set[str],
        code_version: str,
        description: str,
    ) -> dict[str, Any]:
        """The arguments of `@asset` that every asset made in batches has."""
        return {
            "key": self.key(name),
            "partitions_def": partitions_def,
            "backfill_policy": BackfillPolicy.single_run(),
            "output_required": False,
            "dagster_type": NO_VALUE,
            "group_name": self.group,
            "owners": OWNERS,
            "pool": stage,
            "kinds": kinds,
            "code_version": code_version,
            "description": description,
        }

    def trial_partitions(self, context: AssetExecutionContext) -> Sequence[TrialPartition]:
        return [
            TrialPartition.parse(key, self.cadence, self.settings.timezone) for key in context.partition_keys
        ]

    def subscription_partitions(self, context: AssetExecutionContext) -> Sequence[SubscriptionPartition]:
        return [
            SubscriptionPartition.parse(key, self.cadence, self.settings.timezone)
            for key in context.partition_keys
        ]
