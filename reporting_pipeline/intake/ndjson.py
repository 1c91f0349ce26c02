"""Documents as newline-delimited JSON, one a line, in the shape of the API; a JSON array is read, too.

    {"id": "lab-17", "trial": "T-1", "site": "701", "subject": "701-001", "kind": "lab",
     "title": "Haematology", "received_at": "2026-11-17T09:30:00Z", "data": {"results": [...]}}

A line that is no document becomes a finding that names file and line, and the next one is read. What a
payload holds is not judged here: `domain` does that, when it is reported.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from reporting_pipeline.domain.clinical.codes import YES, read_flag
from reporting_pipeline.domain.clinical.subjects import UNKNOWN_SITE
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.intake.dates import instant_of, last_possible_day
from reporting_pipeline.intake.documents import SourceDocument
from reporting_pipeline.intake.understanding import Understanding

#: Fields of a document and what they hold; `id` may be called `_id`.
FIELDS: Mapping[str, str] = {
    "id": "text: the caller's own id",
    "trial": "text",
    "site": "text",
    "subject": "text",
    "kind": "text: a kind of document",
    "title": "text",
    "received_at": "an ISO 8601 instant: when the document arrived",
    "collected": "an ISO 8601 date, possibly partial",
    "note": "text",
    "synthetic": "true or false",
    "data": "an object: the payload of its kind",
}
#: Of a document that was read from the API; what they say is not needed here.
_ANSWERED = frozenset(
    {
        *("_id", "source_id", "external_id", "updated_at", "organisation", "file", "findings", "version"),
        *("state", "withdrawn", "withheld"),
    }
)
_STORED_ID = re.compile(r"doc_[0-9a-f]{24}")
_OF_A_PAGE = frozenset({"items", "next_cursor", "skipped"})
#: What the state of a version is called that is no document any more.
_GONE = frozenset({"withdrawn", "corrected", "superseded", "deleted"})
_SHOWN = 60


@dataclass(frozen=True)
class Line:
    """One line that may be a document, and where it stands."""

    file: str
    number: int
    text: str

    @property
    def where(self) -> str:
        return f"{self.file}:{self.number}"


class LineProblem(ValueError):
    """A line that is no document at all; the message says why."""


def lines_of(text: str, file: str, understanding: Understanding) -> Iterator[Line]:
    """The documents of one file, each as a line; of a JSON array its elements."""
    stripped = text.lstrip("\ufeff \t\r\n")
    if stripped.startswith("[") and not _is_first_of_lines(stripped):
        yield from _elements(stripped, file, understanding)
        return
    whole = _one_object(stripped)
    if whole is not None:
        yield Line(file, 1, whole)
        return
    # Only line feeds end a line: JSON texts may hold the other separators that Python knows.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip("\ufeff \t\r"):
            yield Line(file, number, line.strip("\ufeff \t\r"))


@dataclass
class Twice:
    """The fields that an object of JSON names twice: its reader keeps the later value, and says nothing."""

    names: list[str] = field(default_factory=list)

    def pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            counted = Counter(name for name, _ in pairs)
            self.names += [name for name, times in counted.items() if times > 1]
        return made


def parsed(line: Line, twice: Twice | None = None) -> Mapping[str, Any]:
    """The line's JSON object. Raises LineProblem."""
    try:
        value = json.loads(line.text, object_pairs_hook=twice.pairs) if twice else json.loads(line.text)
    except RecursionError:
        raise LineProblem("is nested too deeply") from None
    except ValueError as error:
        raise LineProblem(f"is no JSON ({error})") from None
    if not isinstance(value, dict):
        raise LineProblem(f"holds {_shown(value)} where a JSON object is expected")
    return value


