"""Words of strangers that a physician reads at a glance, and what nobody may read out of them."""

from __future__ import annotations

from typing import Any

import pytest

from reporting_pipeline.domain.clinical.codes import severity_level
from reporting_pipeline_tests.intake.test_strangers import figure, read, report, rows, told

RANGE = {"LBORNRLO": "3.5", "LBORNRHI": "5.1", "LBORRESU": "mmol/L"}


def lab(**cells: str) -> tuple[dict[str, Any], set[str]]:
    return read("LB", LBTESTCD="K", LBTEST="Potassium", **cells)


# --- flags and ranges --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "tier"), [("ABNORMAL", 2), ("A", 2), ("*", 2), ("PANIC", 0), ("ABNORMAL!", 2)]
)
def test_a_flag_without_a_direction_hides_not_how_far_a_number_is(flag: str, tier: int) -> None:
    row, _ = lab(LBORRES="10.2", LBNRIND=flag, **RANGE)
    assert (row["tier"], row["ratio"]) == (tier, 2.0)


def test_what_is_flagged_abnormal_ranks_by_its_factor() -> None:
    cells = [{"LBTESTCD": "K", "LBORRES": result, "LBNRIND": "A", **RANGE} for result in ("5.2", "9.9", "6")]
    listed = report(LB=rows("LB", *cells))["listings"]["S1"]["out_of_range"]
    assert [one["value_text"] for one in listed] == ["9.9", "6", "5.2"]


@pytest.mark.parametrize(("said", "flag"), [("HI", "HIGH"), ("High", "HIGH"), ("LO", "LOW"), ("low", "LOW")])
def test_what_a_meter_shows_off_its_scale_is_out_of_range(said: str, flag: str) -> None:
    row, _ = lab(LBORRES=said, **RANGE)
    assert (row["flag"], row["out_of_range"], row["value_text"]) == (flag, True, said)


def test_a_word_for_much_is_no_flag_where_no_number_belongs() -> None:
    row, _ = read("QS", QSTESTCD="RISK", QSORRES="HIGH")
    assert not row["assessed"]
    row, _ = lab(LBORRES="HI", LBNRIND="NORMAL", **RANGE)
    assert row["flag"] == "NORMAL"


@pytest.mark.parametrize("reference", ["NEGATIVE", "NEGATIVE-TRACE", "Negative – Trace", "NEG-TR"])
@pytest.mark.parametrize("said", ["SMALL", "Moderate", "LARGE", "2+"])
def test_more_than_a_trace_of_a_strip_is_beyond_negative(said: str, reference: str) -> None:
    row, _ = lab(LBORRES=said, LBSTNRC=reference)
    assert row["flag"] == "ABNORMAL"


@pytest.mark.parametrize("reference", ["NEGATIVE TO 1+", "1+", "NON-REACTIVE", "MODERATE"])
def test_an_amount_is_not_held_against_degrees(reference: str) -> None:
    row, _ = lab(LBORRES="SMALL", LBSTNRC=reference)
    assert row["flag"] == ("ABNORMAL" if reference == "NON-REACTIVE" else "")


def test_a_number_that_is_not_read_is_told_where_a_flag_counts_for_it() -> None:
    row, codes = lab(LBORRES="1,250", LBNRIND="H", LBORNRLO="4", LBORNRHI="11")
    assert row["flag"] == "HIGH"
    assert "unread_number" in codes


@pytest.mark.parametrize("nothing", [".", "-", "NA", "N/A", "NULL"])
def test_a_mark_for_an_empty_cell_is_no_result_of_a_test_that_was_not_done(nothing: str) -> None:
    row, codes = lab(LBORRES=nothing, LBSTAT="NOT DONE", LBNRIND="H", **RANGE)
    assert not row["assessed"]
    assert "status_contradicts_result" in codes


# --- grades and deaths -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grade", "read_as"), [("3 (SEVERE)", 3), ("2 - Moderate", 2), ("G3", 3), ("Grade 3 (severe)", 3)]
)
def test_a_grade_that_says_one_thing_twice_is_read_and_not_told(grade: str, read_as: int) -> None:
    made = report(AE=rows("AE", {"AETERM": "Diarrhoea", "AETOXGR": grade, "AESER": "N"}))
    (event,) = made["listings"]["S1"]["adverse_events"]
    assert event["grade"] == read_as
    assert not {"unknown_value", "not_a_number"} & told(made)


@pytest.mark.parametrize("grade", ["2-3", "3 (MILD)", "1/2", "SEVERE"])
def test_a_grade_that_says_two_things_is_none(grade: str) -> None:
    made = report(AE=rows("AE", {"AETERM": "Diarrhoea", "AETOXGR": grade, "AESER": "N"}))
    (event,) = made["listings"]["S1"]["adverse_events"]
    assert event["grade"] is None
    assert "unknown_value" in told(made)


