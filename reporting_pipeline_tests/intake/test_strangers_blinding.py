"""Results that tell who gets the treatment: no byte of them is in a report but an unblinded one."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import polars as pl
import pytest

from reporting_pipeline.domain.clinical.blinding import names_treatment
from reporting_pipeline.domain.disclosure import document_shown
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline.intake.sdtm.documents import by_name, documents_of, studies_of
from reporting_pipeline.intake.sdtm.tables import table_of
from reporting_pipeline.intake.understanding import Understanding
from reporting_pipeline.usecases.try_report import arrivals_of, make_report
from reporting_pipeline_tests.intake.test_strangers import WEEK, Rows, rows

PLANTED = "73.519"  # the concentration that nobody blinded may read
PLANTED_WORDS = "TITRE-80519"


def made(form: Format, audience: Audience, report_type: str = "trial_activity", **domains: Rows) -> bytes:
    """A report of the week, opened where it is a zip; and what is told of it."""
    tables = by_name(
        table_of(pl.from_dicts([*some], infer_schema_length=None), f"{name}.csv")
        for name, some in domains.items()
    )
    understanding = Understanding()
    arrivals = arrivals_of(
        documents_of(tables, understanding), WEEK, understanding, so_far=True, trials=studies_of(tables)
    )
    content = make_report(
        arrivals, {}, form, understanding, report_type=report_type, audience=audience
    ).content
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return b"".join(archive.read(name) for name in archive.namelist())


def lab(**cells: Any) -> Rows:
    return rows(
        "LB",
        {"LBTESTCD": "GLUC", "LBTEST": "Glucose", "LBSTRESC": "5.5", "LBSTRESN": "5.5"},
        {"LBTESTCD": "XX", "LBSTRESC": PLANTED, "LBSTRESN": PLANTED, "LBORRES": PLANTED} | cells,
        {"LBTESTCD": "XX", "LBSTRESC": PLANTED_WORDS, "LBORRES": PLANTED_WORDS} | cells,
    )


TREATED: Rows = rows("EX", {"EXTRT": "LITHIUM", "EXSTDTC": "2026-11-17"}, {"EXTRT": "PLACEBO"})
TELLING: list[Mapping[str, str]] = [
    {"LBTEST": "Zebramab", "LBCAT": "PHARMACOKINETICS"},
    {"LBTEST": "Zebramab", "LBCAT": "PK"},
    {"LBTEST": "Anti-Zebramab", "LBCAT": "Immunogenicity"},
    {"LBTEST": "Anti-drug antibodies", "LBCAT": "SEROLOGY"},
    {"LBTEST": "Study drug", "LBCAT": "Drug concentration"},
    {"LBTEST": "Lithium", "LBCAT": "CHEMISTRY"},
    {"LBTEST": "Serum lithium level", "LBCAT": ""},
]


@pytest.mark.parametrize("cells", TELLING, ids=lambda one: f"{one['LBTEST']}, {one['LBCAT']}")
@pytest.mark.parametrize("audience", [Audience.MONITOR, Audience.SITE, Audience.SPONSOR])
def test_who_is_blinded_reads_no_concentration(cells: Mapping[str, str], audience: Audience) -> None:
    for form in (Format.JSON, Format.CSV):
        report = made(form, audience, LB=lab(**cells), EX=TREATED).decode()
        assert PLANTED not in report
        assert PLANTED_WORDS not in report
        assert "Glucose" in report or "GLUC" in report


@pytest.mark.parametrize("cells", TELLING, ids=lambda one: f"{one['LBTEST']}, {one['LBCAT']}")
def test_the_safety_board_reads_it_and_whoever_reads_the_data_in_is_told(cells: Mapping[str, str]) -> None:
    report = made(Format.JSON, Audience.SAFETY_BOARD, LB=lab(**cells), EX=TREATED).decode()
    assert PLANTED in report
    assert '"unblinding"' in report
    assert "can be told from 2 results of LB" in report


def test_the_trial_so_far_holds_none_either() -> None:
    cells = {"LBTEST": "Lithium", "LBNRIND": "HIGH HIGH", "LBSTNRHI": "1"}
    report = made(Format.JSON, Audience.MONITOR, "medical_review", LB=lab(**cells), EX=TREATED).decode()
    assert PLANTED not in report


@pytest.mark.parametrize(
    "cells",
    [
        {"LBTEST": "Pyruvate kinase (PK)", "LBCAT": "HEMATOLOGY"},
        {"LBTEST": "Adenosine deaminase (ADA)", "LBCAT": "CHEMISTRY"},
        {"LBTEST": "Placebo response", "LBCAT": "OTHER"},
        {"LBTEST": "Drug screen", "LBCAT": "URINALYSIS"},
    ],
    ids=lambda one: one["LBTEST"],
)
def test_what_tells_nothing_is_not_withheld(cells: Mapping[str, str]) -> None:
    report = made(Format.JSON, Audience.MONITOR, LB=lab(**cells), EX=TREATED).decode()
    assert PLANTED in report
    assert '"unblinding"' not in report.partition('"findings"')[2]


@pytest.mark.parametrize("column", ["RFXSTDTC", "RFXENDTC"])
def test_days_of_treatment_are_in_no_blinded_report(column: str) -> None:
    """Who has none in a trial with an untreated arm is in that one."""
    subject = rows("DM", {column: "2021-03-04", "RFSTDTC": "2026-11-01"})
    for form in (Format.JSON, Format.CSV):
        assert "2021-03-04" not in made(form, Audience.MONITOR, DM=subject).decode()
        assert "2021-03-04" in made(form, Audience.SAFETY_BOARD, DM=subject).decode()


VISIT = "WEEK 8 LITHIUM INFUSION"
ARMS: Rows = rows("DM", {"ARM": "Zebramab 10 mg"}, {"ARM": "Comparator", "USUBJID": "S1-701-2"})
ELEMENTS: Rows = [
    {"STUDYID": "S1", "DOMAIN": "TA", "ARMCD": arm, "ARM": arm, "ELEMENT": element, "TAETORD": str(place)}
    for arm, elements in (
        ("AB", ("Screen", "Alfa drug", "Washout", "Beta drug")),
        ("BA", ("Screen", "Beta drug", "Washout", "Alfa drug")),
    )
    for place, element in enumerate(elements, 1)
]


@pytest.mark.parametrize(
    ("visit", "tables"),
    [
        (VISIT, {"EX": TREATED}),
        ("ZEBRAMAB 10 MG: DAY 1", {"DM": ARMS}),
        ("Placebo Day 1", {"EX": TREATED}),
        ("PERIOD 1 ALFA DRUG", {"TA": ELEMENTS}),
        ("ARM B CYCLE 2", {}),
        ("Period 1 - Treatment A - Day 1", {}),
        ("SEQUENCE BA DAY 1", {}),
    ],
)
@pytest.mark.parametrize("audience", [Audience.MONITOR, Audience.SITE, Audience.SPONSOR])
def test_a_visit_that_names_a_treatment_is_not_named_to_who_is_blinded(
    visit: str, tables: dict[str, Rows], audience: Audience
) -> None:
    """The visit itself counts, and how many are not named is said."""
    day = {"VISIT": visit, "VISITNUM": "8", "SVSTDTC": "2026-11-17"}
    results = rows("LB", {"LBTESTCD": "GLUC", "LBORRES": "5.5", "VISIT": visit})
    event = rows("DS", {"DSDECOD": "COMPLETED", "DSTERM": "COMPLETED", "VISIT": visit})
    domains = {"SV": rows("SV", day), "LB": results, "DS": event, **tables}
    for form in (Format.JSON, Format.CSV):
        report = made(form, audience, "trial_activity", **domains).decode()
        assert visit.upper() not in report.upper()
        assert visit in made(form, Audience.SAFETY_BOARD, "trial_activity", **domains).decode()
    blinded = made(Format.JSON, audience, "trial_activity", **domains).decode()
    assert '"visits": {\n    "value": 1' in blinded
    assert "Visit 8" in blinded
    assert "Names of visits that tell who gets the treatment are not shown to this audience: 3." in blinded


@pytest.mark.parametrize(
    ("visit", "tables"),
    [
        ("PLACEBO RUN-IN", {"EX": TREATED}),
        ("SCREEN 1", {"TA": ELEMENTS}),
        ("WASHOUT DAY 1", {"TA": ELEMENTS}),
        ("ZEBRAMAB 10 MG DAY 1", {"DM": ARMS[:1]}),  # one arm: there is nothing to tell
        ("TREATMENT 1", {"DM": ARMS}),
        ("TREATMENT BEGIN", {}),
        ("END OF TREATMENT", {"DM": ARMS}),
        ("SCREEN FAILURE VISIT", {"DM": rows("DM", {"ARM": "Screen Failure"}, {"ARM": "X"}, {"ARM": "Y"})}),
    ],
)
def test_a_visit_of_everybody_keeps_its_name(visit: str, tables: dict[str, Rows]) -> None:
    day = {"VISIT": visit, "VISITNUM": "8", "SVSTDTC": "2026-11-17"}
    assert (
        visit in made(Format.JSON, Audience.MONITOR, "trial_activity", SV=rows("SV", day), **tables).decode()
    )


def test_a_blinded_report_says_how_many_results_it_withholds_and_not_which() -> None:
    domains = {"LB": lab(LBTEST="Zebramab", LBCAT="PK")}
    for audience in (Audience.MONITOR, Audience.SPONSOR):
        report = json.loads(made(Format.JSON, audience, "trial_activity", **domains))
        (one,) = (found for found in report["findings"] if found["code"] == "withheld")
        assert one["field"] == "labs"
        assert one["detail"].endswith("are not shown to this audience: 2.")
        assert "Zebramab" not in one["detail"]
    assert '"withheld"' not in made(Format.JSON, Audience.SAFETY_BOARD, "trial_activity", **domains).decode()
    open_ones = {"LB": lab(LBTEST="Glucose")}
    assert '"withheld"' not in made(Format.JSON, Audience.MONITOR, "trial_activity", **open_ones).decode()


def test_a_test_whose_name_is_a_part_of_a_treatment_is_everybodys() -> None:
    """Sodium is measured in whoever gets sodium chloride and in whoever gets none."""
    domains = {"LB": lab(LBTEST="Sodium"), "EX": rows("EX", {"EXTRT": "SODIUM CHLORIDE"})}
    assert PLANTED in made(Format.JSON, Audience.MONITOR, "trial_activity", **domains).decode()


def test_a_document_is_shown_without_the_name_of_a_visit_that_tells() -> None:
    for data in (
        {"visit": "ARM B DAY 1", "start": "2026-11-17"},
        {"visit": "WEEK 8 X", "visit_unblinding": True, "start": "2026-11-17"},
        {"results": [{"test_code": "GLUC", "visit": "ARM B DAY 1", "value": 5.5}]},
    ):
        record = {"kind": "visit", "title": "Arm B, day 1", "data": data}
        shown = document_shown(record, Audience.MONITOR)
        assert "ARM B" not in str(shown).upper()
        assert "WEEK 8 X" not in str(shown)
        assert "unblinding" not in str(shown["data"])
        assert shown["withheld"] == ["data", "title"]
        assert document_shown(record, Audience.SAFETY_BOARD)["data"] == data


def test_a_document_is_shown_without_the_results_that_tell() -> None:
    open_one = {"test_code": "GLUC", "value": 5.5}
    for telling in (
        {"test_code": "XX", "value": 73.5, "category": "Pharmacokinetics"},
        {"test_code": "XX", "value": 73.5, "unblinding": "yes"},
        {"test_code": "XX", "value": 73.5, "unblinding": "perhaps"},
        {"test_code": "XX", "value": 73.5, "domain": "pc"},  # of other results, by API or mapping
        {"test_code": "Drug level", "value": 73.5},
    ):
        results = [open_one, telling]
        record = {"kind": "lab", "title": "Laboratory", "data": {"results": results}}
        shown = document_shown(record, Audience.MONITOR)
        assert shown["data"] == {"results": [open_one]}
        assert shown["withheld"] == ["data"]
        assert document_shown(record, Audience.SAFETY_BOARD)["data"] == record["data"]
        assert results == [open_one, telling]


def test_a_treatment_whose_name_ends_in_a_sign_names_its_test_and_no_part_of_a_word() -> None:
    assert names_treatment("AB-123 (salt) in plasma", ["AB-123 (salt)"])
    assert not names_treatment("Sodium", ["SODIUM CHLORIDE"])
    assert not names_treatment("Irons", ["IRON"])
