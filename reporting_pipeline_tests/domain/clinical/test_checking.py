"""What a caller is told about a payload when it arrives."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporting_pipeline.domain.clinical.checking import check_payload
from reporting_pipeline.domain.clinical.findings import FINDING_CODES, MALFORMED_CODES
from reporting_pipeline.domain.clinical.payloads import PAYLOADS, Result
from reporting_pipeline.domain.clinical.reading import Reading
from reporting_pipeline.domain.clinical.rows import rows_of
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline_tests.waiting import PATIENCE

ARRIVED = date(2026, 11, 20)


def found(kind: str, data: object) -> list[tuple[str, str]]:
    return [(finding.code, finding.field) for finding in check_payload(kind, data, ARRIVED)]


EVENT = {"term": "SYNCOPE", "severity": "MODERATE", "serious": "N", "start": "2026-11-01"}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, []),
        ({"serious": None}, [("seriousness_not_stated", "serious")]),
        ({"serious": ""}, [("seriousness_not_stated", "serious")]),
        ({"serious": "UNKNOWN"}, [("seriousness_not_stated", "serious")]),
        ({"serious": "maybe"}, [("unknown_value", "serious")]),
        ({"serious": ["Y"]}, [("wrong_type", "serious")]),
        ({"outcome": "FATAL"}, [("fatal_not_serious", "serious")]),
        ({"outcome": "Fatal "}, [("fatal_not_serious", "serious")]),
        ({"grade": 5, "severity": None}, [("fatal_not_serious", "serious")]),
        ({"seriousness_criteria": ["death"]}, [("fatal_not_serious", "serious")]),
        ({"seriousness_criteria": ["AESHOSP"]}, [("criteria_not_serious", "serious")]),
        (
            {"seriousness_criteria": ["tedious"]},
            [("unknown_value", "seriousness_criteria[0]"), ("criteria_not_serious", "serious")],
        ),
        ({"severity": "DREADFUL"}, [("unknown_value", "severity")]),
        ({"severity": "MILD", "grade": 4}, [("severity_contradicts_grade", "grade")]),
        ({"severity": "SEVERE", "grade": 4}, []),  # words end at severe
        ({"grade": "7"}, [("unknown_value", "grade")]),
        ({"start": "2026-11"}, [("partial_date", "start")]),
        ({"start": "2026-12-24"}, [("future_date", "start")]),
        ({"end": "2026-10-01"}, [("ends_before_start", "end")]),
        ({"sever": "MILD"}, [("unknown_field", "sever")]),
        ({"term": " "}, [("missing_field", "term")]),
    ],
)
def test_an_adverse_event_is_told_what_is_odd_about_it(more: dict[str, Any], expected: list[Any]) -> None:
    assert found("adverse_event", {**EVENT, **more}) == expected


GLUCOSE = {"test_code": "GLUC", "value": 5.0, "unit": "mmol/L", "low": 2.8, "high": 13.9}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, []),
        ({"low": 13.9, "high": 2.8}, [("reversed_range", "results[0].low")]),
        ({"original_low": 9, "original_high": 3}, [("reversed_range", "results[0].original_low")]),
        ({"indicator": "HIGH"}, [("flag_contradicts_range", "results[0].indicator")]),
        ({"indicator": "HIGH HIGH", "value": 30}, []),
        ({"indicator": "Positive"}, []),
        ({"comparator": "~"}, [("unknown_value", "results[0].comparator")]),
        ({"value": "5,1"}, []),
        ({"value": "1,234"}, [("wrong_type", "results[0].value")]),
        ({"value": "5.1"}, []),
        ({"value": "<40"}, []),
        ({"text_result": "50"}, [("value_contradicts_text", "results[0].text_result")]),
        ({"spec": "URINE"}, [("unknown_field", "results[0].spec")]),
        ({"collected": "2026-11-18T24:30"}, [("impossible_date", "results[0].collected")]),
    ],
)
def test_a_result_is_told_what_is_odd_about_it(more: dict[str, Any], expected: list[Any]) -> None:
    assert found("lab", {"results": [{**GLUCOSE, **more}]}) == expected


def test_every_kind_has_a_payload_whose_example_is_sound() -> None:
    assert set(PAYLOADS) == set(Kind)
    sound: dict[str, dict[str, Any]] = {
        "subject": {"age": 71, "age_unit": "YEARS", "sex": "F", "arm": "PLACEBO", "died": "N"},
        "exposure": {"treatment": "XANOMELINE", "dose": 54, "dose_unit": "mg", "start": "2026-11-01"},
        "deviation": {"term": "VISIT OUT OF WINDOW", "category": "MINOR", "start": "2026-11-10"},
        "medication": {"term": "ASPIRIN", "ongoing": "Y"},
        "history": {"term": "HYPERTENSION", "occurred": "Y"},
        "visit": {"visit": "WEEK 2", "occurred": "N", "reason_not_done": "COVID-19"},
        "disposition": {"decoded": "COMPLETED", "category": "DISPOSITION EVENT", "start": "2026-11-10"},
        "ecg": {},
        "note": {"anything": "goes"},
    }
    for kind, data in sound.items():
        PAYLOADS[Kind(kind)].model_validate(data)
        assert found(kind, data) == [], kind


def test_the_codes_are_explained_and_the_sound_ones_condemn_nobody() -> None:
    assert set(FINDING_CODES) > MALFORMED_CODES
    assert not MALFORMED_CODES & {"unknown_value", "partial_date", "seriousness_not_stated", "mixed_units"}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(sorted({name for model in PAYLOADS.values() for name in model.model_fields}))
RESULTS = st.fixed_dictionaries(
    {"results": st.lists(st.dictionaries(NAMES | st.sampled_from(sorted(GLUCOSE)), ANYTHING))}
)


@given(
    kind=st.sampled_from([*Kind, "telepathy", 7]), data=ANYTHING | st.dictionaries(NAMES, ANYTHING) | RESULTS
)
def test_nothing_in_a_payload_can_raise_and_every_finding_has_a_code(kind: Any, data: Any) -> None:
    for finding in check_payload(kind, data, ARRIVED):
        assert finding.code in FINDING_CODES
        finding.detail.encode()


@pytest.mark.parametrize(
    "outcome",
    [
        "Death related to AE",
        "DEATH RELATED TO ADVERSE EVENT",
        "Fatal (5)",
        "Subject died",
        "DEATH, UNRELATED",
    ],
)
def test_every_wording_of_a_death_is_fatal(outcome: str) -> None:
    assert found("adverse_event", {**EVENT, "outcome": outcome}) == [("fatal_not_serious", "serious")]


@pytest.mark.parametrize("outcome", ["NOT FATAL", "Non-fatal", "nonfatal", "RECOVERED/RESOLVED", "NO DEATH"])
def test_what_denies_a_death_is_not_fatal(outcome: str) -> None:
    assert found("adverse_event", {**EVENT, "outcome": outcome}) == []


@pytest.mark.parametrize("start", ["UNK", "2026-11-UN", "2026-UNK-UNK", "2026-NK", "un-un-2026"])
def test_a_part_of_a_date_that_nobody_knows_is_kept_as_collected(start: str) -> None:
    assert found("adverse_event", {**EVENT, "start": start}) == [("partial_date", "start")]


@pytest.mark.parametrize("status", ["Dead", "deceased", "DEATH", "Died", "Patient died"])
def test_a_status_that_is_a_death_is_a_death(status: str) -> None:
    def died(**said: Any) -> tuple[Any, list[str]]:
        reading = Reading(ARRIVED)
        (row,) = rows_of("subject", {"status": status, **said}, reading)
        return row["died"], [one.code for one in reading.findings]

    assert died() == died(died="Y") == ("yes", [])
    assert died(died=False) == ("yes", ["death_contradicts"])


@pytest.mark.parametrize("status", ["Alive", "WITHDRAWN", "Mother died", "not dead", "lost to follow-up"])
def test_a_status_that_is_none_is_none(status: str) -> None:
    (row,) = rows_of("subject", {"status": status}, Reading(ARRIVED))
    assert row["died"] == ""


@pytest.mark.parametrize(
    ("said", "status", "planned"),
    [
        ({"occurred": "not done"}, "missed", True),
        ({"occurred": "Missed", "start": "2026-11-12"}, "missed", True),
        ({"occurred": "completed"}, "done", True),
        ({"occurred": "perhaps"}, "not stated", True),
        ({"visit": "Unscheduled 2", "start": "2026-11-12"}, "done", False),
        ({"visit": "UNSCH 5.1", "planned": "Y"}, "not stated", True),
        ({"visit": "Week 2", "planned": "N"}, "not stated", False),
    ],
)
def test_a_visit_is_what_its_words_say(said: dict[str, str], status: str, planned: bool) -> None:
    (row,) = rows_of("visit", {"visit": "W2", **said}, Reading(ARRIVED))
    assert (row["visit_status"], row["planned"]) == (status, planned)


#: Characters of a text that each field may hold, and what it may be made of.
LONG = 300_000
HOSTILE = ("-", ".", "e1", "1,", "(", "/", "H", "x10^", "A,", " - ", "N ", "{", "10^")

_ALL = """
from reporting_pipeline_tests.domain.clinical import test_checking
for unit in test_checking.HOSTILE:
    print(repr(unit), flush=True)
    test_checking.check_hostile(unit)
