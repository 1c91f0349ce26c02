"""The daily upkeep: retention, as a job that a person can try dry in the UI, and its schedule."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from dagster import (
    Config,
    DefaultScheduleStatus,
    ExpectationResult,
    Failure,
    JobDefinition,
    MetadataValue,
    OpExecutionContext,
    Out,
    Output,
    RunRequest,
    ScheduleDefinition,
    TableColumn,
    TableRecord,
    TableSchema,
    job,
    op,
)
from pydantic import Field

from reporting_pipeline.operations.retention.run import RetentionReport, retain
from reporting_pipeline.resources import MongoResource, ObjectStoreResource
from reporting_pipeline.settings import Settings

RETENTION_JOB = "retention_job"
#: At night by the deployment's clock, after the daily edition.
RETENTION_CRON = "40 3 * * *"
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
        out=Out(is_required=False),
        description="Every kind in bounded batches; a kind that fails is named and stops no other.",
    )
    def retain_op(
        context: OpExecutionContext,
        config: RetentionConfig,
        mongo: MongoResource,
        objects: ObjectStoreResource,
    ) -> Iterator[Any]:
        report = retain(
            mongo.database(),
            objects.store(),
            settings,
            datetime.now(UTC),
            dry_run=config.dry_run,
            instance=context.instance,
            only=config.only,
        )
        for one in report.removed:
            context.log.info(f"{one.kind}: {one.as_record()}")
        yield ExpectationResult(
            success=not report.failed,
            label="retention",
            description="A dry run: nothing was deleted." if report.dry_run else "What was deleted.",
            metadata={"kinds": _table(report)},
        )
        if report.failed:
            raise Failure("; ".join(f"{one.kind}: {one.error}" for one in report.failed), allow_retries=False)
        yield Output(None)

    @job(
        name=RETENTION_JOB,
        description="Deletes what is past its time in MongoDB, S3, on this machine and in Dagster's storage.",
        tags=UPKEEP_TAGS,
    )
    def retention() -> None:
        retain_op()

    return retention


def retention_schedule(settings: Settings, job: JobDefinition) -> ScheduleDefinition:
    return ScheduleDefinition(
        name="retention_schedule",
        job=job,
        cron_schedule=RETENTION_CRON,
        execution_timezone=settings.timezone,
        default_status=DefaultScheduleStatus.RUNNING,
        description="Once a night: what is past its time is deleted.",
        execution_fn=lambda context: RunRequest(run_key=context.scheduled_execution_time.date().isoformat()),
    )


def _table(report: RetentionReport) -> MetadataValue[Any]:
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
