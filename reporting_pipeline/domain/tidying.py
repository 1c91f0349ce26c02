"""From document records to a trial's tidy tables: what is usable becomes rows, the rest findings.

Pure: records and verdicts in, the tables of `domain.datasets` out. Nothing in a record can raise
here; a value that cannot be used becomes an empty cell and a finding that says which field of which
document and what is wrong with it. What a payload means is read in `domain.clinical`; here stands what
concerns a document as a whole, and all of them together. docs/clinical-rules.md has every rule.

Arrival decides the window: a document belongs to the period in which it was received, whatever dates it
speaks of (74 % of the pilot's adverse events are collected in a later week than their onset). Documents
outside both windows are left out. The rows stand in order of arrival, then of id, in whatever order the
records come.

No trial is refused. What is in doubt is set apart as narrowly as it can be and named in `omissions`:
    a test with two standard units keeps its rows, each beside its own range, and leaves the figures
        over the test ("labs/GLUC (urine)");
    a number without a unit, of a test that has one elsewhere, is compared with nothing (a finding);
    a table with more than a fifth of the period's documents malformed, and at least MALFORMED_LEAST,
        is shown as far as it could be read; its counts may be too low ("adverse_events").
A trial's results may be more than memory holds: rows then go aside while they are made, batch by batch, and
what is checked over all of them goes through the few columns that it needs (`tidy_in_order`).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from reporting_pipeline.domain.clinical import codes
from reporting_pipeline.domain.clinical.dates import before, parse_iso
from reporting_pipeline.domain.clinical.reading import Reading, Row, clean, shown
from reporting_pipeline.domain.clinical.rows import MEASUREMENTS, TABLE_OF, rows_of
from reporting_pipeline.domain.clinical.subjects import UNKNOWN_SITE, is_one_person, persons
from reporting_pipeline.domain.datasets import TABLES, table_from_rows
from reporting_pipeline.domain.deferred import DEFERRABLE, DeferredTable, RowsAside
from reporting_pipeline.domain.documents import FileVerdict, Kind, file_type_of
from reporting_pipeline.domain.periods import Period
from reporting_pipeline.domain.unit_checks import DoubtfulTest, doubtful_tests

MALFORMED_SHARE = 0.20  # of the current documents of a table; above it the table is named as incomplete
MALFORMED_LEAST = 5  # documents; fewer say nothing of their source

#: Rows of a table of results that stay in memory while it is made, where others may go aside: some 12 MB.
ROWS_IN_MEMORY = 10_000
_ROWS_AT_ONCE = 4_000  # as dicts, which take ten times the memory of a frame
_KINDS = frozenset(kind.value for kind in Kind)
_WRITTEN_LAST = ("findings", "omissions")


@dataclass(frozen=True)
class Tidied:
    """What documents came to."""

    tables: dict[str, pd.DataFrame]  # of `domain.datasets.TABLES`
    aside: Mapping[str, DeferredTable]  # those of very many rows, which have none in `tables`


def tidy_documents(
    records: Iterable[Mapping[str, Any]],
    verdicts: Mapping[str, FileVerdict],
    period: Period,
    *,
    so_far: bool = False,
) -> dict[str, pd.DataFrame]:
    """The tables of `domain.datasets.TABLES` for one trial, from its records of two windows.

    `records` are documents as in `domain.documents`, of `period` and of the period before (others are
    skipped), in any order. `verdicts` are by document id; a file without a verdict has the status "".
    `so_far`: the window "previous" is all that arrived before the period, not the period before alone.
    `day` is the local date of arrival in the period's timezone. Raises nothing, whatever the records hold.
    """
    return tidy_in_order(sorted(records, key=_by_arrival), verdicts, period, so_far=so_far).tables


def tidy_in_order(
    records: Iterable[Mapping[str, Any]],
    verdicts: Mapping[str, FileVerdict],
    period: Period,
    *,
    so_far: bool = False,
    put_aside: Callable[[str], RowsAside] | None = None,
) -> Tidied:
    """The same of records that come by arrival and then by id, each looked at once and not kept.

    `put_aside` gives a place for the rows of a table of measurements (by name) once there are more than
    ROWS_IN_MEMORY; without it all stand in memory.
    """
    tidying = _Tidying(period, verdicts, so_far, put_aside)
    for record in records:
        tidying.add(record)
    tidying.check_malformed_share()
    made = {name: tidying.made(name) for name in TABLES if name not in _WRITTEN_LAST}
    for name in MEASUREMENTS.values():
        made[name] = tidying.check_units(made[name])
    tables = {name: one.frame for name, one in made.items()}
    tidying.check_subjects(tables["documents"])
    tidying.check_deaths(tables, made)
    tables |= {name: tidying.made(name).frame for name in _WRITTEN_LAST}
    aside = {name: one.aside for name, one in made.items() if one.aside is not None}
    return Tidied({name: tables[name] for name in TABLES}, aside)


@dataclass(frozen=True)
class _Made:
    """One table with all its rows."""

    name: str
    frame: pd.DataFrame  # without rows where they are aside
    aside: DeferredTable | None = None

    def parts(self, columns: Sequence[str]) -> Iterable[pd.DataFrame]:
        """Its rows in order, with these columns at least."""
        return [self.frame] if self.aside is None else self.aside.frames(columns)


def _by_arrival(record: object) -> tuple[int, float, str]:
    """Records in order of arrival, then of id; what has no usable arrival comes last."""
    if not isinstance(record, Mapping):
        return 2, 0.0, shown(record)
    received_at, identifier = record.get("received_at"), _identifier(record)
    if not isinstance(received_at, datetime):
        return 1, 0.0, identifier
    zoned = received_at if received_at.tzinfo else received_at.replace(tzinfo=UTC)
    return 0, (zoned - _EPOCH).total_seconds(), identifier


def _identifier(record: Mapping[str, Any]) -> str:
    """The document's id as text; an id of another kind is no reason to lose the document."""
    identifier = record.get("_id")
    if isinstance(identifier, str):
        return clean(identifier)
    return "" if identifier is None else shown(identifier).strip("'")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class _Document:
    """One record while its rows are made."""

    key: Row  # document_id, window, site, subject, day
    reading: Reading
    table: str = "documents"  # that its payload goes to


