"""A workbook of very many rows: the same sheets as `xlsx` writes, by an engine that takes Arrow batches.

A table that has more rows than a sheet of Excel goes on in a second one ("Labs", "Labs (2)"). Text is text:
the engine makes formulas and links only of columns that are named as such, and none is.

The engine dates the workbook by the clock; its two property files are the last of the zip and are written
again here, dated by the period's end, so that the bytes follow from the request alone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import IO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pyarrow as pa
import pyarrow.compute as pc
import rustpy_xlsxwriter as engine

from reporting_pipeline.reports.rows import (
    LONGEST_CELL,
    CellNotes,
    RowTable,
    is_text,
    longer_than_a_cell,
    mapped,
)

#: Rows of a sheet under its header.
MOST_ROWS = 1_048_575
_CUT = " [cut]"
#: XML cannot hold these; shown as the replacement character.
_CONTROLS = {code: "\ufffd" for code in (*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0xFFFE, 0xFFFF)}
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x{FFFE}\x{FFFF}]"
_ODD = r"[\x00-\x08\x0b-\x1f\x{FFFE}\x{FFFF}]"
_PROPERTIES = ("docProps/core.xml", "docProps/app.xml")
_END = struct.Struct("<4s4H2LH")  # the end record of a zip


def write(
    tables: Sequence[RowTable],
    overview: Sequence[tuple[str, str]],
    definitions: Sequence[tuple[str, str]],
    closing: datetime,
    out: IO[bytes],
) -> None:
    """Write the workbook: overview, tables, definitions. `closing` (UTC) dates it. Memory is bounded."""
    sheets: list[tuple[str, pa.RecordBatchReader]] = [
        ("Overview", _pairs(("Report", "What it is"), overview))
    ]
    notes = CellNotes()
    for table in tables:
        sheets += _sheets(table, notes)
    sheets.append(("Definitions", _last(("Figure or table", "What it is"), definitions, notes)))
    names = [name for name, _ in sheets]
    head = engine.Format().set_bold().set_background_color("#E8EFF5").set_font_color("#00527F")
    with TemporaryDirectory(prefix="workbook-") as folder:
        path = Path(folder) / "report.xlsx"
        engine.write_worksheets(
            sheets,
            str(path),
            freeze_panes={"general": {"row": 1, "col": 0}},
            datetime_format="yyyy-mm-dd hh:mm",
            header_format=dict.fromkeys(names, head),
            autofilter=dict.fromkeys(names[1:-1], True),
            column_widths={"Overview": [34.0, 60.0], "Definitions": [30.0, 110.0]},
        )
        _date_by(path, closing)
        with path.open("rb") as file:
            copyfileobj(file, out, 1 << 20)


def cell_text(value: object, notes: CellNotes | None = None) -> str:
    """What Excel and XML can hold of a text; longer is cut with a mark. Counted in `notes`."""
    given = str(value).replace("\r\n", "\n").replace("\r", "\n")  # Excel breaks lines at a line feed alone
    readable = given.translate(_CONTROLS)
    text = readable.encode("utf-8", "replace").decode()
    if notes is not None:
        notes.replaced += readable != given
    units = len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2
    if units <= LONGEST_CELL:
        return text
    if notes is not None:
        notes.overlong += 1
    room = (LONGEST_CELL - len(_CUT)) * 2
    return text.encode("utf-16-le")[:room].decode("utf-16-le", "ignore") + _CUT


def _pairs(titles: tuple[str, str], rows: Sequence[tuple[str, str]]) -> pa.RecordBatchReader:
    columns = [pa.array([cell_text(row[place]) for row in rows], pa.string()) for place in (0, 1)]
    return pa.table(columns, names=list(titles)).to_reader()


def changed_rows(notes: CellNotes) -> list[tuple[str, str]]:
    """What was done to cells of the tables, for the end of the definitions."""
    told = (
        (
            notes.overlong,
            f"Cells cut to the {LONGEST_CELL:,} characters that Excel holds, with [cut] at the end",
        ),
        (notes.replaced, "Cells with control characters, which stand as U+FFFD"),
    )
    return [("Cells changed", f"{what}: {number}") for number, what in told if number]


def _last(titles: tuple[str, str], rows: Sequence[tuple[str, str]], notes: CellNotes) -> pa.RecordBatchReader:
    """The rows, and what was noted by the time this sheet is read: after all others."""
    schema = pa.schema([(title, pa.string()) for title in titles])

    def batches() -> Iterator[pa.RecordBatch]:
        yield from _pairs(titles, [*rows, *changed_rows(notes)])

    return pa.RecordBatchReader.from_batches(schema, batches())


def _sheets(table: RowTable, notes: CellNotes) -> Iterator[tuple[str, pa.RecordBatchReader]]:
    """A reader for each sheet. They are read one after the other, so each skips what is before it."""
    title = table.name.replace("_", " ").capitalize()
    schema = pa.schema([(_heading(one), _stored(one.type)) for one in table.schema])
    for number, start in enumerate(range(0, max(table.rows, 1), MOST_ROWS), 1):
        name = title[:31] if number == 1 else f"{title[:26]} ({number})"
        yield name, pa.RecordBatchReader.from_batches(schema, _part(table, schema, start, notes))


def _part(table: RowTable, schema: pa.Schema, start: int, notes: CellNotes) -> Iterator[pa.RecordBatch]:
    position = 0
    for batch in table.batches():
        first, last = max(start - position, 0), min(start + MOST_ROWS - position, batch.num_rows)
        position += batch.num_rows
        if first < last:
            part = batch.slice(first, last - first)
            yield pa.record_batch([_cells(one, notes) for one in part.columns], schema=schema)
        if position >= start + MOST_ROWS:
            return


def _heading(column: pa.Field) -> str:
    zone = " (UTC)" if pa.types.is_timestamp(column.type) else ""
    return str(column.name).replace("_", " ") + zone


def _stored(kind: pa.DataType) -> pa.DataType:
    return pa.timestamp("us") if pa.types.is_timestamp(kind) else kind


def _cells(column: pa.Array, notes: CellNotes) -> pa.Array:
    """What is not there is an empty cell."""
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us"))
    if not is_text(column.type):
        return pc.if_else(pc.is_finite(column), column, None) if pa.types.is_floating(column.type) else column
    column = pc.if_else(pc.equal(column, ""), None, column)
    odd = pc.or_(
        pc.match_substring_regex(column, _ODD), pc.greater(pc.utf8_length(column), LONGEST_CELL // 2)
    )
    if not pc.any(odd).as_py():
        return column
    notes.overlong += longer_than_a_cell(column)
    notes.replaced += pc.sum(pc.match_substring_regex(column, _CONTROL)).as_py() or 0
    return mapped(column, cell_text)


def _date_by(path: Path, closing: datetime) -> None:
    """Put property files of the period's date in the place of the engine's."""
    with ZipFile(path) as archive:
        entries = archive.infolist()
        kept = [one for one in entries if one.filename not in _PROPERTIES]
        if entries[: len(kept)] != kept or len(entries) != len(kept) + len(_PROPERTIES):
            raise RuntimeError("the workbook's properties are not where its engine puts them")
        texts = {name: archive.read(name).decode() for name in _PROPERTIES}
        stamp = next(text for text in texts["docProps/core.xml"].split(">") if text[:2] == "20")[:20]
        begin, directory = entries[len(kept)].header_offset, archive.start_dir
    _cut(path, begin, directory, len(kept))
    dated = f"{closing:%Y-%m-%dT%H:%M:%SZ}"
    with ZipFile(path, "a", ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(_undated(name), text.replace(stamp, dated))


def _undated(name: str) -> ZipInfo:
    info = ZipInfo(name)
    info.compress_type = ZIP_DEFLATED
    return info


def _cut(path: Path, begin: int, directory: int, kept: int) -> None:
    """Take everything from `begin` on out of a zip; its directory's first `kept` records stay as they are."""
    with path.open("r+b") as file:
        file.seek(directory)
        records = file.read()
        length = 0
        for _ in range(kept):
            name, extra, comment = struct.unpack_from("<3H", records, length + 28)
            length += 46 + name + extra + comment
        file.seek(begin)
        file.truncate()
        file.write(records[:length])
        if begin + length >= 1 << 32:
            raise RuntimeError("the workbook is larger than 4 GB; select less")
        file.write(_END.pack(b"PK\x05\x06", 0, 0, kept, kept, length, begin, 0))