"""


def check_hostile(unit: str) -> None:
    """Hold every text field of every kind against a long text of `unit`."""
    text = unit * (LONG // len(unit)) + "!"
    for kind, model in PAYLOADS.items():
        for name in model.model_fields:
            if name == "results":
                for field in Result.model_fields:
                    row = {"test_code": "GLUC", "original": "1", "original_unit": "mg/dL", field: text}
                    check_payload(kind, {"results": [row]}, ARRIVED)
            else:
                held = {one: "X" for one, field in model.model_fields.items() if field.is_required()}
                check_payload(
                    kind, held | {name: [text] if name == "seriousness_criteria" else text}, ARRIVED
                )


def test_no_long_text_holds_up_who_reads_it() -> None:
    """In a process that can be ended: what takes the square of the length takes minutes of each field."""
    subprocess.run([sys.executable, "-c", _ALL], timeout=PATIENCE, check=True)


def test_criteria_that_are_answered_one_by_one_are_those_answered_yes() -> None:
    answers = {"death": "N", "hospitalisation": "Y", "disability": "UNKNOWN", "life_threatening": True}
    (row,) = rows_of("adverse_event", {**EVENT, "serious": "Y", "seriousness_criteria": answers}, Reading())
    assert set(str(row["seriousness_criteria"]).split(", ")) == {"hospitalisation", "life_threatening"}
    odd = {**EVENT, "serious": "Y", "seriousness_criteria": {"hospitalisation": "perhaps"}}
    assert found("adverse_event", odd) == [("unknown_value", "seriousness_criteria[0]")]


@pytest.mark.parametrize(
    ("dates", "told"),
    [
        ({}, set()),
        ({"enrolled": "2026-11-01"}, set()),
        ({"consented": "2026-11-01"}, set()),
        ({"consented": "2026-10-01", "enrolled": "2026-10-02", "death": "2026-11-01"}, set()),
        ({"consented": "2026-10-01", "enrolled": "2026-10-01"}, set()),
        ({"consented": "2026-10-02", "enrolled": "2026-10"}, set()),  # may be later
        ({"consented": "2026-10-02", "enrolled": "2026-10-01"}, {"enrolled"}),
        ({"enrolled": "2026-10-02", "ended": "2026-10-01"}, {"ended"}),
        ({"consented": "2026-10-02", "death": "2026-10-01"}, {"death"}),
        ({"enrolled": "2026-10-02", "death": "2026-10-01"}, {"death"}),
    ],
)
def test_dates_of_one_person_that_cannot_both_be_right_are_told(
    dates: dict[str, str], told: set[str]
) -> None:
    codes = found("subject", {"age": 71, "sex": "F", **dates})
    assert {name for code, name in codes if code == "dates_in_disorder"} == told
