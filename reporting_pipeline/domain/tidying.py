"""From document records to a trial's tidy tables: what is usable becomes rows, the rest findings.

Pure: records and verdicts in, the tables of `domain.datasets` out. Nothing in a record can raise
here; a value that cannot be used becomes an empty cell and a finding that says which field of which
document and what is wrong with it. Two states of a trial are refused as a whole (`DatasetBlocked`),
because a report on them would be wrong rather than incomplete.

Rules, and where they come from
    Arrival decides the window: a document belongs to the period in which it was received, whatever
        dates it speaks of (74 % of the pilot's adverse events are collected in a later week than
        their onset). Documents outside both windows are left out.
    Dates are ISO 8601 as collected and may be partial (SDTM Implementation Guide, 4.4.2: "2003",
        "2013-05", "2003---15"). A partial date is kept as it is: completing it would invent a day
        (finding `partial_date`, which says only what a reader should know). A date that no calendar
        has ("2013-02-30", "9999") is not kept (`impossible_date`).
    A date more than a day after arrival is told (`future_date`) and kept: sources are cleaned later,
        planned visits exist; the day is what timezones can explain.
    An event that ends before it starts is told (`ends_before_start`) and kept; partial dates are
        compared only as far as both go.
    A number is a finite int or float. NaN and infinity (`not_finite`) and text in a number's place
        (`wrong_type`) leave the number out; "5,1" is not guessed. Result qualifiers ("<0.2", "N",
        "NOT DONE") belong in `text_result` and are results, not faults.
    One unit per test: with two standard units of one test_code in the trial's labs or vitals, any
        mean or trend would mix them: blocked. A number without a unit, of a test that has one
        elsewhere, is taken out of statistics and told (`missing_unit`). Tests without any unit (pH,
        specific gravity, scores) are fine.
    Too much rubbish: with more than 20 % of the period's documents malformed the source itself is in
        doubt (a changed export, a wrong mapping), and counts would mislead: blocked.
    Two documents that name one file are both kept, the later one is told (`duplicate_file`).
    Coded values are compared in upper case, as CDISC's codelists are; what is in no codelist is left
        empty (`unknown_value`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import pandas as pd

from reporting_pipeline.domain.datasets import TABLES, table_from_rows
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.periods import Period

MALFORMED_SHARE = 0.20  # of the current documents; above it the dataset is blocked

#: What each code of `findings` means, for a report's appendix. Codes are stable.
FINDING_CODES: Mapping[str, str] = {
    "wrong_type": "A value is not of the kind its field asks for; it was left out.",
    "missing_field": "A field that the document cannot do without is missing.",
    "unknown_kind": "The document is of a kind this product does not know; only its arrival is counted.",
    "unknown_value": "A coded value is in no code list; it was left out.",
    "impossible_date": "A date that no calendar has; it was left out.",
    "not_finite": "A number is not finite; it was left out.",
    "ends_before_start": "An event or visit ends before it starts; both dates are shown as collected.",
    "missing_unit": "A number has no standard unit although its test has one; it is in no statistic.",
    "partial_date": "A date is known to the month or year only; it is shown as collected.",
    "future_date": "A date lies after the document's arrival; it is shown as collected.",
    "duplicate_file": "Two documents name the same file.",
    "file_missing": "The document's file is not in the store.",
    "file_corrupt": "The document's file cannot be used.",
}
#: Findings that make a document malformed. The others are true of real, sound documents.
MALFORMED_CODES = frozenset(
    {
        "wrong_type",
        "missing_field",
        "unknown_kind",
        "unknown_value",
        "impossible_date",
        "not_finite",
        "ends_before_start",
    }
)

SEVERITIES = frozenset({"MILD", "MODERATE", "SEVERE", ""})
INDICATORS = frozenset({"NORMAL", "LOW", "HIGH", "ABNORMAL", ""})

_DATE = re.compile(
    r"(\d{4}|-)(?:-(\d{2}|-)(?:-(\d{2})(?:T(\d{2})(?::(\d{2})(?::(\d{2})(?:\.\d+)?)?)?"
    r"(?:Z|[+-]\d{2}(?::?\d{2})?)?)?)?)?",
    re.ASCII,
)
_OLDEST_YEAR = 1890  # nobody in a trial was born before
_NEWEST_YEAR = 2200
_ROWS_AT_ONCE = 50_000
_SHOWN = 60  # characters of an odd value that a message shows

Row = dict[str, object]


class DatasetBlocked(Exception):
    """A report on this trial and period would be wrong; the message says why, for a person."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class FileVerdict(Protocol):
    """What became of a file: `status` is ok, missing or corrupt, `reason` is for a person."""

    @property
    def status(self) -> str: ...

    @property
    def reason(self) -> str: ...


