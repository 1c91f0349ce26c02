"""Answers as forms of data capture print them: boxes that are ticked, criteria in words, other languages."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from reporting_pipeline.domain.clinical import codes
from reporting_pipeline.domain.clinical.reading import Reading
from reporting_pipeline.domain.clinical.rows import rows_of
from reporting_pipeline_tests.intake.test_strangers import read, report, rows, told


def event(**fields: Any) -> tuple[dict[str, Any], set[str]]:
    reading = Reading(date(2026, 11, 17))
    (row,) = rows_of("adverse_event", {"term": "FALL", "serious": "N", **fields}, reading)
    return row, {one.code for one in reading.findings}


@pytest.mark.parametrize(
    ("ticked", "met"), [("Checked", True), ("☑", True), ("Unchecked", False), ("☐", False)]
)
def test_a_box_that_is_ticked_is_a_yes_and_one_that_is_not_a_no(ticked: str, met: bool) -> None:
    row, found = read("AE", AETERM="FALL", AESER="N", AESDTH=ticked, AESHOSP=ticked)
    assert (row["fatal"], row["seriousness_criteria"]) == (met, "death, hospitalisation" if met else "")
    assert found == ({"fatal_not_serious"} if met else set())


@pytest.mark.parametrize("said", ["None", "N/A", "No", "Not applicable", "-", "Nein"])
def test_criteria_that_say_there_are_none_are_none(said: str) -> None:
    row, found = event(seriousness_criteria=[said])
    assert (row["seriousness_criteria"], found) == ("", set())


@pytest.mark.parametrize(
    ("said", "criterion"),
    [
        ("Resulted in death", "death"),
        ("Patient died", "death"),
        ("Tod", "death"),
        ("Hospitalized", "hospitalisation"),
        ("Inpatient hospitalization or prolongation of existing hospitalization", "hospitalisation"),
        ("Persistent or significant disability/incapacity", "disability"),
        ("Congenital anomaly/birth defect", "congenital_anomaly"),
        ("Important medical event", "other_medically_important"),
    ],
)
def test_criteria_are_read_in_the_words_of_forms(said: str, criterion: str) -> None:
    row, found = event(seriousness_criteria=[said])
    assert (row["seriousness_criteria"], row["fatal"]) == (criterion, criterion == "death")
    assert found == {"fatal_not_serious" if criterion == "death" else "criteria_not_serious"}


@pytest.mark.parametrize(
    ("severity", "level"),
    [
        *(("Muerte", 5), ("décès", 5), ("生命を脅かす", 4), ("Ciężka", 3), ("重症", 3)),
        *(("Тяжелой степени", 3), ("Umiarkowana", 2), ("Средней тяжести", 2)),
    ],
)
def test_severities_of_forms_are_read(severity: str, level: int) -> None:
    row, found = event(severity=severity)
    assert (codes.severity_level(str(row["severity"])), row["fatal"]) == (level, level == codes.FATAL)
    assert "unknown_value" not in found


@pytest.mark.parametrize(
    ("said", "serious"),
    [
        ("Non-serious AE", "no"),
        ("No SAE", "no"),
        ("重篤でない", "no"),
        ("Ciężkie", "yes"),
        ("Не серьёзное", "no"),
    ],
)
def test_seriousness_of_forms_is_read(said: str, serious: str) -> None:
    assert event(serious=said)[0]["serious"] == serious


@pytest.mark.parametrize("term", ["Plötzlicher Herztod", "Suizid", "Mors subita", "Paciente falleció"])
def test_a_term_that_names_a_death_in_another_language_is_told(term: str) -> None:
    assert "death_in_words" in event(term=term)[1]


@pytest.mark.parametrize("said", ["Patient ist verstorben", "El paciente murió en casa", "Пациент умер"])
def test_a_sentence_of_another_language_that_names_a_death_is_told_where_no_death_is_counted(
    said: str,
) -> None:
    made = report(
        DV=rows("DV", {"DVTERM": said}),
        CO=rows("CO", {"COVAL": said, "RDOMAIN": "DV"}),
    )
    assert {"death_in_words", "death_left_out"} <= told(made)


@pytest.mark.parametrize(("low", "flag"), [("-2", "NORMAL"), ("0", ""), ("5", "")])
def test_a_degree_of_a_strip_is_no_number_beside_a_range_of_numbers(low: str, flag: str) -> None:
    row, found = read("LB", LBTESTCD="X", LBORRES="+2", LBORNRLO=low, LBORNRHI="10")
    assert (row["flag"], "unread_number" in found) == (flag, not flag)
