"""What a stranger's rows say did not happen, or happened to nearly one person; ranges in words."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from reporting_pipeline.intake.sdtm.documents import by_name, documents_of
from reporting_pipeline.intake.sdtm.tables import table_of
from reporting_pipeline.intake.understanding import Understanding
from reporting_pipeline_tests.intake.test_strangers import Rows, figure, read, report, rows, told


@pytest.mark.parametrize(
    ("cells", "events", "code"),
    [
        ({"AEPRESP": "Y", "AEOCCUR": "N", "AESER": "N"}, 0, "did_not_occur"),
        ({"AEPRESP": "Y", "AEOCCUR": "no"}, 0, "did_not_occur"),
        ({"AEPRESP": "Y", "AEOCCUR": "Y", "AESER": "N"}, 1, ""),
        ({"AEPRESP": "Y", "AEOCCUR": "U", "AESER": "N"}, 1, ""),
        ({"AEPRESP": "Y", "AESTAT": "NOT DONE", "AESER": "N"}, 1, "unknown_value"),
        ({"AEOCCUR": "N", "AESER": "Y"}, 1, "occurrence_contradicts"),
        ({"AEOCCUR": "N", "AESER": "N", "AEOUT": "FATAL"}, 1, "occurrence_contradicts"),
        ({"AEOCCUR": "N", "AESER": "N", "AESHOSP": "Y"}, 1, "occurrence_contradicts"),
    ],
)
def test_an_event_that_did_not_occur_is_none_and_is_told(
    cells: dict[str, str], events: int, code: str
) -> None:
    made = report(AE=rows("AE", {"AETERM": "NAUSEA", **cells}))
    assert figure(made, "adverse_events") == events
    assert (code in told(made)) if code else not told(made)


@pytest.mark.parametrize(
    ("domain", "name", "cells", "count"),
    [
        ("CM", "medications", {"CMTRT": "ASPIRIN", "CMOCCUR": "N"}, 0),
        ("CM", "medications", {"CMTRT": "ASPIRIN", "CMOCCUR": "Y"}, 1),
        ("MH", "medical_history", {"MHTERM": "DIABETES", "MHOCCUR": "N"}, 0),
        ("MH", "medical_history", {"MHTERM": "DIABETES", "MHOCCUR": ""}, 1),
        ("IE", "deviations", {"IETEST": "AGE", "IECAT": "INCLUSION", "IEORRES": "Y"}, 0),
        ("IE", "deviations", {"IETEST": "AGE", "IECAT": "INCLUSION", "IEORRES": "N"}, 1),
        ("IE", "deviations", {"IETEST": "PREGNANT", "IECAT": "EXCLUSION", "IESTRESC": "N"}, 0),
        ("IE", "deviations", {"IETEST": "PREGNANT", "IECAT": "EXCLUSION", "IESTRESC": "Y"}, 1),
        ("IE", "deviations", {"IETEST": "AGE", "IECAT": "INCLUSION", "IEORRES": "NA"}, 1),
    ],
)
def test_what_did_not_happen_is_in_no_count(
    domain: str, name: str, cells: dict[str, str], count: int
) -> None:
    assert figure(report(**{domain: rows(domain, cells)}), name) == count


def test_a_criterion_death_that_is_denied_beside_a_fatal_outcome_is_told() -> None:
    row, codes = read("AE", AETERM="SEPSIS", AESER="Y", AEOUT="FATAL", AESDTH="N", AESHOSP="Y")
    assert (row["fatal"], row["seriousness_criteria"]) == (True, "hospitalisation")
    assert codes == {"death_contradicts"}


@pytest.mark.parametrize(
    ("visit", "planned"),
    [("UNSCHEDULED 1.1", False), ("Unplanned", False), ("WEEK 2 UNSCH", False), ("UNS1", False),
     ("WEEK 2", True), ("SUNSHINE", True)],
)  # fmt: skip
def test_a_visit_beside_the_plan_is_known_by_its_name(visit: str, planned: bool) -> None:
    row, _ = read("SV", VISIT=visit, VISITNUM="2", SVSTDTC="2026-11-17")
    assert row["planned"] == planned


@pytest.mark.parametrize("word", ["SCREEN FAILURE", "Screen failed", "SCREEN FAIL", "Screening failed"])
def test_who_failed_screening_left_nothing(word: str) -> None:
    row, _ = read("DS", DSTERM=word, DSDECOD=word, DSCAT="DISPOSITION EVENT")
    assert not row["discontinued"]


def understood(**domains: Rows) -> set[str]:
    tables = by_name(table_of(pl.from_dicts([*some]), f"{name}.csv") for name, some in domains.items())
    understanding = Understanding()
    assert list(documents_of(tables, understanding))
    return {one.code for one in understanding.findings}


@pytest.mark.parametrize(
    ("domains", "code"),
    [
        ({"AE": rows("AE", {"AETERM": "RASH", "AESPID": "E1"}, {"AETERM": "RASH.", "AESPID": "E1"})},
         "shared_event"),
        ({"AE": rows("AE", {"AETERM": "RASH", "AESPID": "E1"}, {"AETERM": "RASH", "AESPID": "E2"})}, ""),
        ({"DM": rows("DM", {"ARM": "A"}, {"ARM": "B"})}, "duplicate_key"),
        ({"DM": rows("DM", {"ARM": "A"}, {"ARM": "A", "USUBJID": "s1-701-1"})}, "near_subjects"),
        ({"DM": rows("DM", {"ARM": "A"}, {"ARM": "A", "USUBJID": "S1-701-2"})}, ""),
    ],
)  # fmt: skip
def test_rows_that_may_be_of_one_event_or_person_are_told(domains: dict[str, Rows], code: str) -> None:
    assert understood(**domains) == ({code} if code else set())


# --- ranges in words ------------------------------------------------------------------------------


def lab(**cells: Any) -> tuple[str, set[str]]:
    row, codes = read("LB", LBTESTCD="X", **cells)
    return row["flag"], codes


UNREAD = {"range_not_read"}


@pytest.mark.parametrize(
    ("result", "reference", "flag", "findings"),
    [
        ("POSITIVE", "NEGATIVE", "ABNORMAL", set()),
        ("Detected", "Not detected", "ABNORMAL", set()),
        ("neg", "NEGATIVE", "NORMAL", set()),
        ("TRACE", "NEGATIVE", "ABNORMAL", set()),
        ("TRACE", "NEGATIVE TO TRACE", "NORMAL", set()),
        ("NEGATIVE", "NEGATIVE - 1+", "NORMAL", set()),
        ("1+", "NEGATIVE OR TRACE", "ABNORMAL", set()),
        ("2+", "NEGATIVE TO 1+", "ABNORMAL", set()),
        ("POSITIVE", "NEGATIVE TO TRACE", "", UNREAD),  # of what degree?
        ("NEGATIVE", "POSITIVE", "", UNREAD),  # an antibody that is wanted
        ("POSITIVE", "POSITIVE", "NORMAL", set()),
        ("YELLOW", "YELLOW, STRAW", "NORMAL", set()),
        ("BROWN", "YELLOW, STRAW", "", UNREAD),
        ("0.4", "NEGATIVE", "", UNREAD),
        ("12", "<10", "HIGH", set()),
        ("10", "<10", "HIGH", set()),
        ("10", "<=10", "NORMAL", set()),
        ("<=10", "<10", "", set()),
        ("<10", "<10", "NORMAL", set()),
        ("4", ">4", "LOW", set()),
        ("4", "> OR = 4", "", UNREAD),
        ("12", "3 - 10", "HIGH", set()),
        ("3", "3-10", "NORMAL", set()),
        ("-3", "-2 to 2", "LOW", set()),
        ("12", "see report", "", UNREAD),
        ("SEE COMMENT", "See comment", "", UNREAD),
        ("PENDING", "PENDING", "", UNREAD),
        ("POSITIVE", "NEGATIVE; EQUIVOCAL; POSITIVE", "", UNREAD),  # all the answers that there are
        ("NEGATIVE", "POSITIVE/NEGATIVE", "", UNREAD),
        ("12", "NA", "", set()),
    ],
)
def test_a_range_in_words_is_read_or_told(result: str, reference: str, flag: str, findings: set[str]) -> None:
    assert lab(LBORRES=result, LBSTRESC=result, LBSTNRC=reference) == (flag, findings)


def test_the_flag_counts_before_a_range_in_words_and_the_numbers_before_the_words() -> None:
    given = {"LBORRES": "POSITIVE", "LBSTNRC": "NEGATIVE"}
    assert lab(**given, LBNRIND="NORMAL") == ("NORMAL", {"flag_contradicts_range"})
    assert lab(**given, LBNRIND="HIGH") == ("HIGH", set())
    assert lab(LBORRES="5", LBSTRESN="5", LBSTNRLO="3", LBSTNRHI="10", LBSTNRC="<4") == ("NORMAL", set())


@pytest.mark.parametrize(
    ("low", "high", "result", "flag", "findings"),
    [
        ("NEGATIVE", "", "POSITIVE", "ABNORMAL", set()),
        ("NEGATIVE", "NEGATIVE", "NEGATIVE", "NORMAL", set()),
        ("NEGATIVE", "TRACE", "TRACE", "NORMAL", set()),
        ("NEGATIVE", "TRACE", "1+", "ABNORMAL", set()),
        ("NEGATIVE", "", "0.4", "", UNREAD),
        ("", "<10", "10", "HIGH", set()),
        ("", "<=10", "10", "NORMAL", set()),
        (">=15", "", "12", "LOW", set()),
        (">15", "", "15", "LOW", set()),
        ("NEGATIVE", "10", "5", "", UNREAD),
        ("NEGATIVE", "10", "15", "HIGH", UNREAD),
    ],
)
def test_limits_in_words_are_a_range_in_words(
    low: str, high: str, result: str, flag: str, findings: set[str]
) -> None:
    assert lab(LBORRES=result, LBORNRLO=low, LBORNRHI=high) == (flag, findings)


@pytest.mark.parametrize("given", [{"LBSTNRC": "<10"}, {"LBSTNRHI": "10"}])
@pytest.mark.parametrize(("unit", "flag"), [("", ""), ("g/L", ""), ("mg/l", "HIGH")])
def test_a_range_in_standard_units_is_not_held_against_a_result_in_another(
    given: dict[str, str], unit: str, flag: str
) -> None:
    found = lab(LBORRES="12", LBORRESU="mg/L", LBSTRESU=unit, LBSTRESC="12", **given)
    assert found == (flag, set() if flag else UNREAD)


@pytest.mark.parametrize(
    ("cells", "flag"),
    [
        ({"LBORRES": "20", "LBSTNRLO": "0", "LBSTNRC": "<10"}, "HIGH"),
        ({"LBORRES": "10", "LBSTNRLO": "0", "LBSTNRC": "<10"}, "HIGH"),
        ({"LBORRES": "9", "LBSTNRLO": "0", "LBSTNRC": "<10"}, "NORMAL"),
        ({"LBORRES": "20", "LBSTNRLO": "3", "LBSTNRC": "3-10"}, "HIGH"),
        ({"LBORRES": "2", "LBSTNRHI": "10", "LBSTNRC": "3-10"}, "LOW"),
    ],
    ids=str,
)
def test_a_range_in_one_text_gives_each_limit_that_is_not_given(cells: dict[str, str], flag: str) -> None:
    assert lab(LBSTRESN=cells["LBORRES"], **cells) == (flag, set())


@pytest.mark.parametrize(("text", "findings"), [("1,234", UNREAD), ("12.5 H", UNREAD), ("POSITIVE", set())])
def test_a_standard_result_that_cannot_be_read_is_told(text: str, findings: set[str]) -> None:
    cells = {"LBORRESU": "mg/dL", "LBSTRESU": "mmol/L", "LBSTNRLO": "0", "LBSTNRHI": "10"}
    assert lab(LBORRES="1234", LBSTRESC=text, **cells) == ("", findings)


@pytest.mark.parametrize("dose", ["100 mg daily", "1-2", "500/125", "as needed"])
@pytest.mark.parametrize(("beside", "shown"), [("", "{}"), ("per os", "{}; per os")])
def test_a_dose_in_words_is_shown_as_collected_and_told(dose: str, beside: str, shown: str) -> None:
    cells = {"CMTRT": "ASPIRIN", "CMDOSE": dose, "CMDOSTXT": beside}
    made = report(CM=rows("CM", *[cells] * 6))
    taken = made["listings"]["S1"]["medications"]
    assert {one["dose_text"] for one in taken} == {shown.format(dose)}
    assert "unread_number" in told(made)
    assert made["omissions"] == []
