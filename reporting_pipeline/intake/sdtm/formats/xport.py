"""SAS transport files (XPT), version 5 and 8, read by pyreadstat; a file may hold several members.

pyreadstat reads the first member and takes the next one's head for rows of it, so a file is cut at the heads
of its members first (SAS TS-140: records of 80 bytes, each head begins one). A date, instant or time that
is a number with SAS's format becomes the ISO 8601 text that SDTM has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from io import BytesIO
from typing import Any

import polars as pl
import pyreadstat
from pyreadstat import PyreadstatError, ReadstatError

from reporting_pipeline.intake.content import Notes, UnreadableFile
from reporting_pipeline.intake.sdtm.formats.cells import MOST_COLUMNS, Read, series_of

_RECORD = 80
_MEMBER = re.compile(rb"HEADER RECORD\*{7}MEMB(?:ER|V8)  HEADER RECORD!{7}")
_EPOCH = datetime(1960, 1, 1)  # noqa: DTZ001 (SAS counts without a zone)
#: SAS's formats of numbers that are dates, instants and times, without width and separator.
_DATES = frozenset(
    {"DATE", "E8601DA", "B8601DA", "IS8601DA", "YYMMDD", "MMDDYY", "DDMMYY", "WORDDATE", "NLDATE"}
)
_INSTANTS = frozenset({"DATETIME", "E8601DT", "B8601DT", "IS8601DT", "DATEAMPM", "MDYAMPM", "NLDATM"})
_TIMES = frozenset({"TIME", "E8601TM", "B8601TM", "IS8601TM", "HHMM", "TOD", "TIMEAMPM", "NLTIME"})
_FORMAT = re.compile(r"(E8601D[AT]|E8601TM|B8601D[AT]|B8601TM|IS8601D[AT]|IS8601TM|[A-Z]+)")
_SEPARATED = re.compile(r"^(YYMMDD|MMDDYY|DDMMYY)[BCDNPS]$")  # YYMMDDS10. is one with slashes


def read(content: bytes, name: str) -> list[Read]:
    """The members of the file called `name`. Raises UnreadableFile."""
    if not content.startswith(b"HEADER RECORD"):
        hint = " (by its head a CPORT file; save it by the XPORT engine)" if _is_cport(content) else ""
        raise UnreadableFile(f"{name}: is no SAS transport file{hint}")
    found: list[Read] = []
    wrong: list[str] = []
    for one in _members(content):
        try:
            found.append(_member(one, name))
        except UnreadableFile as error:
            wrong.append(str(error))
    if not found:
        raise UnreadableFile(wrong[0])
    unread = tuple(("unreadable_file", f"a member of it was left out ({one})") for one in wrong)
    return [replace(found[0], notes=(*unread, *found[0].notes)), *found[1:]]


def _is_cport(content: bytes) -> bool:
    return content.startswith(b"**COMPRESSED**")


def _members(content: bytes) -> Iterator[bytes]:
    """Each member with the head of the file before it, as a file of its own."""
    starts = [found.start() for found in _MEMBER.finditer(content) if found.start() % _RECORD == 0]
    if len(starts) < 2:
        yield content
        return
    for start, end in zip(starts, [*starts[1:], len(content)], strict=True):
        yield content[: starts[0]] + content[start:end]


def _member(content: bytes, name: str) -> Read:
    notes: Notes = []
    try:
        columns, meta = _parsed(content, "UTF-8")
    except (ReadstatError, PyreadstatError, UnicodeDecodeError):
        try:
            columns, meta = _parsed(content, "WINDOWS-1252")
        except (ReadstatError, PyreadstatError, UnicodeDecodeError) as error:
            raise UnreadableFile(f"{name}: is no readable SAS transport file ({error})") from None
        notes.append(("encoding", "the texts are not UTF-8; they were read as Windows-1252"))
    if len(columns) > MOST_COLUMNS:
        raise UnreadableFile(f"{name}: has {len(columns):,} columns; a table has {MOST_COLUMNS:,} at most")
    formats = meta.original_variable_types
    frame = pl.DataFrame(
        {column: series_of(_dated(list(values), formats.get(column))) for column, values in columns.items()}
    )
    return Read(str(meta.table_name or ""), frame, tuple(notes))


def _parsed(content: bytes, encoding: str) -> tuple[dict[str, Any], Any]:
    return pyreadstat.read_xport(
        BytesIO(content), encoding=encoding, output_format="dict", disable_datetime_conversion=True
    )


def _dated(values: list[Any], sas_format: str | None) -> list[Any]:
    written = _written_as(sas_format)
    if written is None:
        return values
    return [written(value) if isinstance(value, (int, float)) else value for value in values]


def _written_as(sas_format: str | None) -> Callable[[float], str | float] | None:
    match = _FORMAT.match((sas_format or "").upper())
    if match is None:
        return None
    base = _SEPARATED.sub(r"\1", match[1])
    if base in _DATES:
        return _date
    return {True: _instant, False: _time}[base in _INSTANTS] if base in _INSTANTS | _TIMES else None


def _date(days: float) -> str | float:
    """Days since 1960 as a date; what no calendar has stays a number, and is told as no date."""
    try:
        return (date(1960, 1, 1) + timedelta(days=int(days))).isoformat()
    except (OverflowError, ValueError):
        return days


def _instant(seconds: float) -> str | float:
    try:
        return (_EPOCH + timedelta(seconds=seconds)).isoformat(timespec="seconds")
    except (OverflowError, ValueError):
        return seconds


def _time(seconds: float) -> str | float:
    """Seconds since midnight as a time of day."""
    if not 0 <= seconds < 24 * 60 * 60:
        return seconds
    return (_EPOCH + timedelta(seconds=seconds)).time().isoformat(timespec="seconds")
