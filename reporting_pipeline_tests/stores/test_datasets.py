"""What was stored by an earlier version of this program is read all the same."""

from __future__ import annotations

import json

from reporting_pipeline.stores.datasets import load_dataset, save_dataset
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.reports.conftest import make_dataset


def test_a_dataset_from_before_a_table_came_has_it_without_rows(objects: ObjectStore) -> None:
    prefix = save_dataset(objects, make_dataset())
    (manifest,) = (key for key in objects.keys(prefix) if key.endswith("json"))
    said = json.loads(objects.get(manifest))
    del said["rows"]["other_results"]
    objects.put(manifest, json.dumps(said).encode(), "application/json")
    objects.delete(f"{prefix}/other_results.parquet")
    loaded = load_dataset(objects, prefix)
    assert len(loaded.tables["other_results"]) == 0
    assert len(loaded.tables["documents"]) == 12
