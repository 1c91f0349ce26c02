"""Tables of strangers, as they really come: what a report makes of them, cell for cell."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from reporting_pipeline.domain.clinical.reading import Reading
from reporting_pipeline.domain.clinical.rows import rows_of
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline.intake.dates import collected_at, last_possible_day
from reporting_pipeline.intake.sdtm.documents import by_name, documents_of, studies_of
from reporting_pipeline.intake.sdtm.tables import table_of
from reporting_pipeline.intake.sdtm.trial import trial_facts
from reporting_pipeline.intake.understanding import Understanding
from reporting_pipeline.usecases.try_report import arrivals_of, make_report
from reporting_pipeline_tests.reports.reading import page_texts

Rows = Sequence[Mapping[str, Any]]
WEEK = Period.last_closed(Cadence.WEEKLY, datetime(2026, 11, 23, tzinfo=UTC), "UTC")


def report(**domains: Rows) -> dict[str, Any]:
    """The JSON report of the week from 2026-11-16 on these rows of domains; a missing cell is empty."""
    tables = by_name(
        table_of(pl.from_dicts([*rows], infer_schema_length=None), f"{name}.csv")
        for name, rows in domains.items()
    )
    understanding = Understanding()
    arrivals = arrivals_of(
        documents_of(tables, understanding), WEEK, understanding, trials=studies_of(tables)
    )
    made: dict[str, Any] = json.loads(make_report(arrivals, {}, Format.JSON, understanding).content)
    return made


def rows(domain: str, *cells: Mapping[str, Any], **more: Any) -> Rows:
    """Rows of a domain of trial S1, subject S1-701-1, collected in the week, numbered from 1."""
    return [
        {
            "STUDYID": "S1", "DOMAIN": domain, "USUBJID": "S1-701-1", "SITEID": "701",
            f"{domain}SEQ": str(number), f"{domain}DTC": "2026-11-17", **more, **one,
        }
        for number, one in enumerate(cells, 1)
    ]  # fmt: skip


def figure(made: dict[str, Any], name: str, trial: str = "S1") -> Any:
    return made["figures"][trial][name]["value"]


def told(made: dict[str, Any]) -> set[str]:
    return {one["code"] for one in made["findings"]}


def read(domain: str, **cells: Any) -> tuple[dict[str, Any], set[str]]:
    """One row of a domain as a report's row, and the codes of what was told of it."""
    tables = by_name([table_of(pl.from_dicts([*rows(domain, cells)]), f"{domain}.csv")])
    (document,) = documents_of(tables, Understanding())
    reading = Reading(date(2026, 11, 17))
    (row,) = rows_of(document.kind, document.data, reading)
    return row, {one.code for one in reading.findings}


# --- adverse events and deaths ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "serious"),
    [("Y", "yes"), ("Yes", "yes"), ("1", "yes"), ("true", "yes"), ("N", "no"), ("0", "no"), ("No", "no")]
    + [("Ja", "yes"), ("Sí", "yes"), ("Não", "no"), ("Serious adverse event", "yes")]
    + [(answer, "unknown") for answer in ("", "U", "UNK", "NA", "X", "2", "J")],
)
def test_seriousness_is_read_in_its_spellings_and_never_guessed(answer: str, serious: str) -> None:
    row, _ = read("AE", AETERM="FALL", AESER=answer)
    assert row["serious"] == serious


@pytest.mark.parametrize("answer", ["Y", "Yes", "1", "true", "y"])
@pytest.mark.parametrize("column", ["AESDTH", "AEOUT"])
def test_a_death_is_fatal_in_every_spelling_of_its_criterion(answer: str, column: str) -> None:
    given = {"AESDTH": answer} if column == "AESDTH" else {"AEOUT": "Fatal"}
    row, codes = read("AE", AETERM="SEPSIS", AESER="N", **given)
    assert row["fatal"]
    assert codes == {"fatal_not_serious"}


