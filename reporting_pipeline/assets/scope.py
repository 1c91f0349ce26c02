"""What the assets of one cadence have in common: names, partitions, owners, tags."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict, cast

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

from reporting_pipeline import __version__, partitions
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.partitions import SubscriptionPartition, TrialPartition, checked_id
from reporting_pipeline.settings import Settings

#: Stages, in the order of an edition. Each is a queue of its own that can be scaled alone.
FETCH, AGGREGATE, RENDER, NOTIFY = "fetch", "aggregate", "render", "notify"

DOCUMENTS, TRIAL_DATASET, TRIAL_MEDIA = "documents", "trial_dataset", "trial_media"
TRIAL_STATUS = "trial_status"
#: The report types that stand on `trial_status` (`needs_status`), by name: sensors ask at each tick, and the
#: types themselves bring pandas and what draws.
NEED_STATUS = frozenset({"medical_review", "my_participation", "site_report", "trial_conduct"})
SUBSCRIBER_REPORTS, REPORT_EMAILS = "subscriber_reports", "report_emails"
EDITION = "edition"

#: Raise it when reports look or count differently: every report is then made again when asked for.
REPORT_CODE_VERSION = "10"
#: What a report notes of the product that made it.
PRODUCT = f"{__version__}/{REPORT_CODE_VERSION}"

#: Assets keep their own files, so no IO manager may touch their outputs.
NO_VALUE = cast(DagsterType, Nothing)

OWNERS = ["team:clinical-reporting"]


class BatchConfig(Config):
    """How a run treats partitions that are already done."""

    force: bool = Field(
        default=False, description="Make every partition again, also where its inputs have not changed."
    )


class ReportsConfig(BatchConfig):
    """Which reports a run makes: those of its partitions, or those that are named here.

    What people ask for lies scattered over the keys of a period, where a range would be a run for each.
    """

    subscriptions: list[str] = Field(
        default_factory=list,
        description=(
            "Make and deliver the reports of these alone, in the period of the run's partition: what people "
            "asked for. Empty: make those of the run's partitions, and leave delivering to its sensor."
        ),
    )


class BatchAsset(TypedDict):
    """What `@asset` is told of every asset that is made in batches."""

    key: AssetKey
    partitions_def: MultiPartitionsDefinition
    backfill_policy: BackfillPolicy
    output_required: bool
    dagster_type: DagsterType
    group_name: str
    owners: Sequence[str]
    pool: str
    kinds: set[str]
    code_version: str
    description: str


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
    ) -> BatchAsset:
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

    def subscription_partitions(
        self, context: AssetExecutionContext, config: ReportsConfig
    ) -> Sequence[SubscriptionPartition]:
        """Those that the configuration names, else the run's own."""
        own = [
            SubscriptionPartition.parse(key, self.cadence, self.settings.timezone)
            for key in context.partition_keys
        ]
        named = dict.fromkeys(checked_id(one, "subscription") for one in config.subscriptions)
        return [SubscriptionPartition(own[0].period, one) for one in named] if named else own
