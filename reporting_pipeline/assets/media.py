"""`trial_media`: small pictures of a trial's images and PDFs, made once per content.

A thumbnail is kept under the SHA-256 of the file it shows, so a file that several documents or
periods name is decoded once.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    MetadataValue,
    asset,
)

from reporting_pipeline import __version__
from reporting_pipeline.assets.batch import Batch, Made, finish, run_batch
from reporting_pipeline.assets.datasets import snapshot_under, snapshots_of, upstream
from reporting_pipeline.assets.scope import (
    AGGREGATE,
    DOCUMENTS,
    TRIAL_MEDIA,
    BatchConfig,
    Scope,
)
from reporting_pipeline.assets.thumbnails import CODE_VERSION, make_thumbnails
from reporting_pipeline.domain.trial_keys import trial_key
from reporting_pipeline.media.sandbox import MediaWorkers
from reporting_pipeline.media.thumbnails import has_thumbnail
from reporting_pipeline.partitions import TrialPartition
from reporting_pipeline.resources import MongoResource, ObjectStoreResource
from reporting_pipeline.stores.media import save_media, standing_thumbnails
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.results import AssetResult


def trial_media_asset(scope: Scope) -> AssetsDefinition:
    """The `trial_media` asset of one cadence: period x trial."""

    @asset(
        **scope.batch_asset(
            TRIAL_MEDIA,
            scope.by_trial,
            AGGREGATE,
            kinds={"pillow", "s3"},
            code_version=CODE_VERSION,
            description=(
                "Thumbnails of a trial's images, set upright, and the first pages of its PDFs, kept by "
                "content hash. Files that did not verify have none."
            ),
        ),
        deps=[scope.key(DOCUMENTS)],
    )
    def trial_media(
        context: AssetExecutionContext,
        config: BatchConfig,
        mongo: MongoResource,
        objects: ObjectStoreResource,
    ) -> Iterator[Any]:
        database, store = mongo.database(), objects.store()
        partitions = scope.trial_partitions(context)
        snapshots = snapshots_of(database, scope, partitions)
        with MediaWorkers() as workers:
            batch = Batch[TrialPartition](
                asset_key=scope.key(TRIAL_MEDIA),
                stage=AGGREGATE,
                item_of=lambda partition: partition.trial,
                input_version=lambda partition: f"{upstream(snapshots, partition).version}/{CODE_VERSION}",
                make=lambda partition: _thumbnails(
                    database, store, workers, partition, upstream(snapshots, partition)
                ),
            )
            outcome = run_batch(
                context, database, batch, partitions, config.force, scope.settings.heartbeat_seconds
            )
        yield from finish(context, outcome)

    return trial_media


def _thumbnails(
    database: Database,
    objects: ObjectStore,
    workers: MediaWorkers,
    partition: TrialPartition,
    documents: AssetResult,
) -> Made:
    snapshot = snapshot_under(database, objects, documents)
    files = {
        record["file"]["sha256"]: record["file"]
        for record in snapshot.records
        if (verdict := snapshot.verdicts.get(record["_id"])) is not None
        and verdict.status == "ok"
        and has_thumbnail(verdict.file_type)
    }
    media = standing_thumbnails(database, objects, files, CODE_VERSION)
    new = [file for sha256, file in files.items() if sha256 not in media]
    made = make_thumbnails(database, objects, workers, new)
    media.update({one.sha256: one for one in made})
    version = hashlib.sha256(
        "".join(f"{sha256}{media[sha256].key}" for sha256 in sorted(media)).encode()
    ).hexdigest()[:16]
    period, trial = partition.period, trial_key(partition.trial)
    key = f"media/manifests/{period.cadence}/{period.key}/{trial}/{version}.json"
    save_media(objects, key, media)
    return Made(
        version=version,
        detail={"key": key, "thumbnails": len(media)},
        metadata={
            "thumbnails": MetadataValue.int(len(media)),
            "made now": MetadataValue.int(len(made)),
            "files without one": MetadataValue.int(len(files) - len(media)),
            "code version": MetadataValue.text(f"{__version__}/{CODE_VERSION}"),
            "manifest": MetadataValue.path(f"s3://{objects.bucket}/{key}"),
        },
    )