@dataclass
class _Tidying:
    """The rows made so far, and what is remembered between documents."""

    period: Period
    verdicts: Mapping[str, FileVerdict]
    so_far: bool = False
    put_aside: Callable[[str], RowsAside] | None = None
    rows: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in TABLES})
    frames: dict[str, list[pd.DataFrame]] = field(default_factory=lambda: {name: [] for name in TABLES})
    asides: dict[str, RowsAside] = field(default_factory=dict)
    first_with_file: dict[str, str] = field(default_factory=dict)  # file key -> document id
    current: Counter[str] = field(default_factory=Counter)  # documents by table
    malformed: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._zone = ZoneInfo(self.period.timezone)
        first = datetime.min.replace(tzinfo=UTC)
        self._previous_at = first if self.so_far else self.period.previous().start_at
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
            self.current[document.table] += 1
            self.malformed[document.table] += document.reading.malformed
        self._keep_findings(document)
        for name, rows in self.rows.items():
            if len(rows) >= _ROWS_AT_ONCE:
                self._pack(name)

    def _pack(self, name: str) -> None:
        """Rows as dicts take ten times the memory of a frame; a frame of very many takes too much, too."""
        frame = table_from_rows(name, self.rows[name])
        self.rows[name] = []
        if name in self.asides:
            self.asides[name].add(frame)
            return
        self.frames[name].append(frame)
        if self.put_aside and name in DEFERRABLE and sum(map(len, self.frames[name])) > ROWS_IN_MEMORY:
            self.asides[name] = self.put_aside(name)
            for one in self.frames[name]:
                self.asides[name].add(one)
            self.frames[name] = []

    def made(self, name: str) -> _Made:
        """The table `name` of all that was added."""
        self._pack(name)
        if name in self.asides:
            return _Made(name, table_from_rows(name, []), self.asides.pop(name).table())
        frames = [frame for frame in self.frames[name] if len(frame)] or self.frames[name][:1]
        self.frames[name] = []
        return _Made(name, pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0])

    # --- one document ------------------------------------------------------------------------

    def _placed(self, record: object) -> tuple[_Document | None, datetime | None]:
        if not isinstance(record, Mapping):
            document = self._document("", "current", None)
            document.reading.finding("wrong_type", "record", f"Expected a document, found {shown(record)}.")
            return document, None
        identifier = _identifier(record)
        received_at = record.get("received_at")
        if not isinstance(received_at, datetime):
            document = self._document(identifier, "current", None)
            message = f"Expected an instant, found {shown(received_at)}; the document is in no period."
            document.reading.finding("not_placed", "received_at", message)
            return document, None
        if received_at.tzinfo is None:  # MongoDB keeps UTC
            received_at = received_at.replace(tzinfo=UTC)
        if not self._previous_at <= received_at < self._end_at:
            return None, None
        window = "current" if received_at >= self._start_at else "previous"
        document = self._document(identifier, window, received_at.astimezone(self._zone).date())
        document.key["site"] = document.reading.text(record, "site")
        document.key["subject"] = document.reading.text(record, "subject")
        return document, received_at

    def _document(self, identifier: str, window: str, arrived: date | None) -> _Document:
        day = (arrived or self.period.start).isoformat()
        key: Row = {"document_id": identifier, "window": window, "site": "", "subject": "", "day": day}
        return _Document(key, Reading(arrived))

    def _keep_findings(self, document: _Document) -> None:
        key = document.key
        self.rows["findings"] += [
            _finding(key, finding.code, finding.field, finding.detail)
            for finding in document.reading.findings
        ]

    def _add_rows(self, document: _Document, record: Mapping[str, Any], received_at: datetime) -> None:
        reading = document.reading
        kind = reading.text(record, "kind")
        if kind not in _KINDS:
            reading.finding("unknown_kind", "kind", f"{shown(kind)} is no kind of document.")
        self.rows["documents"].append(
            {
                **document.key,
                "external_id": reading.text(record, "external_id"),
                "kind": kind,
                "title": reading.text(record, "title"),
                "received_at": received_at,
                "collected": reading.date(record, "collected")[0],
                "synthetic": reading.flag(record, "synthetic") == codes.YES,
                "note": reading.text(record, "note"),
                **self._file_columns(document, record),
            }
        )
        made: list[Row] = []
        if table := TABLE_OF.get(kind):
            document.table = table
            collected = self.rows["documents"][-1]["collected"]
            made = rows_of(kind, record.get("data"), reading)
            for row in made:
                if "collected" in row:
                    row["collected"] = row["collected"] or collected
                self.rows[table].append({**document.key, **row})
        _tell_death_in_note(document, self.rows["documents"][-1], made)

    def _file_columns(self, document: _Document, record: Mapping[str, Any]) -> Row:
        file, reading = record.get("file"), document.reading
        if file is None:
            return _NO_FILE
        if not isinstance(file, Mapping):
            reading.finding("wrong_type", "file", f"Expected a file's record, found {shown(file)}.")
            return _NO_FILE
        name = reading.required(file, "name", "file.")
        key = reading.required(file, "key", "file.")
        verdict = self.verdicts.get(str(document.key["document_id"]))
        status, reason = (verdict.status, verdict.reason) if verdict else ("", "not verified")
        if status in ("missing", "corrupt"):
            reading.finding(f"file_{status}", "file", f"{shown(name)}: {clean(reason)}")
        self._note_duplicate(document, key, name)
        return {
            "file_name": name,
            "file_key": key,
            "file_sha256": reading.text(file, "sha256", "file."),
            "file_size": reading.number(file, "size", "file."),
            "file_type": file_type_of(name),
            "file_status": status,
            "file_reason": clean(reason),
        }

    def _note_duplicate(self, document: _Document, key: str, name: str) -> None:
        if not key:
            return
        identifier = str(document.key["document_id"])
        first = self.first_with_file.setdefault(key, identifier)
        if first != identifier:
            document.reading.finding("duplicate_file", "file", f"{shown(name)} is also the file of {first}.")

    # --- all documents -----------------------------------------------------------------------

    def _omit(self, part: str, reason: str) -> None:
        self.rows["omissions"].append({"part": part, "reason": reason})

    def check_malformed_share(self) -> None:
        """Name the tables of which so many documents are malformed that their source is in doubt."""
        for table in TABLES:
            bad, of = self.malformed[table], self.current[table]
            if bad >= MALFORMED_LEAST and bad > MALFORMED_SHARE * of:
                self._omit(
                    table,
                    f"{bad} of {of} documents are malformed (more than {MALFORMED_SHARE:.0%}); what could "
                    "not be read in them is left out, so counts may be too low. The findings name each "
                    "value; correct the documents at their source and send them again",
                )

    def check_units(self, table: _Made) -> _Made:
        """One standard unit per test: one with several is set apart, a number without one is not judged."""
        doubtful = doubtful_tests(table.parts, TABLES[table.name])
        if not doubtful:
            return table
        settled = self._settled(table, doubtful)
        for test in doubtful:
            if test.several:
                self._omit(f"{table.name}/{test.label}", test.omission)
            self.rows["findings"] += [
                _finding(found.row, found.code, "unit", found.message) for found in test.findings
            ]
        return settled

    def _settled(self, table: _Made, doubtful: Sequence[DoubtfulTest]) -> _Made:
        if table.aside is None or self.put_aside is None:
            for test in doubtful:
                test.settle(table.frame)
            return table
        again = self.put_aside(table.name)
        for part in table.aside.frames(list(TABLES[table.name])):
            frame = part.copy()  # what Arrow gives cannot be written to
            for test in doubtful:
                test.settle(frame)
            again.add(frame)
        return _Made(table.name, table.frame, again.table())

    def check_subjects(self, documents: pd.DataFrame) -> None:
        """Tell which subject numbers occur at several sites and are counted as several persons."""
        named = documents[(documents["subject"] != "") & ~documents["site"].isin(["", UNKNOWN_SITE])]
        firsts = named.drop_duplicates(["subject", "site"]).sort_values(["subject", "site"])
        twice = firsts[firsts["subject"].duplicated(keep=False)]
        for subject, rows in twice.groupby("subject", sort=True):
            sites = rows["site"].tolist()
            if not is_one_person(str(subject), sites):
                message = f"Subject {shown(subject)} occurs at the sites {', '.join(sites)}."
                self.rows["findings"].append(
                    _finding(_named(rows.iloc[-1]), "subject_at_two_sites", "subject", message)
                )

    def check_deaths(self, tables: Mapping[str, pd.DataFrame], made: Mapping[str, _Made]) -> None:
        """Tell what is dated after its subject's death, whichever document tells of that, and two days of one
        death. Where days differ the latest is taken: only what contradicts all of them is told."""
        died = _days_of_death(tables)
        for found in died.values():
            for one in found[:-1]:
                if before(one.parts, found[-1].parts):
                    message = f"Died on {one.text} here, and on {found[-1].text} by another document."
                    self.rows["findings"].append(_finding(one.row, "dates_in_disorder", "death", message))
        for name, column, label in _DATED if died else ():
            for row in _told_once(made[name], column, died):
                last = died[row["site"], row["subject"]][-1]
                message = f"{label} on {row[column]}, after the death on {last.text}; both are shown."
                self.rows["findings"].append(_finding(row, "after_death", column, message))
        for row, told_by in _denied_deaths(tables):
            message = f"Died is no here, but {told_by} says that the subject died; it counts as a death."
            self.rows["findings"].append(_finding(row, "death_contradicts", "died", message))


