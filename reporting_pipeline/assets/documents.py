"""`documents`: what arrived in MongoDB for a trial and period, with every file verified.

A bad file is never fatal: it is named in the asset check, in the dataset's findings and in the
report. What the stages after this one see is the snapshot written here.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

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
from reporting_pipeline.assets.scope import DOCUMENTS, FETCH, BatchConfig, Scope
from reporting_pipeline.domain.documents import FileVerdict, file_type_of
from reporting_pipeline.media.sandbox import MediaFile, MediaWorkers
from reporting_pipeline.partitions import TrialPartition
from reporting_pipeline.resources import MongoResource, ObjectStoreResource
from reporting_pipeline.stores.documents import (
    MAX_FILE_BYTES,
    documents_of,
    named_trials,
    newest_update,
    trial_record,
    trials_of,
)
from reporting_pipeline.stores.mongo import Database, Record, read_from
from reporting_pipeline.stores.objects import ObjectMissing, ObjectStore, ObjectTooLarge
from reporting_pipeline.stores.snapshots import Snapshot, StoredRecords, save_snapshot

#: Raise it when the verdicts or the snapshot's form change: every snapshot is then made again.
CODE_VERSION = "2"
FILES_VERIFIED = "files_verified"
TRIALS_KNOWN = "trials_known"
NAMED_FILES = 50


def documents_asset(scope: Scope) -> AssetsDefinition:
    """The `documents` asset of one cadence: period x trial."""

    @asset(
        **scope.batch_asset(
            DOCUMENTS,
            scope.by_trial,
            FETCH,
            kinds={"mongodb", "s3"},
            code_version=CODE_VERSION,
            description=(
                f"The documents of one trial that arrived in one {scope.cadence.noun}, and of the "
                f"{scope.cadence.noun} before for comparison, as a snapshot in S3. Every file is verified: "
                "it exists, has the size and SHA-256 of its record, and decodes."
            ),
        ),
        deps=["mongodb_documents", "s3_files"],
        check_specs=[
            AssetCheckSpec(
                FILES_VERIFIED,
                asset=scope.key(DOCUMENTS),
                description="Every file exists, has the size and SHA-256 of its record, and decodes.",
            ),
            AssetCheckSpec(
                TRIALS_KNOWN,
                asset=scope.key(DOCUMENTS),
                description="Every document names a trial that has a record; others reach no report.",
            ),
        ],
    )
    def documents(
        context: AssetExecutionContext,
        config: BatchConfig,
        mongo: MongoResource,
        objects: ObjectStoreResource,
    ) -> Iterator[Any]:
        database, store = mongo.database(), objects.store()
        reading = read_from(database, scope.settings.read_from)
        bad_files: list[str] = []
        with MediaWorkers() as workers:
            batch = Batch[TrialPartition](
                asset_key=scope.key(DOCUMENTS),
                stage=FETCH,
                item_of=lambda partition: partition.trial,
                input_version=lambda partition: documents_fingerprint(database, partition),
                make=lambda partition: _fetch(database, reading, store, workers, partition),
            )
            outcome = run_batch(
                context,
                database,
                batch,
                scope.trial_partitions(context),
                config.force,
                scope.settings.heartbeat_seconds,
            )
        for result in outcome.done:
            bad_files += result.detail["bad_files"]
        strays = unknown_trials(database)
        yield AssetCheckResult(
            check_name=TRIALS_KNOWN,
            passed=not strays,
            severity=AssetCheckSeverity.WARN,
            description=f"no record of trial {', '.join(strays)}" if strays else "every trial has its record",
        )
        yield AssetCheckResult(
            check_name=FILES_VERIFIED,
            passed=not bad_files,
            severity=AssetCheckSeverity.WARN,
            description=f"{len(bad_files)} bad files" if bad_files else "every file is as its record says",
            metadata={"bad files": MetadataValue.md("\n".join(f"- {one}" for one in bad_files[:NAMED_FILES]))}
            if bad_files
            else {},
        )
        yield from finish(context, outcome)

    return documents


def unknown_trials(database: Database) -> list[str]:
    """Trials that documents name and that have no record; ingest refuses them, other writers may not."""
    known = {trial["_id"] for trial in trials_of(database)}
    named = (trial for trial in named_trials(database) if not isinstance(trial, str) or trial not in known)
    return sorted(str(trial)[:100] for trial in named)[:NAMED_FILES]


def documents_fingerprint(database: Database, partition: TrialPartition) -> str:
    """Changes when a document of the period or the one before is added or written to.

    Cheap: a count and a maximum over an index. A failed trial is tried again when it changes.
    """
    period = partition.period
    return fingerprint_of(
        *newest_update(database, partition.trial, period.previous().start_at, period.end_at)
    )


def fingerprint_of(count: int, updated_at: object) -> str:
    """How many documents there are, and when one of them was written last, as a snapshot notes it."""
    # Whoever writes records past the intake may leave anything there: it must only change with the record.
    newest = updated_at.isoformat() if isinstance(updated_at, datetime) else str(updated_at or "none")[:100]
    return f"{count}@{newest}/{CODE_VERSION}"


def _documents(database: Database, reading: Database, partition: TrialPartition) -> StoredRecords:
    """The documents of the period and the one before.

    `reading` may be a secondary that lags behind: where it has not what the primary has, which two small
    look-ups tell, they are read from the primary, so that nothing that was taken is left out.
    """
    start_at, end_at = partition.period.previous().start_at, partition.period.end_at
    records = _stored(reading, partition.trial, start_at, end_at)
    if reading is not database:
        newest = max((_written_at(record) for record in records), default=None)
        if (len(records), newest) != newest_update(database, partition.trial, start_at, end_at):
            records = _stored(database, partition.trial, start_at, end_at)
    return records


def _stored(database: Database, trial: str, start_at: datetime, end_at: datetime) -> StoredRecords:
    return StoredRecords.of(map(_with_text_id, documents_of(database, trial, start_at, end_at)))


def _with_text_id(record: Record) -> Record:
    """A record that somebody inserted by hand has the id that the database gave it, which is no text; a
    snapshot and its verdicts are by text."""
    return record if isinstance(record["_id"], str) else record | {"_id": str(record["_id"])}


@dataclass
class _Current:
    """What is told and looked at of the period's own documents, which are gone through once."""

    documents: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    written_at: datetime | None = None  # the newest
    with_file: list[Record] = field(default_factory=list)  # _id and file alone

    @classmethod
    def among(cls, records: Iterable[Record], start_at: datetime) -> Self:
        found = cls()
        for record in records:
            if record["received_at"] < start_at:
                continue
            found.documents += 1
            found.kinds[_kind(record)] += 1
            written_at = _written_at(record)
            found.written_at = max(found.written_at or written_at, written_at)
            if record.get("file"):
                found.with_file.append({"_id": record["_id"], "file": record["file"]})
        return found


