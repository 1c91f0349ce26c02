"""Tables of strangers that contradict themselves, leave out half, or write nothing in words."""

from __future__ import annotations

from typing import Any

import pytest

from reporting_pipeline_tests.intake.test_strangers import figure, read, report, rows, told

RANGE = {"LBORNRLO": "10", "LBORNRHI": "40", "LBORRESU": "U/L"}


def lab(**cells: str) -> tuple[dict[str, Any], set[str]]:
    return read("LB", LBTESTCD="ALT", LBTEST="ALT", **cells)


# --- ranges, results and flags ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "result", "flag"),
    [
        ("0", "40 IU per L", "50", ""),
        ("0", "Infinity", "50", ""),
        ("10", "see comment", "5", "LOW"),
        ("about 10", "40", "50", "HIGH"),
        ("about 10", "40", "5", ""),
        ("about 10", "40", "<5", ""),
        ("NA", "40", "5", "NORMAL"),
        ("UNKNOWN", "40", "5", ""),
        (".", "40", "5", "NORMAL"),
        ("", "40", "5", "NORMAL"),
    ],
)
def test_nothing_is_normal_by_a_range_of_which_one_limit_is_unread(
    low: str, high: str, result: str, flag: str
) -> None:
    row, codes = lab(LBORRES=result, LBORNRLO=low, LBORNRHI=high)
    assert (row["flag"], row["assessed"]) == (flag, bool(flag))
    assert ("range_not_read" in codes) == any(word in low + high for word in ("per", "see", "about", "Inf"))


@pytest.mark.parametrize(
    ("original", "flag"),
    [({"LBORNRLO": "10"}, "HIGH"), ({"LBORNRHI": "60"}, "NORMAL"), ({"LBORNRHI": "40"}, "HIGH")],
)
def test_a_range_of_one_limit_does_not_hide_what_the_other_range_says(
    original: dict[str, str], flag: str
) -> None:
    row, _ = lab(
        LBORRES="50", LBORRESU="U/L", LBSTRESN="0.83", LBSTRESU="ukat/L", LBSTNRLO="0.2", LBSTNRHI="0.7",
        **original,
    )  # fmt: skip
    assert row["flag"] == flag


@pytest.mark.parametrize(
    ("result", "shown", "flag"),
    [
        ("<.5", "<.5", "LOW"),
        ("> .5", "> .5", ""),
        ("1.2e3", "1200", "HIGH"),
        ("1E3", "1000", "HIGH"),
        ("Infinity", "Infinity", ""),
        ("NaN", "NaN", ""),
        ("-inf", "-inf", ""),
    ],
)
def test_a_result_is_read_or_told(result: str, shown: str, flag: str) -> None:
    row, codes = lab(LBORRES=result, **RANGE)
    assert (row["value_text"], row["flag"]) == (shown, flag)
    assert codes == ({"unread_number"} if "n" in result.lower() else set())


@pytest.mark.parametrize(
    ("flag", "shown", "tier"),
    [
        ("HIGH/CRITICAL", "HIGH HIGH", 0),
        ("ABNORMAL HIGH", "HIGH", 2),
        ("Low, abnormal", "LOW", 2),
        ("PANIC LOW", "LOW LOW", 0),
        ("critical - high", "HIGH HIGH", 0),
        ("CH", "HIGH HIGH", 0),
        ("HIGH (H)", "HIGH", 2),
        ("L - LOW", "LOW", 2),
        ("H HH", "HIGH HIGH", 0),
        ("LP", "LOW LOW", 0),
        ("HIGH LOW", "HIGH LOW", 3),
        ("HIGH NORMAL", "HIGH NORMAL", 3),
        ("NOT HIGH", "NOT HIGH", 3),
        ("NORM", "NORMAL", 9),
    ],
)
def test_a_flag_of_several_words_is_read_where_they_agree(flag: str, shown: str, tier: int) -> None:
    row, _ = lab(LBORRES="25", LBNRIND=flag, **RANGE)
    assert (row["flag"], row["tier"]) == (shown, tier)


