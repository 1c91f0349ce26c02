"""Whom to look at first: the gravest sign decides, unknown is a sign of its own, nobody is guessed."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from reporting_pipeline.domain.followed import Followed
from reporting_pipeline.domain.look_first import Sign, course, look_first, nameless
from reporting_pipeline_tests.domain.test_trial_so_far import UNTIL, enrolled, result, status_of


def event(subject: str, serious: str = "no", **said: Any) -> dict[str, Any]:
    return {"subject": subject, "term": "SYNCOPE", "serious": serious, "end": "2026-11-02", **said}


def signs(**rows: list[dict[str, Any]]) -> list[tuple[str, list[Sign]]]:
    return [(one.person.subject, list(one.signs)) for one in look_first(_with_documents(rows))]


def _with_documents(rows: dict[str, list[dict[str, Any]]]) -> Any:
    """Everybody is named by a document, as tidying has it."""
    named = sorted({row["subject"] for some in rows.values() for row in some if row["subject"]})
    return status_of(**rows, documents=[{"subject": subject} for subject in named])


def test_the_gravest_sign_decides_then_how_many_there_are() -> None:
    qtc: dict[str, Any] = {
        "kind": "ecg",
        "test_code": "QTCF",
        "test": "QTcF",
        "unit": "ms",
        "low": 300.0,
        "high": 450.0,
    }
    found = signs(
        adverse_events=[
            event("b-unknown", "unknown"),
            event("c-serious", "yes"),
            event("a-serious", "yes", action_taken="DRUG WITHDRAWN"),
            event("z-fatal", "unknown", fatal=True),
            event("harmless"),
        ],
        ecgs=[result("qtc", "2026-11-03", value=501.0, **qtc)],
        vitals=[
            result("bp", "2026-11-03", "vitals", test_code="SYSBP", value=180.0, unit="mmHg", high=140.0),
            result("low", "2026-11-03", "vitals", test_code="SYSBP", value=80.0, unit="mmHg", high=140.0),
        ],
        labs=[result("critical", "2026-11-03", indicator="HIGH HIGH", value=41.0)],
    )
    assert found == [
        ("z-fatal", [Sign.DEATH, Sign.UNKNOWN_SERIOUSNESS]),
        ("a-serious", [Sign.SERIOUS, Sign.WITHDRAWN]),
        ("c-serious", [Sign.SERIOUS]),
        ("b-unknown", [Sign.UNKNOWN_SERIOUSNESS]),
        ("critical", [Sign.CRITICAL_RESULT]),
        ("qtc", [Sign.QTC]),
        ("bp", [Sign.PRESSURE]),
    ]


@pytest.mark.parametrize(("value", "listed"), [(500.0, False), (500.5, True)])
def test_a_qtc_of_500_is_not_over_500(value: float, listed: bool) -> None:
    row = result("a", "2026-11-03", "ecg", test_code="QTCF", value=value, unit="ms", low=300.0, high=900.0)
    assert bool(signs(ecgs=[row])) == listed


def test_a_rise_counts_from_a_dated_first_alone() -> None:
    def at(when: str, value: float) -> dict[str, Any]:
        return result("a", when, "ecg", test_code="QTCF", value=value, unit="ms", low=300.0, high=900.0)

    assert signs(ecgs=[at("2026-11-01", 400.0), at("2026-11-03", 461.0)]) == [("a", [Sign.QTC])]
    assert signs(ecgs=[at("2026-11", 400.0), at("2026-11-03", 461.0)]) == []


def test_hys_law_stands_before_a_serious_event() -> None:
    found = signs(
        adverse_events=[event("a", "yes")],
        labs=[
            result("b", "2026-11-01", value=120.0),
            result("b", "2026-11-02", test_code="BILI", test="Bilirubin", value=40.0, high=20.0),
        ],
    )
    assert [who for who, _ in found] == ["b", "a"]
    assert found[0][1][0] is Sign.LIVER


def test_a_withdrawal_is_one_where_the_disposition_says_adverse_event() -> None:
    left: list[dict[str, Any]] = [
        {"subject": "event", "decoded": "Adverse Event", "discontinued": True},
        {"subject": "wish", "decoded": "WITHDRAWAL BY SUBJECT", "discontinued": True},
        {"subject": "done", "decoded": "COMPLETED"},
    ]
    assert signs(dispositions=left) == [("event", [Sign.WITHDRAWN])]


def test_what_names_nobody_is_counted_and_placed_nowhere() -> None:
    events = [event("", "yes"), event("", "unknown"), event("", "no", fatal=True), event("", "no")]
    status = _with_documents({"adverse_events": events})
    assert look_first(status) == []
    assert nameless(status) == 3


def test_one_number_at_two_sites_is_two_persons() -> None:
    events = [event("001", "yes", site="1"), event("001", "no", site="2")]
    status = status_of(
        adverse_events=events, documents=[{"subject": "001", "site": site} for site in ("1", "2")]
    )
    assert [(one.person.site, one.person.subject) for one in look_first(status)] == [("1", "001")]


def test_only_what_is_known_to_the_day_is_placed_in_time() -> None:
    person = Followed("1", "a", "", None, None, False)
    status = status_of(
        subjects=[enrolled("1", "a", "2026-11-01")],
        adverse_events=[
            event("a", start="2026-11-01", end="2026-11-04"),
            event("a", start="2026-11", end="2026-11-04"),
            event("a", start="2026-11-05", end="", fatal=True),  # when it ended is not guessed
            event("a", start="2026-11-06", end="2026-11-01"),
            event("a", start="2027-01-01"),
            event("b", start="2026-11-01"),
        ],
        visits=[
            {"subject": "a", "start": "2026-11-02T08:30", "visit_status": "done"},
            {"subject": "a", "start": "2026-12-02", "visit_status": "coming"},
            {"subject": "a", "start": "2026-11", "visit_status": "done"},
        ],
    )
    line = course(status, person, UNTIL)
    placed = {(one.start, one.end, one.open) for one in line.events}
    assert placed == {
        (date(2026, 11, 1), date(2026, 11, 4), False),
        (date(2026, 11, 5), UNTIL, True),
        (date(2026, 11, 6), UNTIL, True),
    }
    assert line.without_day == 2
    assert line.visits == (date(2026, 11, 2),)


@pytest.mark.parametrize("serious", ["no", "unknown"])
def test_what_meets_a_criterion_of_seriousness_is_looked_at_whatever_is_answered(serious: str) -> None:
    met = event("met", serious, seriousness_criteria="hospitalisation")
    found = signs(adverse_events=[event("unknown", "unknown"), met, event("yes", "yes"), event("no")])
    assert found == [
        ("yes", [Sign.SERIOUS]),
        ("met", [Sign.CRITERION_MET]),
        ("unknown", [Sign.UNKNOWN_SERIOUSNESS]),
    ]
    assert nameless(_with_documents({"adverse_events": [{**met, "subject": ""}]})) == 1
