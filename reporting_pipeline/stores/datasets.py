"""Trial datasets in S3: one Parquet object per table, one JSON object for what they were made from.

Keys: `datasets/{cadence}/{period}/{trial}/{version}/{table}.parquet`. The JSON (`dataset.json`) is
written last, so a dataset that has one is whole.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from tempfile import TemporaryFile
from typing import IO
from weakref import finalize

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from reporting_pipeline.domain.datasets import (
    TABLES,
    TrialDataset,
    arrow_schema,
    empty_table,
    table_from_rows,
    with_all_columns,
)
from reporting_pipeline.domain.deferred import DEFERRABLE, DeferredTable
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.stores.dataset_keys import MANIFEST, dataset_prefix
from reporting_pipeline.stores.media import load_media
from reporting_pipeline.stores.objects import ObjectStore

#: A table of more rows is read in batches where the report allows it: some 60 MB in memory.
MOST_IN_MEMORY = 50_000
BATCH_ROWS = 10_000
_PARQUET = "application/vnd.apache.parquet"


def save_dataset(objects: ObjectStore, dataset: TrialDataset) -> str:
    """Store every table, then the manifest; returns the prefix they stand under. Media are not included."""
    prefix = dataset_prefix(dataset.period, dataset.trial, dataset.version)

    def put(name: str) -> None:
        key, deferred = f"{prefix}/{name}.parquet", dataset.deferred.get(name)
        if deferred is not None:
            with TemporaryFile() as file:
                _write_parquet(deferred, file)
                objects.put_file(key, file, _PARQUET)
            return
        buffer = io.BytesIO()
        dataset.tables[name].to_parquet(buffer, index=False, compression="zstd")
        objects.put(key, buffer.getvalue(), _PARQUET)

    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(put, TABLES))
    manifest = {
        "trial": dataset.trial,
        "title": dataset.title,
        "cadence": dataset.period.cadence.value,
        "period": dataset.period.key,
        "timezone": dataset.period.timezone,
        "version": dataset.version,
        "data_as_of": dataset.data_as_of.isoformat(),
        "rows": {name: dataset.rows[name] for name in TABLES},
    }
    objects.put(f"{prefix}/{MANIFEST}", json.dumps(manifest, sort_keys=True).encode(), "application/json")
    return prefix


def _write_parquet(table: DeferredTable, file: IO[bytes]) -> None:
    """Its rows as they are kept, a row group for each batch that is read."""
    schema = arrow_schema(table.name)
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in table.read(schema.names):
            writer.write_batch(batch.select(schema.names).replace_schema_metadata(None))


def load_dataset(
    objects: ObjectStore,
    prefix: str,
    media_key: str | None = None,
    deferrable: Set[str] = frozenset(),
) -> TrialDataset:
    """The dataset under `prefix`, with the thumbnails of the media manifest at `media_key`.

    Those of `deferrable` that have very many rows are left on disk (`domain.deferred`). Raises ObjectMissing
    when a part is not there.
    """
    manifest = json.loads(objects.get(f"{prefix}/{MANIFEST}"))
    large = [name for name in deferrable & DEFERRABLE if manifest["rows"].get(name, 0) > MOST_IN_MEMORY]
    found = {name: _deferred(objects, prefix, name) for name in large}
    deferred = {name: one for name, one in found.items() if one is not None}

    def table(name: str) -> pd.DataFrame:
        if name not in manifest["rows"]:  # stored by a version of this program that did not have it
            return empty_table(name)
        if name in deferred:
            return empty_table(name)
        frame = pd.read_parquet(io.BytesIO(objects.get(f"{prefix}/{name}.parquet")))
        if not len(frame):
            return table_from_rows(name, [])
        return frame if set(frame.columns) >= set(TABLES[name]) else with_all_columns(name, frame)

    with ThreadPoolExecutor(max_workers=4) as pool:
        tables = dict(zip(TABLES, pool.map(table, TABLES), strict=True))
    return TrialDataset(
        trial=manifest["trial"],
        title=manifest["title"],
        period=Period.from_key(Cadence(manifest["cadence"]), manifest["period"], manifest["timezone"]),
        tables=tables,
        version=manifest["version"],
        data_as_of=datetime.fromisoformat(manifest["data_as_of"]),
        media=load_media(objects, media_key) if media_key else {},
        deferred=deferred,
    )


def _deferred(objects: ObjectStore, prefix: str, name: str) -> DeferredTable | None:
    """A table on disk, in a file without a name that goes with it. None where an earlier version of this
    program stored it, without columns that came since."""
    copy = TemporaryFile()  # noqa: SIM115 - closed with what reads it
    for part in objects.begun(f"{prefix}/{name}.parquet", 0)[1]:
        copy.write(part)
    return deferred_table(name, copy)


def deferred_table(name: str, file: IO[bytes]) -> DeferredTable | None:
    """The table `name` that an open file holds as Parquet; None where it lacks columns. The file is closed
    when nothing reads it any more."""
    kept = pq.ParquetFile(file, memory_map=False, pre_buffer=False)
    if not set(kept.schema_arrow.names) >= set(TABLES[name]):
        file.close()
        return None

    def read(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        # Opened anew each time: what was read through a file stays with it.
        opened = pq.ParquetFile(file, memory_map=False, pre_buffer=False)
        yield from opened.iter_batches(BATCH_ROWS, columns=list(columns))

    finalize(read, file.close)
    return DeferredTable(name, kept.metadata.num_rows, read)