@pytest.mark.parametrize(
    "term", ["Found dead at home", "Patient found dead in bed", "FOUND DEAD", "Stroke, fatal"]
)
def test_who_is_found_dead_died(term: str) -> None:
    made = report(AE=rows("AE", {"AETERM": term, "AESER": "Y"}))
    assert figure(made, "deaths") == 1


@pytest.mark.parametrize("term", ["Stroke, non-fatal", "Cell death", "Fetal brain death?", "Not found dead"])
def test_what_is_no_death_of_the_subject_is_none(term: str) -> None:
    assert figure(report(AE=rows("AE", {"AETERM": term, "AESER": "Y"})), "deaths") == 0


@pytest.mark.parametrize(
    "domains",
    [
        {"DS": rows("DS", {"DSDECOD": "DEATH", "DSCAT": "DISPOSITION EVENT"})},
        {"AE": rows("AE", {"AETERM": "Sepsis", "AESER": "Y", "AEOUT": "FATAL"})},
        {"DD": rows("DD", {"DDTESTCD": "PRCDTH", "DDTEST": "Primary Cause of Death", "DDORRES": "SEPSIS"})},
        {"SS": rows("SS", {"SSTESTCD": "SURVSTAT", "SSORRES": "DEAD"})},
    ],
)
def test_a_record_that_denies_a_death_that_another_tells_is_told(domains: dict[str, Any]) -> None:
    made = report(DM=rows("DM", {"DTHFL": "N"}), **domains)
    assert figure(made, "deaths") == 1
    assert "death_contradicts" in told(made)
    assert "death_contradicts" not in told(report(DM=rows("DM", {"DTHFL": ""}), **domains))
    other = report(DM=rows("DM", {"DTHFL": "N", "USUBJID": "S1-701-2"}), **domains)
    assert "death_contradicts" not in told(other)


# --- visits without a date ---------------------------------------------------------------------------

_STARTED = rows("DM", {"RFSTDTC": "2026-11-03"})


@pytest.mark.parametrize(
    ("visit", "plan"),
    [({"VISITDY": "15"}, {}), ({}, {"VISITDY": "15"}), ({"VISITDY": "15"}, {"VISITDY": "99"})],
)
def test_a_missed_visit_counts_on_the_day_it_was_planned_for(
    visit: dict[str, str], plan: dict[str, str]
) -> None:
    missed = {"VISIT": "WEEK 2", "VISITNUM": "3", "SVOCCUR": "N", "SVDTC": "", **visit}
    domains = {"DM": _STARTED, "SV": rows("SV", missed)}
    if plan:
        domains["TV"] = [{"STUDYID": "S1", "DOMAIN": "TV", "VISITNUM": "3", "VISIT": "WEEK 2", **plan}]
    made = report(**domains)
    assert figure(made, "visits_missed") == 1
    assert "planned_day" in told(made)
    assert "no_arrival" not in told(made)


@pytest.mark.parametrize("cells", [{"VISITDY": "0"}, {"VISITDY": "x"}, {}, {"VISITDY": "15", "SVOCCUR": ""}])
def test_a_visit_without_a_date_that_nobody_calls_missed_or_planned_is_in_no_period(
    cells: dict[str, str],
) -> None:
    missed = {"VISIT": "WEEK 2", "VISITNUM": "3", "SVOCCUR": "N", "SVDTC": "", **cells}
    made = report(DM=_STARTED, SV=rows("SV", missed))
    assert figure(made, "visits_missed") == 0
    assert "no_arrival" in told(made)


# --- what is said beside ------------------------------------------------------------------------------


def test_a_clinical_event_says_how_grave_it_is() -> None:
    made = report(CE=rows("CE", {"CETERM": "Anaphylaxis", "CEOCCUR": "Y", "CESEV": "SEVERE", "CESER": "Y"}))
    (event,) = made["listings"]["S1"]["dispositions"]
    assert event["term"] == "Anaphylaxis (severe, serious)"
    assert not event["death"]


def test_who_is_in_no_dm_is_told_and_counted() -> None:
    found = rows(
        "AE", {"AETERM": "Rash", "AESER": "N"}, {"AETERM": "Rash", "AESER": "N", "USUBJID": "S1-701-9"}
    )
    made = report(DM=rows("DM", {"AGE": "50"}), AE=found)
    (one,) = (one for one in made["findings"] if one["code"] == "not_in_dm")
    assert "S1-701-9" in one["detail"]
    assert "S1-701-1" not in one["detail"].replace("S1-701-9", "")
    assert figure(made, "subjects") == 2
    assert "not_in_dm" not in told(report(AE=found))


