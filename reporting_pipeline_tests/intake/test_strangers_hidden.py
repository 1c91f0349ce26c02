"""Deaths and seriousness that stand where a reader of tables does not look: qualifiers that contradict their
row, the record of the person alone, comments, and domains of a sponsor's own."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from reporting_pipeline.intake.sdtm.documents import by_name, documents_of
from reporting_pipeline.intake.sdtm.tables import table_of
from reporting_pipeline.intake.understanding import Understanding
from reporting_pipeline_tests.intake.test_strangers import figure, report, rows, told
from reporting_pipeline_tests.intake.test_strangers_contradict import supplement


def event(qualifiers: list[dict[str, str]], **cells: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The event of one row as listed, and its report."""
    made = report(
        AE=rows("AE", {"AETERM": "FALL", "AESER": "N", "AEOUT": "RECOVERED", **cells}), SUPPAE=qualifiers
    )
    return made["listings"]["S1"]["adverse_events"][0], made


# --- qualifiers that contradict ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["AESER"])
@pytest.mark.parametrize(("row", "qualifier"), [("N", "Y"), ("Y", "N"), ("No", "1"), ("N", "U")])
def test_seriousness_that_a_qualifier_contradicts_is_not_known(name: str, row: str, qualifier: str) -> None:
    listed, made = event([supplement("AE", name, qualifier)], AESER=row)
    assert listed["serious"] == "unknown"
    assert {"supplement_contradicts", "unknown_value"} <= told(made)


@pytest.mark.parametrize(("row", "qualifier", "serious"), [("N", "No", "no"), ("Y", "1", "yes")])
def test_one_answer_in_two_spellings_stands(row: str, qualifier: str, serious: str) -> None:
    assert event([supplement("AE", "AESER", qualifier)], AESER=row)[0]["serious"] == serious


@pytest.mark.parametrize(
    ("cells", "qualifiers"),
    [
        ({"AESDTH": "N"}, [supplement("AE", "AESDTH", "Y")]),
        ({"AESDTH": "U"}, [supplement("AE", "AESDTH", "Yes")]),
        ({"AESDTH": "Y"}, [supplement("AE", "AESDTH", "N")]),
        ({}, [supplement("AE", "AESDTH", "Y"), supplement("AE", "AESDTH", "N")]),
        ({}, [supplement("AE", "AEOUT", "FATAL")]),
        ({"AEOUT": "FATAL"}, [supplement("AE", "AEOUT", "RECOVERED")]),
        ({"AETOXGR": "3"}, [supplement("AE", "AETOXGR", "5")]),
    ],
)
def test_a_death_that_one_of_two_answers_states_counts(
    cells: dict[str, str], qualifiers: list[dict[str, str]]
) -> None:
    listed, made = event(qualifiers, **cells)
    assert "supplement_contradicts" in told(made)
    if "AETOXGR" in cells:
        assert (listed["grade"], "3 / 5" in str(listed)) == (None, True)
    else:
        assert (figure(made, "deaths"), "fatal_not_serious" in told(made)) == (1, True)


def test_a_criterion_that_a_qualifier_alone_meets_stands_with_the_serious_ones() -> None:
    _, made = event([supplement("AE", "AESHOSP", "Y")], AESHOSP="N")
    assert {"supplement_contradicts", "criteria_not_serious"} <= told(made)


def test_qualifiers_that_reach_a_row_by_two_keys_do_not_hide_each_other() -> None:
    by_number = supplement("AE", "AESER", "N")
    by_name_ = {**supplement("AE", "AESER", "Y"), "IDVAR": "AESPID", "IDVARVAL": "E1"}
    listed, made = event([by_number, by_name_], AESER="", AESPID="E1")
    assert (listed["serious"], "supplement_contradicts" in told(made)) == ("unknown", True)