def documents_of(
    lines: Iterator[Line], understanding: Understanding, zone: ZoneInfo, trial: str | None = None
) -> Iterator[SourceDocument]:
    """The documents of `lines`; `trial` names those that name none. Nothing raises here."""
    for line in lines:
        understanding.rows[line.file] += 1
        try:
            source = parsed(line, twice := Twice())
        except LineProblem as problem:
            understanding.finding(line.where, "unreadable_line", "", f"The line {problem}.")
            continue
        for name in dict.fromkeys(twice.names):
            told = f"The field {_shown(name)} stands twice; the later value was read."
            understanding.finding(line.where, "duplicate_field", _storable(name)[:_SHOWN], told)
        if not _is_page(source):
            yield _document(source, line, understanding, zone, trial)
            continue
        for one in _of_page(source, line, understanding):
            yield _document(one, line, understanding, zone, trial)


def _is_page(source: Mapping[str, Any]) -> bool:
    """Whether it is a page of documents, as `GET /api/documents` answers it."""
    return isinstance(source.get("items"), list) and source.keys() <= _OF_A_PAGE


def _of_page(
    source: Mapping[str, Any], line: Line, understanding: Understanding
) -> Iterator[Mapping[str, Any]]:
    understanding.rows[line.file] += len(source["items"]) - 1
    if source.get("next_cursor"):
        understanding.note(f"{line.where} is a page of documents, and not the last: it has a next_cursor.")
    for number, one in enumerate(source["items"], 1):
        if isinstance(one, Mapping):
            yield one
        else:
            told = f"Item {number} of the page is {_shown(one)}, where an object is expected."
            understanding.finding(line.where, "unreadable_line", f"items[{number - 1}]", told)


def _document(
    source: Mapping[str, Any], line: Line, understanding: Understanding, zone: ZoneInfo, trial: str | None
) -> SourceDocument:
    stored_id = _stored_id(source)
    identifier = _own_id(source) if stored_id else ""
    identifier = identifier or _identifier(source, line, understanding)
    reader = _Fields(source, identifier, understanding)
    reader.tell_unknown()
    shortened = reader.is_shortened()
    kind = _kind(reader.text("kind"))
    collected = reader.text("collected")
    data = source.get("data", {})
    gone = reader.state_of_one_that_is_gone()
    if gone:
        reader.finding("withdrawn", "state", f"Says that it was {gone}; it was left out.")
    if not isinstance(data, Mapping) and data is not None:
        reader.finding("wrong_type", "data", f"Expected an object, found {_shown(data)}; it was left out.")
    return SourceDocument(
        source_id=identifier,
        trial=reader.text("trial") or trial or "",
        site=reader.text("site") or UNKNOWN_SITE,
        subject=reader.text("subject"),
        kind=kind,
        title=reader.text("title") or kind.replace("_", " ").capitalize() or "Document",
        collected=collected,
        data=data if isinstance(data, Mapping) else {},
        key=(identifier,),
        received_at=_received_at(reader, zone),
        note=reader.note(),
        synthetic=reader.flag("synthetic"),
        stored_id=stored_id,
        version=_version(source),
        shortened=shortened,
        withdrawn=bool(gone),
    )


def _kind(written: str) -> str:
    """ "ADVERSE_EVENT" and "Adverse event" are the kind adverse_event; what is no kind stays as it is."""
    folded = "_".join(written.replace("-", " ").lower().split())
    return folded if folded in _KINDS else written


_KINDS = frozenset(kind.value for kind in Kind)


@dataclass(frozen=True)
class _Fields:
    """The fields of one document, read with care."""

    source: Mapping[str, Any]
    identifier: str
    understanding: Understanding

    def finding(self, code: str, name: str, detail: str) -> None:
        self.understanding.finding(self.identifier, code, name, detail)

    def text(self, name: str) -> str:
        value = self.source.get(name)
        if value is None:
            return ""
        if isinstance(value, str):
            return _storable(value).strip()
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return str(int(value) if isinstance(value, float) and value.is_integer() else value)  # a site 701
        self.finding("wrong_type", name, f"Expected text, found {_shown(value)}; it was left out.")
        return ""

    def note(self) -> str | None:
        """As it was written: blanks and line ends at its ends are part of it."""
        value = self.source.get("note")
        return (_storable(value) if isinstance(value, str) and value.strip() else self.text("note")) or None

    def is_shortened(self) -> bool:
        withheld = self.source.get("withheld")
        if not withheld:
            return False
        self.finding("withheld", "withheld", "Is not whole: its reader must not see some of its fields.")
        return True

    def state_of_one_that_is_gone(self) -> str:
        """ "" for a document that stands; a flag `withdrawn` is read like the state."""
        state = self.source.get("state")
        if isinstance(state, str) and state.strip().lower() in _GONE:
            return state.strip().lower()
        return "withdrawn" if self.flag("withdrawn") else ""

    def flag(self, name: str) -> bool:
        """Whether the field says yes in any words; what says neither yes nor no is told."""
        value = self.source.get(name)
        said = read_flag(value)
        if said is None:
            self.finding("wrong_type", name, f"Expected true or false, found {_shown(value)}.")
        return said == YES

    def tell_unknown(self) -> None:
        for name in self.source:
            if name not in FIELDS and name not in _ANSWERED:
                self.understanding.unplaced[_storable(name)[:_SHOWN]] += 1
                self.finding("unknown_field", _storable(name)[:_SHOWN], "A document has no such field.")
        if self.source.get("file"):
            self.understanding.unplaced["file"] += 1


