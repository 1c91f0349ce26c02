"""Results that tell who gets the treatment: no byte of them is in a report but an unblinded one."""

from __future__ import annotations

import io
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
