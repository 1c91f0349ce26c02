"""Files to tables: SAS transport (XPT version 5 and 8), Dataset-JSON 1.1 and its line form, CSV.

A table's columns have upper-case names; texts are without blanks at the end, as XPT pads them; what is
missing is None. A file that cannot be read raises `UnreadableTable`, which names the file and, where
one is at fault, the line.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import polars as pl
import pyreadstat
from pyreadstat import PyreadstatError, ReadstatError

Row = dict[str, Any]
Notes = list[tuple[str, str]]  # (code, sentence)

SUFFIXES = {".xpt": "XPT", ".json": "Dataset-JSON", ".ndjson": "Dataset-JSON", ".csv": "CSV"}
_SEPARATORS = ",;\t|"
_SEPARATOR_TOLD = re.compile(r'"?sep=([,;|\t])"?\r?\n', re.IGNORECASE)
#: Columns of analysis data (ADaM), which SDTM does not have.
_OF_ANALYSIS = frozenset(
    {
        *("PARAMCD", "AVAL", "AVALC", "DTYPE", "ABLFL", "ANL01FL", "TRTEMFL", "SAFFL", "ITTFL"),
        *(
            "AVISIT",
            "TRT01P",
            "TRT01A",
            "TRTP",
            "TRTA",
            "TRTSDT",
            "TRTEDT",
            "ASTDT",
            "AENDT",
            "ADT",
            "ADY",
            "ASTDY",
        ),
    }
)
_LONGEST_CELL = 10_000_000
_TOLD_ROWS = 20  # of one file that cannot be read; the rest is counted


class UnreadableTable(ValueError):
    """A file that is no table; the message says why, for a person."""


@dataclass(frozen=True)
class Table:
    """One table of SDTM. `frame` holds texts (str) and numbers (float); its rows keep the file's order."""

    name: str  # "LB", "SUPPAE"; upper case
    frame: pl.DataFrame
    source: str  # the file's name, for a person
    notes: tuple[tuple[str, str], ...] = ()  # (code, sentence) about the reading

    def __len__(self) -> int:
        return len(self.frame)

    def by_domain(self) -> list[Table]:
        """The table itself, or one for each domain where DOMAIN (of SUPP--: RDOMAIN) names several."""
        supplements = {"RDOMAIN", "QNAM"} <= set(self.columns)
        column = "RDOMAIN" if supplements else "DOMAIN"
        if column not in self.columns:
            return [self]
        named = self.frame[column].cast(pl.String).str.strip_chars().str.to_uppercase().fill_null("")
        domains = sorted(set(named) - {""})
        if len(domains) < 2:
            return [self]
        prefix = "SUPP" if supplements else ""
        return [
            Table(
                prefix + domain,
                self.frame.filter(named.is_in([domain, ""] if first else [domain])),
                self.source,
            )
            for first, domain in ((one == self.name.removeprefix(prefix), one) for one in domains)
        ]

    @property
    def is_analysis(self) -> bool:
        """Whether it is analysis data (ADaM): rows of SDTM once more, and derived ones; some keep DOMAIN."""
        named = stem_of(Path(self.source)).upper().startswith("AD")
        return len(_OF_ANALYSIS.intersection(self.columns)) >= (1 if named else 2)

    def called(self, name: str) -> Table:
        """The same table under another name."""
        return replace(self, name=name)

    @property
    def columns(self) -> list[str]:
        return self.frame.columns

    def rows(self) -> Iterator[Row]:
        return self.frame.iter_rows(named=True)


def read_table(path: Path) -> Table:
    """The table of one file, by its suffix (`.gz` beside it is understood). Raises UnreadableTable."""
    suffix = suffix_of(path)
    content = content_of(path)
    if suffix == ".xpt":
        name, frame, notes = _xpt(content, path.name)
    elif suffix == ".csv":
        name, frame, notes = _csv(content, path.name)
    else:
        name, frame, notes = _dataset_json(content, path.name)
    frame = _tidied(frame)
    return Table(_domain(frame, name or stem_of(path)), frame, path.name, tuple(notes))


def table_of(frame: pl.DataFrame, source: str) -> Table:
    """A table that stands in memory. Its name is that of its DOMAIN, or of `source`."""
    tidied = _tidied(frame)
    return Table(_domain(tidied, stem_of(Path(source))), tidied, source)