@pytest.mark.parametrize("unit", ["NA", ".", "-", "n/a", "NULL"])
def test_a_unit_that_stands_for_none_is_none(unit: str) -> None:
    made = report(
        LB=rows(
            "LB",
            *(
                {"LBTESTCD": "PH", "LBSTRESN": "7.9", "LBSTNRHI": "7.4", "LBSTRESU": one}
                for one in (unit, "")
            ),
        )
    )
    assert (made["omissions"], figure(made, "out_of_range")) == ([], 2)


def test_units_that_a_message_does_not_name_are_counted() -> None:
    units = ("g/L", "mol/L", "U/L", "kat/L", "osm/L", "K")
    made = report(
        LB=rows("LB", *({"LBTESTCD": "X", "LBSTRESN": "5", "LBSTRESU": one} for one in units)),
    )
    (omission,) = made["omissions"]
    assert "and 2 more" in omission["reason"]


def test_a_result_that_was_not_done_and_stands_is_told() -> None:
    row, codes = lab(LBORRES="50", LBSTAT="NOT DONE", **RANGE)
    assert (row["flag"], codes) == ("HIGH", {"status_contradicts_result"})
    assert lab(LBSTAT="NOT DONE", LBREASND="QNS")[1] == set()


@pytest.mark.parametrize("flag", ["NORMAL", "HIGH"])
def test_a_flag_of_what_was_not_done_says_nothing_of_a_result(flag: str) -> None:
    row, codes = lab(LBSTAT="NOT DONE", LBNRIND=flag, **RANGE)
    assert (row["flag"], row["assessed"], codes) == ("", False, {"status_contradicts_result"})


def test_results_of_one_sequence_number_are_both_kept_and_told() -> None:
    twice = [{"LBSEQ": "7", "LBTESTCD": "ALT", "LBORRES": value, **RANGE} for value in ("50", "60")]
    made = report(LB=rows("LB", *twice))
    assert (figure(made, "out_of_range"), told(made)) == (2, {"duplicate_key"})


# --- deaths and adverse events ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "codes"),
    [
        ({"AETOXGR": "5", "AEOUT": "RECOVERED/RESOLVED"}, {"death_contradicts"}),
        ({"AESDTH": "Y", "AEOUT": "NOT RECOVERED/NOT RESOLVED"}, {"death_contradicts"}),
        ({"AESDTH": "Y", "AEOUT": "UNKNOWN"}, set()),
        ({"AEOUT": "FATAL", "AESDTH": "Y"}, set()),
        ({"AETERM": "Completed suicide"}, set()),
        ({"AETERM": "Exitus letalis"}, set()),
        ({"AEOUT": "PATIENT DIED"}, set()),
    ],
)
def test_a_death_that_another_field_denies_counts_and_is_told(cells: dict[str, str], codes: set[str]) -> None:
    row, found = read("AE", **{"AETERM": "FALL", "AESER": "Y", **cells})
    assert (row["fatal"], found) == (True, codes)


@pytest.mark.parametrize(
    "outcome",
    [
        *("Tödlich", "toedlich", "TOD", "Verstorben", "décès", "DECES", "Décédé", "mortel", "Issue fatale"),
        *("fallecido", "MUERTE", "Fatale", "decesso", "deceduto", "Óbito", "falecimento", "overleden"),
    ],
)
def test_a_death_in_the_words_of_another_language_is_one(outcome: str) -> None:
    row, found = read("AE", AETERM="FALL", AESER="Y", AEOUT=outcome)
    assert (row["fatal"], found) == (True, set())
    made = report(DS=rows("DS", {"DSTERM": outcome, "DSDECOD": outcome}))
    assert (figure(made, "deaths"), figure(made, "discontinuations")) == (1, 1)


@pytest.mark.parametrize("outcome", ["tử vong", "เสียชีวิต", "5", "guérison", "geheilt", "see narrative"])
def test_an_outcome_that_nobody_can_read_is_told(outcome: str) -> None:
    """It may be a death: that it is not counted is said."""
    row, found = read("AE", AETERM="FALL", AESER="Y", AEOUT=outcome)
    assert (row["outcome"], row["fatal"], found) == (outcome, False, {"unknown_value"})