def tidy_documents(
    records: Iterable[Mapping[str, Any]], verdicts: Mapping[str, FileVerdict], period: Period
) -> dict[str, pd.DataFrame]:
    """The tables of `domain.datasets.TABLES` for one trial, from its records of two windows.

    `records` are documents as in `domain.documents`, of `period` and of the period before (others are
    skipped), in a stable order, which the rows keep. `verdicts` are by document id; a file without a
    verdict has the status "". `day` is the local date of arrival in the period's timezone.

    Raises DatasetBlocked, and nothing else whatever the records hold.
    """
    tidying = _Tidying(period, verdicts)
    for record in records:
        tidying.add(record)
    tidying.check_malformed_share()
    tables = {name: tidying.table(name) for name in TABLES if name != "findings"}
    for name in ("labs", "vitals"):
        tidying.check_units(name, tables[name])
    tables["findings"] = tidying.table("findings")
    return {name: tables[name] for name in TABLES}


# --- values --------------------------------------------------------------------------------------


def shown(value: object) -> str:
    """An odd value as a message shows it: short, on one line, safe to encode."""
    if isinstance(value, (dict, list, tuple, set, bytes)):
        return f"a {type(value).__name__}"
    if isinstance(value, int) and abs(value) > 10**_SHOWN:
        return "a very large number"
    text = clean(str(value))
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def clean(text: str) -> str:
    """`text` without lone surrogates, which no file format can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class IsoDate:
    """A date as collected, taken apart. `finding` is "" for a full date."""

    parts: tuple[int, ...]  # year, month, day as far as known without a gap; () when unusable
    finding: str  # "", partial_date or impossible_date


@lru_cache(maxsize=65_536)
def parse_iso(text: str) -> IsoDate:
    """`text` as an ISO 8601 date of any precision, SDTM's hyphens for unknown parts included."""
    match = _DATE.fullmatch(text)
    if match is None:
        return IsoDate((), "impossible_date")
    year, month, day, hour, minute, second = match.groups()
    if not _exists(year, month, day) or int(hour or 0) > 23 or max(int(minute or 0), int(second or 0)) > 59:
        return IsoDate((), "impossible_date")
    known: list[int] = []
    for part in (year, month, day):
        if part is None or part == "-":
            break
        known.append(int(part))
    return IsoDate(tuple(known), "" if len(known) == 3 else "partial_date")


def _exists(year: str, month: str | None, day: str | None) -> bool:
    if year == "-" and month in (None, "-") and day is None:
        return False  # says nothing at all
    leap_year = 2000  # an unknown year may have a 29 February, an unknown month a 31st
    number = leap_year if year == "-" else int(year)
    if not _OLDEST_YEAR <= number <= _NEWEST_YEAR:
        return False
    try:
        date(number, int(month or 1) if month != "-" else 1, int(day or 1))
    except ValueError:
        return False
    return True


@lru_cache(maxsize=1024)
def _day_and_tomorrow(day: date) -> tuple[str, tuple[int, int, int]]:
    after = day + timedelta(days=1)
    return day.isoformat(), (after.year, after.month, after.day)