def suffix_of(path: Path) -> str:
    """`path`'s suffix in lower case, that of the file inside for a `.gz`."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def stem_of(path: Path) -> str:
    name = path.name[: -len(".gz")] if path.name.lower().endswith(".gz") else path.name
    return Path(name).stem


def content_of(path: Path) -> bytes:
    """A file's bytes, those inside for a `.gz`. Raises UnreadableTable."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError) as error:
        raise UnreadableTable(f"{path.name}: cannot be read ({error})") from None


def text_of(content: bytes) -> tuple[str, Notes]:
    """`content` as text, and what should be told: UTF-8 (with or without a mark), UTF-16, else 1252."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace"), []
    try:
        return content.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        told = f"line {line} is not UTF-8; the file was read as Windows-1252"
        return content.decode("cp1252", "replace"), [("encoding", told)]


def _xpt(content: bytes, name: str) -> tuple[str, pl.DataFrame, Notes]:
    notes: Notes = []
    if not content.startswith(b"HEADER RECORD"):
        raise UnreadableTable(f"{name}: is no SAS transport file")
    try:
        columns, meta = _read_xport(content, "UTF-8")
    except (ReadstatError, PyreadstatError, UnicodeDecodeError):
        try:
            columns, meta = _read_xport(content, "WINDOWS-1252")
        except (ReadstatError, PyreadstatError, UnicodeDecodeError) as error:
            raise UnreadableTable(f"{name}: is no readable SAS transport file ({error})") from None
        notes.append(("encoding", "the texts are not UTF-8; they were read as Windows-1252"))
    frame = pl.DataFrame({column: _series(list(values)) for column, values in columns.items()})
    return str(meta.table_name or ""), frame, notes


def _read_xport(content: bytes, encoding: str) -> tuple[dict[str, Any], Any]:
    return pyreadstat.read_xport(
        BytesIO(content), encoding=encoding, output_format="dict", disable_datetime_conversion=True
    )


def _csv(content: bytes, name: str) -> tuple[str, pl.DataFrame, Notes]:
    text, notes = text_of(content)
    text, separator = _separated(text)
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator)
    try:
        columns = [column.strip() for column in next(reader, [])]
        bad: list[str] = []
        rows: list[Sequence[Any]] = []
        for row in reader:
            if any(row[len(columns) :]):
                bad.append(f"line {reader.line_num} has {len(row)} cells, the header {len(columns)} columns")
            elif any(row):
                rows.append([*row[: len(columns)], *[""] * (len(columns) - len(row))])
    except csv.Error as error:
        raise UnreadableTable(f"{name}, line {reader.line_num}: {error}") from None
    if not any(columns):
        raise UnreadableTable(f"{name}: has no header line")
    notes += _told_rows(bad)
    columns, rows = _one_of_each(columns, rows, notes)
    return "", _frame(columns, rows), notes


def _separated(text: str) -> tuple[str, str]:
    """`text` and what separates its cells: as its first line says ("sep=;", for spreadsheets), else what its
    header has most."""
    if match := _SEPARATOR_TOLD.match(text):
        return text[match.end() :], match[1]
    header = next((line for line in text.splitlines() if line.strip()), "")
    return text, max(_SEPARATORS, key=header.count)


def _told_rows(bad: Sequence[str], code: str = "unreadable_row", what: str = "row") -> Notes:
    """The first of what was left out, and how many more."""
    told = [(code, f"{one}; the {what} was left out") for one in bad[:_TOLD_ROWS]]
    if more := len(bad) - len(told):
        told.append((code, f"{more:,} more {what}s were left out for the same reason"))
    return told


def _dataset_json(content: bytes, name: str) -> tuple[str, pl.DataFrame, Notes]:
    text, notes = text_of(content)
    head, rows = _parsed(text, name)
    if "clinicalData" in head or "referenceData" in head:  # version 1.0
        head, rows = _older(head, name)
    given = head.get("columns")
    if not isinstance(given, list) or not all(isinstance(one, dict) and one.get("name") for one in given):
        raise UnreadableTable(f"{name}: is no Dataset-JSON; it has no list `columns` with names")
    columns = [str(one["name"]) for one in given]
    stated = head.get("records")
    if isinstance(stated, int) and stated != len(rows):
        notes.append(("record_count", f"says that it has {stated:,} records and has {len(rows):,}"))
    sound: list[Sequence[Any]] = []
    bad: list[str] = []
    nested: list[str] = []
    for number, row in enumerate(rows, 1):
        if isinstance(row, list) and len(row) == len(columns):
            cells = zip(row, columns, strict=True)
            sound.append([_scalar(value, number, column, nested) for value, column in cells])
        else:
            bad.append(f"row {number} is no list of {len(columns)} values")
    notes += _told_rows(bad) + _told_rows(nested, "wrong_type", "value")
    columns, sound = _one_of_each(columns, sound, notes)
    return str(head.get("name") or ""), _frame(columns, sound), notes


def _scalar(value: Any, number: int, column: str, nested: list[str]) -> Any:
    if not isinstance(value, (list, dict)):
        return value
    what = "a list" if isinstance(value, list) else "an object"
    nested.append(f"row {number} has {what} in {column}")
    return None


def _parsed(text: str, name: str) -> tuple[Row, list[Any]]:
    """(metadata, rows) of a document, or of its line form: metadata first, then a row each line."""
    try:
        whole = json.loads(text)
    except ValueError as error:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        if len(lines) < 2:
            raise UnreadableTable(f"{name}: is no JSON ({error})") from None
        parsed = [_line(name, number, line) for number, line in lines]
        head, rows = parsed[0], parsed[1:]
        if not isinstance(head, dict):
            raise UnreadableTable(f"{name}, line 1: holds no metadata of Dataset-JSON") from None
        return head, rows
    except RecursionError:
        raise UnreadableTable(f"{name}: is nested too deeply") from None
    if not isinstance(whole, dict):
        raise UnreadableTable(f"{name}: is no Dataset-JSON; it holds no object")
    rows = whole.get("rows", [])
    if not isinstance(rows, list):
        raise UnreadableTable(f"{name}: `rows` is no list")
    return whole, rows


def _line(name: str, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UnreadableTable(f"{name}, line {number}: is no JSON ({error})") from None


def _older(head: Row, name: str) -> tuple[Row, list[Any]]:
    groups = (head.get("clinicalData") or head.get("referenceData") or {}).get("itemGroupData") or {}
    group = next((one for one in groups.values() if isinstance(one, dict)), None) if groups else None
    if group is None:
        raise UnreadableTable(f"{name}: is no Dataset-JSON; it has no `itemGroupData`")
    return {"name": group.get("name"), "columns": group.get("items")}, group.get("itemData") or []


def _one_of_each(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], notes: Notes
) -> tuple[list[str], list[Sequence[Any]]]:
    """Each column once: of two with one name and the same values the first, of two that differ none."""
    names = [column.strip().upper() for column in columns]
    if len(set(names)) == len(names):
        return list(columns), list(rows)
    kept: list[int] = []
    for place, name in enumerate(names):
        twins = [other for other, one in enumerate(names) if one == name]
        alike = all(len({str(row[twin]) for twin in twins}) == 1 for row in rows)
        if alike and place == twins[0]:
            kept.append(place)
        if len(twins) > 1 and place == twins[0]:
            became = "the first was read" if alike else "they differ and were left out"
            notes.append(
                ("duplicate_column", f"has {len(twins)} columns {name or '(without a name)'}; {became}")
            )
    return [columns[place] for place in kept], [[row[place] for place in kept] for row in rows]


def _frame(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> pl.DataFrame:
    by_column = zip(*rows, strict=True) if rows else ([] for _ in columns)
    return pl.DataFrame(
        {column: _series(list(values)) for column, values in zip(columns, by_column, strict=True)}
    )


def _series(values: list[Any]) -> pl.Series:
    """Numbers when all that is there are numbers, else texts."""
    numeric = all(
        value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)) for value in values
    )
    if numeric and any(value is not None for value in values):
        return pl.Series([None if value is None or value != value else float(value) for value in values])
    return pl.Series([_text(value) for value in values], dtype=pl.String)


def _text(value: Any) -> str | None:
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        return "Y" if value else "N"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    text = str(value).replace("\x00", "")
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


def _tidied(frame: pl.DataFrame) -> pl.DataFrame:
    names = Counter(column.strip().upper() for column in frame.columns)
    if twins := sorted(name for name, count in names.items() if count > 1):
        raise UnreadableTable(f"has more than one column {twins[0]}; which of them counts is not known")
    renamed = frame.rename({column: column.strip().upper() for column in frame.columns})
    return renamed.with_columns(pl.col(pl.String).str.strip_chars().replace("", None))


def _domain(frame: pl.DataFrame, name: str) -> str:
    """What the table says of itself before what its file is called."""
    if {"RDOMAIN", "QNAM"} <= set(frame.columns):
        return "SUPP" + _first(frame, "RDOMAIN")
    if "DOMAIN" in frame.columns and (domain := _first(frame, "DOMAIN")):
        return domain
    return name.strip().upper()


def _first(frame: pl.DataFrame, column: str) -> str:
    found = frame[column].drop_nulls()
    return str(found[0]).strip().upper() if len(found) else ""