_SENTENCES = re.compile(r"[.!?;\n]+")


def _tell_death_in_note(document: _Document, said: Row, rows: list[Row]) -> None:
    """Tell a note, or the title of a document that is its note or file, that says that the subject died where
    nothing else of the document does. Its words are not repeated: not everybody may read them."""
    if any(row.get("fatal") or row.get("died") == codes.YES or row.get("death") is True for row in rows):
        return
    for name in ("note",) if said["kind"] in TABLE_OF else ("note", "title"):
        if any(map(codes.may_say_subject_died, _SENTENCES.split(str(said[name])))):
            detail = f"The {name} names a death; it is not counted as one, for nothing else here says so."
            document.reading.finding("death_in_words", name, detail)
            return


@dataclass(frozen=True, order=True)
class _Death:
    """One day on which a document says that somebody died."""

    parts: tuple[int, ...]  # year, month, day as far as known
    text: str  # as collected
    row: dict[str, Any] = field(compare=False)


_Deaths = Mapping[tuple[str, str], list[_Death]]  # by (site, subject), the earliest first
#: What happens to the living alone: table, its date, how a message begins. Not treatment, which is not
#: everybody's to know.
_DATED = (
    ("adverse_events", "start", "An adverse event began"),
    ("visits", "start", "A visit was done"),
    ("dispositions", "start", "Something else than the death was recorded"),
    *((name, "collected", "A result was collected") for name in MEASUREMENTS.values()),
)
_TO_THE_DAY = 3  # year, month, day