# --- codes beside what they stand for -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "serious"),
    [
        ("1=Yes", "yes"),
        ("Y - Yes", "yes"),
        ("2=Yes", "yes"),
        ("Y (Yes)", "yes"),
        ("N - No", "no"),
        ("0=No", "no"),
    ]
    + [(answer, "unknown") for answer in ("1=No", "0=Yes", "Y/N", "No data", "1.1", "0-0", "2")],
)
def test_a_code_and_what_it_stands_for_are_one_answer_where_they_agree(answer: str, serious: str) -> None:
    made = report(AE=rows("AE", {"AETERM": "Rash", "AESER": answer}))
    assert [one["serious"] for one in made["listings"]["S1"]["adverse_events"]] == [serious]


@pytest.mark.parametrize(
    ("flag", "shown", "tier"),
    [
        ("HIGH - CS", "HIGH", 1),
        ("H, NCS", "HIGH", 2),
        ("Abnormal (NCS)", "ABNORMAL", 2),
        ("HIGH, NOT CLINICALLY SIGNIFICANT", "HIGH", 2),
        ("HH (clinically significant)", "HIGH HIGH", 0),
        ("Out of range high", "HIGH", 2),
        ("OUTSIDE RANGE (LOW)", "LOW", 2),
        ("X CS", "X CS", 2),
    ],
)
def test_a_flag_beside_what_the_investigator_thinks_of_it_is_the_flag(
    flag: str, shown: str, tier: int
) -> None:
    row, _ = lab(LBORRES="10.2", LBNRIND=flag, **RANGE)
    assert (row["flag"], row["tier"], row["out_of_range"]) == (shown, tier, True)


@pytest.mark.parametrize(
    ("written", "flag"),
    [("–5", "LOW"), ("‐5", "LOW"), ("−5", "LOW"), ("2×10³", "HIGH"), ("5–10", ""), ("–", "")],
)
def test_signs_of_word_processors_are_read(written: str, flag: str) -> None:
    row, _ = lab(LBORRES=written, **RANGE)
    assert row["flag"] == flag


@pytest.mark.parametrize(
    ("severity", "grade"), [("Severe/Grade 3", 3), ("CTC 3", 3), ("3/4", None), ("MILD/MODERATE", None)]
)
def test_a_severity_beside_its_grade_is_that_grade(severity: str, grade: int | None) -> None:
    made = report(AE=rows("AE", {"AETERM": "Rash", "AESER": "N", "AESEV": severity}))
    assert [one["grade"] for one in made["listings"]["S1"]["adverse_events"]] == [grade]


# --- other languages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "level"),
    [
        ("leicht", 1),
        ("mäßig", 2),
        ("MÄSSIG", 2),
        ("mittel", 2),  # beside leicht and schwer, the triad of German forms
        ("moderat", 2),
        ("mittelgradig", 2),
        ("leichtgradig", 1),
        ("schwergradig", 3),
        ("schwer", 3),
        ("lebensbedrohlich", 4),
        ("Léger", 1),
        ("modérée", 2),
        ("Sévère", 3),
        ("leve", 1),
        ("Moderado", 2),
        ("severo", 3),
        ("lieve", 1),
        ("matig", 2),
        ("potencialmente mortal", 4),
        ("tödlich", 5),
        ("grave", 0),
        ("ernstig", 0),
        ("leicht bis schwer", 0),
    ],
)
def test_severity_is_read_in_six_languages_where_it_means_one_thing(written: str, level: int) -> None:
    """It is shown as it came, and no grade is made of mild, moderate or severe."""
    row, codes = read("AE", AETERM="X", AESER="N", AESEV=written)
    assert severity_level(row["severity"]) == level
    assert row["severity"] == " ".join(written.split()).upper()
    assert (row["grade"] == row["grade"]) == (level >= 4)
    assert ("unknown_value" in codes) == (level == 0)


def test_a_severity_of_another_language_agrees_with_a_grade_as_the_english_one_does() -> None:
    assert "severity_contradicts_grade" not in read("AE", AETERM="X", AESEV="schwer", AETOXGR="4")[1]
    assert "severity_contradicts_grade" in read("AE", AETERM="X", AESEV="leicht", AETOXGR="4")[1]


@pytest.mark.parametrize(
    ("outcome", "ends"),
    [
        ("genesen", False),
        ("Nicht genesen", True),
        ("guéri", False),
        ("NON GUÉRI", True),
        ("Recuperado", False),
        ("no recuperado", True),
        ("em recuperação", True),
        ("Herstellend", True),
        ("guarito con postumi", False),
    ],
)
def test_an_outcome_of_another_language_is_known_and_contradicts_an_end_where_it_goes_on(
    outcome: str, ends: bool
) -> None:
    row, codes = read("AE", AETERM="X", AESER="N", AEOUT=outcome, AEENDTC="2026-11-17")
    assert (row["outcome"], row["fatal"]) == (outcome, False)
    assert codes == ({"end_contradicts"} if ends else set())