def test_an_answer_to_a_criterion_that_nobody_understands_is_told() -> None:
    row, codes = read("AE", AETERM="SEPSIS", AESER="N", AESHOSP="maybe")
    assert row["seriousness_criteria"] == "AESHOSP: maybe"
    assert "unknown_value" in codes


@pytest.mark.parametrize(
    ("term", "outcome", "fatal", "finding"),
    [
        ("DEATH NOS", "", True, ""),
        ("Sudden cardiac death", "UNKNOWN", True, ""),
        ("Death due to sepsis", "", True, ""),
        ("SUDDEN DEATH", "RECOVERED/RESOLVED", False, "death_in_words"),
        ("FOETAL DEATH", "", False, "death_in_words"),
        ("DEATH OF HUSBAND", "", False, "death_in_words"),
        ("FEAR OF DEATH", "", False, "death_in_words"),
        ("NON-FATAL DROWNING", "", False, ""),
        ("DEADLOCK", "", False, ""),
        ("DEATH OF GRANDMOTHER", "", False, "death_in_words"),
        ("DEATH OF UNCLE", "", False, "death_in_words"),
        ("DEATH OF UNKNOWN CAUSE", "", True, ""),
        ("DIED OF RENAL FAILURE", "", True, ""),
        ("Death due to small cell lung cancer", "", True, ""),
        ("DEATH FROM BRAIN METASTASES", "", True, ""),
        ("BRAIN DEATH", "", False, "death_in_words"),
        ("CELL DEATH", "", False, "death_in_words"),
        ("DECEASED", "", True, ""),
        ("Found dead", "", True, ""),
        ("Died in his sleep", "", True, ""),
        ("Fatal myocardial infarction", "", True, ""),
        ("Myocardial infarction (fatal)", "UNKNOWN", True, ""),
        ("Organ failure resulting in death", "", True, ""),
        ("Fatal familial insomnia", "", False, "death_in_words"),
        ("Death? not confirmed", "", False, "death_in_words"),
        ("Fall leading to", "", False, ""),
        ("SUICIDE", "", False, "death_in_words"),
        ("Suicide attempt", "", False, ""),
        ("Stillbirth", "", False, "death_in_words"),
        ("Lethal arrhythmia", "", False, "death_in_words"),
    ],
)
def test_an_event_that_is_a_death_counts_unless_its_outcome_says_otherwise(
    term: str, outcome: str, fatal: bool, finding: str
) -> None:
    row, codes = read("AE", AETERM=term, AEOUT=outcome, AESER="Y")
    assert row["fatal"] == fatal
    assert codes == ({finding} if finding else set())


