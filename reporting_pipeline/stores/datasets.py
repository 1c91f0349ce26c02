"""Trial datasets in S3: one Parquet object per table, one JSON object for what they were made from.

Keys: `datasets/{cadence}/{period}/{trial}/{version}/{table}.parquet`. The JSON (`dataset.json`) is
written last, so a dataset that has one is whole.
"""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pandas as pd

from reporting_pipeline.domain.datasets import (
    TABLES,
    TrialDataset,
    empty_table,
    table_from_rows,
    with_all_columns,
)
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.stores.dataset_keys import MANIFEST, dataset_prefix
from reporting_pipeline.stores.media import load_media
from reporting_pipeline.stores.objects import ObjectStore


def save_dataset(objects: ObjectStore, dataset: TrialDataset) -> str:
    """Store every table, then the manifest; returns the prefix they stand under. Media are not included."""
    prefix = dataset_prefix(dataset.period, dataset.trial, dataset.version)

    def put(name: str) -> None:
        buffer = io.BytesIO()
        dataset.tables[name].to_parquet(buffer, index=False, compression="zstd")
        objects.put(f"{prefix}/{name}.parquet", buffer.getvalue(), "application/vnd.apache.parquet")

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
        "rows": {name: len(dataset.tables[name]) for name in TABLES},
    }
    objects.put(f"{prefix}/{MANIFEST}", json.dumps(manifest, sort_keys=True).encode(), "application/json")
    return prefix


def load_dataset(objects: ObjectStore, prefix: str, media_key: str | None = None) -> TrialDataset:
    """The dataset under `prefix`, with the thumbnails of the media manifest at `media_key`.

    Raises ObjectMissing when a part is not there.
    """
    manifest = json.loads(objects.get(f"{prefix}/{MANIFEST}"))

    def table(name: str) -> pd.DataFrame:
        if name not in manifest["rows"]:  # stored by a version of this program that did not have it
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
    )