@pytest.mark.parametrize(
    ("flag", "shown"),
    [("niedrig", "LOW"), ("erhöht", "HIGH"), ("élevé", "HIGH"), ("laag", "LOW"), ("normale", "NORMAL")],
)
def test_a_flag_of_another_language_is_read(flag: str, shown: str) -> None:
    row, _ = read("LB", LBTESTCD="HB", LBORRES="8,1", LBNRIND=flag)
    assert (row["flag"], row["indicator"]) == (shown, flag.upper())


@pytest.mark.parametrize(
    ("answer", "serious"),
    [
        ("schwerwiegend", "yes"),
        ("nicht schwerwiegend", "no"),
        ("grave", "yes"),
        ("non grave", "no"),
        ("niet ernstig", "no"),
        ("unbekannt", "unknown"),
        ("inconnu", "unknown"),
    ],
)
def test_seriousness_of_another_language_is_an_answer_in_its_own_column(answer: str, serious: str) -> None:
    assert read("AE", AETERM="X", AESER=answer)[0]["serious"] == serious


# --- other alphabets -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "serious", "answer"),
    [
        ("死亡", "是", "yes"),
        ("死亡", "いいえ", "no"),
        ("사망", "예", "yes"),
        ("Смерть", "да", "yes"),
        ("летальный исход", "нет", "no"),
        ("zgon", "Tak", "yes"),
        ("Zmarł", "nie", "no"),
        ("وفاة", "نعم", "yes"),
        ("Θάνατος", "όχι", "no"),
        ("Fatal", "Ｙ", "yes"),
    ],
)
def test_a_death_and_an_answer_are_read_in_other_alphabets(outcome: str, serious: str, answer: str) -> None:
    row, codes = read("AE", AETERM="SEPSIS", AESER=serious, AEOUT=outcome)
    assert (row["fatal"], row["serious"]) == (True, answer)
    assert ("fatal_not_serious" in codes) == (answer == "no")
    assert row["outcome"] == outcome


@pytest.mark.parametrize("term", ["猝死", "突然死", "돌연사", "Внезапная смерть"])
def test_a_term_that_is_a_death_in_another_alphabet_is_fatal(term: str) -> None:
    assert read("AE", AETERM=term, AESER="")[0]["fatal"]


@pytest.mark.parametrize("outcome", ["нелетальный", "未死亡", "死亡の可能性", "转归不明"])
def test_what_is_no_whole_answer_in_another_alphabet_is_told_and_not_taken_for_one(outcome: str) -> None:
    row, codes = read("AE", AETERM="SEPSIS", AESER="Y", AEOUT=outcome)
    assert not row["fatal"]
    assert {"unknown_value", "death_in_words"} & codes


@pytest.mark.parametrize(
    ("severity", "level"),
    [
        ("轻度", 1),
        ("中度", 2),
        ("重度", 3),
        ("軽度", 1),
        ("中等度", 2),
        ("高度", 3),
        ("중증", 3),
        ("тяжёлая", 3),
        *(("łagodny", 1), ("ciężki", 3), ("危及生命", 4), ("严重", 0), ("重篤", 0)),
    ],
)
def test_severities_are_read_in_other_alphabets_and_seriousness_is_none(severity: str, level: int) -> None:
    assert severity_level(severity) == level


@pytest.mark.parametrize(
    ("flag", "side"), [("高", "HIGH"), ("偏低", "LOW"), ("正常", "NORMAL"), ("異常", "ABNORMAL")]
)
def test_flags_are_read_in_other_alphabets(flag: str, side: str) -> None:
    assert lab(LBORRES="9", LBNRIND=flag)[0]["flag"] == side


@pytest.mark.parametrize("result", ["５０", "５０．０"])
@pytest.mark.parametrize(
    "reference", ["0~40", "0～40", "[0-40]", "(0 - 40)", "up to 40", "0..40", "0 bis 40", "0…40"]
)
def test_ranges_and_digits_of_laboratories_elsewhere_have_one_reading(result: str, reference: str) -> None:
    row, _ = lab(LBORRES=result, LBSTNRC=reference)
    assert (row["flag"], row["value_text"]) == ("HIGH", result)


@pytest.mark.parametrize("reference", ["M: 5-8; F: 4-7", "5-8 (adults)", "5-8 U/L", "~40", "5--8"])
def test_a_range_that_says_more_than_its_limits_is_told_and_not_used(reference: str) -> None:
    row, codes = lab(LBORRES="50", LBSTNRC=reference)
    assert not row["assessed"]
    assert "range_not_read" in codes
