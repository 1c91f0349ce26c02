"""A table of very many rows to a file in S3: python -m benchmarks.rows --rows 1000000 --format xlsx

Writes a table of laboratory results as a dataset holds it (every column, Parquet on disk), then, in a process
of its own, reads it batch by batch, writes it as the format of a report and stores the file by multipart
upload. Prints one JSON object: seconds of CPU and of wall time and the peak memory of that process.
The store is the embedded one; `--no-upload` leaves it out. `--listing` renders the rows as a report of type
`data_listing` instead, from a dataset as a run has it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from shutil import copyfileobj
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import measuring
from reporting_pipeline.domain.datasets import TABLES, TrialDataset, empty_table
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Format, Subscription
from reporting_pipeline.reports import csv, dataset_json, parquet, xlsx_rows
from reporting_pipeline.reports.request import ReportRequest
from reporting_pipeline.reports.rows import BATCH_ROWS, CellNotes, RowTable
from reporting_pipeline.settings import current_settings
from reporting_pipeline.stores.datasets import deferred_table
from reporting_pipeline.stores.objects import open_object_store

FORMATS = (Format.CSV, Format.XLSX, Format.PARQUET, Format.DATASET_JSON)
BATCH = BATCH_ROWS
PERIOD = Period.last_closed(Cadence.WEEKLY, datetime(2026, 11, 23, 6, tzinfo=UTC))
SITES, SUBJECTS, TESTS = 40, 2_000, 45
_FILLED = {"site", "subject", "day", "test_code", "test", "category", "specimen", "visit", "collected"}


def generate(path: Path, rows: int) -> None:
    """The table of a dataset: one document for each person and day, 45 results each, units and ranges."""
    schema = pa.schema([(name, _TYPES[kind]) for name, kind in TABLES["labs"].items()])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, rows, BATCH):
            numbers = range(start, min(start + BATCH, rows))
            columns = [pa.array(list(_column(one.name, numbers)), one.type) for one in schema]
            writer.write_batch(pa.record_batch(columns, schema=schema))


_TYPES = {"str": pa.string(), "float": pa.float64(), "bool": pa.bool_(), "instant": pa.timestamp("us", "UTC")}


def _column(name: str, numbers: range) -> Iterator[Any]:
    kind = TABLES["labs"][name]
    for n in numbers:
        test, visit = n % TESTS, n // TESTS
        if kind == "bool":
            yield name == "assessed" or (name == "out_of_range" and n % 17 == 0)
        elif kind == "float":
            yield {"low": 5.0 + test, "high": 40.0 + test}.get(name, (n * 7919 % 100_000) / 100)
        elif name == "window":
            yield "current"
        elif name == "document_id":
            yield f"doc_{visit:024x}"
        elif name in _FILLED:
            person = visit % SUBJECTS
            yield {
                "site": f"{700 + person % SITES}",
                "subject": f"01-{700 + person % SITES}-{person:04d}",
            }.get(name, f"{name} {test if name.startswith('test') else visit % 28}")
        elif name in ("original_result", "value_text"):
            yield f"{(n * 7919 % 100_000) / 100}"
        else:
            yield {"unit": "U/L", "original_unit": "U/L", "value_unit": "U/L", "flag": "normal"}.get(name, "")


def write(path: Path, form: Format, out: IO[bytes]) -> None:
    """The stored table as a file of `form`, batch by batch."""
    file = pq.ParquetFile(path, memory_map=False, pre_buffer=False)
    shown = pa.schema([one for one in file.schema_arrow if one.name != "window"])
    table = RowTable(
        "labs", shown, file.metadata.num_rows, lambda: file.iter_batches(BATCH, columns=shown.names)
    )
    if form is Format.XLSX:
        xlsx_rows.write([table], [("Rows", str(table.rows))], [], PERIOD.end_at, out)
        return
    deflate = ZIP_STORED if form is Format.PARQUET else ZIP_DEFLATED
    with ZipFile(out, "w", deflate, compresslevel=csv.DEFLATE_LEVEL) as archive:
        entry = csv.entry(PERIOD.end_at, f"labs.{form.value}", deflate)
        with archive.open(entry, "w", force_zip64=True) as member:
            if form is Format.CSV:
                csv.write_rows(table, member, CellNotes())
            elif form is Format.PARQUET:
                parquet.write_rows(table, member, "rep_benchmark")
            else:
                dataset_json.write_rows(table, member, {"records": table.rows})


def write_listing(path: Path, form: Format, out: IO[bytes]) -> None:
    """A report of type `data_listing` over the stored table."""
    tables = {name: empty_table(name) for name in TABLES}
    with path.open("rb") as stored:
        labs = deferred_table("labs", stored)
        dataset = TrialDataset(
            "T", "A trial", PERIOD, tables, "0" * 16, PERIOD.end_at, deferred={"labs": labs} if labs else {}
        )
        _render_listing(dataset, path.parent, form, out)


def _render_listing(dataset: TrialDataset, cache: Path, form: Format, out: IO[bytes]) -> None:
    # Only here: what draws reports takes memory that is no part of the other measurement.
    from reporting_pipeline.reports.renderer import ReportRenderer

    subscription = Subscription(
        id="sub_benchmark",
        organisation="default",
        owner="usr_benchmark",
        name="Listing",
        report_type="data_listing",
        schedule=Schedule(),
        format=form,
        parameters={"table": "labs"},
        created_at=PERIOD.start_at,
        updated_at=PERIOD.start_at,
    )
    request = ReportRequest(
        subscription, "A reader", "An organisation", PERIOD, (dataset,), "rep_benchmark", "1"
    )
    report = ReportRenderer(lambda _key: b"", cache).render(request)
    if isinstance(report.body, bytes):
        out.write(report.body)
    else:
        report.body.seek(0)
        copyfileobj(report.body, out)


def measure(path: Path, form: Format, upload: bool, listing: bool) -> dict[str, Any]:
    """The work itself; to be called in a process that did nothing before."""
    with tempfile.TemporaryFile() as out, measuring.Watch() as watch:
        (write_listing if listing else write)(path, form, out)
        size = out.tell()
        if upload:
            store = open_object_store(current_settings())
            store.ensure_bucket()
            store.put_file("reports/rows", out, "application/octet-stream")
    return {
        "cpu_s": watch.cpu,
        "wall_s": watch.wall,
        "peak_mb": measuring.own_peak_mb(),
        "file_mb": size / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--format", type=Format, choices=FORMATS, default=Format.XLSX)
    parser.add_argument("--no-upload", action="store_true", help="write the file, store it nowhere")
    parser.add_argument("--listing", action="store_true", help="as a report of type data_listing")
    parser.add_argument("--table", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.table:
        print(json.dumps(measure(chosen.table, chosen.format, not chosen.no_upload, chosen.listing)))
        return
    from benchmarks.deployment import embedded_deployment  # Dagster is no part of what is measured

    measuring.end_cleanly()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        environment = dict(os.environ)
        if not chosen.no_upload:
            _, deployment = stack.enter_context(embedded_deployment())
            environment = deployment.environment()
        table = Path(folder) / "labs.parquet"
        generate(table, chosen.rows)
        command = [sys.executable, "-m", "benchmarks.rows", "--format", chosen.format.value]
        command += ["--table", str(table), *(["--no-upload"] if chosen.no_upload else [])]
        command += ["--listing"] if chosen.listing else []
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
    figures = json.loads(done.stdout)
    what = {
        "listing": chosen.listing,
        "rows": chosen.rows,
        "format": chosen.format.value,
        "uploaded": not chosen.no_upload,
    }
    measuring.show("rows", {**what, **figures})


if __name__ == "__main__":
    main()
