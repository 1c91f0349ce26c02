"""The tables of a report as batches of rows, so that a million of them never stand in memory at once.

What belongs here: which tables and columns a report's readers may have (`row_tables`), and what makes a
cell safe for a spreadsheet. How a batch becomes a file is the business of `csv`, `xlsx`, `parquet` and
`dataset_json`. Batches are Arrow's: str as string, float as double, instants as timestamps in UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from reporting_pipeline.domain.datasets import ARROW_TYPES, TABLES
from reporting_pipeline.domain.facts import Listing
from reporting_pipeline.reports.request import ReportError, ReportRequest

#: Rows of a batch: some 10 MB of the widest table.
BATCH_ROWS = 10_000
#: What Excel holds in a cell, in UTF-16 units.
LONGEST_CELL = 32_767


@dataclass
class CellNotes:
    """What was done to cells so that a program can take them; told in the file itself."""

    apostrophes: int = 0  # would have been a formula
    replaced: int = 0  # control characters, shown as U+FFFD
    overlong: int = 0  # longer than Excel's cell


@dataclass(frozen=True)
class RowTable:
    """One table: its name, columns and rows, which `batches` gives anew each time it is called."""

    name: str
    schema: pa.Schema
    rows: int
    batches: Callable[[], Iterator[pa.RecordBatch]] = field(repr=False)


def table_of_frame(name: str, frame: pd.DataFrame) -> RowTable:
    """A table that stands in memory as a frame."""
    schema = pa.schema([(str(column), _type(frame[column])) for column in frame.columns])

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, max(len(frame), 1), BATCH_ROWS):
            yield batch_of(frame.iloc[start : start + BATCH_ROWS], schema)

    return RowTable(name, schema, len(frame), batches)


@dataclass(frozen=True)
class TrialRows:
    """The rows of one trial in a table over several."""

    rows: int
    batches: Callable[[], Iterator[pa.RecordBatch]] = field(repr=False)


def table_of_listings(name: str, columns: list[str], listings: list[tuple[str, Listing]]) -> RowTable:
    """A table of `domain.datasets.TABLES` over trials; `columns` are those that may be shown."""
    parts = [rows_of_listing(trial, name, columns, listing) for trial, listing in listings]
    return table_of_trials(name, columns, parts)


def table_of_trials(name: str, columns: list[str], parts: list[TrialRows]) -> RowTable:
    """The same of rows wherever they are; a batch has at most BATCH_ROWS of one trial."""

    def batches() -> Iterator[pa.RecordBatch]:
        for part in parts:
            yield from _of_one_size(part.batches())

    return RowTable(name, schema_of(name, columns), sum(part.rows for part in parts), batches)


def schema_of(name: str, columns: list[str]) -> pa.Schema:
    """Columns of a table of `domain.datasets.TABLES` as batches have them, the trial first."""
    return pa.schema([("trial", pa.string()), *((one, ARROW_TYPES[TABLES[name][one]]) for one in columns)])


def rows_of_listing(trial: str, name: str, columns: list[str], listing: Listing) -> TrialRows:
    """Rows of a table that stands in memory."""
    schema = schema_of(name, columns)

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(listing), BATCH_ROWS):
            places = listing.places[start : start + BATCH_ROWS]
            frame = listing.facts.frame.take(places)[columns]
            frame.insert(0, "trial", trial)
            yield batch_of(frame, schema)

    return TrialRows(len(listing), batches)


def _of_one_size(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows, BATCH_ROWS at a time: a file's bytes do not follow from how its rows were read."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        if not waiting and batch.num_rows == BATCH_ROWS:
            yield batch
            continue
        waiting.append(batch)
        while sum(one.num_rows for one in waiting) >= BATCH_ROWS:
            joined = pa.concat_batches(waiting)
            yield joined.slice(0, BATCH_ROWS)
            waiting = [joined.slice(BATCH_ROWS)]
    if sum(one.num_rows for one in waiting):
        yield pa.concat_batches(waiting)


def refuse_too_many(request: ReportRequest, rows: int) -> None:
    """ReportError where the report has more rows than the organisation allows."""
    if request.most_rows is not None and rows > request.most_rows:
        raise ReportError(
            f"the report has {rows:,} rows; {request.organisation_name} allows {request.most_rows:,}: "
            "select fewer trials, sites or kinds of document, a shorter period, or have `report_rows` raised"
        )


def batch_of(frame: pd.DataFrame, schema: pa.Schema) -> pa.RecordBatch:
    """The rows of a frame; text that is no Unicode (half a pair) is kept readable."""
    return pa.record_batch([_array(frame[one.name], one.type) for one in schema], schema=schema)


def _array(column: pd.Series, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_string(kind):
        return pa.array(column, type=kind, from_pandas=True)
    cells = [None if cell is None or cell != cell else str(cell) for cell in column.tolist()]
    try:
        return pa.array(cells, type=kind)
    except UnicodeEncodeError:
        return pa.array(
            [cell if cell is None else cell.encode("utf-8", "replace").decode() for cell in cells], type=kind
        )


def _type(column: pd.Series) -> pa.DataType:
    if pd.api.types.is_datetime64_any_dtype(column):
        return ARROW_TYPES["instant"]
    if pd.api.types.is_bool_dtype(column):
        return pa.bool_()
    if pd.api.types.is_integer_dtype(column):
        return pa.int64()
    return pa.float64() if pd.api.types.is_float_dtype(column) else pa.string()


def mapped(texts: pa.Array, change: Callable[[str], str | None]) -> pa.Array:
    """`change` of every text; each different one is changed once."""
    coded = texts.dictionary_encode()
    changed = pa.array([change(one) for one in coded.dictionary.to_pylist()], type=pa.string())
    return changed.take(coded.indices)


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind))


def longer_than_a_cell(texts: pa.Array) -> int:
    """How many are longer than Excel's cell."""
    suspects = texts.filter(pc.greater(pc.utf8_length(texts), LONGEST_CELL // 2))
    return sum(len(one.encode("utf-16-le")) // 2 > LONGEST_CELL for one in suspects.to_pylist())
