"""Results of examinations without a kind of their own: read, judged, named by their domain, never lost."""

from __future__ import annotations

import pytest

from reporting_pipeline_tests.intake.test_strangers import figure, read, report, rows, told


@pytest.mark.parametrize(
    "domain", ["CV", "RE", "PE", "MI", "MB", "FA", "NV", "OE", "UR", "GF", "CP", "BS", "MK", "SC", "XB"]
)
def test_a_result_of_any_domain_of_findings_is_read_and_judged(domain: str) -> None:
    found = rows(
        domain,
        {f"{domain}TESTCD": "T1", f"{domain}TEST": "First", f"{domain}ORRES": "30", f"{domain}ORRESU": "%",
         f"{domain}ORNRLO": "55", f"{domain}STRESN": "30", f"{domain}STRESU": "%", f"{domain}STNRLO": "55"},
        {f"{domain}TESTCD": "T2", f"{domain}TEST": "Second", f"{domain}ORRES": "present"},
    )  # fmt: skip
    made = report(**{domain: found})
    assert figure(made, "results_assessed") == figure(made, "out_of_range") == 1
    (listed,) = made["listings"]["S1"]["out_of_range"]
    assert (listed["kind"], listed["domain"], listed["flag"]) == ("other_result", domain, "LOW")
    assert [one["value_text"] for one in made["listings"]["S1"]["other_results"]] == ["30", "present"]
    assert "no_kind" not in told(made)


def test_what_a_finding_is_about_tells_tests_apart() -> None:
    answer = {"FATESTCD": "DIAM", "FATEST": "Diameter", "FACAT": "REACTOGENICITY"}
    found = rows(
        "FA",
        {**answer, "FAOBJ": "REDNESS", "FAORRES": "5", "FASTRESN": "5", "FASTRESU": "cm", "FALOC": "ARM"},
        {**answer, "FAOBJ": "SWELLING", "FAORRES": "30", "FASTRESN": "30", "FASTRESU": "mm"},
    )
    made = report(FA=found)
    assert made["omissions"] == []
    assert {(one["object"], one["location"]) for one in made["listings"]["S1"]["other_results"]} == {
        ("REDNESS", "ARM"),
        ("SWELLING", ""),
    }


def test_tests_of_one_code_in_two_domains_are_two() -> None:
    made = report(
        CV=rows("CV", {"CVTESTCD": "AREA", "CVORRES": "3", "CVSTRESN": "3", "CVSTRESU": "cm2"}),
        MK=rows("MK", {"MKTESTCD": "AREA", "MKORRES": "7", "MKSTRESN": "7", "MKSTRESU": "mm2"}),
    )
    assert made["omissions"] == []
    apart = report(
        CV=rows(
            "CV",
            {"CVTESTCD": "AREA", "CVORRES": "3", "CVSTRESN": "3", "CVSTRESU": "cm2"},
            {"CVTESTCD": "AREA", "CVORRES": "7", "CVSTRESN": "7", "CVSTRESU": "g"},
        )
    )
    assert [one["part"] for one in apart["omissions"]] == ["other_results/AREA (cardiovascular findings)"]


def test_organism_and_agent_are_what_a_susceptibility_is_about() -> None:
    row, _ = read("MS", MSTESTCD="MIC", MSORRES=">8", MSAGENT="OXACILLIN", NHOID="STAPHYLOCOCCUS AUREUS")
    assert (row["object"], row["comparator"]) == ("STAPHYLOCOCCUS AUREUS, OXACILLIN", ">")


def test_an_examination_that_is_called_abnormal_is_listed() -> None:
    row, _ = read("PE", PETESTCD="HEART", PEORRES="ABNORMAL, CLINICALLY SIGNIFICANT", PELOC="HEART")
    assert row["out_of_range"]
    row, _ = read("OE", OETESTCD="INTP", OEORRES="NORMAL", FOCID="OD")
    assert (row["assessed"], row["out_of_range"], row["laterality"]) == (True, False, "OD")


@pytest.mark.parametrize("domain", ["PC", "PP", "IS", "DA", "DU"])
def test_what_tells_of_the_treatment_is_left_out_and_told(domain: str) -> None:
    made = report(**{domain: rows(domain, {f"{domain}TESTCD": "T1", f"{domain}ORRES": "30"})})
    assert "unblinding" in told(made)
    assert "30" not in str(made["listings"])


def test_a_table_about_no_person_has_no_kind() -> None:
    made = report(DO=[{"STUDYID": "S1", "DOMAIN": "DO", "SPDEVID": "9", "DOTESTCD": "MODEL", "DOORRES": "A"}])
    assert "no_kind" in told(made)
