"""`subscriber_reports`: one report per subscription and period, rendered, stored, ready to be sent.

A report is made from trial datasets alone. A trial whose dataset failed fails the reports that need
it, with that reason, and no others. Rights are looked at here again: a subscription whose owner may
no longer read a trial is skipped.

A run for what people asked for is told whose reports to make, and delivers them itself.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetDep,
    AssetExecutionContext,
    AssetsDefinition,
    DimensionPartitionMapping,
    IdentityPartitionMapping,
    MultiPartitionMapping,
    asset,
)

from reporting_pipeline.assets.batch import (
    Batch,
    StageTimes,
    finish,
    run_batch,
)
from reporting_pipeline.assets.edition_checks import judge_reports, report_check_specs
from reporting_pipeline.assets.emails import deliver_what_was_asked_for
from reporting_pipeline.assets.scope import (
    RENDER,
    REPORT_CODE_VERSION,
    SUBSCRIBER_REPORTS,
    TRIAL_DATASET,
    TRIAL_MEDIA,
    TRIAL_STATUS,
    ReportsConfig,
    Scope,
)
from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline.partitions import PERIOD, SubscriptionPartition
from reporting_pipeline.resources import MongoResource, ObjectStoreResource
from reporting_pipeline.stores.results import AssetResult

REPORT_OPENS = "report_opens"


def subscriber_reports_asset(scope: Scope) -> AssetsDefinition:
    """The `subscriber_reports` asset of one cadence: period x subscription."""

    # The default mapping between period x trial and period x subscription yields nothing, silently:
    # a report stands on every trial of its own period.
    same_period = MultiPartitionMapping(
        {PERIOD: DimensionPartitionMapping(PERIOD, IdentityPartitionMapping())}
    )

    @asset(
        **scope.batch_asset(
            SUBSCRIBER_REPORTS,
            scope.by_subscription,
            RENDER,
            kinds={"reportlab", "pdf", "s3"},
            code_version=REPORT_CODE_VERSION,
            description=(
                f"One report per subscription for one {scope.cadence.noun}: PDF, CSV or XLSX, filtered as "
                "the subscription says, encrypted in S3. Its metadata holds the SHA-256, the pages and the "
                "versions of everything it was made from."
            ),
        ),
        deps=[
            AssetDep(scope.key(TRIAL_DATASET), partition_mapping=same_period),
            AssetDep(scope.key(TRIAL_MEDIA), partition_mapping=same_period),
            AssetDep(scope.key(TRIAL_STATUS), partition_mapping=same_period),
        ],
        check_specs=[
            AssetCheckSpec(
                REPORT_OPENS,
                asset=scope.key(SUBSCRIBER_REPORTS),
                blocking=True,
                description="Every report has content, and every PDF at least one page.",
            ),
            *report_check_specs(scope),
        ],
    )
    def subscriber_reports(
        context: AssetExecutionContext,
        config: ReportsConfig,
        mongo: MongoResource,
        objects: ObjectStoreResource,
    ) -> Iterator[Any]:
        # Here, as Dagster loads this module into every process and only this one needs the renderers.
        from reporting_pipeline.assets.report_batch import ReportBatch

        database, store = mongo.database(), objects.store()
        partitions = scope.subscription_partitions(context, config)
        times, inputs_at = StageTimes(), datetime.now(UTC)
        with times.on("inputs"):
            reports = ReportBatch.open(database, store, scope, partitions, context.run.run_id, times)
        batch = Batch[SubscriptionPartition](
            asset_key=scope.key(SUBSCRIBER_REPORTS),
            stage=RENDER,
            item_of=lambda partition: partition.subscription,
            input_version=reports.input_version,
            make=reports.make,
            begin=reports.begin,
            after_flush=reports.record,
            times=times,
            inputs_at=inputs_at,
        )
        with reports:
            outcome = run_batch(
                context,
                database,
                batch,
                reports.in_body_order(partitions),
                config.force,
                scope.settings.heartbeat_seconds,
            )
        if config.subscriptions:
            deliver_what_was_asked_for(context, database, store, scope, partitions)
        hollow = [result.item for result in outcome.done if not _has_content(result)]
        yield AssetCheckResult(
            check_name=REPORT_OPENS,
            passed=not hollow,
            severity=AssetCheckSeverity.ERROR,
            metadata={"reports": len(outcome.done), "without content": len(hollow)},
        )
        periods = {partition.period.key for partition in partitions}
        yield from judge_reports(database, scope, periods, len(outcome.failed), datetime.now(UTC))
        yield from finish(context, outcome)

    return subscriber_reports


def _has_content(result: AssetResult) -> bool:
    """A PDF has pages; CSV and XLSX have none, only bytes."""
    detail = result.detail
    return bool(detail["size"] > 0 and (detail["pages"] >= 1 or detail["format"] != Format.PDF.value))