@pytest.mark.parametrize(
    "outcome",
    [
        "RECOVERED/RESOLVED",
        "Not recovered",
        "recovering/resolving",
        "Resolved with sequelae",
        "Recovered / Resolved",
        "NOT RECOVERED / NOT RESOLVED",
        "UNK",
        "",
        "NA",
    ],
)
def test_an_outcome_of_the_codelist_is_no_finding(outcome: str) -> None:
    assert read("AE", AETERM="FALL", AESER="Y", AEOUT=outcome)[1] == set()


@pytest.mark.parametrize(
    "term",
    [
        *("décès du père", "Tod des Patienten", "Mort du patient", "mort subite", "Paciente muerto"),
        *("morte improvvisa", "El paciente murió", "paciente morreu"),
    ],
)
def test_a_sentence_with_a_death_in_another_language_is_told_and_not_counted(term: str) -> None:
    """Whose it was, a person reads."""
    made = report(DS=rows("DS", {"DSTERM": term, "DSDECOD": "OTHER"}))
    assert (figure(made, "deaths"), told(made)) == (0, {"death_in_words"})


# --- after a death ------------------------------------------------------------------------------------


def died(day: str, **more: str) -> Any:
    return rows("DM", {"DTHFL": "Y", "DTHDTC": day, **more})


@pytest.mark.parametrize(
    ("day", "domain", "cells", "codes"),
    [
        ("2026-11-17", "AE", {"AETERM": "FALL", "AESER": "N", "AESTDTC": "2026-11-18"}, {"after_death"}),
        ("2026-11-17", "AE", {"AETERM": "FALL", "AESER": "N", "AESTDTC": "2026-11-17"}, set()),
        ("2026-11", "AE", {"AETERM": "FALL", "AESER": "N", "AESTDTC": "2026-11-18"}, set()),
        ("2026-11-16", "LB", {"LBTESTCD": "ALT", "LBORRES": "5", "LBDTC": "2026-11-17"}, {"after_death"}),
        ("2026-11-16", "DS", {"DSDECOD": "COMPLETED", "DSSTDTC": "2026-11-17"}, {"after_death"}),
        ("2026-11-16", "DS", {"DSDECOD": "DEATH", "DSSTDTC": "2026-11-17"}, {"dates_in_disorder"}),
        ("2026-11-16", "DS", {"DSDECOD": "DEATH", "DSSTDTC": "2026-11-16"}, set()),
        ("2026-11-16", "DS", {"DSDECOD": "DEATH", "DSSTDTC": "2026-11"}, set()),
        (
            "2026-11-16",
            "SS",
            {"SSTESTCD": "SURVSTAT", "SSSTRESC": "ALIVE", "SSDTC": "2026-11-18"},
            {"after_death"},
        ),
        ("2026-11-19", "SS", {"SSTESTCD": "SURVSTAT", "SSSTRESC": "ALIVE", "SSDTC": "2026-11-18"}, set()),
        ("2026-11-16", "SS", {"SSTESTCD": "SURVSTAT", "SSSTRESC": "DEAD", "SSDTC": "2026-11-18"}, set()),
    ],
)
def test_what_is_dated_after_a_death_is_told(
    day: str, domain: str, cells: dict[str, str], codes: set[str]
) -> None:
    made = report(DM=died(day), **{domain: rows(domain, cells)})
    assert told(made) & {"after_death", "dates_in_disorder"} == codes
    assert figure(made, "deaths") == 1


def test_a_death_of_another_person_says_nothing_of_this_one() -> None:
    event = {"AETERM": "FALL", "AESER": "N", "AESTDTC": "2026-11-18", "USUBJID": "S1-9", "SUBJID": "9"}
    made = report(DM=died("2026-11-16"), AE=rows("AE", event))
    assert "after_death" not in told(made)


