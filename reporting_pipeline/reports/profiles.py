"""Subjects to look at first: a list by the rule of `domain.look_first`, and a page for each of the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reporting_pipeline.domain import look_first as rule
from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.figures import TrialFigures
from reporting_pipeline.domain.look_first import LookFirst
from reporting_pipeline.domain.shortened_lists import represented
from reporting_pipeline.reports import wording
from reporting_pipeline.reports.blocks import Cell, Column, Flow, Pair
from reporting_pipeline.reports.content import ReportContent
from reporting_pipeline.reports.pdf import tables
from reporting_pipeline.reports.pdf.layout import WIDTH
from reporting_pipeline.reports.sections import EVENT_COLUMNS, RESULT_COLUMNS, event_row, result_row
from reporting_pipeline.reports.so_far import MOST_ROWS, status_of
from reporting_pipeline.reports.swimmer import MOST_EVENTS, swimmer

#: Rows of a profile; fewer where they are tall.
RESULTS_SHOWN = 10


def look_first(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    """The list, then one page each for as many as the parameters say."""
    status = status_of(trial, content)
    if status is None:
        return
    found = rule.look_first(status)
    flow.heading("Subjects to look at first", bookmark=f"Look at first ({trial.trial})")
    flow.note(
        "By the gravest sign: death, Hy's law range, serious events, others that meet a criterion of "
        "seriousness, events of unknown seriousness, withdrawal for an event, critical results or grade 4 "
        "and 5, QTc over 500 ms or risen by more than 60, blood pressure of 180 or 120 mmHg and more; then "
        "by the number of signs. It is an order of reading, no judgement of cause."
    )
    nameless = rule.nameless(status)
    if nameless:
        flow.note(
            "Fatal, serious, with a criterion of seriousness or of unknown seriousness, and about nobody who "
            "is named: "
            f"{wording.plural(nameless, 'event')}; not placed here."
        )
    if not found:
        flow.note("No person has one of these signs. This does not say that all was assessed.")
        return
    flow.space(4)
    flow.table(
        (Column("Subject, site", 26, bold=True, names=True), Column("Why", 100, lines=4)),
        [(Pair(one.person.subject, _site(one)), "; ".join(one.signs.values())) for one in found[:MOST_ROWS]],
    )
    if len(found) > MOST_ROWS:
        rest = wording.plural(len(found) - MOST_ROWS, "more person", "more persons")
        flow.note(f"{rest} not shown here; CSV, XLSX and JSON name them all in look_first.")
    most = getattr(content.parameters, "profiles", 0)
    if len(found) > most:
        pages = f"The first {wording.count(most)} of these" if most else "None of these"
        verb = "have" if most > 1 else "has"
        flow.note(f"{pages} {verb} a page here; `profiles` of the subscription says how many.")
    for place, one in enumerate(found[:most], 1):
        flow.new_page()
        _profile(flow, status, one, place, content)


def _site(one: LookFirst) -> str:
    return f"Site {one.person.site}" if one.person.site else "No site"


def _profile(flow: Flow, status: TrialDataset, one: LookFirst, place: int, content: ReportContent) -> None:
    """All of a page and no more: what has no room is counted."""
    person, until = one.person, content.last_day
    flow.heading(
        f"{place}. Subject {person.subject}, {_site(one).lower()}",
        level=1,
        bookmark=f"Subject {person.subject} ({status.trial})",
    )
    flow.note(_who(status, one))
    flow.space(2)
    for words in one.signs.values():
        flow.bullet(words[:1].upper() + words[1:])
    flow.space(6)
    line = rule.course(status, person, until)
    flow.charts([swimmer(line, person.enrolled, person.ended, until, WIDTH)])
    if line.without_day:
        flow.note(
            f"{wording.plural(line.without_day, 'event')} not on the line: "
            "the start is not known to the day, or after its end."
        )
    _events(flow, status, one)
    _results(flow, status, one)


def _who(status: TrialDataset, one: LookFirst) -> str:
    """Age, sex and where the person stands, as far as anybody said; the arm where it may be known."""
    said: dict[str, Any] = {}
    for row in rule.rows_of_person(status.facts["subjects"], one.person).records():
        said |= {name: value for name, value in row.items() if value == value and value != ""}
    parts = [
        f"Age {wording.amount(said['age'])}{_unit(said)}" if "age" in said else "Age unknown",
        f"sex {said['sex']}" if "sex" in said else "sex unknown",
        f"enrolled {one.person.enrolled.isoformat()}" if one.person.enrolled else "enrolment date unknown",
    ]
    if one.person.ended:
        parts.append(f"ended {one.person.ended.isoformat()}")
    if one.person.arm:
        parts.append(f"arm {one.person.arm}")
    return ", ".join(parts) + "."


def _unit(said: Mapping[str, Any]) -> str:
    unit = str(said.get("age_unit", ""))
    return "" if unit.upper() in ("", "YEARS") else f" {unit.lower()}"


def _events(flow: Flow, status: TrialDataset, one: LookFirst) -> None:
    rows = rule.rows_of_person(status.facts["adverse_events"], one.person)
    flow.heading("Adverse events, gravest first", keep=40)
    if not len(rows):
        flow.note("None was reported.")
        return
    shown = [event_row(row)[1:] for row in rows.records(MOST_EVENTS)]
    _as_many_as_fit(flow, EVENT_COLUMNS[1:], shown, len(rows), "event", _ROOM_FOR_RESULTS)


def _results(flow: Flow, status: TrialDataset, one: LookFirst) -> None:
    rows = rule.rows_of_person(status.facts["out_of_range"], one.person)
    flow.heading("Results out of range, worst first", keep=40)
    if not len(rows):
        flow.note("None of the results that could be assessed.")
        return
    shown = [result_row(row)[1:] for row in represented(rows, RESULTS_SHOWN).records()]
    _as_many_as_fit(flow, RESULT_COLUMNS[1:], shown, len(rows), "result", 0)


def _as_many_as_fit(
    flow: Flow,
    columns: Sequence[Column],
    rows: Sequence[tuple[Cell, ...]],
    total: int,
    noun: str,
    keep: float,
) -> None:
    """The first rows, down to `keep` points and a note above the foot of the page."""
    room = flow.room - keep - _NOTE - tables.header(tuple(columns), WIDTH).height
    shown = 0
    for cells in rows:
        room -= tables.row(tuple(columns), cells, WIDTH).height
        if room < 0:
            break
        shown += 1
    if shown:
        flow.table(columns, rows[:shown])
    if total > shown:
        flow.note(f"{wording.plural(total - shown, f'more {noun}')} not shown here; {_ELSEWHERE}.")


_NOTE = 18.0
_ROOM_FOR_RESULTS = 150.0
_ELSEWHERE = "a data listing of its period has every record"
