"""Whatever a trial holds: nothing unknown is a No, nothing flagged is nowhere, and counts are their rows."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.figures import Figure, TrialFigures, figures_for
from reporting_pipeline.domain.omissions import Omission
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.shortened_lists import left_out, represented
from reporting_pipeline.domain.subscriptions import Filters, Format
from reporting_pipeline.domain.tidying import tidy_documents
from reporting_pipeline.reports.images import ThumbnailCache
from reporting_pipeline.reports.json import write
from reporting_pipeline.reports.renderer import content_of
from reporting_pipeline_tests.reports.conftest import make_request

WEEK = Period.from_key(Cadence.WEEKLY, "2026-11-16")
ARRIVED = datetime(2026, 11, 18, 10, tzinfo=UTC)
Document = dict[str, Any]


def document(identifier: str, kind: str, data: Any, **more: Any) -> Document:
    made = {"_id": identifier, "site": "701", "subject": "001", "kind": kind, "received_at": ARRIVED}
    return {**made, "title": identifier, "data": data, **more}


def trial(*documents: Document) -> TrialDataset:
    tables = tidy_documents(documents, {}, WEEK)
    return TrialDataset("T1", "A trial", WEEK, tables, "v", WEEK.end_at)


def figures(*documents: Document, **filters: tuple[str, ...]) -> TrialFigures:
    return figures_for(trial(*documents), Filters(**filters))


def as_json(*documents: Document, unblinded: bool = False) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(raw_json(*documents, unblinded=unblinded))
    return whole


def raw_json(*documents: Document, unblinded: bool = False) -> bytes:
    audience = Audience.SAFETY_BOARD if unblinded else Audience.MONITOR
    request = replace(make_request(trial(*documents), format=Format.JSON), audience=audience)
    out = io.BytesIO()
    write(content_of(request, ThumbnailCache(lambda key: b"", Path("/nonexistent"))), request, out)
    return out.getvalue()


def count(found: TrialFigures, figure: Figure) -> float:
    value = found.values[figure]
    assert value is not None
    return value.current


@pytest.mark.parametrize(
    ("given_value", "shown"),
    [
        *((one, "yes") for one in (True, 1, "1", "Y", "y", "yes", "Yes ", "TRUE")),
        *((one, "no") for one in (False, 0, "0", "N", "no", "FALSE")),
        *((one, "unknown") for one in (None, "", "U", "UNK", "UNKNOWN", "NA", "maybe", 7, ["Y"])),
    ],
)
def test_seriousness_is_yes_no_or_unknown(given_value: Any, shown: str) -> None:
    found = figures(document("a", "adverse_event", {"term": "SYNCOPE", "serious": given_value}))
    assert list(found.adverse_events["serious"]) == [shown]
    assert count(found, Figure.SERIOUS_ADVERSE_EVENTS) == (shown == "yes")
    assert count(found, Figure.UNKNOWN_SERIOUSNESS) == (shown == "unknown")


@pytest.mark.parametrize(
    ("data", "severity", "grade", "chart"),
    [
        ({"severity": "severe"}, "SEVERE", None, "SEVERE"),
        ({"severity": "3"}, "3", 3, "SEVERE"),
        ({"severity": 3}, "3", 3, "SEVERE"),
        ({"severity": "3 "}, "3", 3, "SEVERE"),
        ({"severity": "GRADE 3"}, "GRADE 3", 3, "SEVERE"),
        ({"severity": "LIFE THREATENING"}, "LIFE THREATENING", 4, "LIFE THREATENING"),
        ({"severity": "LIFE-THREATENING"}, "LIFE-THREATENING", 4, "LIFE THREATENING"),
        ({"severity": "FATAL"}, "FATAL", 5, "FATAL"),
        ({"severity": "", "grade": "4"}, "", 4, "LIFE THREATENING"),
        ({"grade": 5}, "", 5, "FATAL"),
        ({"severity": "MODERATE", "grade": 2}, "MODERATE", 2, "MODERATE"),
        ({"severity": "MILD", "grade": 4}, "MILD", 4, "LIFE THREATENING"),
        ({"severity": "1 - MILD"}, "1 - MILD", 1, "MILD"),
        ({"severity": "Moderate (Grade 2)"}, "MODERATE (GRADE 2)", 2, "MODERATE"),
        ({"severity": "3=Severe"}, "3=SEVERE", 3, "SEVERE"),
        ({"severity": "MILD (GRADE 3)"}, "MILD (GRADE 3)", None, "NOT STATED"),
        ({"severity": "MILD TO MODERATE"}, "MILD TO MODERATE", None, "NOT STATED"),
        ({"severity": "", "grade": "3/4"}, "3/4", None, "NOT STATED"),
        ({"severity": "AWFUL"}, "AWFUL", None, "NOT STATED"),
        ({}, "", None, "NOT STATED"),
    ],
)
def test_severity_and_grade_are_never_lost(data: Any, severity: str, grade: int | None, chart: str) -> None:
    event = document("a", "adverse_event", {"term": "RASH", "serious": "N", **data})
    (row,) = as_json(event)["listings"]["T1"]["adverse_events"]
    assert (row["severity"], row["grade"]) == (severity, grade)
    by_class = figures(event).adverse_events_by_class.loc["Not coded"].to_dict()
    assert {name: count for name, count in by_class.items() if count} == {chart: 1}


@pytest.mark.parametrize(
    "fatal", [{"outcome": "FATAL"}, {"grade": 5}, {"severity": "FATAL"}, {"seriousness_criteria": ["death"]}]
)
@pytest.mark.parametrize("serious", ["N", None, "Y"])
def test_no_death_falls_off_the_list_whatever_its_seriousness_says(fatal: Any, serious: Any) -> None:
    """The printed list ends somewhere; a fatal event stands at its head."""
    others = [
        document(f"s{n}", "adverse_event", {"term": "HIP FRACTURE", "serious": "Y", "severity": "SEVERE"})
        for n in range(200)
    ]
    death = document("death", "adverse_event", {"term": "SUDDEN DEATH", "serious": serious, **fatal})
    assert figures(*others, death).adverse_events.records(1)[0]["document_id"] == "death"


def test_serious_events_come_first_then_unknown_ones_and_terms_stay_as_collected() -> None:
    events = [("IV SITE PAIN", "N"), ("SARS-COV-2", None), ("AIDS", "Y"), ("HEPATITIS B", "N")]
    found = as_json(
        *(
            document(f"d{number}", "adverse_event", {"term": term, "serious": serious, "severity": "MILD"})
            for number, (term, serious) in enumerate(events)
        )
    )
    rows = [(row["term"], row["serious"]) for row in found["listings"]["T1"]["adverse_events"]]
    assert rows[:2] == [("AIDS", "yes"), ("SARS-COV-2", "unknown")]
    assert sorted(rows[2:]) == [("HEPATITIS B", "no"), ("IV SITE PAIN", "no")]


def test_a_death_is_counted_once_a_person_from_whatever_says_so() -> None:
    found = figures(
        document("a", "adverse_event", {"term": "MI", "serious": "N", "outcome": "Fatal "}),
        document("b", "disposition", {"decoded": "DEATH", "category": "DISPOSITION EVENT"}),
        document("c", "subject", {"death": "2026-11-17"}, subject="002"),
        document("d", "adverse_event", {"term": "MI", "serious": "Y", "grade": 5}, subject=""),
    )
    assert count(found, Figure.DEATHS) == 3
    assert found.documents_behind(Figure.DEATHS) == ["a", "b", "c", "d"]
    assert "fatal_not_serious" in set(found.findings["code"])


def test_a_subject_number_at_two_sites_is_two_people_unless_it_names_its_site() -> None:
    def event(identifier: str, site: str, subject: str) -> Document:
        data = {"term": "RASH", "serious": "N"}
        return document(identifier, "adverse_event", data, site=site, subject=subject)

    found = figures(event("a", "701", "001"), event("b", "702", "001"), event("c", "", "001"))
    assert count(found, Figure.SUBJECTS_WITH_ADVERSE_EVENTS) == 2
    assert found.site_activity["subjects"].sum() == 3  # of which one names no site
    assert list(found.findings["code"]) == ["subject_at_two_sites"]
    moved = figures(event("a", "701", "01-701-1015"), event("b", "702", "01-701-1015"))
    assert count(moved, Figure.SUBJECTS_WITH_ADVERSE_EVENTS) == 1


def test_dispositions_are_told_from_milestones_and_visits_from_missed_ones() -> None:
    found = figures(
        document("a", "disposition", {"decoded": "INFORMED CONSENT OBTAINED"}),
        document("b", "disposition", {"decoded": "COMPLETED", "category": "DISPOSITION EVENT"}),
        document("c", "disposition", {"decoded": "LOST TO FOLLOW-UP"}),
        document("d", "disposition", {"decoded": "SCREEN FAILURE"}),
        document("e", "visit", {"visit": "WEEK 2", "occurred": "N"}),
        document("f", "visit", {"visit": "WEEK 4", "start": "2026-11-17"}),
        document("g", "visit", {"visit": "WEEK 6", "occurred": ""}),
        document("h", "visit", {"visit": "WEEK 8", "start": "2027-01-01"}),
        document("i", "visit", {"visit": "UNSCHEDULED", "occurred": True, "planned": False}),
        document("j", "visit", {"visit": "WEEK 9", "occurred": False}),
    )
    behind = {figure.value: found.documents_behind(figure) for figure in Figure}
    assert behind["dispositions"] == ["b", "c", "d"]
    assert behind["discontinuations"] == ["c"]
    assert behind["visits"] == ["f", "i"]
    assert behind["visits_missed"] == ["e", "j"]
    assert behind["visits_planned"] == ["e", "f", "g", "h", "j"]
    assert list(found.tables["visits"]["visit_status"]) == [
        *("missed", "done", "not stated", "coming", "done", "missed"),
    ]


def lab(identifier: str, *results: dict[str, Any], **more: Any) -> Document:
    return document(identifier, "lab", {"results": list(results)}, **more)


def test_the_two_critical_results_stay_on_the_list_whatever_fills_it() -> None:
    high = {"test_code": "CK", "value": 400, "low": 22, "high": 198}
    documents = [lab(f"ck{number:02}", high) for number in range(85)]
    documents.append(lab("plat", {"test_code": "PLAT", "value": 5, "low": 130, "high": 394}))
    documents.append(lab("gluc", {"test_code": "GLUC", "value": 2.0, "low": 2.8, "high": 13.9}))
    documents.append(lab("flag", {"test_code": "K", "value": 6.1, "high": 5.9, "indicator": "HIGH HIGH"}))
    listed = figures(*documents).out_of_range
    assert list(listed["test_code"])[:2] == ["K", "PLAT"]
    shown = represented(listed, 80)
    assert len(shown) == 80
    assert {"K", "PLAT", "GLUC"} < set(shown["test_code"])
    assert left_out(listed, shown) == [("CK", 8)]
    assert list(shown["ratio"][1:]) == sorted(shown["ratio"][1:], reverse=True)


def test_a_test_with_two_units_is_named_alone_and_still_listed() -> None:
    found = as_json(
        lab("a", {"test_code": "GLUC", "specimen": "URINE", "value": 15, "unit": "mmol/L", "high": 1}),
        lab("b", {"test_code": "GLUC", "specimen": "URINE", "value": 270, "unit": "mg/dL", "high": 15}),
        lab("c", {"test_code": "GLUC", "specimen": "SERUM", "value": 5, "unit": "mmol/L", "high": 13}),
    )
    assert [(one["trial"], one["part"]) for one in found["omissions"]] == [("T1", "labs/GLUC (urine)")]
    assert [row["document_id"] for row in found["listings"]["T1"]["out_of_range"]] == ["b", "a"]
    assert found["figures"]["T1"]["out_of_range"] == {"value": 2, "documents": ["a", "b"]}


def test_who_gets_what_is_in_no_report_but_an_unblinded_one() -> None:
    documents = [
        document("a", "exposure", {"treatment": "XANOMELINE", "dose": 81}),
        document("b", "subject", {"age": 71, "arm": "XANOMELINE HIGH", "actual_arm_code": "XAN_HI"}),
    ]
    assert b"XAN" not in raw_json(*documents)
    opened = as_json(*documents, unblinded=True)["listings"]["T1"]
    assert opened["exposures"][0]["treatment"] == "XANOMELINE"
    assert opened["subjects"][0]["arm"] == "XANOMELINE HIGH"


def test_the_caller_s_own_ids_name_the_documents_and_omissions_follow_the_filter() -> None:
    named = document("doc_1", "adverse_event", {"term": "RASH"}, external_id="AE/7")
    found = as_json(named)
    assert found["figures"]["T1"]["adverse_events"]["documents"] == ["AE/7"]
    assert found["listings"]["T1"]["adverse_events"][0]["document_id"] == "AE/7"
    assert [one["document"] for one in found["findings"]] == ["AE/7"]
    two_units = [lab(unit, {"test_code": "X", "value": 1, "unit": unit}) for unit in ("g/L", "mmol/L")]
    assert [type(one) for one in figures(*two_units).omissions] == [Omission]
    assert figures(*two_units, kinds=("adverse_event",)).omissions == ()


def test_a_filter_for_jpg_finds_every_spelling_of_it() -> None:
    file = {"key": "k", "name": "scan.JPEG", "size": 1, "sha256": "0" * 64}
    found = figures(document("a", "imaging", {}, file=file), file_types=("jpg",))
    assert list(found.documents["file_type"]) == ["jpg"]


# --- whatever a trial holds ----------------------------------------------------------------------

NUMBERS = st.sampled_from([None, 0, 0.0, 1, 2.8, 5, 13.9, 400, -3, "5.1", "<40", "5,1"])
RESULT = st.fixed_dictionaries(
    {"test_code": st.sampled_from(["GLUC", "PLAT", "CK"])},
    optional={
        "specimen": st.sampled_from(["SERUM", "URINE", ""]),
        "value": NUMBERS,
        "low": st.sampled_from([None, 1, 5, 200]),
        "high": st.sampled_from([None, 2, 10, 198]),
        "unit": st.sampled_from(["", "mmol/L", "mg/dL", "MMOL/L"]),
        "indicator": st.sampled_from(["", "NORMAL", "LOW", "HIGH HIGH", "ABNORMAL", "DELTA", "U"]),
        "original_result": st.sampled_from(["", "<40", "3+", "POSITIVE", "7"]),
        "grade": st.sampled_from([None, 0, 2, 4, "x"]),
    },
)
EVENT = st.fixed_dictionaries(
    {"term": st.sampled_from(["AIDS", "RASH", ""])},
    optional={
        "serious": st.sampled_from([True, False, None, "", "Y", "N", "U", "?", "maybe", 1, 0]),
        "severity": st.sampled_from([None, "", "MILD", "GRADE 4", "odd"]),
        "outcome": st.sampled_from(["", "FATAL", "RECOVERED/RESOLVED"]),
        "start": st.sampled_from(["", "2026", "2026-11-01", "2026-02-30"]),
    },
)
VISIT = st.fixed_dictionaries(
    {"visit": st.just("WEEK 2")},
    optional={"occurred": st.sampled_from([True, False, "", "N", "x"]), "start": st.just("2026-11-17")},
)
PAYLOAD = st.one_of(
    st.tuples(
        st.sampled_from(["lab", "vitals", "ecg"]),
        st.fixed_dictionaries({"results": st.lists(RESULT, max_size=4)}),
    ),
    st.tuples(st.just("adverse_event"), EVENT),
    st.tuples(st.just("visit"), VISIT),
    st.tuples(
        st.just("disposition"), st.fixed_dictionaries({"decoded": st.sampled_from(["DEATH", "COMPLETED"])})
    ),
)


@st.composite
def trials(draw: st.DrawFn) -> list[Document]:
    return [
        document(
            f"d{number:02}",
            kind,
            data,
            site=draw(st.sampled_from(["701", "702", ""])),
            subject=draw(st.sampled_from(["001", "002", "01-701-1015", ""])),
            received_at=ARRIVED - timedelta(days=draw(st.sampled_from([0, 1, 7]))),
        )
        for number, (kind, data) in enumerate(draw(st.lists(PAYLOAD, max_size=7)))
    ]


ROWS_OF: dict[Figure, tuple[str, Callable[[dict[str, Any]], bool]]] = {
    Figure.ADVERSE_EVENTS: ("adverse_events", lambda row: True),
    Figure.SERIOUS_ADVERSE_EVENTS: ("adverse_events", lambda row: row["serious"] == "yes"),
    Figure.UNKNOWN_SERIOUSNESS: ("adverse_events", lambda row: row["serious"] == "unknown"),
    Figure.OUT_OF_RANGE: ("out_of_range", lambda row: True),
    Figure.ABNORMAL_LABS: ("out_of_range", lambda row: row["kind"] == "lab"),
    Figure.LAB_RESULTS_ASSESSED: ("labs", lambda row: row["assessed"]),
    Figure.VISITS: ("visits", lambda row: row["visit_status"] == "done"),
    Figure.VISITS_MISSED: ("visits", lambda row: row["visit_status"] == "missed"),
    Figure.DOCUMENTS: ("documents", lambda row: True),
}


@given(documents=trials(), seed=st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_whatever_a_trial_holds(documents: list[Document], seed: int) -> None:
    whole = raw_json(*documents)
    shuffled = list(documents)
    random.Random(seed).shuffle(shuffled)
    assert raw_json(*shuffled) == whole, "the order in which documents come changes nothing"
    found = json.loads(whole)
    listings, counted = found["listings"]["T1"], found["figures"]["T1"]
    given_data = {one["_id"]: one["data"] for one in documents}
    for row in listings["adverse_events"]:
        said = given_data[row["document_id"]].get("serious")
        assert row["serious"] != "no" or said in (False, "N"), "nothing unknown is a No"
    listed = {row["document_id"] for row in listings["out_of_range"]}
    for name in ("labs", "vitals", "ecgs"):
        for row in listings[name]:
            flagged = row["indicator"] not in ("", "NORMAL", "U")
            assert not flagged or row["document_id"] in listed, "nothing flagged is nowhere"
    for figure, (table, counts) in ROWS_OF.items():
        rows = [row for row in listings[table] if counts(row)]
        assert counted[figure.value]["value"] == len(rows), figure
        assert counted[figure.value]["documents"] == sorted({row["document_id"] for row in rows}), figure


@given(documents=trials().filter(len), place=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_withdrawing_a_document_takes_exactly_its_share_away(documents: list[Document], place: int) -> None:
    gone = documents[place % len(documents)]
    before = as_json(*documents)["listings"]["T1"]
    after = as_json(*(one for one in documents if one is not gone))["listings"]["T1"]
    exact = ("documents", "adverse_events", "visits", "dispositions")
    for table in exact:
        left = [row for row in before[table] if row["document_id"] != gone["_id"]]
        assert after[table] == left, table
    for table in ("labs", "vitals", "ecgs"):
        ids = [row["document_id"] for row in before[table] if row["document_id"] != gone["_id"]]
        assert [row["document_id"] for row in after[table]] == ids, table
