"""Tables that are not SDTM, read through a mapping."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from reporting_pipeline.domain.clinical.checking import check_payload
from reporting_pipeline.intake.documents import SourceDocument
from reporting_pipeline.intake.mapping import MappingProblem, read_mapping
from reporting_pipeline.intake.sources import open_source
from reporting_pipeline.intake.understanding import Understanding

LABS = """PATNO;CENTRE;STUDYDAY;PARAM;RESULT;UNIT;FLAG;BATCH
001;701;1;GLUC;5,1;mmol/L;1;x
001;701;-1;GLUC;9;mmol/L;2;
"""
SUBJECTS = "PATNO,FIRST_DOSE\n001,2026-11-16\n"
EVENTS = "PATNO,WHAT,GRADE,SAE,WHEN\n001,SYNCOPE,3,1,2026-11-17\n"
MAPPING = """
trial: T-1
reference: {file: subjects.csv, subject: PATNO, date: FIRST_DOSE}
tables:
  - file: lab*.csv
    kind: lab
    subject: PATNO
    site: CENTRE
    collected: {day: STUDYDAY}
    columns: {test_code: PARAM, value: RESULT, unit: UNIT, indicator: FLAG}
    constants: {specimen: SERUM}
    codes: {indicator: {"1": NORMAL, "2": HIGH}}
    decimal: ","
  - file: events.csv
    kind: adverse_event
    subject: PATNO
    site: {value: "701"}
    collected: WHEN
    columns: {term: WHAT, grade: GRADE, serious: SAE}
    codes: {serious: {"1": "Y", "0": "N"}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in (("labs_1.csv", LABS), ("subjects.csv", SUBJECTS), ("events.csv", EVENTS)):
        (tmp_path / name).write_text(content)
    return tmp_path


def read(folder: Path, mapping: str) -> tuple[list[SourceDocument], Understanding]:
    path = folder / "map.yaml"
    path.write_text(mapping)
    understanding = Understanding()
    source = open_source(folder, understanding, mapping=read_mapping(path))
    return list(source.documents(understanding, ZoneInfo("UTC"), None)), understanding


def test_mapped_tables_become_documents(folder: Path) -> None:
    documents, understanding = read(folder, MAPPING)
    by_day = {one.collected: one for one in documents if one.kind == "lab"}
    assert sorted(by_day) == ["2026-11-15", "2026-11-16"]  # there is no day 0
    (result,) = by_day["2026-11-16"].data["results"]
    expected = {
        "test_code": "GLUC",
        "value": 5.1,
        "unit": "mmol/L",
        "indicator": "NORMAL",
        "specimen": "SERUM",
    }
    assert {name: result[name] for name in expected} == expected
    (event,) = [one for one in documents if one.kind == "adverse_event"]
    assert (event.trial, event.site, event.subject) == ("T-1", "701", "001")
    assert (event.data["term"], event.data["grade"], event.data["serious"]) == ("SYNCOPE", 3.0, True)
    assert understanding.unplaced == {"labs_1.csv.BATCH": 1}


def test_one_column_of_results_holds_numbers_limits_and_words(tmp_path: Path) -> None:
    """An export has them in one column; a word was malformed, and a table of lesions was left out for it."""
    cells = ("12,5", "<40", "VORHANDEN", "")
    rows = [f"00{number};2026-11-1{number};M;{cell}" for number, cell in enumerate(cells, 1)]
    (tmp_path / "r.csv").write_text("\n".join(["P;WHEN;T;R", *rows, "005;2026-11-15;M;sichtbar"]))
    table = (
        "tables: [{file: r.csv, kind: tumour_response, subject: P, site: {value: '1'}, collected: WHEN, "
        'decimal: ",", columns: {test_code: T, value: R}}]'
    )
    documents, understanding = read(tmp_path, f"trial: T-1\n{table}")
    results = {one.subject: one.data["results"][0] for one in documents}
    told = {subject: (one["value"], one["text_result"]) for subject, one in results.items()}
    assert told == {
        "001": (12.5, ""),
        "002": (None, "<40"),
        "003": (None, "VORHANDEN"),
        "004": (None, ""),
        "005": (None, "sichtbar"),
    }
    assert not [one for one in understanding.findings if one.code in ("not_a_number", "wrong_type")]


@pytest.mark.parametrize(
    ("kind", "named", "field", "told"),
    [
        ("adverse_event", "term", "ongoing", [True, False, None, "vielleicht"]),
        ("adverse_event", "term", "occurred", [True, False, None, "vielleicht"]),
        ("medication", "term", "ongoing", [True, False, None, "vielleicht"]),
        ("history", "term", "ongoing", [True, False, None, "vielleicht"]),
        ("exposure", "treatment", "occurred", [True, False, None, "vielleicht"]),
        ("deviation", "term", "occurred", [True, False, None, "vielleicht"]),
        ("visit", "visit", "planned", [True, False, True, "vielleicht"]),  # not said: as SDTM has it
    ],
)
def test_what_goes_on_and_what_did_not_happen_is_stated_in_a_column_of_its_own(
    kind: str, named: str, field: str, told: list[object], tmp_path: Path
) -> None:
    """SDTM derives these of columns that no export has; no mapping could name them."""
    answers = ("ja", "nein", "", "vielleicht")
    rows = [f"00{number},X{number},2026-11-1{number},{one}" for number, one in enumerate(answers)]
    (tmp_path / "t.csv").write_text("\n".join(["P,WHAT,WHEN,ANSWER", *rows]))
    table = (
        f"tables: [{{file: t.csv, kind: {kind}, subject: P, site: {{value: '1'}}, collected: WHEN, "
        f"columns: {{{named}: WHAT, {field}: ANSWER}}, codes: {{{field}: {{ja: Y, nein: N}}}}}}]"
    )
    documents, understanding = read(tmp_path, f"trial: T-1\n{table}")
    by_subject = sorted(documents, key=lambda one: one.subject)
    assert [one.data.get(field) for one in by_subject] == told
    assert not understanding.unplaced


@pytest.mark.parametrize(
    ("written", "value"),
    [("5,1", 5.1), ("1.234", 1234), ("12.345.678,9", 12345678.9), ("0.123", 0.123), ("12.5", 12.5), ("7", 7)],
)
def test_where_the_comma_is_decimal_a_point_stands_between_thousands(
    folder: Path, written: str, value: float
) -> None:
    (folder / "labs_1.csv").write_text(LABS.replace("5,1", written))
    documents, _ = read(folder, MAPPING)
    values = [one["value"] for document in documents for one in document.data.get("results", ())]
    assert value in values


def test_of_several_reference_dates_none_is_taken(folder: Path) -> None:
    (folder / "subjects.csv").write_text(SUBJECTS + "001,2026-11-16\n")
    assert {one.collected for one in read(folder, MAPPING)[0] if one.kind == "lab"} == {
        "2026-11-15",
        "2026-11-16",
    }
    (folder / "subjects.csv").write_text(SUBJECTS + "001,2026-12-24\n")
    documents, understanding = read(folder, MAPPING)
    assert {one.collected for one in documents if one.kind == "lab"} == {""}
    told = [one.detail for one in understanding.findings if one.code == "no_arrival"]
    assert "001: has several reference dates (2026-11-16, 2026-12-24); none was taken." in told


@pytest.mark.parametrize("code", ["no", "0701", "2026-11-16", "1.50", "N", "1e3"])
def test_what_yaml_would_take_for_a_number_or_a_flag_is_the_text_that_was_written(
    folder: Path, code: str
) -> None:
    (folder / "labs_1.csv").write_text(LABS.replace(";2;x", f";{code};x").replace(";1;x", f";{code};x"))
    mapping = MAPPING.replace('"1": NORMAL', f"{code}: NORMAL").replace("trial: T-1", "trial: 0012")
    documents, _ = read(folder, mapping)
    assert "NORMAL" in [one["indicator"] for each in documents for one in each.data.get("results", ())]
    assert {one.trial for one in documents} == {"0012"}


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("kind: lab", "kind: blood", "map.yaml, line 6, tables[0].kind: give one of"),
        ("kind: lab", "kind: note", "no table holds them"),
        ("test_code: PARAM", "test_kode: PARAM", "have no field 'test_kode'"),
        ("test_code: PARAM", "test_code: PARAMETER", "has no column 'PARAMETER'"),
        ("lab*.csv", "blood*.csv", "there is no file 'blood*.csv'"),
        ("file: subjects.csv", "file: people.csv", "there is no file 'people.csv'"),
        ("date: FIRST_DOSE", "date: DOSE", "has no column 'DOSE'"),
        ("trial: T-1", "trail: T-1", "map.yaml, line 2, trail: is not known here"),
        ("trial: T-1", "trial: [", ": is no YAML"),
        ("trial: T-1", "trial: {a: b}", "map.yaml, line 2, trial: give a text"),
        ("{day: STUDYDAY}", "{days: STUDYDAY}", "line 9, tables[0].collected.day: is missing; give it"),
        (
            "codes: {indicator",
            "codes: {indicater",
            "tables[0].codes.indicater: documents of kind lab have no",
        ),
        ("    kind: lab", "    kind: lab\n    kind: ecg", "line 7: the key 'kind' stands twice"),
        (
            "trial: T-1",
            "trial: !!python/object/apply:os.system [x]",
            "map.yaml, line 2, trial: give a text",
        ),
    ],
)
def test_what_a_mapping_names_and_nothing_has_is_said(
    folder: Path, before: str, after: str, words: str
) -> None:
    with pytest.raises(MappingProblem) as problem:
        read(folder, MAPPING.replace(before, after))
    assert words in str(problem.value)


