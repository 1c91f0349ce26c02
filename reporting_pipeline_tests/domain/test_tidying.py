"""What a person reads in a report comes from here: odd input is told, never fatal, and never guessed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from reporting_pipeline.domain.clinical.dates import parse_iso
from reporting_pipeline.domain.clinical.findings import FINDING_CODES, MALFORMED_CODES
from reporting_pipeline.domain.datasets import TABLES, table_from_rows
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.tidying import tidy_documents

WEEK = Period.from_key(Cadence.WEEKLY, "2026-11-16")
ARRIVED = datetime(2026, 11, 18, 10, tzinfo=UTC)
Tables = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Verdict:
    status: str
    reason: str = ""


def document(number: int = 1, kind: str = "note", **fields: Any) -> dict[str, Any]:
    return {
        "_id": f"doc_{number:024x}",
        "site": "701",
        "subject": "01-701-1015",
        "kind": kind,
        "title": "A document",
        "received_at": ARRIVED,
        "collected": "2026-11-18",
        "synthetic": False,
        "note": None,
        "data": {},
        "file": None,
        **fields,
    }


def result(code: str = "ALT", value: Any = 20.0, unit: Any = "U/L", **fields: Any) -> dict[str, Any]:
    return {
        "test_code": code,
        "test": "A test",
        "category": "CHEMISTRY",
        "original_result": "20",
        "original_unit": "U/L",
        "value": value,
        "unit": unit,
        "low": 5.0,
        "high": 40.0,
        "indicator": "NORMAL",
        "text_result": "",
        **fields,
    }


def event(number: int = 1, **fields: Any) -> dict[str, Any]:
    return document(
        number,
        "adverse_event",
        data={
            "term": "RASH",
            "severity": "MILD",
            "serious": False,
            "start": "2026-11-10",
            "end": "",
            **fields,
        },
    )


def tidy(*odd: dict[str, Any], sound: int = 20, verdicts: dict[str, Any] | None = None) -> Tables:
    """Tables of `odd` among enough sound documents that the share of malformed ones stays small."""
    filler = [document(1000 + number) for number in range(sound)]
    return tidy_documents([*odd, *filler], verdicts or {}, WEEK)


def codes(tables: Tables) -> list[str]:
    return tables["findings"]["code"].tolist()


def test_every_table_has_the_columns_and_types_of_the_contract_with_and_without_rows() -> None:
    file = {"key": "files/t/x.pdf", "name": "x.PDF", "size": 10, "sha256": "0" * 64}
    full = tidy(
        document(1, "lab", data={"results": [result()]}),
        document(2, "vitals", data={"results": [result("PULSE", 70, "beats/min")]}),
        event(3),
        document(4, "visit", data={"visit": "WEEK 2", "visit_number": 4, "start": "2026-11-17"}),
        document(5, "disposition", data={"term": "X", "decoded": "COMPLETED", "start": "2026-11-17"}),
        document(6, "lab_sheet", file=file),
        event(7, start="2026-11"),
        document(8, "ecg", data={"results": [result("QTCF", 410, "ms")]}),
        document(9, "questionnaire", data={"results": [result("ADCITM01", 3, "")]}),
        document(10, "tumour_response", data={"results": [result("OVRLRESP", None, "", text_result="PR")]}),
        document(17, "other_result", data={"results": [{**result("LVEF", 40, "%"), "domain": "CV"}]}),
        document(11, "subject", data={"age": 71, "sex": "F"}),
        document(12, "exposure", data={"treatment": "PLACEBO"}),
        document(13, "deviation", data={"term": "VISIT OUT OF WINDOW"}),
        document(14, "medication", data={"term": "ASPIRIN"}),
        document(15, "history", data={"term": "HYPERTENSION"}),
        document(16, "lab", data={"results": [result("ALT", 0.3, "ukat/L")]}),
    )
    empty = tidy_documents([], {}, WEEK)
    for name, columns in TABLES.items():
        assert len(full[name]), name
        assert empty[name].empty
        for frame in (full[name], empty[name]):
            assert list(frame.columns) == list(columns)
            for column, kind in columns.items():
                expected = {"str": "object", "float": "float64", "bool": "bool"}.get(
                    kind, "datetime64[us, UTC]"
                )
                assert str(frame[column].dtype) == expected, (name, column)
                if kind == "str":
                    assert {type(one) for one in frame[column]} <= {str}, (name, column)
    assert full["documents"].query("kind == 'lab_sheet'")["file_type"].tolist() == ["pdf"]
    assert set(FINDING_CODES) >= MALFORMED_CODES


def test_arrival_decides_the_window_and_the_local_day() -> None:
    week = Period.from_key(Cadence.WEEKLY, "2026-11-16", "Asia/Tokyo")
    instants = {
        "before": week.previous().start_at - timedelta(microseconds=1),
        "previous": week.previous().start_at,
        "last of previous": week.start_at - timedelta(milliseconds=1),
        "current": week.start_at,
        "last": week.end_at - timedelta(milliseconds=1),
        "after": week.end_at,
    }
    records = [
        document(number, title=title, received_at=at) for number, (title, at) in enumerate(instants.items())
    ]
    rows = tidy_documents(records, {}, week)["documents"]
    assert rows[["title", "window", "day"]].to_numpy().tolist() == [
        ["previous", "previous", "2026-11-09"],
        ["last of previous", "previous", "2026-11-15"],
        ["current", "current", "2026-11-16"],
        ["last", "current", "2026-11-22"],
    ]


@pytest.mark.parametrize(
    ("given_date", "kept", "code"),
    [
        ("2026-11-10", "2026-11-10", None),
        ("2026-11-10T14:30", "2026-11-10T14:30", None),
        ("2026-11-10T14:30:05Z", "2026-11-10T14:30:05Z", None),
        ("2003", "2003", "partial_date"),
        ("2013-05", "2013-05", "partial_date"),
        ("2003---15", "2003---15", "partial_date"),
        ("--12-15", "--12-15", "partial_date"),
        ("2013-02-30", "", "impossible_date"),
        ("2013-13", "", "impossible_date"),
        ("9999", "", "impossible_date"),
        ("0000-01-01", "", "impossible_date"),
        ("2026-11-10T25:00", "", "impossible_date"),
        ("10/11/2026", "", "impossible_date"),
        ("٢٠٢٦-١١-١٠", "", "impossible_date"),
        ("-----", "", "impossible_date"),
        (20261110, "", "wrong_type"),
        ("2003-12-15T-:15", "2003-12-15T-:15", None),  # known to the day
        ("2003-12-15T13:-:17", "2003-12-15T13:-:17", None),
        ("-----T07:15", "-----T07:15", "partial_date"),
        ("2003-12-15T24:00", "2003-12-15T24:00", None),
        ("2003-12-15T24:01", "", "impossible_date"),
        ("2003-12-15T10:59", "2003-12-15T10:59", None),
        ("2003-12-15T10:60", "", "impossible_date"),
        ("2003-12-15T10:59:60", "", "impossible_date"),
        ("2003-12-15T13:14:17,123", "2003-12-15T13:14:17,123", None),
        ("2003-12-15T10:00/2003-12-15T10:30", "2003-12-15T10:00/2003-12-15T10:30", None),
        ("2003-01-01/2003-02-15", "2003-01-01/2003-02-15", "partial_date"),
        ("2003-12-15/P2D", "2003-12-15/P2D", "partial_date"),
        ("2003-02-15/2003-01-01", "", "impossible_date"),
        ("2003-12-15/", "", "impossible_date"),
        ("2003-12-15T-", "", "impossible_date"),
        ("2027-01-01", "2027-01-01", "future_date"),
        ("2027", "2027", "future_date"),
        ("2026-11-19", "2026-11-19", None),  # a day ahead is a matter of timezones
        ("", "", None),
        (None, "", None),
    ],
)
def test_dates_are_kept_as_collected_or_told(given_date: object, kept: str, code: str | None) -> None:
    tables = tidy(event(start=given_date))
    assert tables["adverse_events"]["start"].tolist() == [kept]
    expected = {"2027": ["partial_date", "future_date"]}.get(str(given_date), [code] if code else [])
    assert codes(tables) == expected
    if code:
        assert tables["findings"]["field"].tolist()[0] == "start"
        assert tables["findings"]["document_id"].tolist()[0] == document()["_id"]


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        ("2026-11-10", "2026-11-09", True),
        ("2026-11-10", "2026-11-10", False),
        ("2026-11", "2026-11-01", False),  # as far as both are known
        ("2026-11", "2026-10-31", True),
        ("2026-11-10", "2025", True),
        ("2026-11-10", "2026", False),
        ("", "2026-11-09", False),
    ],
)
def test_an_event_that_ends_before_it_starts_is_told_and_kept(start: str, end: str, told: bool) -> None:
    tables = tidy(event(start=start, end=end))
    assert ("ends_before_start" in codes(tables)) is told
    assert tables["adverse_events"][["start", "end"]].to_numpy().tolist() == [[start, end]]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (math.nan, "not_finite"),
        (math.inf, "not_finite"),
        (10**400, "not_finite"),
        ("5,123", "wrong_type"),
        (True, "wrong_type"),
        ([5.1], "wrong_type"),
        (None, None),
    ],
)
def test_what_is_no_number_enters_no_statistic(value: object, code: str | None) -> None:
    results = [result(value=value, original_result="five"), result(value=7)]
    tables = tidy(document(1, "lab", data={"results": results}))
    assert tables["labs"]["value"].sum() == 7
    assert tables["labs"]["value"].isna().tolist() == [True, False]
    assert tables["labs"]["text_result"].tolist() == ["five", ""]
    assert codes(tables) == ([code] if code else [])


@pytest.mark.parametrize("text", ["<0.2", "N", "NOT DONE"])
def test_result_qualifiers_are_results_and_not_findings(text: str) -> None:
    tables = tidy(document(1, "lab", data={"results": [result(value=None, text_result=text, indicator="")]}))
    assert tables["labs"]["text_result"].tolist() == [text]
    assert codes(tables) == []


def omitted(tables: Tables) -> list[str]:
    return tables["omissions"]["part"].tolist()


def test_two_standard_units_of_one_test_set_that_test_apart_and_nothing_else() -> None:
    records = [
        document(1, "lab", data={"results": [result("GLUC", 5.0, "mmol/L")]}),
        document(
            2,
            "lab",
            received_at=ARRIVED - timedelta(days=7),
            collected="",
            data={"results": [result("GLUC", 90.0, "mg/dL", indicator="")]},
        ),
    ]
    other = document(5, "lab", data={"results": [result("ALT", 30.0)]})
    tables = tidy(*records, other)
    assert omitted(tables) == ["labs/GLUC (chemistry)"]
    assert "'mg/dL' and 'mmol/L'" in tables["omissions"]["reason"][0]
    assert codes(tables) == ["mixed_units", "mixed_units"]
    labs = tables["labs"]
    assert labs[["test_code", "value", "units_differ"]].to_numpy().tolist() == [
        ["GLUC", 90.0, True],
        ["GLUC", 5.0, True],
        ["ALT", 30.0, False],
    ]
    for sound in (
        document(3, "vitals", data={"results": [result("GLUC", 9, "mg/dL")]}),
        document(4, "lab", data={"results": [result("GLUC", None, "mg/dL")]}),
        document(6, "lab", data={"results": [result("GLUC", 9, "mg/dL", category="URINALYSIS")]}),
        document(7, "lab", data={"results": [result("GLUC", 9, "mg/dL", specimen="URINE")]}),
        document(8, "lab", data={"results": [result("GLUC", 5.1, "MMOL / L")]}),
        document(9, "lab", data={"results": [result("GLUC", 5.1, "mmol\u200b/L")]}),
    ):
        tables = tidy(records[0], sound)
        assert (omitted(tables), codes(tables)) == ([], []), sound


def test_a_number_without_its_unit_is_taken_out_and_told_but_unitless_tests_are_fine() -> None:
    results = [result("ALT", 20.0), result("ALT", 0.33, "", indicator=""), result("PH", 6.0, "")]
    tables = tidy(document(1, "lab", data={"results": results}))
    assert codes(tables) == ["missing_unit"]
    assert tables["labs"]["value"].fillna(-1).tolist() == [20.0, -1, 6.0]
    assert tables["labs"]["text_result"].tolist() == ["", "0.33", ""]
    assert tables["labs"]["value_text"].tolist() == ["20", "0.33", "6"]
    flagged = [result("ALT", 20.0), result("ALT", 900.0, "", indicator="HIGH HIGH"), result("ALT", 900.0, "")]
    flagged[2]["indicator"] = ""
    labs = tidy(document(1, "lab", data={"results": flagged}))["labs"]
    assert labs["flag"].tolist() == ["NORMAL", "HIGH HIGH", ""]
    assert labs["assessed"].tolist() == [True, True, False]
    assert labs["out_of_range"].tolist() == [False, True, False]


def test_more_than_a_fifth_malformed_is_said_of_that_table_and_takes_nothing_away() -> None:
    bad = [event(number, start="2013-02-30") for number in range(6)]
    sound = [event(10 + number) for number in range(23)]
    lab = document(99, "lab", data={"results": [result()]})
    tables = tidy_documents([*bad, *sound, lab], {}, WEEK)
    assert omitted(tables) == ["adverse_events"]
    assert "6 of 29 documents" in tables["omissions"]["reason"][0]
    assert (len(tables["adverse_events"]), len(tables["labs"])) == (29, 1)
    assert omitted(tidy_documents([*bad, *sound, event(50), lab], {}, WEEK)) == []  # a fifth
    assert omitted(tidy_documents(bad[:4], {}, WEEK)) == []  # four documents say nothing of their source
    earlier = [document(50 + n, "adverse_event", received_at=ARRIVED - timedelta(days=7)) for n in range(9)]
    assert omitted(tidy_documents([*earlier, lab], {}, WEEK)) == []  # only the current window counts


def test_informative_findings_leave_nothing_out() -> None:
    tables = tidy_documents([event(number, start="2003") for number in range(5)], {}, WEEK)
    assert codes(tables) == ["partial_date"] * 5
    assert omitted(tables) == []


def test_files_carry_their_verdicts_and_a_second_document_of_one_file_is_told() -> None:
    def with_file(number: int, key: str) -> dict[str, Any]:
        return document(
            number, "imaging", file={"key": key, "name": f"{number}.jpg", "size": 1, "sha256": ""}
        )

    records = [
        with_file(1, "files/a"),
        with_file(2, "files/b"),
        with_file(3, "files/c"),
        with_file(4, "files/a"),
    ]
    verdicts = {
        records[0]["_id"]: Verdict("ok"),
        records[1]["_id"]: Verdict("corrupt", "cut short"),
        records[2]["_id"]: Verdict("missing", "not in the store"),
    }
    tables = tidy(*records, verdicts=verdicts)
    files = tables["documents"].query("file_key != ''")
    assert files["file_status"].tolist() == ["ok", "corrupt", "missing", ""]
    assert files["file_reason"].tolist() == ["", "cut short", "not in the store", "not verified"]
    assert codes(tables) == ["file_corrupt", "file_missing", "duplicate_file"]
    assert records[0]["_id"] in tables["findings"]["message"].tolist()[2]


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (lambda: document(1, "telepathy"), "unknown_kind"),
        (lambda: document(1, 7), "wrong_type"),  # type: ignore[arg-type]
        (lambda: document(1, "lab", data=None), "missing_field"),
        (lambda: document(1, "lab", data=[1]), "wrong_type"),
        (lambda: document(1, "lab", data={"results": "none"}), "wrong_type"),
        (lambda: document(1, "lab", data={"results": [3]}), "wrong_type"),
        (lambda: document(1, "lab", data={"results": [{}]}), "missing_field"),
        (lambda: event(serious=["Y"]), "wrong_type"),
        (lambda: event(term=""), "missing_field"),
        (lambda: document(1, "visit", data={}), "missing_field"),
        (lambda: document(1, file="x.pdf"), "wrong_type"),
        (lambda: document(1, received_at="yesterday"), "not_placed"),
        (lambda: document(1, title={"$gt": ""}), "wrong_type"),
        (lambda: "not a record", "wrong_type"),
    ],
)
def test_malformed_parts_are_told_and_many_of_them_are_said_of_their_table(
    broken: Callable[[], Any], code: str
) -> None:
    tables = tidy(broken())
    assert code in codes(tables)
    assert tables["findings"]["message"].str.len().gt(10).all()
    assert len(omitted(tidy(*[broken() for _ in range(5)], sound=0))) == 1


def test_a_document_of_an_unknown_kind_still_counts_as_arrived() -> None:
    assert tidy(document(1, "telepathy"), sound=9)["documents"]["kind"].tolist()[0] == "telepathy"


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=20)  # lone surrogates included
    | st.binary(max_size=8)
    | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
DATES = st.from_regex(r"[0-9-]{0,10}(T[0-9:]{0,8})?", fullmatch=True)
FIELDS = {
    name: ANYTHING | DATES
    for table in ("adverse_events", "visits", "dispositions", "labs", "subjects", "medications")
    for name in (*TABLES[table], "key", "name", "size", "sha256")
}
PARTS = st.fixed_dictionaries({}, optional=FIELDS)
RECORDS = st.lists(
    st.fixed_dictionaries(
        {"kind": st.sampled_from([*Kind]) | ANYTHING, "received_at": st.just(ARRIVED) | ANYTHING},
        optional={
            "_id": ANYTHING,
            "site": ANYTHING,
            "subject": ANYTHING,
            "title": ANYTHING,
            "note": ANYTHING,
            "synthetic": ANYTHING,
            "collected": ANYTHING | DATES,
            "file": PARTS | ANYTHING,
            "data": PARTS
            | ANYTHING
            | st.fixed_dictionaries({"results": st.lists(PARTS | ANYTHING, max_size=3)}),
        },
    )
    | ANYTHING,
    max_size=4,
)


@given(records=RECORDS)
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_in_a_record_can_raise_and_every_cell_can_be_written(records: list[Any]) -> None:
    filler = [document(1000 + number) for number in range(40)]
    tables = tidy_documents([*records, *filler], {}, WEEK)
    for frame in tables.values():
        frame.to_parquet(None)
    assert not set(codes(tables)) - set(FINDING_CODES)
    assert not tables["labs"]["value"].isin([math.inf, -math.inf]).any()


@given(text=DATES)
def test_a_date_that_is_kept_is_a_date_of_the_calendar(text: str) -> None:
    parsed = parse_iso(text)
    if parsed.finding == "":
        datetime(*parsed.parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("kind", "data", "note", "is_told"),
    [
        ("note", {}, "Her husband called. The patient died at home.", True),
        ("adverse_event", {"term": "SEPSIS", "serious": "Y"}, "Subject passed away.", True),
        ("adverse_event", {"term": "SEPSIS", "serious": "Y", "outcome": "FATAL"}, "Subject died.", False),
        ("note", {}, "Her father died in 1998. She is well.", False),
    ],
)
def test_a_death_that_only_a_note_names_is_told_without_its_words(
    kind: str, data: dict[str, Any], note: str, is_told: bool
) -> None:
    tables = tidy_documents([document(kind=kind, data=data, note=note)], {}, WEEK)
    found = tables["findings"][tables["findings"]["code"] == "death_in_words"]
    assert bool(len(found)) == is_told
    assert not any(word in message for message in found["message"] for word in ("home", "passed"))


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_rows_has_its_dtypes_and_an_empty_cell_for_what_is_missing(name: str) -> None:
    missing: tuple[object, ...] = (None, math.nan, pd.NA, pd.NaT)
    rows = [{column: one for column in TABLES[name]} for one in missing] + [{}, {"no column": 1}]
    frame = table_from_rows(name, rows)
    dtypes = {"str": "object", "float": "float64", "bool": "bool", "instant": "datetime64[us, UTC]"}
    assert {column: str(frame[column].dtype) for column in frame} == {
        column: dtypes[kind] for column, kind in TABLES[name].items()
    }
    assert len(frame) == len(rows)
    for column, kind in TABLES[name].items():
        empty = {"str": frame[column].eq(""), "bool": ~frame[column].astype(bool)}.get(
            kind, frame[column].isna()
        )
        assert empty.all(), column
    assert list(table_from_rows(name, []).dtypes) == list(frame.dtypes)


@pytest.mark.parametrize(
    ("begins", "told"),
    [
        ("2026-11-16", False),
        ("2026-11-17", False),
        ("2026-11", False),
        ("2026-11-18", True),
        ("2026-12", True),
    ],
)
def test_what_is_certainly_dated_after_a_death_is_told_and_nothing_else(begins: str, told: bool) -> None:
    died = document(2, "disposition", data={"term": "DEATH", "decoded": "DEATH", "start": "2026-11-17"})
    assert ("after_death" in codes(tidy(event(1, start=begins), died))) is told
    elsewhere = {**died, "site": "702", "subject": "02-702-1001"}
    assert "after_death" not in codes(tidy(event(1, start=begins), elsewhere))


def test_of_two_days_of_one_death_the_later_counts_and_the_earlier_is_told() -> None:
    first, last = (
        document(number, "disposition", data={"term": "DEATH", "decoded": "DEATH", "start": day})
        for number, day in ((2, "2026-11-16"), (3, "2026-11-18"))
    )
    assert codes(tidy(event(1, start="2026-11-17"), first, last)).count("dates_in_disorder") == 1
    assert "after_death" not in codes(tidy(event(1, start="2026-11-17"), first, last))
    assert "after_death" in codes(tidy(event(1, start="2026-11-19"), first, last))
