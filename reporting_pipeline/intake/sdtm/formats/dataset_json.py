"""CDISC Dataset-JSON 1.1, its line form (.ndjson), and 1.0, which may hold several tables."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from reporting_pipeline.intake.content import Notes, UnreadableFile, text_of
from reporting_pipeline.intake.sdtm.formats.cells import (
    MOST_COLUMNS,
    Read,
    frame_of,
    one_of_each,
    told_rows,
)

Object = dict[str, Any]
_DATA_OF_1_0 = ("clinicalData", "referenceData")
#: What a table names on its first level, and no document does.
_MEMBERS = frozenset({"datasetJSONVersion", "itemGroupOID", "columns", "itemGroupData", *_DATA_OF_1_0})

#: A table names itself before its rows, and a document has none of these members.
_SCALAR = r'\s*"\w+"\s*:\s*(?:"(?:[^"\\]|\\.)*"|[\w.+-]+)\s*,'
_FIRST_MEMBERS = re.compile(rf'\{{(?:{_SCALAR})*\s*"(?:{"|".join(sorted(_MEMBERS))})"\s*:')


def looks_like_one(text: str, is_whole: bool = True) -> bool | None:
    """Whether JSON or lines of JSON hold a table, and no documents; None where a beginning does not say."""
    stripped = text.lstrip("\ufeff \t\r\n")
    first, *more = stripped.split("\n", 1)
    try:
        line = json.loads(first) if first.startswith("{") and (is_whole or more) else None
    except (ValueError, RecursionError):
        line = None
    if isinstance(line, dict):
        return not _MEMBERS.isdisjoint(line)
    if _FIRST_MEMBERS.match(stripped):
        return True
    return any(f'"{member}"' in text for member in _MEMBERS - {"columns"}) if is_whole else None


def read(content: bytes, name: str) -> list[Read]:
    """The tables of the file called `name`. Raises UnreadableFile."""
    text, notes = text_of(content)
    head, rows = _parsed(text, name, notes)
    if any(one in head for one in _DATA_OF_1_0):
        return [_table(one, given, name, []) for one, given in _tables_of_1_0(head, name)]
    return [_table(head, rows, name, notes)]


def _table(head: Object, rows: Sequence[Any], name: str, notes: Notes) -> Read:
    given = head.get("columns")
    if not isinstance(given, list) or not all(isinstance(one, dict) and one.get("name") for one in given):
        raise UnreadableFile(f"{name}: is no Dataset-JSON; it has no list `columns` with names")
    columns = [str(one["name"]) for one in given]
    if len(columns) > MOST_COLUMNS:
        raise UnreadableFile(f"{name}: has {len(columns):,} columns; a table has {MOST_COLUMNS:,} at most")
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
        elif row is not _TOLD:
            bad.append(f"row {number} is no list of {len(columns)} values")
    notes += told_rows(bad) + told_rows(nested, "wrong_type", "the value was left out")
    columns, sound = one_of_each(columns, sound, notes)
    return Read(str(head.get("name") or ""), frame_of(columns, sound), tuple(notes))


def _scalar(value: Any, number: int, column: str, nested: list[str]) -> Any:
    if not isinstance(value, (list, dict)):
        return value
    what = "a list" if isinstance(value, list) else "an object"
    nested.append(f"row {number} has {what} in {column}")
    return None


_TOLD = object()  # stands for a line that is no JSON, which was told


def _parsed(text: str, name: str, notes: Notes) -> tuple[Object, list[Any]]:
    """(metadata, rows) of a document, or of its line form: metadata first, then a row each line."""
    try:
        whole = json.loads(text)
    except ValueError as error:
        # Only line feeds end a line: JSON texts may hold the other separators that Python knows.
        lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        if len(lines) < 2:
            raise UnreadableFile(f"{name}: is no JSON ({error})") from None
        return _lines(lines, name, notes)
    except RecursionError:
        raise UnreadableFile(f"{name}: is nested too deeply") from None
    if not isinstance(whole, dict):
        raise UnreadableFile(f"{name}: is no Dataset-JSON; it holds no object")
    rows = whole.get("rows")
    if not isinstance(rows, list) and rows is not None:
        raise UnreadableFile(f"{name}: `rows` is no list")
    return whole, rows or []


def _lines(lines: Sequence[tuple[int, str]], name: str, notes: Notes) -> tuple[Object, list[Any]]:
    number, first = lines[0]
    try:
        head = json.loads(first)
    except (ValueError, RecursionError) as error:
        raise UnreadableFile(f"{name}, line {number}: is no JSON ({error})") from None
    if not isinstance(head, dict):
        raise UnreadableFile(f"{name}, line {number}: holds no metadata of Dataset-JSON")
    rows: list[Any] = []
    bad: list[str] = []
    for number, line in lines[1:]:
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            bad.append(f"line {number} is no JSON ({str(error)[:120]})")
            rows.append(_TOLD)
    notes += told_rows(bad)
    return head, rows


def _tables_of_1_0(whole: Object, name: str) -> list[tuple[Object, list[Any]]]:
    """(metadata as in 1.1, rows) of every table."""
    found: list[tuple[Object, list[Any]]] = []
    for member in _DATA_OF_1_0:
        data = whole.get(member)
        groups = data.get("itemGroupData") if isinstance(data, Mapping) else None
        for one in groups.values() if isinstance(groups, Mapping) else ():
            if isinstance(one, Mapping):
                rows = one.get("itemData")
                head = {"name": one.get("name"), "columns": one.get("items"), "records": one.get("records")}
                found.append((head, rows if isinstance(rows, list) else []))
    if not found:
        raise UnreadableFile(f"{name}: is no Dataset-JSON; it has no `itemGroupData`")
    return found