# --- what makes an event serious -----------------------------------------------------------------------

REASONS = (
    "PATNO,WHAT,SAE,DIED,HOSP,STENT,WHY,WHEN\n001,SYNCOPE,0,2,1,1,life threatening; overdose,2026-11-17\n"
)
OF_EVENTS = """
trial: T-1
tables:
  - file: events.csv
    kind: adverse_event
    subject: PATNO
    site: {value: "701"}
    collected: WHEN
    columns: {term: WHAT, serious: SAE, MORE}
"""
CODES = """    codes:
      seriousness_criteria.death: {"1": Y, "2": N}
      seriousness_criteria.hospitalisation: {"1": Y, "2": N}
"""


@pytest.mark.parametrize(
    ("more", "met"),
    [
        (
            "seriousness_criteria.death: DIED, seriousness_criteria.hospitalisation: HOSP, "
            "seriousness_criteria.needs_intervention: STENT",
            ["hospitalisation", "needs_intervention"],
        ),
        (
            "seriousness_criteria: WHY, seriousness_criteria.death: DIED, "
            "seriousness_criteria.hospitalisation: HOSP",
            ["hospitalisation", "life threatening", "overdose"],
        ),
    ],
)
def test_criteria_of_seriousness_are_one_column_or_one_for_each(
    more: str, met: list[str], tmp_path: Path
) -> None:
    (tmp_path / "events.csv").write_text(REASONS)
    (document,), understanding = read(tmp_path, OF_EVENTS.replace("MORE", more) + CODES)
    assert document.data["seriousness_criteria"] == met
    assert not {f"events.csv.{name}" for name in ("DIED", "HOSP")} & understanding.unplaced.keys()
    found = {one.code for one in check_payload("adverse_event", document.data)}
    assert found == {"criteria_not_serious"}


def test_a_criterion_of_seriousness_that_there_is_not_is_said_with_those_that_there_are(
    tmp_path: Path,
) -> None:
    (tmp_path / "events.csv").write_text(REASONS)
    with pytest.raises(MappingProblem, match=r"seriousness_criteria\.hospitalisation"):
        read(tmp_path, OF_EVENTS.replace("MORE", "seriousness_criteria.hospital: HOSP"))