@pytest.mark.parametrize(
    "outcome", ["FATAL?", "POSSIBLE DEATH", "DEATH UNCONFIRMED", "DEATH: N", "Death flag: U", "EXITUS: NO"]
)
def test_an_outcome_that_leaves_a_death_in_doubt_is_told_and_counts_as_none(outcome: str) -> None:
    row, found = read("AE", AETERM="FALL", AESER="Y", AEOUT=outcome)
    assert (row["fatal"], "death_in_words" in found) == (False, True)


@pytest.mark.parametrize(
    ("domain", "cells", "deaths", "code"),
    [
        *(("DM", {"DTHDTC": nothing}, 0, "") for nothing in ("NA", "N/A", ".", "-", "NULL", "NaN", "n/a")),
        ("DM", {"DTHDTC": "UNK"}, 0, "death_in_words"),
        ("DM", {"DTHDTC": "alive"}, 0, "death_in_words"),
        ("DM", {"DTHDTC": "0000-00-00"}, 0, "death_in_words"),
        ("DM", {"DTHDTC": "9999-12-31"}, 0, "death_in_words"),
        ("DM", {"DTHDTC": "31-DEC-9999"}, 0, "death_in_words"),
        ("DM", {"DTHDTC": "alive on 2026-05-01"}, 0, "death_in_words"),
        ("DM", {"DTHDTC": "see page 3"}, 0, "death_in_words"),
        ("DM", {"DTHDTC": "CENSORED 2026-05-01"}, 0, "death_in_words"),
        ("DM", {"DTHDTC": "lost to follow-up 2026-05-01"}, 0, "death_in_words"),
        ("DM", {"DTHDTC": "vivant au 2026-05-01"}, 0, "death_in_words"),
        ("AE", {"AETERM": "DEATH", "AESER": "N", "AEPRESP": "Y", "AEOCCUR": "N"}, 0, "death_in_words"),
        ("AE", {"AETERM": "DEATH", "AESER": "N", "AEPRESP": "Y", "AEOCCUR": "U"}, 0, "death_in_words"),
        ("AE", {"AETERM": "DEATH", "AESER": "N", "AESTAT": "NOT DONE"}, 0, "death_in_words"),
        ("AE", {"AETERM": "DEATH", "AEPRESP": "Y", "AEOCCUR": "Y"}, 1, ""),
        ("AE", {"AETERM": "DEATH", "AEPRESP": "Y"}, 1, ""),  # AE holds what occurred (SDTMIG)
        ("AE", {"AETERM": "STROKE", "AEOCCUR": "N", "AEOUT": "FATAL"}, 1, ""),
        ("DM", {"DTHDTC": "UNK", "DTHFL": "Y"}, 1, "partial_date"),
        ("DM", {"DTHDTC": "10/11/2026"}, 1, "impossible_date"),
        ("DM", {"DTHDTC": "2026-UN-UN"}, 1, "partial_date"),
        ("DS", {"DSTERM": "DIED?", "DSDECOD": "OTHER"}, 0, "death_in_words"),
        ("DS", {"DSTERM": "Subject passed away", "DSDECOD": "OTHER"}, 1, ""),
        ("DS", {"DSTERM": "PATIENT EXPIRED", "DSDECOD": "OTHER"}, 1, ""),
        ("DS", {"DSTERM": "CONSENT EXPIRED", "DSDECOD": "OTHER"}, 0, ""),
        ("CE", {"CETERM": "MYOCARDIAL INFARCTION", "CEOUT": "FATAL"}, 1, ""),
        ("CE", {"CETERM": "DEATH"}, 1, ""),
        ("CE", {"CETERM": "STROKE", "CEPRESP": "Y", "CEOUT": "FATAL"}, 1, ""),
        ("CE", {"CETERM": "STROKE", "CEOCCUR": "N", "CEOUT": "FATAL"}, 0, "death_in_words"),
        ("CE", {"CETERM": "STROKE", "CEOUT": "Tod"}, 1, ""),
        ("CE", {"CETERM": "STROKE", "CEOCCUR": "Y", "CEOUT": "décès"}, 1, ""),
        ("CE", {"CETERM": "DEATH", "CEPRESP": "Y", "CEOCCUR": "N"}, 0, "death_in_words"),
        ("CE", {"CETERM": "DEATH", "CEPRESP": "Y", "CEOCCUR": "U"}, 0, "death_in_words"),
        ("CE", {"CETERM": "DEATH", "CEPRESP": "Y", "CESTAT": "NOT DONE"}, 0, "death_in_words"),
        ("CE", {"CETERM": "DEATH", "CEPRESP": "Y"}, 0, "death_in_words"),
        ("CE", {"CETERM": "DEATH", "CEPRESP": "Y", "CEOCCUR": "Y"}, 1, ""),
        ("CE", {"CETERM": "MIGRAINE", "CEOUT": "RECOVERED/RESOLVED"}, 0, ""),
        ("DD", {"DDTEST": "Subject died", "DDORRES": "NO"}, 0, "death_in_words"),
        ("DD", {"DDTEST": "Death Indicator", "DDORRES": "Y"}, 1, ""),
        ("DD", {"DDTEST": "Death Witnessed", "DDORRES": "N"}, 1, ""),
    ],
)
def test_what_stands_for_nothing_is_no_death_and_what_is_one_counts(
    domain: str, cells: dict[str, str], deaths: int, code: str
) -> None:
    made = report(**{domain: rows(domain, cells)})
    assert figure(made, "deaths") == deaths
    assert code in {*told(made), ""}


