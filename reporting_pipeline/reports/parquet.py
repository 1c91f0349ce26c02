"""The report as Parquet: a zip with a file for each table, typed, for programs.

Values are those of the tables themselves: nothing is changed for spreadsheets. Instants are UTC. The bytes
follow from the request alone.
"""

from __future__ import annotations

from typing import IO
from zipfile import ZIP_STORED, ZipFile

import pyarrow as pa
import pyarrow.parquet as pq

from reporting_pipeline.reports.content import ReportContent
from reporting_pipeline.reports.csv import entry, row_tables
from reporting_pipeline.reports.request import ReportRequest
from reporting_pipeline.reports.rows import RowTable


def write(content: ReportContent, request: ReportRequest, out: IO[bytes]) -> None:
    """Write the zip."""
    with ZipFile(out, "w") as archive:
        for table in row_tables(content, request):
            # Parquet compresses its own pages.
            info = entry(content.period.end_at, f"{table.name}.parquet", ZIP_STORED)
            with archive.open(info, "w", force_zip64=True) as file:
                write_rows(table, file, request.document_id)


def write_rows(table: RowTable, file: IO[bytes], document: str) -> None:
    """One table; a row group for each batch. Its metadata names the report."""
    schema = table.schema.with_metadata({"document": document, "table": table.name})
    with (
        pa.PythonFile(file, mode="w") as sink,
        pq.ParquetWriter(sink, schema, compression="zstd", store_schema=False) as writer,
    ):
        for batch in table.batches():
            writer.write_batch(batch.replace_schema_metadata(schema.metadata))
