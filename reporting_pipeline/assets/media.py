"""`trial_media`: small pictures of a trial's images and PDFs, made once per content.

A thumbnail is kept under the SHA-256 of the file it shows, so a file that several documents or
periods name is decoded once.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    MetadataValue,
    asset,
)
from pymongo import UpdateOne

from reporting_pipeline import __version__
from reporting_pipeline.assets.batch import Batch, Made, finish, run_batch
from reporting_pipeline.assets.datasets import snapshots_of, upstream
from reporting_pipeline.assets.scope import (
    AGGREGATE,
    DOCUMENTS,
    TRIAL_MEDIA,
    BatchConfig,
    Scope,
)
from reporting_pipeline.domain.datasets import Thumbnail
from reporting_pipeline.media.sandbox import MediaFile, MediaWorkers
from reporting_pipeline.media.thumbnails import has_thumbnail
from reporting_pipeline.partitions import TrialPartition
from reporting_pipeline.resources import MongoResource, ObjectStoreResource
from reporting_pipeline.stores.datasets import save_media
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectMissing, ObjectStore
from reporting_pipeline.stores.results import AssetResult
from reporting_pipeline.stores.snapshots import load_snapshot

#: Raise it when thumbnails change: it is part of their keys.
CODE_VERSION = "1"


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
    snapshot = load_snapshot(objects, documents.detail["key"])
    files = {
        record["file"]["sha256"]: record["file"]
        for record in snapshot.records
        if (verdict := snapshot.verdicts.get(record["_id"])) is not None
        and verdict.status == "ok"
        and has_thumbnail(verdict.file_type)
    }
    media = _known(database, list(files))
    new = [file for sha256, file in files.items() if sha256 not in media]
    made = _make(objects, workers, new)
    _remember(database, made)
    media.update({one.sha256: one for one in made})
    version = hashlib.sha256(
        "".join(f"{sha256}{media[sha256].key}" for sha256 in sorted(media)).encode()
    ).hexdigest()[:16]
    key = (
        f"media/manifests/{partition.period.cadence}/{partition.period.key}/{partition.trial}/{version}.json"
    )
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


def _known(database: Database, hashes: Sequence[str]) -> dict[str, Thumbnail]:
    found = database.media.find({"_id": {"$in": list(hashes)}, "code_version": CODE_VERSION})
    return {
        record["_id"]: Thumbnail(
            record["_id"], record["key"], record["width"], record["height"], record["pages"]
        )
        for record in found
    }


def _make(objects: ObjectStore, workers: MediaWorkers, files: Sequence[Record]) -> list[Thumbnail]:
    """Thumbnails of the files that have one; the picture is stored before anybody names it."""

    def items() -> Iterator[MediaFile]:
        for file in files:
            try:
                content: bytes | None = objects.get(file["key"])
            except ObjectMissing:  # deleted since it was verified; the report will say so next time
                content = None
            yield MediaFile(content, file["name"], file["sha256"], file["size"])

    made = []
    for file, inspection in zip(files, workers.inspect_each(items()), strict=True):
        picture = inspection.thumbnail
        if picture is not None:
            key = f"media/{file['sha256'][:2]}/{file['sha256']}-{CODE_VERSION}.jpg"
            objects.put(key, picture.jpeg, "image/jpeg")
            made.append(Thumbnail(file["sha256"], key, picture.width, picture.height, picture.pages))
    return made


def _remember(database: Database, made: Sequence[Thumbnail]) -> None:
    writes = [
        UpdateOne(
            {"_id": one.sha256},
            {
                "$set": {
                    "key": one.key,
                    "width": one.width,
                    "height": one.height,
                    "pages": one.pages,
                    "code_version": CODE_VERSION,
                }
            },
            upsert=True,
        )
        for one in made
    ]
    if writes:
        database.media.bulk_write(writes, ordered=False)