@pytest.mark.parametrize(
    ("domain", "cells", "deaths"),
    [
        ("DS", {"DSTERM": "DEATH", "DSDECOD": "DEATH"}, 1),
        ("DS", {"DSTERM": "DIED OF DISEASE PROGRESSION"}, 1),
        ("DS", {"DSTERM": "PATIENT DIED", "DSDECOD": "OTHER"}, 1),
        ("DS", {"DSTERM": "Death in family", "DSDECOD": "WITHDRAWAL BY SUBJECT"}, 0),
        ("DS", {"DSTERM": "LOST, NOT DEAD", "DSDECOD": "LOST TO FOLLOW-UP"}, 0),
        ("DS", {"DSTERM": "GRANDMOTHER DIED", "DSDECOD": "WITHDRAWAL BY SUBJECT"}, 0),
        ("DS", {"DSTERM": "MOTHERS DEATH", "DSDECOD": "OTHER"}, 0),
        ("DS", {"DSTERM": "SITE INVESTIGATOR DIED", "DSDECOD": "OTHER"}, 0),
        ("DS", {"DSTERM": "UNKNOWN IF SUBJECT DIED", "DSDECOD": "LOST TO FOLLOW-UP"}, 0),
        ("DS", {"DSTERM": "DEATH NOT CONFIRMED", "DSDECOD": "LOST TO FOLLOW-UP"}, 0),
        ("DS", {"DSTERM": "POSSIBLE DEATH", "DSDECOD": "LOST TO FOLLOW-UP"}, 0),
        ("DS", {"DSTERM": "DIED, CAUSE UNKNOWN", "DSDECOD": "OTHER"}, 1),
        ("DS", {"DSTERM": "DEATH, NOT RELATED TO STUDY DRUG", "DSDECOD": "OTHER"}, 1),
        ("DS", {"DSTERM": "SUBJECT DIED ON 05 MAY 2013", "DSDECOD": "OTHER"}, 1),
        ("DS", {"DSTERM": "DIED, NO AUTOPSY", "DSDECOD": "OTHER"}, 1),
        ("DS", {"DSTERM": "DIED, POSSIBLE MYOCARDIAL INFARCTION", "DSDECOD": "OTHER"}, 1),
        ("DS", {"DSTERM": "DIED ON UNKNOWN DATE", "DSDECOD": "OTHER"}, 1),
        ("DS", {"DSTERM": "SUBJECT MAY HAVE DIED", "DSDECOD": "LOST TO FOLLOW-UP"}, 0),
        ("DS", {"DSTERM": "NOT KNOWN WHETHER DECEASED", "DSDECOD": "LOST TO FOLLOW-UP"}, 0),
        ("DS", {"DSTERM": "DEATH NOT YET CONFIRMED", "DSDECOD": "LOST TO FOLLOW-UP"}, 0),
        ("DM", {"DTHFL": "Y"}, 1),
        ("DM", {"DTHFL": "1"}, 1),
        ("DM", {"DTHDTC": "2026-11"}, 1),
        ("DM", {"DTHFL": "N", "DTHDTC": "2026-11-16"}, 1),
        ("DM", {"DTHFL": ""}, 0),
        ("DD", {"DDTESTCD": "PRCDTH", "DDTEST": "Primary Cause of Death", "DDORRES": "SEPSIS"}, 1),
        ("DD", {"DDTESTCD": "AUTOPIND", "DDTEST": "Autopsy", "DDORRES": "N"}, 1),
        ("DD", {"DDTESTCD": "PRCDTH", "DDTEST": "Primary Cause of Death", "DDORRES": ""}, 0),
        ("SS", {"SSTESTCD": "SURVSTAT", "SSORRES": "DEAD", "SSSTRESC": "DEAD"}, 1),
        ("SS", {"SSTESTCD": "SURVSTAT", "SSORRES": "ALIVE", "SSSTRESC": "ALIVE"}, 0),
        ("SS", {"SSTESTCD": "SURVSTAT", "SSORRES": "", "SSSTAT": "NOT DONE"}, 0),
    ],
)  # fmt: skip
def test_a_death_counts_wherever_it_is_told(domain: str, cells: dict[str, str], deaths: int) -> None:
    made = report(**{domain: rows(domain, cells)})
    assert figure(made, "deaths") == deaths


def test_what_tells_one_death_many_times_is_one_death_and_no_disposition() -> None:
    details = rows("DD", {"DDTEST": "Cause", "DDORRES": "SEPSIS"}, {"DDTEST": "Autopsy", "DDORRES": "N"})
    made = report(DD=details, DM=rows("DM", {"DTHFL": "Y"}), AE=rows("AE", {"AETERM": "X", "AEOUT": "FATAL"}))
    assert (figure(made, "deaths"), figure(made, "dispositions")) == (1, 0)


def test_rows_of_one_sequence_number_are_kept_and_told() -> None:
    made = report(AE=rows("AE", {"AETERM": "A"}, {"AETERM": "B"}, {"AETERM": "B"}, AESEQ="7", AESER="N"))
    assert figure(made, "adverse_events") == 3
    assert [one["code"] for one in made["findings"]] == ["duplicate_key", "duplicate_key"]


# --- persons, sites, studies -----------------------------------------------------------------------


