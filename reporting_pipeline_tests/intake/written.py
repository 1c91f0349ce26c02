"""Files of every format, written by the writers that others use: pyreadstat, polars, json."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyreadstat


def xpt(frame: pl.DataFrame, path: Path, name: str, version: Literal[5, 8] = 5) -> Path:
    pyreadstat.write_xport(frame.to_pandas(), path, table_name=name, file_format_version=version)
    return path


def csv(frame: pl.DataFrame, path: Path, separator: str = ",", encoding: str = "utf-8") -> Path:
    text = frame.write_csv(separator=separator).replace("\n", "\r\n")
    path.write_bytes(text.encode(encoding))
    return path


def dataset_json(frame: pl.DataFrame, path: Path, name: str, lines: bool = False) -> Path:
    head = {
        "datasetJSONCreationDateTime": "2026-11-01T00:00:00",
        "datasetJSONVersion": "1.1.0",
        "itemGroupOID": f"IG.{name}",
        "records": len(frame),
        "name": name,
        "label": name,
        "columns": [
            {
                "itemOID": f"IT.{name}.{column}",
                "name": column,
                "label": column,
                "dataType": "string" if kind == pl.String else "double",
            }
            for column, kind in frame.schema.items()
        ],
    }
    rows = [list(row) for row in frame.iter_rows()]
    if lines:
        path.write_text("\n".join(json.dumps(one) for one in [head, *rows]))
    else:
        path.write_text(json.dumps({**head, "rows": rows}))
    return path


def ndjson(documents: list[Any], path: Path) -> Path:
    text = "".join(json.dumps(one) + "\n" for one in documents)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path