def _days_of_death(tables: Mapping[str, pd.DataFrame]) -> _Deaths:
    subjects, dispositions = tables["subjects"], tables["dispositions"]
    found: dict[tuple[str, str], list[_Death]] = {}
    for frame, column in ((subjects, "death"), (dispositions[dispositions["death"].astype(bool)], "start")):
        for row in _records(frame[(frame[column] != "") & (frame["subject"] != "")]):
            parts = parse_iso(str(row[column])).parts[:_TO_THE_DAY]
            if parts:
                death = _Death(parts, str(row[column]), row)
                found.setdefault((row["site"], row["subject"]), []).append(death)
    return {who: sorted(days) for who, days in found.items()}


def _denied_deaths(tables: Mapping[str, pd.DataFrame]) -> Iterator[tuple[dict[str, Any], str]]:
    """Records of subjects that say "not died" of somebody whom another document calls dead, and what does."""
    subjects, events, left = tables["subjects"], tables["adverse_events"], tables["dispositions"]
    denied = subjects[subjects["died"] == codes.NO]
    if denied.empty:
        return
    numbers = persons(
        pair for name in ("subjects", "adverse_events", "dispositions") for pair in _pairs(tables[name])
    )
    dead: dict[int, str] = {}
    for frame, told_by in (
        (subjects[subjects["died"] == codes.YES], "another record"),
        (left[left["death"].astype(bool)], "a disposition"),
        (events[events["fatal"].astype(bool)], "an adverse event"),
    ):
        dead |= {numbers[pair]: told_by for pair in _pairs(frame)}
    for row in _records(denied):
        number = numbers[row["site"], row["subject"]]
        if number and number in dead:
            yield row, dead[number]


