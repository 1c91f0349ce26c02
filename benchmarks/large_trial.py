"""The documents of one very large trial to its dataset: python -m benchmarks.large_trial --rows 1000000

Writes a snapshot of laboratory documents of one week, then, in a process of its own, makes the dataset of
them as the asset `trial_dataset` does: reads them one by one, tidies them, looks at the whole and stores the
tables. Prints one JSON object: seconds of CPU and of wall time and the peak memory of that process; of the
process that wrote the snapshot the peak, too. The store is the embedded one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks import measuring
from reporting_pipeline.domain.content_shape import rowless, shape_of
from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.tidying import tidy_in_order
from reporting_pipeline.settings import current_settings
from reporting_pipeline.stores.datasets import save_dataset
from reporting_pipeline.stores.mongo import Record
from reporting_pipeline.stores.objects import open_object_store
from reporting_pipeline.stores.rows_on_disk import RowsOnDisk
from reporting_pipeline.stores.snapshots import Snapshot, StoredRecords, load_snapshot, save_snapshot

PERIOD = Period.last_closed(Cadence.WEEKLY, datetime(2026, 11, 23, 6, tzinfo=UTC))
TRIAL = "LARGE"
SITES, SUBJECTS, TESTS = 40, 2_000, 45


def records(rows: int) -> Iterator[Record]:
    """A document for each person and day, 45 results each, as they are read from MongoDB."""
    documents = rows // TESTS
    step = timedelta(days=7) / max(documents, 1)
    for number in range(documents):
        person = number % SUBJECTS
        site = f"{700 + person % SITES}"
        yield {
            "_id": f"doc_{number:024x}",
            "organisation": "default",
            "trial": TRIAL,
            "external_id": f"LB-{number}",
            "site": site,
            "subject": f"01-{site}-{person:04d}",
            "kind": "lab",
            "title": f"Laboratory results of day {number // SUBJECTS}",
            "received_at": PERIOD.start_at + step * number,
            "updated_at": PERIOD.end_at,
            "collected": "2026-11-17",
            "synthetic": True,
            "note": None,
            "file": None,
            "data": {"results": [_result(number, test) for test in range(TESTS)]},
        }


def _result(number: int, test: int) -> Record:
    value = ((number * TESTS + test) * 7919 % 100_000) / 1_000
    return {
        "test_code": f"T{test}",
        "test": f"Test {test}",
        "category": "CHEMISTRY",
        "specimen": "SERUM",
        "visit": f"WEEK {number // SUBJECTS}",
        "visit_number": number // SUBJECTS,
        "original_result": f"{value}",
        "original_unit": "U/L",
        "value": value,
        "unit": "U/L",
        "low": 5.0 + test,
        "high": 60.0 + test,
        "indicator": "",
    }


def store(rows: int) -> dict[str, Any]:
    """Store the snapshot; its key, and the peak memory of this process."""
    objects = open_object_store(current_settings())
    objects.ensure_bucket()
    stored = StoredRecords.of(records(rows))
    snapshot = Snapshot({"_id": TRIAL, "title": "A large trial"}, stored, {})
    key = save_snapshot(objects, snapshot, PERIOD)[0]
    return {"key": key, "snapshot_peak_mb": measuring.own_peak_mb()}


def measure(key: str) -> dict[str, Any]:
    """The work itself; to be called in a process that did nothing before."""
    objects = open_object_store(current_settings())
    before = measuring.own_peak_mb()
    with measuring.Watch() as watch:
        snapshot = load_snapshot(objects, key)
        tidied = tidy_in_order(snapshot.records, {}, PERIOD, put_aside=RowsOnDisk)
        dataset = TrialDataset(
            TRIAL, TRIAL, PERIOD, tidied.tables, "0" * 16, PERIOD.end_at, deferred=tidied.aside
        )
        save_dataset(objects, dataset)
        shape_of(dataset), rowless(dataset)
    return {
        "documents": len(snapshot.records),
        "rows": dataset.rows["labs"],
        "cpu_s": watch.cpu,
        "wall_s": watch.wall,
        "peak_mb": measuring.own_peak_mb(),
        "of_which_libraries_mb": before,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--store", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--snapshot", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.store:
        print(json.dumps(store(chosen.rows)))
        return
    if chosen.snapshot:
        print(json.dumps(measure(chosen.snapshot)))
        return
    from benchmarks.deployment import embedded_deployment  # Dagster is no part of what is measured

    measuring.end_cleanly()
    with embedded_deployment() as (_, deployment):
        environment = deployment.environment()

        def run(*more: str) -> Any:
            command = [sys.executable, "-m", "benchmarks.large_trial", *more]
            return json.loads(
                subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment).stdout
            )

        stored = run("--store", "--rows", str(chosen.rows))
        figures = run("--snapshot", stored["key"]) | {"snapshot_peak_mb": stored["snapshot_peak_mb"]}
    measuring.show("large_trial", figures)


if __name__ == "__main__":
    main()