def test_a_number_given_at_two_sites_is_two_persons_in_every_table() -> None:
    at = [{"USUBJID": "", "SUBJID": "001", "SITEID": site} for site in ("701", "702")]
    made = report(
        DM=rows("DM", *at),
        AE=rows("AE", *({**one, "AETERM": "FALL", "AESER": "N", "AESEQ": "1"} for one in at)),
        LB=rows("LB", *({**one, "LBTESTCD": "ALT", "LBSTRESN": 20.0, "LBSEQ": "1"} for one in at)),
        VS=[{**one, "SITEID": None} for one in rows("VS", {**at[0], "VSTESTCD": "PULSE", "VSSTRESN": 60.0})],
    )
    assert figure(made, "subjects") == 2
    listings = made["listings"]["S1"]
    for table in ("subjects", "adverse_events", "labs"):
        assert sorted(one["site"] for one in listings[table]) == ["701", "702"], table
        assert len({one["document_id"] for one in listings[table]}) == 2, table
    assert [one["site"] for one in listings["vitals"]] == ["unknown"]
    assert {"subject_at_two_sites", "no_site"} <= told(made)
    assert "duplicate_key" not in told(made)


def test_studies_of_one_folder_do_not_share_subjects_sites_or_titles() -> None:
    two = [{"STUDYID": study, "USUBJID": "001", "SITEID": site} for study, site in (("SA", "1"), ("SB", "2"))]
    pulses = rows("VS", *({**one, "VSTESTCD": "PULSE", "VSSTRESN": 60.0, "SITEID": None} for one in two))
    made = report(DM=rows("DM", *two), VS=pulses)
    for study, site in (("SA", "1"), ("SB", "2")):
        assert figure(made, "subjects", study) == 1
        assert [one["site"] for one in made["listings"][study]["vitals"]] == [site]
    titles = rows("TS", {"STUDYID": "SA", "TSPARMCD": "TITLE", "TSVAL": "First"},
                  {"STUDYID": "SB", "TSPARMCD": "TITLE", "TSVAL": "Second"})  # fmt: skip
    tables = by_name([table_of(pl.from_dicts(titles), "ts.csv")])
    assert [trial_facts(study, tables).title for study in ("SA", "SB")] == ["First", "Second"]


def test_supplements_of_one_study_do_not_reach_another() -> None:
    events = rows(
        "AE", *({"STUDYID": study, "USUBJID": "1", "AESEQ": "1", "AETERM": "X"} for study in ("SA", "SB"))
    )
    more = {"STUDYID": "SA", "RDOMAIN": "AE", "USUBJID": "1", "IDVAR": "AESEQ", "IDVARVAL": "1"}
    made = report(AE=events, SUPPAE=[{**more, "QNAM": "AESER", "QVAL": "Y"}])
    serious = {study: made["listings"][study]["adverse_events"][0]["serious"] for study in ("SA", "SB")}
    assert serious == {"SA": "yes", "SB": "unknown"}


def test_a_trial_without_a_subject_is_in_the_report_with_zeros() -> None:
    made = report(TS=[{"STUDYID": "S1", "DOMAIN": "TS", "TSPARMCD": "TITLE", "TSVAL": "A trial"}])
    assert figure(made, "documents") == 0


# --- measurements ----------------------------------------------------------------------------------


def lab(**cells: Any) -> tuple[dict[str, Any], set[str]]:
    return read("LB", LBTESTCD="T", **{f"LB{name}": value for name, value in cells.items()})


@pytest.mark.parametrize(
    ("result", "flag"),
    [
        *((high, "HIGH") for high in ("12,5", "1,234.5", "1.234,5", "1 234", "1'234", "1.2E3", "1.2x10^3")),
        *((censored, "HIGH") for censored in ("> 1,000.0", ">1 000", "Greater than 500")),
        *((low, "LOW") for low in ("\u22125", "<0.1", "LESS THAN 0.5")),
        *((low, "LOW") for low in ("below 0.5", "LT 0.5", "\u22660.5", "</= 0.5", "&lt;0.5", "At most 0.5")),
        *((high, "HIGH") for high in ("above 200", "GT 200", "\u2267200", ">/=200", "&gt; 200", "over 200")),
        ("5", "NORMAL"),
    ],
)
def test_a_number_is_read_where_it_has_one_reading(result: str, flag: str) -> None:
    row, findings = lab(ORRES=result, ORNRLO="3", ORNRHI="10")
    shown = "1200" if result.startswith("1.2") and result[3] in "Ex" else result  # without an exponent
    assert (row["flag"], row["value_text"], findings) == (flag, shown, set())