@pytest.mark.parametrize(
    ("answer", "serious"),
    [
        ("SERIOUS", "yes"),
        ("Non-serious", "no"),
        ("not serious", "no"),
        ("Y ", "yes"),
        ("seriously?", "unknown"),
    ],
)
def test_seriousness_in_its_own_word_is_read(answer: str, serious: str) -> None:
    assert read("AE", AETERM="FALL", AESER=answer)[0]["serious"] == serious


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ({"AEOUT": "NOT RECOVERED/NOT RESOLVED", "AEENDTC": "2026-11-17"}, "end_contradicts"),
        ({"AEOUT": "RECOVERED/RESOLVED", "AEENDTC": "2026-11-17"}, ""),
        ({"AESTDTC": "2026-11-17T10:00", "AEENDTC": "2026-11-17T09:00"}, "ends_before_start"),
        ({"AESTDTC": "2026-11-17T10:00+02:00", "AEENDTC": "2026-11-17T09:30Z"}, ""),
        ({"AESTDTC": "2026-11-17T10:00", "AEENDTC": "2026-11-17T09:30Z"}, ""),
        ({"AESTDTC": "2026-11-17T10:00", "AEENDTC": "2026-11-17"}, ""),
    ],
)
def test_an_end_that_cannot_be_is_told(cells: dict[str, str], code: str) -> None:
    assert read("AE", AETERM="FALL", AESER="N", **cells)[1] == ({code} if code else set())


# --- persons -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "age", "code"),
    [
        ({"AGE": "-3"}, None, "implausible_value"),
        ({"AGE": "200", "AGEU": "YEARS"}, None, "implausible_value"),
        ({"AGE": "200", "AGEU": "DAYS"}, 200, ""),
        ({"AGE": ">89"}, None, "unread_number"),
        ({"AGE": "90+"}, None, "unread_number"),
        ({"AGE": "NA"}, None, ""),
        ({"AGE": "0"}, 0, ""),
    ],
)
def test_an_age_is_one_or_is_told(cells: dict[str, str], age: float | None, code: str) -> None:
    row, codes = read("DM", **cells)
    assert row["age"] == age if age is not None else row["age"] != row["age"]
    assert codes == ({code} if code else set())


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        ({"RFSTDTC": "2026-11-10", "DTHDTC": "2026-11-01"}, True),
        ({"RFICDTC": "2026-11-10", "RFSTDTC": "2026-11-01"}, True),
        ({"RFSTDTC": "2026-11-10", "DTHDTC": "2026-11", "DMDTC": "2026-11-30"}, False),
        ({"RFICDTC": "2026-11-10", "RFSTDTC": "2026-11-10", "DTHDTC": "2026-11-12"}, False),
    ],
)
def test_dates_of_a_person_in_an_order_that_cannot_be_are_told(cells: dict[str, str], field: bool) -> None:
    assert ("dates_in_disorder" in read("DM", **cells)[1]) == field