def _fetch(
    database: Database,
    reading: Database,
    objects: ObjectStore,
    workers: MediaWorkers,
    partition: TrialPartition,
) -> Made:
    trial = trial_record(database, partition.trial)
    if trial is None:
        raise PartitionFailed(
            f"trial {partition.trial} has no record in the collection trials; register the trial, "
            "then materialize this partition again"
        )
    period = partition.period
    records = _documents(database, reading, partition)
    current = _Current.among(records, period.start_at)
    verdicts = _verify_files(objects, workers, current.with_file)
    key, version = save_snapshot(objects, Snapshot(trial, records, verdicts), period)
    statuses = Counter(verdict.status for verdict in verdicts.values())
    bad_files = [
        f"{partition.trial} {identifier}: {verdict.status}, {verdict.reason}"
        for identifier, verdict in verdicts.items()
        if verdict.status in ("missing", "corrupt")
    ]
    as_of = current.written_at or period.end_at
    return Made(
        version=version,
        detail={
            "key": key,
            "documents": current.documents,
            "files": dict(statuses),
            "bad_files": bad_files[:NAMED_FILES],
            "data_as_of": as_of,
        },
        metadata={
            "dagster/row_count": MetadataValue.int(current.documents),
            "documents before": MetadataValue.int(len(records) - current.documents),
            "files ok": MetadataValue.int(statuses["ok"]),
            "files not inspected": MetadataValue.int(statuses["not_inspected"]),
            "files missing": MetadataValue.int(statuses["missing"]),
            "files corrupt": MetadataValue.int(statuses["corrupt"]),
            "bad files": MetadataValue.md("\n".join(f"- {one}" for one in bad_files[:NAMED_FILES]) or "none"),
            "kinds": MetadataValue.md(_counted(current.kinds)),
            "data as of": MetadataValue.timestamp(as_of),
            "code version": MetadataValue.text(f"{__version__}/{CODE_VERSION}"),
            "snapshot": MetadataValue.path(f"s3://{objects.bucket}/{key}"),
        },
    )


def _verify_files(
    objects: ObjectStore, workers: MediaWorkers, records: list[Record]
) -> dict[str, FileVerdict]:
    """A verdict for each of the documents, which all have a file.

    A record that does not say what its file is, and a file that is too large to be read, have one too:
    they are the document's trouble and not the trial's.
    """
    found: dict[str, FileVerdict] = {}
    readable: list[Record] = []

    def items() -> Iterator[MediaFile]:
        for record in records:
            file = record["file"]
            problem = _record_problem(file)
            content: bytes | None = None
            if problem is None:
                try:
                    content = objects.get(file["key"], MAX_FILE_BYTES)
                except ObjectMissing:
                    pass
                except ObjectTooLarge:
                    problem = f"The file is over the limit of {MAX_FILE_BYTES:,} bytes; send a smaller one."
            if problem is not None:
                found[record["_id"]] = FileVerdict("corrupt", problem, _file_type(file))
                continue
            readable.append(record)
            yield MediaFile(content, file["name"], file["sha256"], file["size"])

    verdicts = list(workers.verify(items()))
    found.update(zip((record["_id"] for record in readable), verdicts, strict=True))
    return found


def _record_problem(file: Any) -> str | None:
    """Why a record's `file` cannot be looked for; None where it can."""
    if not isinstance(file, dict):
        return "The record's file is no object with key, name, size and sha256; send the document again."
    wrong = [
        name for name in ("key", "name", "sha256") if not isinstance(file.get(name), str) or not file[name]
    ]
    if not isinstance(file.get("size"), int):
        wrong.append("size")
    if not wrong:
        return None
    return f"The record does not say the file's {' and '.join(sorted(wrong))}; send the document again."


def _file_type(file: Any) -> str:
    name = file.get("name") if isinstance(file, dict) else None
    return file_type_of(name) if isinstance(name, str) else ""


def _kind(record: Record) -> str:
    kind = record.get("kind")
    return kind if isinstance(kind, str) and kind else "(no kind)"


def _written_at(record: Record) -> datetime:
    """When a record was last written; one that does not say it was written when it arrived."""
    updated_at = record.get("updated_at")
    return updated_at if isinstance(updated_at, datetime) else record["received_at"]


def _counted(counts: Counter[str]) -> str:
    rows = [f"| {name} | {count} |" for name, count in sorted(counts.items())]
    return "\n".join(["| kind | documents |", "| --- | ---: |", *rows]) if rows else "*no documents*"
