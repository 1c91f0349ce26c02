"""Numbers that can be read in two ways, and what their file says of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl
import pytest

from reporting_pipeline.domain.clinical.reading import Reading
from reporting_pipeline.domain.clinical.rows import rows_of
from reporting_pipeline.intake.sdtm.documents import by_name, documents_of
from reporting_pipeline.intake.sdtm.tables import table_of
from reporting_pipeline.intake.understanding import Understanding
from reporting_pipeline_tests.intake.test_strangers import rows


def labs(*cells: Mapping[str, str]) -> tuple[list[dict[str, Any]], set[str]]:
    """The rows that one table of results makes, and the codes of all that was told."""
    understanding, reading = Understanding(), Reading(date(2026, 11, 17))
    (document,) = documents_of(
        by_name([table_of(pl.from_dicts([*rows("LB", *cells)]), "lb.csv")]), understanding
    )
    made = rows_of(document.kind, document.data, reading)
    codes = {one.code for one in understanding.findings} | {one.code for one in reading.findings}
    return made, codes - {"no_site"}


def results(*texts: str, high: str = "300") -> tuple[list[tuple[str, str]], set[str]]:
    """(value_text, flag) of each collected result, all in one table, and what was told."""
    cells = [
        {"LBTESTCD": f"T{place}", "LBORRES": one, "LBORRESU": "U/L", "LBORNRHI": high}
        for place, one in enumerate(texts)
    ]
    made, told = labs(*cells)
    return [(one["value_text"], one["flag"]) for one in made], told


@pytest.mark.parametrize(
    ("written", "beside", "shown", "flag"),
    [
        ("250.000", "8,1", "250000", "HIGH"),
        ("1,234", "8,1", "1.234", "NORMAL"),
        ("1,000", "0,5", "1.000", "NORMAL"),
        ("250.000", "1.234,5", "250000", "HIGH"),
        ("250.000", "1\u202f234,5", "250000", "HIGH"),
        ("<250.000", "<0,5", "<250000", ""),
        ("250.000", "1.234.567", "250000", "HIGH"),
        ("1,234", "8.1", "1234", "HIGH"),
        ("1,234", "1,234.5", "1234", "HIGH"),
        ("1,234", "1'234.5", "1234", "HIGH"),
        ("250.000", "8.1", "250.000", "NORMAL"),
        ("1,234", "<.5", "1234", "HIGH"),
        ("250.000", ",5", "250000", "HIGH"),
        ("1.015", "7", "1.015", "NORMAL"),
    ],
)
def test_a_number_of_two_readings_is_read_as_its_file_writes_the_others(
    written: str, beside: str, shown: str, flag: str
) -> None:
    (first, _), codes = results(written, beside)
    assert first == (shown, flag)
    assert ("decimal_sign" in codes) == (written != shown)


@pytest.mark.parametrize("written", ["250.000", "1,234"])
def test_beside_both_decimal_signs_it_is_kept_as_text_and_told(written: str) -> None:
    (first, *_), codes = results(written, "8,1", "8.1")
    assert first[0].startswith(f"{written} (")
    assert first[1] == ""
    assert {"ambiguous_number", "unread_number"} <= codes


def test_limits_and_doses_are_read_as_the_results_beside_them() -> None:
    (_, platelets), codes = results("8,1", "200.000", high="150.000-400.000")
    assert platelets == ("200000", "")
    assert "decimal_sign" in codes
    (_, high), _ = results("8,1", "200.000", high="150.000")
    assert high == ("200000", "HIGH")


def test_standard_results_are_read_by_their_own_sign_whatever_was_collected() -> None:
    """SAS keeps what was collected with its comma, and writes standard numbers with a point."""
    cells = [
        {"LBTESTCD": "A", "LBORRES": "8,1", "LBSTRESC": "8.1", "LBSTRESN": "8.1", "LBSTNRHI": "9.5"},
        {"LBTESTCD": "B", "LBORRES": "1,015", "LBSTRESC": "1.015", "LBSTRESN": "1.015", "LBSTNRHI": "1.030"},
    ]  # fmt: skip
    (_, gravity), _ = labs(*cells)
    assert (gravity["value"], gravity["original_result"], gravity["flag"]) == (1.015, "1.015", "NORMAL")
