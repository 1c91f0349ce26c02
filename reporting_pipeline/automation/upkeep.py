"""The nightly upkeep: reconciliation, retention and confirmations, as jobs."""

from typing import TYPE_CHECKING, Any

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetKey,
    AssetSelection,
    Config,
    DefaultScheduleStatus,
    Failure,
    JobDefinition,
    MetadataValue,
    OpExecutionContext,
    Output,
    RunRequest,
    ScheduleDefinition,
    TableColumn,
    TableRecord,
    TableSchema,
    asset_check,
    define_asset_job,
    job,
    op,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from pydantic import Field

from reporting_pipeline.resources import MongoResource, ObjectStoreResource
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import server_time

if TYPE_CHECKING:
    from reporting_pipeline.operations.reconciliation.findings import Findings
    from reporting_pipeline.operations.retention.run import RetentionReport

# What a job does is imported where it does it: Dagster loads this module into the process of every run.

RETENTION_JOB = "retention_job"
CONFIRMATION_JOB = "confirmation_job"
RECONCILIATION_JOB = "reconciliation_job"
RECORDS_AND_BUCKET_AGREE = "records_and_bucket_agree"
#: At night by the deployment's clock, after the daily edition.
RETENTION_CRON = "40 3 * * *"
#: When people begin to work.
CONFIRMATION_CRON = "20 8 * * *"
#: Before retention: an orphan that is named again loses its tag first.
RECONCILIATION_CRON = "40 2 * * *"
#: Upkeep waits behind every edition, and its runs have a queue where queues are used.
UPKEEP_TAGS = {"dagster-celery/queue": "aggregate", "dagster/priority": "-10", "dagster/max_runtime": "14400"}


class RetentionConfig(Config):
    """What one retention does."""

    dry_run: bool = Field(default=False, description="Only say what would be deleted.")
    only: list[str] = Field(default=[], description="Kinds to look at, such as reports; empty: all.")


def retention_job(settings: Settings) -> JobDefinition:
    """Deletes what is past its time. With `dry_run: true` in the launchpad it only says what it would."""

    @op(
        name="retain",
        description="Every kind in bounded batches; a kind that fails is named and stops no other.",
    )
    def retain_op(
        context: OpExecutionContext,
        config: RetentionConfig,
        mongo: MongoResource,
        objects: ObjectStoreResource,
    ) -> Output[None]:
        from reporting_pipeline.operations.retention.run import retain
        from reporting_pipeline.usecases.keeping import SCHEDULE, note_deleted

        database = mongo.database()
        report = retain(
            database,
            objects.store(),
            settings,
            server_time(database),
            dry_run=config.dry_run,
            instance=context.instance,
            only=config.only,
        )
        if not report.dry_run:
            home = settings.organisation
            note_deleted(database, report.deleted, SCHEDULE, home, report.at)
        for one in report.removed:
            context.log.info(f"{one.kind}: {one.as_record()}")
        deleted = f"{sum(one.records for one in report.removed):,} records"
        metadata: dict[str, Any] = {
            "kinds": _table(report),
            "deleted": "nothing: a dry run" if report.dry_run else deleted,
        }
        if report.failed:
            raise Failure(
                "; ".join(f"{one.kind}: {one.error}" for one in report.failed), metadata, allow_retries=False
            )
        return Output(None, metadata=metadata)

    @job(
        name=RETENTION_JOB,
        description="Deletes what is past its time in MongoDB, S3, on this machine and in Dagster's storage.",
        tags=UPKEEP_TAGS,
    )
    def retention() -> None:
        retain_op()

    return retention


def confirmation_job(settings: Settings) -> JobDefinition:
    """Asks owners who still needs their reports, where their organisation wants it."""

    @op(name="ask_and_pause", description="Asks, and pauses with notice what nobody confirmed in time.")
    def ask_op(context: OpExecutionContext, mongo: MongoResource) -> Output[None]:
        from reporting_pipeline.delivery.channels.deliverer import open_deliverer
        from reporting_pipeline.delivery.notices.confirmations import ask_and_pause

        database = mongo.database()
        found = ask_and_pause(open_deliverer(settings), database, settings, server_time(database))
        if found.nobody_to_tell:
            context.log.warning(f"nobody could be told of {', '.join(found.nobody_to_tell[:20])}")
        return Output(
            None,
            metadata={
                "asked": found.asked,
                "paused": found.paused,
                "nobody to tell": len(found.nobody_to_tell),
            },
        )

    @job(
        name=CONFIRMATION_JOB,
        description="Asks owners who still needs their reports; what nobody confirms is paused with notice.",
        tags=UPKEEP_TAGS,
    )
    def confirmation() -> None:
        ask_op()

    return confirmation