def test_a_death_in_the_qualifier_of_a_person_counts() -> None:
    made = report(DM=rows("DM", {"DTHFL": "N"}), SUPPDM=[supplement("DM", "DTHFL", "Y")])
    assert (figure(made, "deaths"), "supplement_contradicts" in told(made)) == (1, True)


# --- deaths that DM alone tells --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "deaths"), [("2026-11-18", 1), ("2026-11-24", 0), ("2026-11-02", 0), ("", 0)]
)
def test_a_death_that_dm_alone_tells_counts_in_the_week_in_which_it_was(day: str, deaths: int) -> None:
    made = report(
        DM=rows("DM", {"DMDTC": "2026-01-05", "DTHFL": "Y", "DTHDTC": day}),
        VS=rows("VS", {"VSTESTCD": "PULSE", "VSORRES": "70"}),
    )
    assert (figure(made, "deaths") or 0) == deaths
    assert figure(made, "dispositions") in (0, None)


def test_each_person_whose_death_dm_alone_tells_is_one_document_more() -> None:
    people = [
        {"USUBJID": subject, "DMDTC": "2026-01-05", "DTHFL": flag, "DTHDTC": day}
        for subject, flag, day in (("A", "Y", "2026-11-18"), ("B", "", "2026-11"), ("C", "N", ""))
    ]
    tables = by_name([table_of(pl.from_dicts([*rows("DM", *people)]), "dm.csv")])
    made = [one for one in documents_of(tables, Understanding()) if one.kind == "disposition"]
    assert [(one.subject, one.collected, one.site) for one in made] == [
        ("A", "2026-11-18", "701"), ("B", "2026-11", "701"),
    ]  # fmt: skip
    assert len({one.key for one in made}) == 2


# --- what is left out ------------------------------------------------------------------------------------


COMMENT = {"RDOMAIN": "AE", "IDVAR": "AESEQ", "IDVARVAL": "1"}


@pytest.mark.parametrize(
    ("domains", "is_told"),
    [
        ({"CO": rows("CO", {**COMMENT, "COVAL": "Seen on day 3. Patient died at home."})}, True),
        ({"CO": rows("CO", {**COMMENT, "COVAL": "See next", "COVAL1": "patient deceased"})}, True),
        ({"CO": rows("CO", {**COMMENT, "COVAL": "Father died last week"})}, False),
        ({"AE": rows("AE", {"AETERM": "FALL", "AESER": "N", "AECOMM": "Patient died"})}, True),
        (
            {
                "AE": rows("AE", {"AETERM": "FALL", "AESER": "N"}),
                "SUPPAE": [supplement("AE", "AECOMM", "Subject died on Monday")],
            },
            True,
        ),
        (
            {
                "CO": rows("CO", {**COMMENT, "COVAL": "Patient died"}),
                "DS": rows("DS", {"DSDECOD": "DEATH"}),
            },
            False,
        ),
        ({"CO": rows("CO", {**COMMENT, "COVAL": "x"}), "TI": [{"STUDYID": "S1", "IETEST": "Death"}]}, False),
    ],
)
def test_a_death_that_only_words_name_that_are_left_out_is_told(domains: Any, is_told: bool) -> None:
    made = report(VS=rows("VS", {"VSTESTCD": "PULSE", "VSORRES": "70"}), **domains)
    (found,) = [one for one in made["findings"] if one["code"] == "death_left_out"] or [None]
    assert (found is not None) == is_told
    assert found is None or "died" not in found["detail"]


def test_events_of_a_sponsors_own_domain_are_read_and_a_death_among_them_counts() -> None:
    made = report(
        XE=rows("XE", {"XETERM": "SEIZURE", "XEOUT": "FATAL"}, {"XETERM": "FALL", "XESER": "Y"}),
        VS=rows("VS", {"VSTESTCD": "PULSE", "VSORRES": "70"}),
    )
    assert (figure(made, "deaths"), figure(made, "dispositions")) == (1, 0)
    assert "no_kind" not in told(made)
