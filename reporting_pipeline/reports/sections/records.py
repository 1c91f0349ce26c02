"""Conduct and what else is recorded: dispositions, visits missed, deviations, subjects and the like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reporting_pipeline.domain.clinical.result_domains import domain_in_words
from reporting_pipeline.domain.figures import TrialFigures
from reporting_pipeline.reports import wording
from reporting_pipeline.reports.blocks import Cell, Column, Flag, Flow, Pair
from reporting_pipeline.reports.content import ReportContent
from reporting_pipeline.reports.sections.assessed import lesion_of
from reporting_pipeline.reports.sections.caps import CAPS, ELSEWHERE, first_of, note_rest


def conduct(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    """Dispositions by what was decided, visits missed, protocol deviations; each only where there is any."""
    _dispositions(flow, trial)
    _missed_visits(flow, trial)
    _plain_listing(
        flow,
        trial,
        "deviations",
        "Protocol deviations",
        CAPS["deviations"],
        (("Deviation", ("term",), 40), ("Category", ("category", "decoded"), 24), ("Visit", ("visit",), 14)),
    )


def _dispositions(flow: Flow, trial: TrialFigures) -> None:
    counts = trial.dispositions_by_reason
    if counts.empty:
        return
    flow.heading("Dispositions and milestones", bookmark=f"Dispositions ({trial.trial})")
    flow.space(4)
    rows = [
        (str(what) or "–", str(kind).capitalize(), wording.count(number))
        for (kind, what), number in zip(counts.index, counts["records"].tolist(), strict=True)
    ]
    columns = (Column("What", 50, bold=True), Column("Category", 30), Column("Records", 20, "right"))
    flow.table(columns, rows[: CAPS["sites"]])
    note_rest(flow, len(rows), "sites", "kind of disposition")


def _missed_visits(flow: Flow, trial: TrialFigures) -> None:
    visits = trial.tables["visits"]
    missed = visits.where(visits.facts.one_of("visit_status", ("missed",)))
    if not len(missed):
        return
    flow.heading("Visits missed", bookmark=f"Visits missed ({trial.trial})")
    flow.space(4)
    columns = (Column("Subject, site", 20, names=True), Column("Visit", 40, bold=True), Column("Reason", 40))
    rows = [
        (
            Pair(row["subject"] or "–", f"Site {row['site']}" if row["site"] else "No site"),
            row["visit"] or "–",
            row["reason_not_done"] or "not stated",
        )
        for row in first_of(missed, "missed_visits")
    ]
    flow.table(columns, rows)
    note_rest(flow, len(missed), "missed_visits", "missed visit")


def recorded(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    """Subjects, results other than of the laboratory, medications and history, as far as they arrived."""
    _subjects(flow, trial, content)
    for name in _ABOUT:
        _results(flow, trial, name)
    _plain_listing(
        flow,
        trial,
        "medications",
        "Medications",
        CAPS["records"],
        (
            ("Medication", ("term",), 34),
            ("Standard name", ("decoded",), 24),
            ("Indication", ("indication",), 22),
        ),
    )
    _plain_listing(
        flow,
        trial,
        "medical_history",
        "Medical history",
        CAPS["records"],
        (("Condition", ("term",), 40), ("System organ class", ("system_organ_class", "category"), 40)),
    )


def _subjects(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    listing = trial.tables["subjects"]
    if not len(listing):
        return
    flow.heading("Subjects", bookmark=f"Subjects ({trial.trial})")
    flow.space(4)
    columns = [
        Column("Subject, site", 22, bold=True, names=True),
        Column("Age, sex", 14),
        Column("Enrolled", 14),
        Column("Status", 20),
        Column("Died", 14),
    ]
    if content.unblinded:
        columns.append(Column("Arm", 22))
    rows = []
    for row in first_of(listing, "records"):
        age = "" if row["age"] != row["age"] else f"{wording.amount(row['age'])} {row['age_unit'].lower()}"
        cells: list[Cell] = [
            Pair(row["subject"] or "–", f"Site {row['site']}" if row["site"] else "No site"),
            Pair(age.strip() or "–", row["sex"] or "–"),
            wording.collected_date(row["enrolled"]) or "–",
            row["status"] or "–",
            Flag(wording.collected_date(row["death"]) or "Yes")
            if row["died"] == "yes"
            else row["died"] or "–",
        ]
        if content.unblinded:
            cells.append(row["actual_arm"] or row["arm"] or "–")
        rows.append(tuple(cells))
    flow.table(columns, rows)
    note_rest(flow, len(listing), "records", "subject")


def _about_tumour(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (*lesion_of(row), row["location"].lower(), row["laterality"].lower(), row["method"].lower())


def _about_questionnaire(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (row["category"],)


def _about_other(row: Mapping[str, Any]) -> tuple[str, ...]:
    return domain_in_words(row["domain"]), row["object"], row["location"], row["laterality"]


#: table -> its title, the head of the column of the test, and what stands below a test's name
_ABOUT: Mapping[str, tuple[str, str, Callable[[Mapping[str, Any]], tuple[str, ...]]]] = {
    "tumour_responses": ("Tumour responses", "Test, lesion", _about_tumour),
    "questionnaires": ("Questionnaires", "Test, questionnaire", _about_questionnaire),
    "other_results": ("Other results", "Test, examination", _about_other),
}


def _results(flow: Flow, trial: TrialFigures, name: str) -> None:
    """The results of one table: a row names the test, and what it is about."""
    listing = trial.tables[name]
    if not len(listing):
        return
    title, test, about = _ABOUT[name]
    flow.heading(title, bookmark=f"{title} ({trial.trial})")
    flow.space(4)
    columns = (
        Column("Subject, site", 20, names=True),
        Column(test, 46, bold=True),
        Column("Result", 24),
        Column("Visit, collected", 22),
    )
    rows = []
    for row in first_of(listing, "records"):
        result = " ".join(filter(None, (row["value_text"], row["value_unit"])))
        in_words = row["value"] != row["value"] and row["original_result"] != row["value_text"]
        rows.append(
            (
                Pair(row["subject"] or "–", f"Site {row['site']}" if row["site"] else "No site"),
                Pair(row["test"] or row["test_code"], ", ".join(filter(None, about(row)))),
                Pair(result or "–", row["original_result"] if in_words else ""),
                Pair(
                    ", ".join(filter(None, (row["visit"], row["time_point"]))) or "–",
                    wording.collected_date(row["collected"]),
                ),
            )
        )
    flow.table(columns, rows)
    note_rest(flow, len(listing), "records", "result")


def _plain_listing(
    flow: Flow,
    trial: TrialFigures,
    name: str,
    title: str,
    cap: int,
    columns: Sequence[tuple[str, tuple[str, ...], float]],
) -> None:
    """A table of one kind of record; `columns`: title, where to take it (the first that is filled), share."""
    listing = trial.tables[name]
    if not len(listing):
        return
    flow.heading(title, bookmark=f"{title} ({trial.trial})")
    flow.space(4)
    heads = [Column("Subject, site", 20, names=True), *(Column(head, share) for head, _, share in columns)]
    heads.append(Column("Start, end", 17))
    rows = []
    for row in listing.records(cap):
        cells: list[Cell] = [Pair(row["subject"] or "–", f"Site {row['site']}" if row["site"] else "No site")]
        for _, sources, _ in columns:
            cells.append(next((str(row[source]) for source in sources if row[source]), "–"))
        start, end = (wording.collected_date(row[side]) for side in ("start", "end"))
        cells.append(Pair(start or "–", end))
        rows.append(tuple(cells))
    flow.table(heads, rows)
    rest = len(listing) - cap
    if rest > 0:
        flow.note(f"{wording.plural(rest, 'more record')} not shown here: {ELSEWHERE}.")