def _pairs(frame: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(frame["site"], frame["subject"], strict=True))


def _told_once(table: _Made, column: str, died: _Deaths) -> Iterator[dict[str, Any]]:
    """The rows dated after a death; of results of one document and moment one is enough."""
    told: set[tuple[Any, ...]] = set()
    for part in table.parts(["document_id", "window", "site", "subject", column]):
        for row in _dated_later(part, column, died):
            if (about := (row["document_id"], row[column])) not in told:
                told.add(about)
                yield row


def _dated_later(frame: pd.DataFrame, column: str, died: _Deaths) -> Iterator[dict[str, Any]]:
    """The rows that are certainly dated after their subject's death."""
    first: dict[str, str] = {}
    for (_, subject), days in died.items():
        first[subject] = min(days[-1].text, first.get(subject, days[-1].text))
    dead = frame[frame["subject"].isin(first.keys())]
    for row in _records(dead[dead[column] > dead["subject"].map(first)]):  # nearly none
        days = died.get((row["site"], row["subject"]), [])
        parts = parse_iso(str(row[column])).parts[:_TO_THE_DAY]
        if not days or not parts or not before(days[-1].parts, parts):
            continue
        if row.get("visit_status", "done") == "done" and not row.get("death", False):
            yield row


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _finding(key: Mapping[str, Any], code: str, name: str, message: str) -> Row:
    return {
        "document_id": key["document_id"],
        "window": key["window"],
        "site": key["site"],
        "subject": key["subject"],
        "code": code,
        "field": name,
        "message": message,
    }


def _named(row: pd.Series) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}


_NO_FILE: Row = {
    "file_name": "",
    "file_key": "",
    "file_sha256": "",
    "file_size": math.nan,
    "file_type": "",
    "file_status": "",
    "file_reason": "",
}
