"""`trial_dataset`: a trial's documents of one period as tidy tables, beside the period before.

No trial is refused. What is in doubt is set apart as narrowly as it can be (`domain.tidying`): a test with
two standard units, a table with too many malformed documents. The dataset names it in its omissions, and
the reports that need it are made of the rest and say what is missing.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetsDefinition,
    MetadataValue,
    asset,
)

from reporting_pipeline import __version__
from reporting_pipeline.assets.batch import Batch, Made, PartitionFailed, finish, run_batch
from reporting_pipeline.assets.previews import column_schema, table_preview
from reporting_pipeline.assets.scope import (
    AGGREGATE,
    DOCUMENTS,
    TRIAL_DATASET,
    BatchConfig,
    Scope,
)
from reporting_pipeline.domain.content_gate import PERIODS_BEFORE, Concern, ContentShape, unusual_in
from reporting_pipeline.partitions import TrialPartition
from reporting_pipeline.resources import MongoResource, ObjectStoreResource
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectMissing, ObjectStore
from reporting_pipeline.stores.results import AssetResult, forget_result, results_of
from reporting_pipeline.stores.snapshots import Snapshot, load_snapshot

#: Raise it when the tables or the rules change: every dataset is then made again.
CODE_VERSION = "9"
NOTHING_LOST = "no_document_lost"
FIT_FOR_REPORTS = "fit_for_reports"
#: One check for each kind of what must not go out by itself.
CONTENT_CHECKS = {
    Concern.EMPTY: "documents_gave_rows",
    Concern.FELL: "no_total_fell",
    Concern.JUMPED: "within_the_last_periods",
    Concern.SCHEMA: "schema_as_before",
}
_CHECKED = {
    Concern.EMPTY: "Where documents of kinds with rows arrived, there are rows.",
    Concern.FELL: "No total of the period before is now a tenth lower than it was reported.",
    Concern.JUMPED: "No total is more than half above the highest of the last twelve periods.",
    Concern.SCHEMA: "The columns that say anything are those of the last twelve periods.",
}


def trial_dataset_asset(scope: Scope) -> AssetsDefinition:
    """The `trial_dataset` asset of one cadence: period x trial."""

    @asset(
        **scope.batch_asset(
            TRIAL_DATASET,
            scope.by_trial,
            AGGREGATE,
            kinds={"pandas", "parquet", "s3"},
            code_version=CODE_VERSION,
            description=(
                f"Tidy tables of one trial and {scope.cadence.noun}: documents, adverse events, laboratory "
                "results, vital signs, visits, dispositions and findings, each row marked as of this "
                f"{scope.cadence.noun} or the one before. Parquet in S3."
            ),
        ),
        deps=[scope.key(DOCUMENTS)],
        check_specs=[
            AssetCheckSpec(
                NOTHING_LOST,
                asset=scope.key(TRIAL_DATASET),
                blocking=True,
                description="Every document of the snapshot has its row in the dataset.",
            ),
            AssetCheckSpec(
                FIT_FOR_REPORTS,
                asset=scope.key(TRIAL_DATASET),
                blocking=False,
                description=(
                    "Nothing is left out: each test has one standard unit, and at most a fifth of the "
                    "documents of each kind are malformed. What is left out is named in the reports."
                ),
            ),
            *(
                AssetCheckSpec(
                    name,
                    asset=scope.key(TRIAL_DATASET),
                    blocking=False,
                    description=f"{_CHECKED[concern]} What is not so holds reports, or is told in them, as "
                    "`content_gate` of the organisation says.",
                )
                for concern, name in CONTENT_CHECKS.items()
            ),
        ],
    )
    def trial_dataset(
        context: AssetExecutionContext,
        config: BatchConfig,
        mongo: MongoResource,
        objects: ObjectStoreResource,
    ) -> Iterator[Any]:
        database, store = mongo.database(), objects.store()
        partitions = scope.trial_partitions(context)
        snapshots = snapshots_of(database, scope, partitions)
        earlier = _Earlier(database, scope.name(TRIAL_DATASET), [one.trial for one in partitions])
        batch = Batch[TrialPartition](
            asset_key=scope.key(TRIAL_DATASET),
            stage=AGGREGATE,
            item_of=lambda partition: partition.trial,
            input_version=lambda partition: f"{upstream(snapshots, partition).version}/{CODE_VERSION}",
            make=lambda partition: _aggregate(
                database, store, partition, upstream(snapshots, partition), earlier.of(partition)
            ),
        )
        outcome = run_batch(
            context, database, batch, partitions, config.force, scope.settings.heartbeat_seconds
        )
        lost = sum(result.detail["lost"] for result in outcome.done)
        yield AssetCheckResult(
            check_name=NOTHING_LOST,
            passed=lost == 0,
            severity=AssetCheckSeverity.ERROR,
            metadata={"documents without a row": lost},
        )
        incomplete = {
            f"{result.item}, {part}": reason
            for result in outcome.done
            for part, reason in result.detail.get("omissions", {}).items()
        } | {result.item: result.reason for result in outcome.failed if result.permanent}
        yield AssetCheckResult(
            check_name=FIT_FOR_REPORTS,
            passed=not incomplete,
            severity=AssetCheckSeverity.WARN,
            metadata=incomplete,
        )
        yield from _content_checks(outcome.done)
        yield from finish(context, outcome)

    return trial_dataset


def _content_checks(done: Sequence[AssetResult]) -> Iterator[AssetCheckResult]:
    """Per kind of what is out of the usual: in which trials, and what."""
    for concern, name in CONTENT_CHECKS.items():
        found = {
            f"{result.period}, {result.item}": one["said"]
            for result in done
            for one in result.detail.get("unusual", ())
            if one["concern"] == concern.value
        }
        yield AssetCheckResult(
            check_name=name, passed=not found, severity=AssetCheckSeverity.WARN, metadata=found
        )


class _Earlier:
    """What is remembered of the periods before, read once for all trials of a run."""

    def __init__(self, database: Database, asset: str, trials: Sequence[str]) -> None:
        self._database, self._asset, self._trials = database, asset, sorted(set(trials))
        self._known: dict[str, Mapping[str, AssetResult]] = {}

    def of(self, partition: TrialPartition) -> list[ContentShape | None]:
        """The newest first."""
        period, found = partition.period, []
        for _ in range(PERIODS_BEFORE):
            period = period.previous()
            if period.key not in self._known:
                results = results_of(self._database, self._asset, period.key, self._trials)
                self._known[period.key] = results
            result = self._known[period.key].get(partition.trial)
            found.append(ContentShape.of_record(result.detail.get("shape")) if result else None)
        return found


def snapshots_of(
    database: Database, scope: Scope, partitions: list[TrialPartition] | Any
) -> Mapping[tuple[str, str], AssetResult]:
    """The results of `documents` that the partitions stand on, by (period, trial)."""
    trials_by_period: dict[str, list[str]] = {}
    for partition in partitions:
        trials_by_period.setdefault(partition.period.key, []).append(partition.trial)
    return {
        (period, trial): result
        for period, trials in trials_by_period.items()
        for trial, result in results_of(database, scope.name(DOCUMENTS), period, trials).items()
    }


def upstream(snapshots: Mapping[tuple[str, str], AssetResult], partition: TrialPartition) -> AssetResult:
    """The `documents` result under a partition; PartitionFailed when there is none to work from."""
    result = snapshots.get((partition.period.key, partition.trial))
    if result is None:
        raise PartitionFailed(f"documents of {partition.trial} are not materialized yet", permanent=False)
    if not result.done:
        raise PartitionFailed(f"documents of {partition.trial} failed: {result.reason}", permanent=False)
    return result


def snapshot_under(database: Database, objects: ObjectStore, documents: AssetResult) -> Snapshot:
    """The snapshot that a `documents` result names.

    One that is gone from the store is forgotten, so that the next look fetches the documents again, and
    PartitionFailed, not for good, says so.
    """
    try:
        return load_snapshot(objects, documents.detail["key"])
    except ObjectMissing as gone:
        forget_result(database, documents.asset, documents.period, documents.item)
        raise PartitionFailed(
            f"the snapshot {gone.args[0]} is gone from the store; it is fetched again", permanent=False
        ) from None


def _aggregate(
    database: Database,
    objects: ObjectStore,
    partition: TrialPartition,
    documents: AssetResult,
    earlier: Sequence[ContentShape | None],
) -> Made:
    # Here, as Dagster loads this module into every process and only this one needs pandas.
    from reporting_pipeline.domain.content_shape import rowless, shape_of
    from reporting_pipeline.domain.datasets import TABLES, TrialDataset
    from reporting_pipeline.domain.tidying import tidy_in_order
    from reporting_pipeline.stores.datasets import save_dataset
    from reporting_pipeline.stores.rows_on_disk import RowsOnDisk

    snapshot = snapshot_under(database, objects, documents)
    tidied = tidy_in_order(snapshot.records, snapshot.verdicts, partition.period, put_aside=RowsOnDisk)
    tables = tidied.tables
    version = hashlib.sha256(
        f"{documents.version}/{CODE_VERSION}/{partition.period.timezone}".encode()
    ).hexdigest()[:16]
    dataset = TrialDataset(
        trial=partition.trial,
        title=snapshot.trial.get("title", partition.trial),
        period=partition.period,
        tables=tables,
        version=version,
        data_as_of=documents.detail["data_as_of"],
        deferred=tidied.aside,
    )
    lost = len(snapshot.records) - tables["documents"]["document_id"].nunique()
    if lost:
        raise PartitionFailed(f"{lost} documents of the snapshot have no row in the dataset")
    prefix = save_dataset(objects, dataset)
    current = tables["documents"][tables["documents"]["window"] == "current"]
    rows = dataset.rows
    shape = shape_of(dataset)
    unusual = list(unusual_in(dataset.trial, shape, earlier, rowless(dataset)))
    return Made(
        version=version,
        detail={
            "prefix": prefix,
            "rows": rows,
            "lost": lost,
            "data_as_of": dataset.data_as_of,
            "omissions": {one.part: one.reason for one in dataset.omissions},
            "shape": shape.record(),
            "unusual": [one.record() for one in unusual],
        },
        metadata={
            "dagster/row_count": MetadataValue.int(sum(rows.values())),
            "documents": MetadataValue.int(len(current)),
            "rows": MetadataValue.json(rows),
            "findings": MetadataValue.int(rows["findings"]),
            "omissions": MetadataValue.json([f"{one.part}: {one.reason}" for one in dataset.omissions]),
            "out of the usual": MetadataValue.json([one.said for one in unusual]),
            "dagster/column_schema": column_schema(TABLES["documents"]),
            "preview": table_preview(current),
            "adverse events": table_preview(tables["adverse_events"]),
            "data as of": MetadataValue.timestamp(dataset.data_as_of),
            "code version": MetadataValue.text(f"{__version__}/{CODE_VERSION}"),
            "location": MetadataValue.path(f"s3://{objects.bucket}/{prefix}/"),
        },
    )