@pytest.mark.parametrize("result", ["1,234", "12.5 H", "12.5*", "~12", "5-10", "55%", "> 1,000", "1_000"])
def test_a_number_with_two_readings_or_none_is_told_and_not_assessed(result: str) -> None:
    row, findings = lab(ORRES=result, ORNRLO="3", ORNRHI="10")
    assert (row["assessed"], row["value_text"], findings) == (False, result, {"unread_number"})


@pytest.mark.parametrize("flag", ["+", "N*", "L,P", "POSITIVE", "CS", ">", "B"])
def test_a_flag_of_no_codelist_is_listed_though_the_range_says_normal(flag: str) -> None:
    row, _ = lab(STRESN=5.0, STNRLO="0", STNRHI="10", NRIND=flag)
    assert (row["out_of_range"], row["flag"]) == (True, flag)


@pytest.mark.parametrize(
    ("flag", "shown"),
    [
        ("HI", "HIGH"),
        ("lo", "LOW"),
        ("*H", "HIGH HIGH"),
        ("L!", "LOW LOW"),
        ("\u2191", "HIGH"),
        ("H*", "HIGH HIGH"),
        ("HIGH_HIGH", "HIGH HIGH"),
        ("high-high", "HIGH HIGH"),
        ("HIGH HIGH HIGH", "HIGH HIGH"),
        ("LLL", "LOW LOW"),
        ("Elevated", "HIGH"),
        ("Below LLN", "LOW"),
        ("ABNORMAL, NCS", "ABNORMAL"),
    ],
)
def test_flags_of_laboratories_are_read_in_their_spellings(flag: str, shown: str) -> None:
    assert lab(STRESN=5.0, NRIND=flag)[0]["flag"] == shown


@pytest.mark.parametrize(
    "flag", ["Within normal range", "NOT DETECTED", "Non-reactive", "NEG", "wnl", "IN NORMAL RANGE"]
)
def test_a_flag_that_says_nothing_is_wrong_is_not_listed(flag: str) -> None:
    row, codes = lab(STRESN=5.0, NRIND=flag)
    assert (row["assessed"], row["out_of_range"], codes) == (True, False, set())


@pytest.mark.parametrize(
    ("grade", "number", "tier"),
    [
        ("3H", 3, 1),
        ("L4", 4, 0),
        ("GRADE 3 (HIGH)", 3, 1),
        ("Hyper 2", 2, 3),
        ("-3", 3, 1),
        ("2-3", None, 3),
        ("7", None, 3),
        ("see comment", None, 3),
    ],
)
def test_a_graded_result_is_listed_whatever_its_range_says(grade: str, number: int | None, tier: int) -> None:
    """A grade that nobody can read is a flag of no code list: told and listed, never normal."""
    row, codes = lab(STRESN=5.0, STNRLO="0", STNRHI="10", TOXGR=grade)
    assert (row["out_of_range"], row["tier"]) == (True, tier)
    assert row["grade"] == number or (number is None and row["grade"] != row["grade"])
    assert codes == (set() if number else {"unknown_value"})


@pytest.mark.parametrize("grade", ["0", "NORMAL", "", "NA", "UNK"])
def test_no_toxicity_is_no_flag(grade: str) -> None:
    assert not lab(STRESN=5.0, STNRLO="0", STNRHI="10", TOXGR=grade)[0]["out_of_range"]


@pytest.mark.parametrize(
    ("flag", "tier"), [("ABNORMAL, CLINICALLY SIGNIFICANT", 1), ("Abnormal CS", 1), ("ABNORMAL NCS", 3)]
)
def test_significance_beside_a_flag_counts(flag: str, tier: int) -> None:
    assert lab(STRESN=5.0, NRIND=flag)[0]["tier"] == tier