# --- studies and supplements ------------------------------------------------------------------------------


def supplement(domain: str, name: str, value: str, number: str = "1") -> dict[str, str]:
    return {
        "STUDYID": "S1", "RDOMAIN": domain, "USUBJID": "S1-701-1", "QNAM": name, "QVAL": value,
        "IDVAR": f"{domain}SEQ" if domain != "DM" else "", "IDVARVAL": number if domain != "DM" else "",
    }  # fmt: skip


def test_one_file_of_supplements_serves_several_domains() -> None:
    both = [supplement("AE", "AESDTH", "Y"), supplement("DM", "AESER", "Y")]
    made = report(
        DM=rows("DM", {}), AE=rows("AE", {"AETERM": "FALL"}, {"AETERM": "COUGH", "AESER": ""}), SUPPQUAL=both
    )
    assert (figure(made, "deaths"), figure(made, "serious_adverse_events")) == (1, 0)


def test_one_file_may_hold_several_domains() -> None:
    mixed = [*rows("AE", {"AETERM": "FALL", "AESER": "Y"}), *rows("DS", {"DSDECOD": "COMPLETED"})]
    made = report(
        everything=[{name: row.get(name, "") for name in {**mixed[0], **mixed[1]}} for row in mixed]
    )
    assert (figure(made, "adverse_events"), figure(made, "dispositions")) == (1, 1)


@pytest.mark.parametrize(
    "supplements",
    [
        [supplement("AE", "AESDTH", "Y")],
        [supplement("AE", "AEHOW", "fell"), supplement("AE", "AEHOW", "pushed")],
    ],
)
def test_a_supplement_that_contradicts_is_told(supplements: list[dict[str, str]]) -> None:
    made = report(AE=rows("AE", {"AETERM": "FALL", "AESER": "N", "AESDTH": "N"}), SUPPAE=supplements)
    assert "supplement_contradicts" in told(made)


def test_studies_that_differ_in_spelling_alone_are_told() -> None:
    made = report(DM=rows("DM", {}), AE=rows("AE", {"AETERM": "FALL", "AESER": "Y"}, STUDYID="s-1"))
    assert ("near_studies" in told(made), set(made["figures"])) == (True, {"S1", "s-1"})


# --- emergence and end of an event -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "emergent"),
    [("Y", "yes"), ("N", "no"), ("", "unknown"), ("U", "unknown"), ("Nein", "no"), ("perhaps", "unknown")],
)
def test_treatment_emergence_is_what_is_stated_and_is_derived_of_nothing(answer: str, emergent: str) -> None:
    """The treatment began before the event, which alone says nothing: it may have been there before."""
    event = {"AETERM": "RASH", "AESER": "N", "AESTDTC": "2026-11-17", "AETRTEM": answer}
    made = report(AE=rows("AE", event), DM=rows("DM", {"RFXSTDTC": "2026-11-01"}))
    (row,) = made["listings"]["S1"]["adverse_events"]
    assert row["treatment_emergent"] == emergent
    assert ("unknown_value" in told(made)) == (answer == "perhaps")


def test_an_event_that_goes_on_says_so_and_contradicts_its_end() -> None:
    event = {"AETERM": "RASH", "AESER": "N", "AEENRTPT": "ONGOING"}
    assert read("AE", **event)[0]["ongoing"] == "yes"
    row, codes = read("AE", **event, AEENDTC="2026-11-17")
    assert (row["ongoing"], row["end"], codes) == ("yes", "2026-11-17", {"end_contradicts"})
    assert read("AE", AETERM="RASH", AESER="N")[0]["ongoing"] == ""


