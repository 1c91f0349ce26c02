"""Tumours of strangers: a result of a lesion says which lesion it is about, where it is and who judged it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline_tests.intake.test_strangers import report, rows, told
from reporting_pipeline_tests.intake.test_strangers_blinding import made
from reporting_pipeline_tests.reports.reading import page_texts

LIVER = {
    "TUTESTCD": "TUMIDENT", "TUTEST": "Tumor Identification", "TUORRES": "TARGET", "TUSTRESC": "TARGET",
    "TULNKID": "T01", "TULOC": "LIVER", "TUEVAL": "INVESTIGATOR",
}  # fmt: skip
NODE = LIVER | {"TULNKID": "NT01", "TUSTRESC": "Non-Target", "TULOC": "LYMPH NODE", "TULAT": "LEFT"}
DIAMETER = {"TRTESTCD": "DIAMETER", "TRTEST": "Diameter", "TRSTRESN": "23", "TRSTRESU": "mm"}
OF_LIVER = DIAMETER | {"TRLNKID": "T01", "TREVAL": "INVESTIGATOR"}


def measured(made: dict[str, Any], *names: str) -> list[tuple[Any, ...]]:
    listed = made["listings"]["S1"]["tumour_responses"]
    return [tuple(row[name] for name in names) for row in listed if row["test_code"] == "DIAMETER"]


def test_a_measurement_names_its_lesion_with_type_place_and_who_judged() -> None:
    tr = rows("TR", OF_LIVER, OF_LIVER | {"TRLNKID": "NT01", "TREVALID": "READER 1"})
    made = report(TU=rows("TU", LIVER, NODE | {"TUEVALID": "READER 1"}), TR=tr)
    assert measured(made, "lesion", "lesion_type", "location", "evaluator") == [
        ("T01", "TARGET", "LIVER", "INVESTIGATOR"),
        ("NT01", "NON-TARGET", "LYMPH NODE, LEFT", "INVESTIGATOR, READER 1"),
    ]
    assert not told(made) & {"no_lesion", "lesion_contradicts"}


def test_the_page_says_which_lesion_and_in_what_unit() -> None:
    pdf = made(Format.PDF, Audience.MONITOR, TU=rows("TU", LIVER), TR=rows("TR", OF_LIVER))
    words = re.sub(r"\s+", " ", " ".join(page_texts(pdf)))
    assert "lesion T01, target, investigator, liver" in words
    assert "23 mm" in words


@pytest.mark.parametrize(
    ("identified", "measurement", "lesion_type", "finding"),
    [
        ([], DIAMETER, "", {"no_lesion"}),
        ([LIVER], DIAMETER, "", {"no_lesion"}),
        ([], OF_LIVER | {"TRGRPID": "TARGET"}, "TARGET", set()),  # without TU nothing contradicts
        ([LIVER], OF_LIVER | {"TRLNKID": "T02"}, "", {"no_lesion"}),
        ([LIVER], OF_LIVER | {"TREVAL": "INDEPENDENT ASSESSOR"}, "", {"no_lesion"}),
        ([LIVER], OF_LIVER | {"TREVAL": ""}, "TARGET", set()),
        ([LIVER, LIVER | {"TUSTRESC": "NEW"}], OF_LIVER, "", {"lesion_contradicts"}),
        ([LIVER, LIVER], OF_LIVER, "TARGET", set()),
        ([LIVER], OF_LIVER | {"TRTESTCD": "SUMDIAM", "TRLNKID": "", "TRGRPID": "TARGET"}, "TARGET", set()),
    ],
)
def test_what_no_table_says_of_a_lesion_is_told_and_not_guessed(
    identified: list[Mapping[str, str]], measurement: Mapping[str, str], lesion_type: str, finding: set[str]
) -> None:
    tables = {"TU": rows("TU", *identified)} if identified else {}
    made = report(TR=rows("TR", measurement), **tables)
    listed = [row for row in made["listings"]["S1"]["tumour_responses"] if row["value"] == 23]
    assert [row["lesion_type"] for row in listed] == [lesion_type]
    assert told(made) & {"no_lesion", "lesion_contradicts"} == finding


def test_two_lesions_that_disagree_in_place_keep_their_type() -> None:
    made = report(TU=rows("TU", LIVER, LIVER | {"TULOC": "LUNG"}), TR=rows("TR", OF_LIVER))
    assert measured(made, "lesion_type", "location") == [("TARGET", "")]
    (one,) = (
        one for one in made["findings"] if one["code"] == "lesion_contradicts" if one["document"] == "TR"
    )
    assert "LIVER and LUNG" in one["detail"]


def test_a_response_is_of_no_lesion_unless_tu_knows_the_one_it_names() -> None:
    response = {"RSTESTCD": "OVRLRESP", "RSSTRESC": "PR", "RSEVAL": "INVESTIGATOR"}
    rs = rows("RS", response, response | {"RSLNKID": "V3"}, response | {"RSLNKID": "T01"})
    made = report(TU=rows("TU", LIVER), RS=rs)
    listed = [row for row in made["listings"]["S1"]["tumour_responses"] if row["test_code"] == "OVRLRESP"]
    assert sorted(row["lesion"] for row in listed) == ["", "", "T01"]
    assert "no_lesion" not in told(made)