class ReconciliationConfig(Config):
    """What one reconciliation does."""

    mending: bool = Field(
        default=True, description="Tag orphans, forget what can be made again, raise alerts."
    )
    inventory: str = Field(default="", description="An S3 inventory's manifest.json instead of a listing.")
    hashes: bool = Field(default=False, description="Compare SHA-256, too: a request for each object.")


def reconciliation_check(settings: Settings) -> AssetChecksDefinition:
    """Holds records and bucket against each other. With `mending: false` it only says what differs."""

    @asset_check(
        asset=AssetKey("s3_files"),
        name=RECORDS_AND_BUCKET_AGREE,
        description=(
            "Every object that a record names is there, and every object is named. What differs and can be "
            "made again is mended; a person is asked, by an alert, for what cannot be."
        ),
    )
    def reconciled(
        context: AssetCheckExecutionContext,
        config: ReconciliationConfig,
        mongo: MongoResource,
        objects: ObjectStoreResource,
    ) -> AssetCheckResult:
        from reporting_pipeline.operations.reconciliation.run import reconcile
        from reporting_pipeline.usecases.keeping import SCHEDULE, note_mended

        database = mongo.database()
        findings = reconcile(
            database,
            objects.store(),
            server_time(database),
            mending=config.mending,
            inventory=config.inventory,
            hashes=config.hashes,
        )
        if config.mending:
            home, mended = settings.organisation, findings.mended.total()
            note_mended(database, mended, SCHEDULE, home, findings.at)
        context.log.info(f"{findings.names} names, {findings.objects} objects; left: {dict(findings.left)}")
        return AssetCheckResult(
            passed=not findings.for_a_person,
            severity=AssetCheckSeverity.ERROR,
            metadata={"found": _differences(findings), "names": findings.names, "objects": findings.objects},
        )

    return reconciled


def reconciliation_job(check: AssetChecksDefinition) -> UnresolvedAssetJobDefinition:
    return define_asset_job(
        RECONCILIATION_JOB,
        selection=AssetSelection.checks(check),
        description="Holds what records name against what the bucket holds, and mends what is safe.",
        tags=UPKEEP_TAGS,
    )


def upkeep_schedules(
    settings: Settings,
    retention: JobDefinition,
    reconciliation: UnresolvedAssetJobDefinition,
    confirmation: JobDefinition,
) -> list[ScheduleDefinition]:
    """Each once a night; people are asked in the morning."""
    return [
        _nightly(
            "confirmation_schedule",
            confirmation,
            CONFIRMATION_CRON,
            "Once a day: who still needs a report is asked, where an organisation wants it.",
            settings,
        ),
        _nightly(
            "reconciliation_schedule",
            reconciliation,
            RECONCILIATION_CRON,
            "Once a night: records and bucket are held against each other.",
            settings,
        ),
        _nightly(
            "retention_schedule",
            retention,
            RETENTION_CRON,
            "Once a night: what is past its time is deleted.",
            settings,
        ),
    ]


def _nightly(
    name: str,
    job: JobDefinition | UnresolvedAssetJobDefinition,
    cron: str,
    description: str,
    settings: Settings,
) -> ScheduleDefinition:
    return ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone=settings.timezone,
        default_status=DefaultScheduleStatus.RUNNING,
        description=description,
        execution_fn=lambda context: RunRequest(run_key=context.scheduled_execution_time.date().isoformat()),
    )


def _differences(findings: "Findings") -> MetadataValue[Any]:
    columns = ["kind", "of", "found", "mended", "examples"]
    rows = [
        TableRecord(
            {
                "kind": group[0],
                "of": group[1],
                "found": str(count),
                "mended": str(findings.mended[group]),
                "examples": ", ".join(one.record or one.key for one in findings.examples[group][:10]),
            }
        )
        for group, count in sorted(findings.found.items())
    ]
    schema = TableSchema([TableColumn(name) for name in columns])
    return MetadataValue.table(records=rows, schema=schema)


def _table(report: "RetentionReport") -> MetadataValue[Any]:
    columns = ["kind", "records", "objects", "files", "bytes", "kept", "error"]
    rows = [
        TableRecord({name: _cell(value) for name, value in one.as_record().items()}) for one in report.removed
    ]
    schema = TableSchema([TableColumn(name) for name in columns])
    return MetadataValue.table(records=rows, schema=schema)


def _cell(value: object) -> str | int:
    if isinstance(value, dict):
        return ", ".join(f"{count} {reason}" for reason, count in sorted(value.items()))
    return value if isinstance(value, int) else str(value)