@pytest.mark.parametrize("column", ["AESHOSP", "AESINTV", "AESCAN", "AESOD"])
@pytest.mark.parametrize("answer", ["N", ""])
def test_what_meets_a_criterion_of_seriousness_stands_with_the_serious_ones(column: str, answer: str) -> None:
    events = [
        {"AETERM": "GRAVE", "AESEV": "SEVERE", "AESER": "N"},
        {"AETERM": "UNKNOWN", "AESEV": "SEVERE"},
        {"AETERM": "MET", "AESEV": "MODERATE", "AESER": answer, column: "Y"},
        {"AETERM": "SERIOUS", "AESEV": "MILD", "AESER": "Y"},
    ]
    made = report(AE=rows("AE", *events))
    listed = made["listings"]["S1"]["adverse_events"]
    assert [one["term"] for one in listed] == ["MET", "SERIOUS", "UNKNOWN", "GRAVE"]
    assert figure(made, "serious_adverse_events") == 1
    assert ("criteria_not_serious" in told(made)) == (answer == "N")


# --- deaths that are told where no figure counts them ----------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "cells"),
    [
        ("QS", {"QSTESTCD": "SURV", "QSTEST": "Survival status", "QSORRES": "DEAD"}),
        ("FA", {"FATESTCD": "OUT", "FATEST": "Outcome", "FAOBJ": "SEPSIS", "FAORRES": "Fatal"}),
        ("LB", {"LBTESTCD": "ALT", "LBSTAT": "NOT DONE", "LBREASND": "SUBJECT DIED"}),
        ("SV", {"VISIT": "WEEK 3", "VISITNUM": "3", "SVOCCUR": "N", "SVREASOC": "Patient deceased"}),
        ("DV", {"DVTERM": "Patient died before visit 3"}),
    ],
)
def test_a_death_that_only_other_words_name_is_told_and_not_counted(
    domain: str, cells: dict[str, str]
) -> None:
    when = {"SVSTDTC": "2026-11-17"} if domain == "SV" else {}
    made = report(**{domain: rows(domain, {**cells, **when})})
    assert figure(made, "deaths") in (0, None)
    assert "death_in_words" in told(made)


@pytest.mark.parametrize(
    ("domain", "cells"),
    [
        ("QS", {"QSTESTCD": "CSSRS", "QSTEST": "Ideation", "QSORRES": "WISH TO BE DEAD"}),
        ("MI", {"MITESTCD": "NECR", "MITEST": "Necrosis", "MIORRES": "SINGLE CELL DEATH"}),
        ("LB", {"LBTESTCD": "ALT", "LBSTAT": "NOT DONE", "LBREASND": "DEATH IN FAMILY"}),
    ],
)
def test_what_names_no_death_of_the_subject_is_not_told_as_one(domain: str, cells: dict[str, str]) -> None:
    assert "death_in_words" not in told(report(**{domain: rows(domain, cells)}))


@pytest.mark.parametrize("outcome", ["FATAL: NO", "Death - No", "DEATH=N", "Fatal outcome: no"])
def test_an_outcome_that_denies_a_death_is_none(outcome: str) -> None:
    row, _ = read("AE", AETERM="SEPSIS", AESER="Y", AEOUT=outcome)
    assert not row["fatal"]


@pytest.mark.parametrize(
    ("person", "domains", "is_told"),
    [
        ({"DTHFL": "Y", "DTHDTC": "2026-11-18"}, {}, True),
        ({"DTHFL": "Y"}, {}, True),
        ({"DTHDTC": "2026-11"}, {}, True),
        ({"DTHFL": "N"}, {}, False),
        ({"DTHFL": "Y", "DTHDTC": "2026-11-18"}, {"DS": {"DSDECOD": "DEATH"}}, False),
        ({"DTHFL": "Y", "DTHDTC": "2026-11-18"}, {"AE": {"AETERM": "SEPSIS", "AEOUT": "FATAL"}}, False),
        ({"DTHFL": "Y", "DTHDTC": "2026-01-05"}, {}, False),
    ],
)
def test_a_death_that_only_a_record_of_long_before_tells_is_told(
    person: dict[str, str], domains: dict[str, dict[str, str]], is_told: bool
) -> None:
    """No week counts it: the record of DM stands where its subject was screened."""
    others = {name: rows(name, cells) for name, cells in domains.items()}
    made = report(DM=rows("DM", {"DMDTC": "2026-01-05", **person}), **others)
    assert ("death_in_dm_alone" in told(made)) == is_told