def _stored_id(source: Mapping[str, Any]) -> str:
    """What the API calls the document, where it was read from there; else ""."""
    given = (source.get("id"), source.get("_id"))
    return next((one for one in given if isinstance(one, str) and _STORED_ID.fullmatch(one)), "")


def _own_id(source: Mapping[str, Any]) -> str:
    """The caller's own id in an answer of the API; "" when it gave none."""
    own = source.get("external_id")
    return _storable(own).strip() if isinstance(own, str) else ""


def _version(source: Mapping[str, Any]) -> int | None:
    version = source.get("version")
    return version if isinstance(version, int) and not isinstance(version, bool) else None


def _identifier(source: Mapping[str, Any], line: Line, understanding: Understanding) -> str:
    for name in ("id", "_id"):
        value = source.get(name)
        if isinstance(value, str) and value.strip():
            return _storable(value).strip()
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
    content = sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()[:16]
    understanding.finding(line.where, "assumed_id", "id", f"Without an id; called {content} by its content.")
    return content


def _received_at(reader: _Fields, zone: ZoneInfo) -> datetime | None:
    value = reader.source.get("received_at")
    if value is None or value == "":
        _tell_assumed(reader)
        return None
    found = instant_of(value, zone) if isinstance(value, str) else None
    if found is None:
        reader.finding(
            "wrong_type",
            "received_at",
            f"Expected an instant like 2026-11-17T09:30:00Z, found {_shown(value)}; it was left out.",
        )
        _tell_assumed(reader)
        return None
    instant, offset_given = found
    if not offset_given:
        reader.finding("assumed_timezone", "received_at", f"{_shown(value)} was read as {zone.key}.")
    return instant


def _tell_assumed(reader: _Fields) -> None:
    collected = reader.source.get("collected")
    day = last_possible_day(collected) if isinstance(collected, str) else None
    if day is not None:
        reader.finding(
            "assumed_arrival", "received_at", f"Taken as arrived on {day}, from its collection date."
        )


def _is_first_of_lines(text: str) -> bool:
    """Whether the first line is an array by itself and more lines follow: no document, but they may be."""
    first, _, rest = text.partition("\n")
    if not rest.strip():
        return False  # without parsing: a whole array may stand on one line
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return False
    return True


def _elements(text: str, file: str, understanding: Understanding) -> Iterator[Line]:
    try:
        elements = json.loads(text)
    except (ValueError, RecursionError) as error:
        understanding.finding(file, "unreadable_file", "", f"{file} is no JSON array ({error}).")
        return
    for number, element in enumerate(elements, 1):
        yield Line(file, number, json.dumps(element))


def _one_object(text: str) -> str | None:
    """A file that holds one document over several lines, as one line; of `{"items": [...]}` nothing."""
    if "\n" not in text.strip() or not text.startswith("{"):
        return None
    try:
        return json.dumps(json.loads(text))
    except (ValueError, RecursionError):
        return None


def _storable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _shown(value: object) -> str:
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    written = _storable(repr(value))
    return written if len(written) <= _SHOWN else written[:_SHOWN] + "…"
