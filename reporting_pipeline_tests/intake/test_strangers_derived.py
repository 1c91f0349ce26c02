"""Derived rows beside their originals, ranges in words beside limits, treatments that end before trials."""

from __future__ import annotations

import csv
import io
import zipfile

import polars as pl
import pytest

from reporting_pipeline.domain.datasets import TABLES, table_from_rows, with_all_columns
from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline.intake.sdtm.documents import by_name, documents_of
from reporting_pipeline.intake.sdtm.tables import table_of
from reporting_pipeline.intake.understanding import Understanding
from reporting_pipeline.usecases.try_report import arrivals_of, make_report
from reporting_pipeline_tests.intake.test_strangers import WEEK, Rows, figure, report, rows, told
from reporting_pipeline_tests.reports.reading import page_texts

RANGE = {"VSTESTCD": "SYSBP", "VSSTRESU": "mmHg", "VSSTNRLO": "90", "VSSTNRHI": "140"}


def pressure(value: str, **more: str) -> dict[str, str]:
    return {**RANGE, "VSSTRESN": value, **more}


@pytest.mark.parametrize(
    ("results", "assessed", "out", "is_told"),
    [
        ([pressure("150"), pressure("160"), pressure("155", VSDRVFL="Y")], 2, 2, True),
        ([pressure("130"), pressure("150"), pressure("140", VSDRVFL="Y")], 2, 1, True),
        ([pressure("155", VSDRVFL="Y")], 1, 1, False),
        ([pressure("150"), pressure("155", VSDRVFL="Y", VSPOS="STANDING")], 2, 2, False),
        ([pressure("130"), pressure("155", VSDRVFL="Y")], 2, 1, False),
        ([pressure("150"), pressure("155", VSDRVFL="Y", VSNRIND="HIGH HIGH")], 2, 2, False),
        ([pressure("150"), pressure("155", VSDRVFL="N")], 2, 2, False),
        ([pressure("150", VSSTNRLO="", VSSTNRHI=""), pressure("155", VSDRVFL="Y")], 1, 1, False),
        ([pressure("150"), pressure("155", VSDRVFL="Y", VSDTC="2026-11-18")], 2, 2, False),
    ],
)
def test_a_derived_result_is_no_further_result_of_those_beside_it(
    results: Rows, assessed: int, out: int, is_told: bool
) -> None:
    """It counts where it stands alone, or says something graver than they do."""
    made = report(VS=rows("VS", *results))
    assert (figure(made, "results_assessed"), figure(made, "out_of_range")) == (assessed, out)
    assert ("derived_beside_originals" in told(made)) == is_told
    assert len(made["listings"]["S1"]["vitals"]) == len(results)


def made_in(form: Format, **domains: Rows) -> bytes:
    tables = by_name(
        table_of(pl.from_dicts([*some], infer_schema_length=None), f"{name}.csv")
        for name, some in domains.items()
    )
    understanding = Understanding()
    arrivals = arrivals_of(documents_of(tables, understanding), WEEK, understanding)
    return make_report(arrivals, {}, form, understanding).content


@pytest.mark.parametrize(
    ("cells", "shown"),
    [
        ({"LBORRES": "3+", "LBSTNRC": "NEGATIVE TO TRACE"}, "NEGATIVE TO TRACE"),
        ({"LBORRES": "12", "LBORRESU": "U/L", "LBSTRESU": "U/L", "LBSTNRC": "<10"}, "<10"),
        ({"LBORRES": "POSITIVE", "LBORNRLO": "NEGATIVE", "LBORNRHI": "NEGATIVE"}, "NEGATIVE"),
    ],
)
def test_a_range_in_words_stands_beside_its_result_in_every_format(cells: dict[str, str], shown: str) -> None:
    result = rows("LB", {"LBTESTCD": "X", "LBTEST": "X", **cells})
    (row,) = report(LB=result)["listings"]["S1"]["out_of_range"]
    assert row["reference_text"] == shown
    assert shown in " ".join(" ".join(page_texts(made_in(Format.PDF, LB=result))).split())
    assert shown.replace("<", "&lt;") in made_in(Format.HTML, LB=result).decode()
    with zipfile.ZipFile(io.BytesIO(made_in(Format.CSV, LB=result))) as archive:
        (name,) = [one for one in archive.namelist() if "out_of_range" in one]
        (line,) = csv.DictReader(io.StringIO(archive.read(name).decode("utf-8-sig")))
    assert line["reference_text"] == shown


@pytest.mark.parametrize(
    ("subcategory", "left"),
    [
        ("", 1),
        ("STUDY PARTICIPATION", 1),
        ("STUDY TREATMENT", 0),
        ("Double-blind treatment", 0),
        ("TREATMENT AND STUDY", 1),
        ("FOLLOW-UP", 1),
    ],
)
def test_who_ends_the_treatment_has_not_left_the_trial(subcategory: str, left: int) -> None:
    cells = {"DSDECOD": "ADVERSE EVENT", "DSCAT": "DISPOSITION EVENT", "DSSCAT": subcategory}
    made = report(DS=rows("DS", cells))
    assert (figure(made, "dispositions"), figure(made, "discontinuations")) == (1, left)
    (row,) = made["listings"]["S1"]["dispositions"]
    assert (row["discontinued"], row["discontinued_treatment"]) == (bool(left), not left)


def test_a_table_of_an_earlier_version_has_empty_cells_in_new_columns() -> None:
    old = table_from_rows("labs", [{"document_id": "d", "assessed": True}])
    old = old.drop(columns=["reference_text", "derived"])
    frame = with_all_columns("labs", old)
    assert list(frame.columns) == list(TABLES["labs"])
    assert frame[["reference_text", "derived", "assessed"]].values.tolist() == [["", False, True]]