@pytest.mark.parametrize(
    ("limits", "flag", "findings"),
    [
        ({"STNRLO": "0", "STNRHI": "0"}, "", {"empty_range"}),
        ({"STNRLO": "9", "STNRHI": "3"}, "", {"reversed_range"}),
        ({"STNRHI": "<4"}, "HIGH", set()),
        ({"STNRHI": "\u22644"}, "HIGH", set()),
        ({"STNRLO": ">=6"}, "LOW", set()),
        ({"STNRLO": "<4", "STNRHI": ">=8"}, "", {"range_not_read"}),
        ({"STNRLO": "NEGATIVE", "STNRHI": "NEGATIVE"}, "", {"range_not_read"}),
        ({"STNRLO": "6"}, "LOW", set()),
        ({"STNRHI": "4"}, "HIGH", set()),
        ({}, "", set()),
    ],
)
def test_a_range_is_used_only_where_it_is_one(limits: dict[str, str], flag: str, findings: set[str]) -> None:
    row, codes = lab(STRESN=5.0, **limits)
    assert (row["flag"], row["assessed"], codes) == (flag, bool(flag), findings)


@pytest.mark.parametrize("more", [{"CLSIG": "Y"}, {"TOXGR": "3"}])
def test_normal_and_significant_is_listed_and_told(more: dict[str, str]) -> None:
    row, codes = lab(STRESN=5.0, STNRLO="0", STNRHI="10", NRIND="NORMAL", **more)
    assert (row["out_of_range"], codes) == (True, {"flag_contradicts_judgement"})


def test_nothing_out_of_range_is_said_only_where_something_was_assessed() -> None:
    def sentence(**cells: Any) -> str:
        tables = by_name([table_of(pl.from_dicts([*rows("LB", {"LBTESTCD": "T", **cells})]), "lb.csv")])
        understanding = Understanding()
        arrivals = arrivals_of(documents_of(tables, understanding), WEEK, understanding)
        return " ".join(page_texts(make_report(arrivals, {}, Format.PDF, understanding).content)[1].split())

    assert "nothing could be assessed" in sentence(LBSTRESN=5.0)
    assert "None of 1 result assessed" in sentence(LBSTRESN=5.0, LBSTNRLO="0", LBSTNRHI="10")


# --- dates -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "iso"),
    [
        ("17NOV2026", "2026-11-17"),
        ("17-Nov-2026", "2026-11-17"),
        ("17 November 2026", "2026-11-17"),
        ("17NOV2026:08:30", "2026-11-17T08:30"),
        ("20261117", "2026-11-17"),
        ("2026-11-17 08:30", "2026-11-17T08:30"),
        ("2026-11-17T08:30+09:00", "2026-11-17T08:30+09:00"),
        ("2026-11-17T", "2026-11-17"),
        ("20261117T0830", "2026-11-17T08:30"),
        ("2026/11/17", "2026-11-17"),
        ("2026.11.17 08:30", "2026-11-17T08:30"),
        ("17/11/2026", "2026-11-17"),
        ("11/17/2026", "2026-11-17"),
        ("17.11.2026", "2026-11-17"),
        ("Nov 17, 2026", "2026-11-17"),
    ],
)
def test_a_date_that_can_mean_one_day_is_read(written: str, iso: str) -> None:
    row, codes = read("AE", AETERM="FALL", AESER="N", AESTDTC=written, AEDTC=written)
    assert (row["start"], codes) == (iso, set())
    assert last_possible_day(written) == date(2026, 11, 17)


@pytest.mark.parametrize("written", ["UN-NOV-2026", "UNNOV2026", "NOV2026", "-- Nov 2026"])
def test_of_a_date_with_an_unknown_day_the_month_is_known(written: str) -> None:
    row, codes = read("AE", AETERM="FALL", AESER="N", AESTDTC=written)
    assert (row["start"], codes) == ("2026-11", {"partial_date"})


