"""Lines become documents; what is no document is told with its file and line, and nothing crashes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reporting_pipeline.intake import ndjson
from reporting_pipeline.intake.documents import SourceDocument
from reporting_pipeline.intake.understanding import Understanding

ZURICH = ZoneInfo("Europe/Zurich")
WHOLE = {
    "id": "ae-1",
    "trial": "T1",
    "site": "701",
    "subject": "701-001",
    "kind": "adverse_event",
    "title": "Syncope",
    "received_at": "2026-11-17T09:30:00Z",
    "collected": "2026-11-16",
    "data": {"term": "SYNCOPE"},
}


def read(text: str, zone: ZoneInfo = ZURICH) -> tuple[list[SourceDocument], Understanding]:
    understanding = Understanding()
    lines = ndjson.lines_of(text, "in.ndjson", understanding)
    return list(ndjson.documents_of(lines, understanding, zone)), understanding


def codes(understanding: Understanding) -> list[tuple[str, str, str]]:
    return [(one.document, one.code, one.field) for one in understanding.findings]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(WHOLE) + "\n",
        "\ufeff" + json.dumps(WHOLE) + "\r\n\r\n",
        json.dumps([WHOLE]),
        json.dumps([WHOLE], indent=2),
        json.dumps(WHOLE, indent=2),
    ],
    ids=["line", "mark and CRLF", "array", "indented array", "one indented object"],
)
def test_one_document_is_read_however_it_is_written(text: str) -> None:
    (document,), understanding = read(text)
    assert (document.source_id, document.trial, document.site) == ("ae-1", "T1", "701")
    assert document.received_at == datetime(2026, 11, 17, 9, 30, tzinfo=UTC)
    assert document.data == {"term": "SYNCOPE"}
    assert understanding.findings == []


@pytest.mark.parametrize(
    ("given_at", "instant", "told"),
    [
        ("2026-11-17T09:30:00+01:00", datetime(2026, 11, 17, 8, 30, tzinfo=UTC), []),
        ("2026-11-17T09:30", datetime(2026, 11, 17, 8, 30, tzinfo=UTC), ["assumed_timezone"]),
        ("2026-11-17", datetime(2026, 11, 16, 23, 0, tzinfo=UTC), []),
        ("17.11.2026", None, ["wrong_type"]),
        ("2026-02-30", None, ["wrong_type"]),
        (1763371800, None, ["wrong_type"]),
        ("", None, []),
        (None, None, []),
    ],
)
def test_the_arrival_is_what_the_line_says(
    given_at: object, instant: datetime | None, told: list[str]
) -> None:
    (document,), understanding = read(json.dumps({**WHOLE, "received_at": given_at, "collected": ""}))
    assert document.received_at == instant
    assert [finding.code for finding in understanding.findings] == told


def test_a_bad_line_is_told_with_its_number_and_the_next_one_is_read() -> None:
    text = "\n".join([json.dumps(WHOLE), "{broken", "[1]", json.dumps({**WHOLE, "id": "ae-2"})])
    documents, understanding = read(text)
    assert [document.source_id for document in documents] == ["ae-1", "ae-2"]
    assert codes(understanding) == [
        ("in.ndjson:2", "unreadable_line", ""),
        ("in.ndjson:3", "unreadable_line", ""),
    ]


def test_a_document_without_an_id_gets_one_that_follows_from_its_content() -> None:
    without = {name: value for name, value in WHOLE.items() if name != "id"}
    (first,), understanding = read(json.dumps(without))
    (again,), _ = read(json.dumps(dict(reversed(without.items()))))
    assert first.source_id == again.source_id
    assert codes(understanding) == [("in.ndjson:1", "assumed_id", "id")]


def test_fields_of_other_kinds_are_told_and_the_rest_stands() -> None:
    odd = {**WHOLE, "site": 701, "subject": ["x"], "data": 7, "colour": "red", "id": 17}
    (document,), understanding = read(json.dumps(odd))
    assert (document.source_id, document.site, document.subject, document.data) == ("17", "701", "", {})
    assert codes(understanding) == [
        ("17", "unknown_field", "colour"),
        ("17", "wrong_type", "data"),
        ("17", "wrong_type", "subject"),
    ]
    assert understanding.unplaced == {"colour": 1}


@pytest.mark.parametrize(("written", "read_as"), [("true", True), ("Y", True), (1, True), ("no", False)])
def test_a_flag_is_read_in_its_spellings(written: object, read_as: bool) -> None:
    (document,), understanding = read(json.dumps({**WHOLE, "synthetic": written, "withdrawn": written}))
    assert (document.synthetic, document.withdrawn) == (read_as, read_as)
    assert "wrong_type" not in [one.code for one in understanding.findings]


def test_a_flag_that_says_neither_yes_nor_no_is_told() -> None:
    (document,), understanding = read(json.dumps({**WHOLE, "synthetic": "perhaps"}))
    assert not document.synthetic
    assert ("wrong_type", "synthetic") in [(one.code, one.field) for one in understanding.findings]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(st.sampled_from([*ndjson.FIELDS, "file", "odd"]), VALUES))
def test_no_object_crashes_the_reading(source: dict[str, object]) -> None:
    (document,), _ = read(json.dumps(source) + "\n")
    assert isinstance(document.source_id, str)
    assert document.source_id
    json.dumps(document.record("x", None, "")["title"]).encode()


@settings(deadline=None, max_examples=200)
@given(st.text() | st.builds(lambda depth: "[" * depth, st.integers(0, 100_000)))
def test_no_text_crashes_the_reading(text: str) -> None:
    documents, understanding = read(text)
    assert len(documents) <= text.count("\n") + text.count(",") + 1
    assert isinstance(understanding.findings, list)


@pytest.mark.parametrize(
    ("kind", "read_as"),
    [("ADVERSE_EVENT", "adverse_event"), ("Adverse Event", "adverse_event"), ("lab-sheet", "lab_sheet")]
    + [(kind, kind) for kind in ("ADVERSE EVENTS", "nonsense", "")],
)
def test_a_kind_is_read_in_its_spellings(kind: str, read_as: str) -> None:
    (document,), _ = read(json.dumps({**WHOLE, "kind": kind}))
    assert document.kind == read_as


def test_a_field_that_stands_twice_is_told() -> None:
    line = json.dumps(WHOLE)
    (document,), understanding = read(line[:-1] + ', "data": {"serious": "Y", "term": "A", "serious": "N"}}')
    assert document.data == {"serious": "N", "term": "A"}
    assert codes(understanding) == [
        ("in.ndjson:1", "duplicate_field", "serious"),
        ("in.ndjson:1", "duplicate_field", "data"),
    ]


@pytest.mark.parametrize(
    ("line", "what"), [("null", "null"), ("[1]", "a list"), ("true", "true"), ('"x"', "'x'")]
)
def test_what_a_line_holds_is_said_in_the_words_of_json(line: str, what: str) -> None:
    _, understanding = read(line + "\n" + json.dumps(WHOLE))
    assert understanding.findings[0].detail == f"The line holds {what} where a JSON object is expected."
