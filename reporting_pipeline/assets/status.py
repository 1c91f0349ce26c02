"""`trial_status`: a trial's tables from its first document to the end of the period.

Made from every document that had arrived, as it stands: corrections and late documents are in it, and what
was withdrawn is not. It is derived anew and never carried on from the period before, so one that is made
again for any period is the same to the byte as long as the documents are
(docs/decisions/0008-trial-so-far-is-derived.md). Made only where a report of the period stands on it.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from dagster import AssetExecutionContext, AssetsDefinition, MetadataValue, asset

from reporting_pipeline import __version__
from reporting_pipeline.assets.batch import Batch, Made, PartitionFailed, finish, run_batch
from reporting_pipeline.assets.datasets import snapshots_of, upstream
from reporting_pipeline.assets.scope import AGGREGATE, DOCUMENTS, TRIAL_STATUS, BatchConfig, Scope
from reporting_pipeline.partitions import TrialPartition
from reporting_pipeline.resources import MongoResource, ObjectStoreResource
from reporting_pipeline.stores.documents import documents_of, newest_update, trial_record
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.results import AssetResult
from reporting_pipeline.stores.snapshots import StoredRecords

#: Raise it when the tables or the rules change: every status is then made again.
CODE_VERSION = "7"
FIRST = datetime(1900, 1, 1, tzinfo=UTC)


def trial_status_asset(scope: Scope) -> AssetsDefinition:
    """The `trial_status` asset of one cadence: period x trial."""

    @asset(
        **scope.batch_asset(
            TRIAL_STATUS,
            scope.by_trial,
            AGGREGATE,
            kinds={"pandas", "parquet", "s3"},
            code_version=CODE_VERSION,
            description=(
                f"One trial so far, at the end of one {scope.cadence.noun}: the tables of all its documents, "
                "corrections and late ones included. Who was enrolled and exposed, first and worst results, "
                "open events come from it. Made where a report stands on it."
            ),
        ),
        deps=[scope.key(DOCUMENTS)],
    )
    def trial_status(
        context: AssetExecutionContext,
        config: BatchConfig,
        mongo: MongoResource,
        objects: ObjectStoreResource,
    ) -> Iterator[Any]:
        database, store = mongo.database(), objects.store()
        partitions = scope.trial_partitions(context)
        snapshots = snapshots_of(database, scope, partitions)
        batch = Batch[TrialPartition](
            asset_key=scope.key(TRIAL_STATUS),
            stage=AGGREGATE,
            item_of=lambda partition: partition.trial,
            input_version=lambda partition: status_fingerprint(database, partition, snapshots),
            make=lambda partition: _derive(database, store, partition),
        )
        outcome = run_batch(
            context, database, batch, partitions, config.force, scope.settings.heartbeat_seconds
        )
        yield from finish(context, outcome)

    return trial_status


def status_fingerprint(
    database: Database, partition: TrialPartition, snapshots: Mapping[tuple[str, str], AssetResult]
) -> str:
    """Changes with the period's snapshot and with any document that had arrived by the period's end."""
    count, updated_at = newest_update(database, partition.trial, FIRST, partition.period.end_at)
    newest = updated_at.isoformat() if isinstance(updated_at, datetime) else str(updated_at or "none")[:100]
    return f"{upstream(snapshots, partition).version}/{count}@{newest}/{CODE_VERSION}"


def _derive(database: Database, objects: ObjectStore, partition: TrialPartition) -> Made:
    # Here, as Dagster loads this module into every process and only this one needs pandas.
    from reporting_pipeline.domain.datasets import TrialDataset
    from reporting_pipeline.domain.tidying import tidy_in_order
    from reporting_pipeline.stores.datasets import save_dataset
    from reporting_pipeline.stores.rows_on_disk import RowsOnDisk

    period = partition.period
    trial = trial_record(database, partition.trial)
    if trial is None:
        raise PartitionFailed(f"trial {partition.trial} has no record in the collection trials")
    records = StoredRecords.of(documents_of(database, partition.trial, FIRST, period.end_at))
    content = hashlib.sha256(f"{CODE_VERSION}/{period.key}/{period.timezone}".encode())
    for piece in records.encoded():
        content.update(piece)
    written = (one for record in records if isinstance(one := record.get("updated_at"), datetime))
    data_as_of = max(written, default=period.end_at)
    tidied = tidy_in_order(records, {}, period, so_far=True, put_aside=RowsOnDisk)
    status = TrialDataset(
        trial=partition.trial,
        title=str(trial.get("title", partition.trial)),
        period=period,
        tables=tidied.tables,
        version=f"status-{content.hexdigest()[:16]}",
        data_as_of=data_as_of,
        deferred=tidied.aside,
    )
    prefix = save_dataset(objects, status)
    rows = status.rows
    return Made(
        version=status.version,
        detail={"prefix": prefix, "rows": rows},
        metadata={
            "dagster/row_count": MetadataValue.int(sum(rows.values())),
            "documents": MetadataValue.int(len(records)),
            "rows": MetadataValue.json(rows),
            "data as of": MetadataValue.timestamp(status.data_as_of),
            "code version": MetadataValue.text(f"{__version__}/{CODE_VERSION}"),
            "location": MetadataValue.path(f"s3://{objects.bucket}/{prefix}/"),
        },
    )
