"""The report as CDISC Dataset-JSON 1.1: a zip with a file for each table.

The tables are this product's own (docs/formats.md), not SDTM domains: names are theirs, and each column
has the data type of the standard. Instants are `datetime` in UTC, numbers `double`; what is not there is
null. Dates of creation are the period's end, so that the bytes follow from the request alone.

Source: CDISC Dataset-JSON v1.1, "Top-level attributes" and "Column attributes".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile

import pyarrow as pa
import pyarrow.compute as pc

from reporting_pipeline.reports.content import ReportContent
from reporting_pipeline.reports.csv import DEFLATE_LEVEL, entry, note_of, row_tables
from reporting_pipeline.reports.request import ReportRequest
from reporting_pipeline.reports.rows import RowTable, is_text, mapped

VERSION = "1.1.0"


def write(content: ReportContent, request: ReportRequest, out: IO[bytes]) -> None:
    """Write the zip."""
    with ZipFile(out, "w", ZIP_DEFLATED, compresslevel=DEFLATE_LEVEL) as archive:
        for table in row_tables(content, request):
            info = entry(content.period.end_at, f"{table.name}.json")
            with archive.open(info, "w", force_zip64=True) as file:
                write_rows(table, file, _attributes(table, content, request))


def write_rows(table: RowTable, file: IO[bytes], attributes: Mapping[str, Any]) -> None:
    """One dataset: its attributes (at least one), then row by row in one array."""
    opening = json.dumps(attributes, ensure_ascii=False)
    file.write(f'{opening[:-1]}, "rows": ['.encode("utf-8", "replace"))
    between = b"\n"
    for batch in table.batches():
        if not batch.num_rows:
            continue
        cells = [_cells(column) for column in batch.columns]
        rows = pc.binary_join_element_wise(*cells, ", ", null_handling="replace", null_replacement="null")
        file.write(between + b"[" + "],\n[".join(rows.to_pylist()).encode() + b"]")
        between = b",\n"
    file.write(b"\n]}\n")


def _attributes(table: RowTable, content: ReportContent, request: ReportRequest) -> dict[str, Any]:
    return {
        "datasetJSONCreationDateTime": f"{content.period.end_at:%Y-%m-%dT%H:%M:%SZ}",
        "datasetJSONVersion": VERSION,
        "fileOID": f"{request.document_id}.{table.name}",
        "originator": content.organisation,
        "sourceSystem": {"name": "reporting-pipeline", "version": content.code_version},
        "studyOID": ", ".join(trial.trial for trial in content.trials) or "none",
        "metaDataVersionOID": f"MDV.{content.code_version}",
        "itemGroupOID": f"IG.{table.name}",
        "records": table.rows,
        "name": table.name,
        "label": note_of(table.name),
        "columns": [_column(table.name, one) for one in table.schema],
    }


def _column(table: str, column: pa.Field) -> dict[str, str]:
    return {
        "itemOID": f"IT.{table}.{column.name}",
        "name": column.name,
        "label": column.name.replace("_", " "),
        "dataType": _data_type(column.type),
    }


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "datetime"
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "integer"
    return "string" if is_text(kind) else "double"


def _cells(column: pa.Array) -> pa.Array:
    """Each cell as JSON; null where there is nothing."""
    if pa.types.is_timestamp(column.type):
        return mapped(column.cast(pa.string()), lambda text: json.dumps(text.replace(" ", "T")))
    if pa.types.is_boolean(column.type):
        return pc.if_else(column, "true", "false")
    if is_text(column.type):
        return mapped(pc.if_else(pc.equal(column, ""), None, column), _quoted)
    shown = pc.if_else(pc.is_finite(column), column, None) if pa.types.is_floating(column.type) else column
    return shown.cast(pa.string())


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