def _before(first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    """Whether `first` is certainly before `second`, compared as far as both are known."""
    length = min(len(first), len(second))
    return first[:length] < second[:length]


# --- one document --------------------------------------------------------------------------------


@dataclass
class _Document:
    """One record while its rows are made: its key columns and what was odd about it."""

    key: Row
    arrived: date
    tomorrow: tuple[int, int, int]  # the day after arrival, which is not yet "the future"
    note_finding: Callable[[_Document, str, str, str], None]
    malformed: bool = False

    def finding(self, code: str, name: str, message: str) -> None:
        self.malformed = self.malformed or code in MALFORMED_CODES
        self.note_finding(self, code, name, message)

    def text(self, source: Mapping[str, Any], name: str, where: str = "") -> str:
        value = source.get(name)
        if type(value) is str and value.isascii():  # nearly all: a million documents hold ten millions
            return value
        if value is None:
            return ""
        if isinstance(value, str):
            return clean(value)
        self.finding("wrong_type", where + name, f"Expected text, found {shown(value)}; it was left out.")
        return ""

    def required(self, source: Mapping[str, Any], name: str, where: str = "") -> str:
        text = self.text(source, name, where)
        if not text and source.get(name) in (None, ""):
            self.finding("missing_field", where + name, f"The field {name} is missing or empty.")
        return text

    def coded(self, source: Mapping[str, Any], name: str, codes: frozenset[str], where: str = "") -> str:
        given = self.text(source, name, where)
        code = given.strip().upper()
        if code in codes:
            return code
        known = ", ".join(sorted(codes - {""}))
        self.finding("unknown_value", where + name, f"{shown(given)} is none of {known}; it was left out.")
        return ""

    def number(self, source: Mapping[str, Any], name: str, where: str = "") -> float:
        value = source.get(name)
        if value is None:
            return math.nan
        if type(value) is float and math.isfinite(value):
            return value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.finding(
                "wrong_type", where + name, f"Expected a number, found {shown(value)}; it was left out."
            )
            return math.nan
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
        self.finding("not_finite", where + name, f"{shown(value)} is no finite number; it was left out.")
        return math.nan

    def flag(self, source: Mapping[str, Any], name: str, default: bool = False) -> bool:
        value = source.get(name)
        if isinstance(value, bool):
            return value
        if value is not None:
            self.finding("wrong_type", name, f"Expected true or false, found {shown(value)}.")
        return default

    def date(self, source: Mapping[str, Any], name: str) -> tuple[str, tuple[int, ...]]:
        """The date as collected and its known parts; ("", ()) when there is none to use."""
        text = self.text(source, name).strip()
        if not text:
            return "", ()
        parsed = parse_iso(text)
        if parsed.finding == "impossible_date":
            self.finding("impossible_date", name, f"{shown(text)} is no date; it was left out.")
            return "", ()
        if parsed.finding == "partial_date":
            self.finding("partial_date", name, f"{shown(text)} is not a full date; it is shown as collected.")
        if self.tomorrow < parsed.parts and _before(self.tomorrow, parsed.parts):
            self.finding(
                "future_date", name, f"{shown(text)} lies after the document's arrival on {self.arrived}."
            )
        return text, parsed.parts

    def interval(self, source: Mapping[str, Any]) -> tuple[str, str]:
        """`start` and `end` of an event or visit."""
        start, first = self.date(source, "start")
        end, last = self.date(source, "end")
        if _before(last, first):
            self.finding("ends_before_start", "end", f"Ends on {end}, before it starts on {start}.")
        return start, end


def _payload(document: _Document, record: Mapping[str, Any]) -> Mapping[str, Any]:
    data = record.get("data")
    if isinstance(data, Mapping):
        return data
    if data is not None:
        document.finding("wrong_type", "data", f"Expected a record of fields, found {shown(data)}.")
    return {}


def _results(document: _Document, data: Mapping[str, Any]) -> list[Row]:
    results = data.get("results")
    if not isinstance(results, (list, tuple)):
        code = "missing_field" if results is None else "wrong_type"
        document.finding(code, "results", "The document has no list of results.")
        return []
    return [
        row
        for position, result in enumerate(results)
        if (row := _result(document, result, f"results[{position}].")) is not None
    ]


def _result(document: _Document, result: object, where: str) -> Row | None:
    if not isinstance(result, Mapping):
        document.finding("wrong_type", where[:-1], f"Expected a result, found {shown(result)}.")
        return None
    code = document.required(result, "test_code", where)
    if not code:
        return None
    value = document.number(result, "value", where)
    text = document.text(result, "text_result", where)
    original = document.text(result, "original_result", where)
    return {
        **document.key,
        "test_code": code,
        "test": document.text(result, "test", where) or code,
        "category": document.text(result, "category", where),
        "original_result": original,
        "original_unit": document.text(result, "original_unit", where),
        "value": value,
        "unit": document.text(result, "unit", where).strip(),
        "low": document.number(result, "low", where),
        "high": document.number(result, "high", where),
        "indicator": document.coded(result, "indicator", INDICATORS, where),
        "text_result": text or (original if math.isnan(value) else ""),
    }


def _adverse_event(document: _Document, data: Mapping[str, Any]) -> Row:
    start, end = document.interval(data)
    return {
        **document.key,
        "term": document.required(data, "term"),
        "preferred_term": document.text(data, "preferred_term"),
        "system_organ_class": document.text(data, "system_organ_class"),
        "severity": document.coded(data, "severity", SEVERITIES),
        "serious": document.flag(data, "serious"),
        "related": document.text(data, "related"),
        "outcome": document.text(data, "outcome"),
        "start": start,
        "end": end,
    }


def _visit(document: _Document, data: Mapping[str, Any]) -> Row:
    start, end = document.interval(data)
    return {
        **document.key,
        "visit": document.required(data, "visit"),
        "visit_number": document.number(data, "visit_number"),
        "start": start,
        "end": end,
        "planned": document.flag(data, "planned", default=True),
    }


def _disposition(document: _Document, data: Mapping[str, Any]) -> Row:
    return {
        **document.key,
        "term": document.text(data, "term"),
        "decoded": document.required(data, "decoded"),
        "category": document.text(data, "category"),
        "start": document.date(data, "start")[0],
    }


_TABLE_OF = {
    Kind.LAB.value: "labs",
    Kind.VITALS.value: "vitals",
    Kind.ADVERSE_EVENT.value: "adverse_events",
    Kind.VISIT.value: "visits",
    Kind.DISPOSITION.value: "dispositions",
}
_ROW_OF: Mapping[str, Callable[[_Document, Mapping[str, Any]], Row]] = {
    "adverse_events": _adverse_event,
    "visits": _visit,
    "dispositions": _disposition,
}
_KINDS = frozenset(kind.value for kind in Kind)


# --- all documents -------------------------------------------------------------------------------


@dataclass
class _Tidying:
    """The rows made so far, and what is remembered between documents."""

    period: Period
    verdicts: Mapping[str, FileVerdict]
    rows: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in TABLES})
    frames: dict[str, list[pd.DataFrame]] = field(default_factory=lambda: {name: [] for name in TABLES})
    first_with_file: dict[str, str] = field(default_factory=dict)  # file key -> document id
    current: int = 0
    malformed: int = 0

    def __post_init__(self) -> None:
        self._zone = ZoneInfo(self.period.timezone)
        self._previous_at = self.period.previous().start_at
        self._start_at = self.period.start_at
        self._end_at = self.period.end_at

    def add(self, record: Mapping[str, Any]) -> None:
        """Make the rows of one record; a record of neither window leaves none."""
        document, received_at = self._placed(record)
        if document is None:
            return
        if received_at is not None:
            self._add_rows(document, record, received_at)
        if document.key["window"] == "current":
            self.current += 1
            self.malformed += document.malformed
        for name, rows in self.rows.items():
            if len(rows) >= _ROWS_AT_ONCE:
                self._pack(name)

    def _pack(self, name: str) -> None:
        """Rows as dicts take ten times the memory of a frame."""
        self.frames[name].append(table_from_rows(name, self.rows[name]))
        self.rows[name] = []

    def table(self, name: str) -> pd.DataFrame:
        """The table `name` of all that was added."""
        self._pack(name)
        frames = [frame for frame in self.frames[name] if len(frame)]
        return pd.concat(frames, ignore_index=True) if frames else self.frames[name][0]

    def _placed(self, record: Mapping[str, Any]) -> tuple[_Document | None, datetime | None]:
        if not isinstance(record, Mapping):
            document = self._document("", "current", "", "", self.period.start)
            document.finding("wrong_type", "record", f"Expected a document, found {shown(record)}.")
            return document, None
        identifier = record.get("_id")
        identifier = clean(identifier) if isinstance(identifier, str) else ""
        received_at = record.get("received_at")
        if not isinstance(received_at, datetime):
            document = self._document(identifier, "current", "", "", self.period.start)
            document.finding(
                "wrong_type",
                "received_at",
                f"Expected an instant, found {shown(received_at)}; the document is in no window.",
            )
            return document, None
        if received_at.tzinfo is None:  # MongoDB keeps UTC
            received_at = received_at.replace(tzinfo=UTC)
        if not self._previous_at <= received_at < self._end_at:
            return None, None
        window = "current" if received_at >= self._start_at else "previous"
        arrived = received_at.astimezone(self._zone).date()
        document = self._document(identifier, window, "", "", arrived)
        document.key["site"] = document.text(record, "site")
        document.key["subject"] = document.text(record, "subject")
        return document, received_at

    def _document(self, identifier: str, window: str, site: str, subject: str, arrived: date) -> _Document:
        day, tomorrow = _day_and_tomorrow(arrived)
        key: Row = {
            "document_id": identifier,
            "window": window,
            "site": site,
            "subject": subject,
            "day": day,
        }
        return _Document(key, arrived, tomorrow, self._note_finding)

    def _note_finding(self, document: _Document, code: str, name: str, message: str) -> None:
        self.rows["findings"].append(
            {
                "document_id": document.key["document_id"],
                "window": document.key["window"],
                "site": document.key["site"],
                "code": code,
                "field": name,
                "message": message,
            }
        )

    def _add_rows(self, document: _Document, record: Mapping[str, Any], received_at: datetime) -> None:
        kind = document.text(record, "kind")
        if kind not in _KINDS:
            document.finding("unknown_kind", "kind", f"{shown(kind)} is no kind of document.")
        self.rows["documents"].append(
            {
                **document.key,
                "kind": kind,
                "title": document.text(record, "title"),
                "received_at": received_at,
                "collected": document.date(record, "collected")[0],
                "synthetic": document.flag(record, "synthetic"),
                "note": document.text(record, "note"),
                **self._file_columns(document, record),
            }
        )
        table = _TABLE_OF.get(kind)
        if table is None:
            return
        data = _payload(document, record)
        if table in _ROW_OF:
            self.rows[table].append(_ROW_OF[table](document, data))
        else:
            self.rows[table].extend(_results(document, data))

    def _file_columns(self, document: _Document, record: Mapping[str, Any]) -> Row:
        file = record.get("file")
        if file is None:
            return _NO_FILE
        if not isinstance(file, Mapping):
            document.finding("wrong_type", "file", f"Expected a file's record, found {shown(file)}.")
            return _NO_FILE
        name = document.required(file, "name", "file.")
        key = document.required(file, "key", "file.")
        verdict = self.verdicts.get(str(document.key["document_id"]))
        status, reason = (verdict.status, verdict.reason) if verdict else ("", "not verified")
        if status in ("missing", "corrupt"):
            document.finding(f"file_{status}", "file", f"{shown(name)}: {clean(reason)}")
        self._note_duplicate(document, key, name)
        return {
            "file_name": name,
            "file_key": key,
            "file_sha256": document.text(file, "sha256", "file."),
            "file_size": document.number(file, "size", "file."),
            "file_type": name.lower().rpartition(".")[2] if "." in name else "",
            "file_status": status,
            "file_reason": clean(reason),
        }

    def _note_duplicate(self, document: _Document, key: str, name: str) -> None:
        if not key:
            return
        identifier = str(document.key["document_id"])
        first = self.first_with_file.setdefault(key, identifier)
        if first != identifier:
            document.finding("duplicate_file", "file", f"{shown(name)} is also the file of {first}.")

    # --- rules about the whole ---------------------------------------------------------------

    def check_malformed_share(self) -> None:
        """Raise DatasetBlocked when more than MALFORMED_SHARE of the current documents are malformed."""
        if self.malformed > MALFORMED_SHARE * self.current:
            raise DatasetBlocked(
                f"{self.malformed} of {self.current} documents of this period are malformed "
                f"(more than {MALFORMED_SHARE:.0%}); mend the source and load them again"
            )

    def check_units(self, name: str, frame: pd.DataFrame) -> None:
        """One standard unit per test, or DatasetBlocked; numbers without their unit leave statistics."""
        numbers = frame[frame["value"].notna()]
        units = numbers.loc[numbers["unit"] != "", ["test_code", "unit"]].drop_duplicates()
        mixed = units[units["test_code"].duplicated(keep=False)].sort_values(["test_code", "unit"])
        if len(mixed):
            code = mixed["test_code"].iloc[0]
            found = " and ".join(mixed.loc[mixed["test_code"] == code, "unit"].head(3))
            raise DatasetBlocked(
                f"the test {shown(code)} has more than one standard unit in {name} ({found}); "
                "no statistic of it can be right"
            )
        lost = numbers.index[(numbers["unit"] == "") & numbers["test_code"].isin(units["test_code"])]
        for position in lost:
            self._take_out(frame, position)

    def _take_out(self, frame: pd.DataFrame, position: Any) -> None:
        row = frame.loc[position]
        self.rows["findings"].append(
            {
                "document_id": row["document_id"],
                "window": row["window"],
                "site": row["site"],
                "code": "missing_unit",
                "field": "unit",
                "message": f"{row['test_code']} {row['value']:g} has no unit; it is in no statistic.",
            }
        )
        if not row["text_result"]:
            frame.loc[position, "text_result"] = f"{row['value']:g}"
        frame.loc[position, "value"] = math.nan


_NO_FILE: Row = {
    "file_name": "",
    "file_key": "",
    "file_sha256": "",
    "file_size": math.nan,
    "file_type": "",
    "file_status": "",
    "file_reason": "",
}