@pytest.mark.parametrize(
    "written",
    [
        "10/11/2026",
        "11-10-26",
        "31NOV2026",
        "2026-13-01",
        "17NOV26",
        "2026-W47",
        "2026-321",
        "24428",
        "13/13/2026",
    ],
)
def test_a_date_that_says_no_day_for_certain_is_in_no_period_and_told(written: str) -> None:
    assert last_possible_day(written) is None
    understanding = Understanding()
    tables = by_name([table_of(pl.from_dicts([*rows("AE", {"AETERM": "X"}, AEDTC=written)]), "ae.csv")])
    arrivals = arrivals_of(documents_of(tables, understanding), WEEK, understanding)
    assert arrivals.of_period() == 0
    (finding,) = understanding.findings
    assert (finding.code, "is not read" in finding.detail) == ("no_arrival", True)


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("2026-11-10/2026-11-17", "2026-11-17"),
        ("2003-12-15/2004", "2004-12-31"),
        ("2026-11-UN", "2026-11-30"),
        ("2026---15T10:00", "2026-12-31"),
    ],
)
def test_a_date_that_leaves_days_open_arrives_on_the_last_of_them(written: str, day: str) -> None:
    assert collected_at(written, ZoneInfo("UTC")) == datetime.fromisoformat(f"{day}T12:00+00:00")


def test_an_instant_is_placed_in_the_week_of_its_own_offset() -> None:
    written = "2026-11-15T23:30-05:00"  # 04:30 on Monday in UTC
    made = report(AE=rows("AE", {"AETERM": "FALL", "AESER": "N", "AEDTC": written}))
    assert figure(made, "adverse_events") == 1


# --- animals, devices, hospitals, eyes ---------------------------------------------------------------


def test_tables_of_animals_are_told() -> None:
    made = report(DM=rows("DM", {"SPECIES": "RAT"}, {"SPECIES": ""}))
    (one,) = (found for found in made["findings"] if found["code"] == "animals")
    assert "RAT" in one["detail"]
    assert "animals" not in told(report(DM=rows("DM", {"SPECIES": "Human"})))


@pytest.mark.parametrize("domain", ["CE", "DE", "HO"])
def test_events_of_devices_and_stays_in_hospital_are_kept_and_a_death_among_them_counts(domain: str) -> None:
    event = {f"{domain}TERM": "LEAD FRACTURE", f"{domain}SEV": "SEVERE", f"{domain}STDTC": "2026-11-17"}
    made = report(**{domain: rows(domain, event, event | {f"{domain}OUT": "FATAL"})})
    terms = [row["term"] for row in made["listings"]["S1"]["dispositions"]]
    assert terms == ["LEAD FRACTURE (severe)", "LEAD FRACTURE, outcome: FATAL (severe)"]
    assert (figure(made, "deaths"), figure(made, "dispositions")) == (1, 0)
    assert "no_kind" not in told(made)


def test_an_event_says_in_which_eye_it_was_and_a_result_at_which_time_point() -> None:
    row, _ = read("AE", AETERM="RETINAL DETACHMENT", AESER="Y", AELOC="EYE", AELAT="LEFT")
    assert (row["location"], row["laterality"]) == ("EYE", "LEFT")
    assert read("LB", LBTESTCD="GLUC", LBORRES="9", LBTPT="2H POST")[0]["time_point"] == "2H POST"


def test_the_death_of_a_child_beside_a_fatal_outcome_counts_and_is_told() -> None:
    row, codes = read("AE", AETERM="NEONATAL DEATH", AESER="Y", AEOUT="FATAL")
    assert row["fatal"]
    assert codes == {"death_in_words"}


def test_results_after_a_death_are_told_once_for_a_document_and_moment() -> None:
    result = {"LBTESTCD": "ALT", "LBORRES": "5"}
    made = report(
        DM=rows("DM", {"DTHFL": "Y", "DTHDTC": "2026-11-16"}), LB=rows("LB", result, result, result)
    )
    assert [one["code"] for one in made["findings"]].count("after_death") == 1
