"""The parts a report is composed of; a report type chooses among them and orders them.

Every list has a cap (`CAPS`), so that a monstrous period cannot blow a report up; what a cap leaves
out is said in the report, with where to find it. Nothing is cut in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd

from reporting_pipeline.domain.branding import UNBRANDED, Branding
from reporting_pipeline.domain.clinical.numbers import plain
from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.disclosure import POLICIES, Policy
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.facts import Listing
from reporting_pipeline.domain.figures import Figure, TrialFigures, Value, left_out, represented
from reporting_pipeline.domain.omissions import WHOLE_TRIAL, Omission
from reporting_pipeline.domain.parameters import Parameters
from reporting_pipeline.domain.participation import Progress
from reporting_pipeline.domain.periods import Period
from reporting_pipeline.domain.restatements import FigureChange, Restated
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.domain.thumbnails import Thumbnail
from reporting_pipeline.languages import ENGLISH
from reporting_pipeline.reports import charts, wording
from reporting_pipeline.reports.blocks import SMALL, Cell, Chart, Column, Flag, Flow, Pair, Picture, Tile
from reporting_pipeline.reports.described import bars
from reporting_pipeline.reports.palette import MUTED
from reporting_pipeline.reports.pdf.layout import WIDTH

#: Rows, pictures or characters shown per trial; docs/report-types.md lists them.
CAPS: Mapping[str, int] = {
    "adverse_events": 150,
    "out_of_range": 80,
    "missed_visits": 40,
    "deviations": 60,
    "records": 30,
    "omissions": 60,
    "sites": 60,
    "notes": 20,
    "note_characters": 600,
    "pictures": 12,
    "bad_files": 60,
    "findings": 60,
}
_ELSEWHERE = "the CSV and XLSX formats of this report list them all"


#: Whom a report was written for, as it says itself.
AUDIENCE_NAMES: Mapping[Audience, str] = {
    Audience.PARTICIPANT: "the participant (own record)",
    Audience.SITE: "the site (blinded)",
    Audience.MONITOR: "monitors (blinded)",
    Audience.SPONSOR: "the sponsor (blinded)",
    Audience.SAFETY_BOARD: "the safety board (unblinded: who gets which treatment is shown)",
}


@dataclass(frozen=True)
class ReportContent:
    """What all readers of one body read: nothing personal in it."""

    title: str  # of the report type, with the cadence: "Weekly trial activity"
    organisation: str
    period: Period
    filters: Filters
    trials: tuple[TrialFigures, ...]  # those the filters select, empty ones included
    totals: Mapping[Figure, Value | None]
    versions: Mapping[str, str]  # trial -> dataset version
    data_as_of: datetime
    code_version: str
    thumbnail_path: Callable[[Thumbnail], str]
    omissions: tuple[Omission, ...] = ()  # whole trials first, then parts of the trials shown
    audience: Audience = Audience.MONITOR
    report_type: str = "trial_activity"
    parameters: Parameters = field(default_factory=Parameters)
    statuses: Mapping[str, TrialDataset] = field(default_factory=dict)  # the trials so far, by trial
    #: The median over all sites by trial and measure: all that is said of sites that are not the reader's.
    medians: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    #: The tables of CSV, XLSX and JSON where the type has its own; None: those of the period.
    own_tables: Mapping[str, pd.DataFrame] | None = None
    #: Tables of CSV, XLSX and JSON beside those: what the report says of the trials so far.
    more_tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    progress: Mapping[str, Progress] = field(default_factory=dict)  # totals for participants, by trial
    new_documents: Mapping[str, frozenset[str]] = field(default_factory=dict)  # ids of the period's, by trial
    language: str = ENGLISH
    plain: bool = False  # written for people who are no professionals
    restates: Restated | None = None  # what was sent and whose place this takes
    changes: tuple[FigureChange, ...] = ()  # against that
    preliminary_at: datetime | None = None  # the period is still open: what stood at this moment
    traced: bool = False  # figures lead to their documents
    branding: Branding = UNBRANDED

    @property
    def policy(self) -> Policy:
        return POLICIES[self.audience]

    @property
    def unblinded(self) -> bool:
        """Whether the columns of `domain.datasets.RESTRICTED` are shown."""
        return self.policy.arm

    @property
    def is_empty(self) -> bool:
        return all(trial.is_empty for trial in self.trials)

    @property
    def with_documents(self) -> tuple[TrialFigures, ...]:
        return tuple(trial for trial in self.trials if not trial.is_empty)

    @property
    def with_part(self) -> tuple[TrialFigures, ...]:
        """The trials that get a part of their own: those with documents, or of which so far is known."""
        return tuple(trial for trial in self.trials if not trial.is_empty or trial.trial in self.statuses)

    @property
    def noun(self) -> str:
        return self.period.cadence.noun


def tiles(
    values: Mapping[Figure, Value | None], figures: Sequence[Figure], noun: str, traced: bool = False
) -> list[Tile]:
    """Tiles of the figures that the filters cover. Deaths, serious events and bad files stand out.

    `traced`: each leads to its documents, by an address below the one that the reader's own part names.
    """
    alarming = (
        Figure.DEATHS,
        Figure.SERIOUS_ADVERSE_EVENTS,
        Figure.UNKNOWN_SERIOUSNESS,
        Figure.FILES_MISSING,
        Figure.FILES_CORRUPT,
    )
    return [
        Tile(
            figure.label,
            wording.figure_value(figure, value.current),
            wording.change(figure, value, noun),
            alarm=figure in alarming and value.current > 0,
            leads_to=figure.value if traced else "",
        )
        for figure in figures
        if (value := values[figure]) is not None
    ]


def trial_title(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    flow.title(trial.trial, trial.title, f"Trial {trial.trial}")


def what_happened(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    flow.heading(f"What happened this {content.noun}", bookmark=f"What happened ({trial.trial})")
    flow.space(2)
    for text in wording.what_happened(trial, content.noun):
        flow.bullet(text)
    if trial.synthetic_documents:
        flow.note(
            f"{wording.plural(trial.synthetic_documents, 'document is', 'documents are')} synthetic: "
            "generated, not collected. They are marked where they are shown."
        )


def chart_block(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    """Two rows of two charts; a chart of kinds that the filters leave out is not drawn."""
    flow.space(8)
    narrow = WIDTH * 0.36
    wide = WIDTH - narrow - 16
    first: list[Chart] = []
    visits = trial.visits_by_site
    height = max(150.0, charts.bars_height(min(len(visits), charts.MOST_BARS)))
    wide_alone = WIDTH if visits.empty else wide
    days = trial.documents_by_day
    labels = wording.day_labels(content.period)
    drawn = charts.documents_by_day(days, labels, wide_alone, height)
    kinds = ("Day", *map(wording.kind_label, days.columns))
    first.append(bars("Documents by day and kind", drawn, wide_alone, height, days, kinds, labels))
    if not visits.empty:
        rows = charts.bars_height(min(len(visits), charts.MOST_BARS))
        drawn = charts.visits_by_site(visits, narrow)
        names = [str(site) or charts.NO_SITE for site in visits.index]
        head = ("Site", *charts.VISIT_STATES)
        first.append(bars("Visits by site", drawn, narrow, rows, visits, head, names))
    flow.charts(first)
    safety_charts(flow, trial, content)


def safety_charts(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    half = (WIDTH - 16) / 2
    row: list[Chart] = []
    flow.space(4)
    events, labs = trial.adverse_events_by_class, trial.labs_outside_range
    both = not events.empty and not labs.empty
    width = half if both else WIDTH
    if not events.empty:
        height = charts.bars_height(min(len(events), charts.MOST_BARS))
        title = "Adverse events by class and severity or grade"
        head = ("Class", *(str(severity).capitalize() for severity in events.columns))
        row.append(bars(title, charts.adverse_events(events, width), width, height, events, head))
    if not labs.empty:
        height = charts.bars_height(min(len(labs), charts.MOST_BARS))
        title = "Laboratory results out of range, by test"
        drawn = charts.labs_outside_range(labs, width)
        head = ("Test", *charts.LAB_STATES)
        row.append(bars(title, drawn, width, height, labs, head, last_is_whole=True))
    if row:
        flow.charts(row)


# --- tables --------------------------------------------------------------------------------------

EVENT_COLUMNS = (
    Column("Subject, site", 60),
    Column("Adverse event, system organ class", 164, bold=True),
    Column("Severity, grade", 56),
    Column("Serious", 52),
    Column("Related", 46),
    Column("Outcome, action", 71),
    Column("Start, end", 56),
)


def adverse_event_listing(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    if trial.values[Figure.ADVERSE_EVENTS] is None:
        return
    events = trial.adverse_events
    flow.heading("Adverse events", bookmark=f"Adverse events ({trial.trial})")
    if not len(events):
        flow.note("No adverse event was reported in this period.")
        return
    flow.note(
        "Fatal events first, then serious ones, then those of unknown seriousness, in each the gravest "
        "first. Terms and dates as collected; a partial date is all that is known."
    )
    flow.space(4)
    rows = [event_row(row) for row in _head(events, "adverse_events")]
    flow.table(EVENT_COLUMNS, rows)
    _more(flow, len(events), "adverse_events", "adverse event")


_SERIOUS: Mapping[str, Cell] = {"yes": Flag("Yes", "up"), "no": "No", "unknown": Flag("Unknown")}


def event_row(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    name = row["preferred_term"] or row["term"] or "–"
    reported = row["term"] if row["term"].casefold() != name.casefold() else ""
    beside = [
        row["system_organ_class"] or "Not coded",
        f"reported as {reported}" if reported else "",
        f"criteria: {row['seriousness_criteria'].replace('_', ' ')}" if row["seriousness_criteria"] else "",
    ]
    serious = _SERIOUS.get(row["serious"], Flag("Unknown"))
    if row["fatal"] and row["serious"] != "yes":
        serious = Flag(row["serious"].capitalize(), "up", under="fatal")
    action = row["action_taken"]
    outcome = row["outcome"] or "–"
    return (
        Pair(row["subject"] or "–", f"Site {row['site']}" if row["site"] else "No site"),
        Pair(name, "; ".join(filter(None, beside))),
        _severity(row["severity"], row["grade"]),
        serious,
        row["related"] or "–",
        Pair(outcome, action) if action else outcome,
        Pair(
            wording.collected_date(row["start"]) or "–",
            wording.collected_date(row["end"]) or "no end given",
        ),
    )


def _severity(severity: str, grade: float) -> Cell:
    """Both as they are known; severe and graver stands out."""
    words = severity.capitalize()
    in_figures = "" if grade != grade else f"Grade {grade:.0f}"
    if words and words[-1:].isdigit():  # "3", "Grade 3": the grade says it
        words = ""
    text = words or in_figures or "Not stated"
    if grade >= 3 or severity == "SEVERE":
        return Flag(text, under=in_figures.lower() if words and in_figures else "")
    return Pair(text, in_figures) if words and in_figures else text


RESULT_COLUMNS = (
    Column("Subject, site", 62),
    Column("Collected, visit", 58),
    Column("Test, specimen", 112, bold=True),
    Column("Result", 62, "right"),
    Column("Unit", 48, lines=1),
    Column("Reference range", 68, lines=2),
    Column("Flag", 58, lines=1),
    Column("Factor", 40, "right", lines=1),
)


def out_of_range(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    """Results of all measurements that are flagged or out of range, worst first."""
    out, assessed = trial.values[Figure.OUT_OF_RANGE], trial.values[Figure.RESULTS_ASSESSED]
    if out is None or assessed is None:
        return
    flow.heading("Results out of range", bookmark=f"Results out of range ({trial.trial})")
    if not assessed.current:
        flow.note(
            "No result could be assessed: none that arrived has a flag of the laboratory or a usable range. "
            "This does not say that all were normal."
        )
        return
    if not len(trial.out_of_range):
        flow.note(f"None of {wording.plural(assessed.current, 'result')} assessed was out of range.")
        return
    flow.note(
        f"{wording.count(out.current)} of {wording.plural(assessed.current, 'result')} assessed. Critical "
        "flags and toxicity grades 4 and 5 first, then grade 3 and what is clinically significant, then by "
        "the factor to the limit: limit by value below it, value by limit above it; what has none comes "
        "last. The laboratory's own flag counts before the range."
    )
    flow.space(4)
    shown = represented(trial.out_of_range, CAPS["out_of_range"])
    flow.table(RESULT_COLUMNS, [result_row(row) for row in shown.records()])
    rest = left_out(trial.out_of_range, shown)
    if rest:
        named = ", ".join(f"{test} {wording.count(number)}" for test, number in rest[:40])
        more = f" and {len(rest) - 40} more tests" if len(rest) > 40 else ""
        total = sum(number for _, number in rest)
        flow.note(
            f"{wording.plural(total, 'more result')} not shown here, by test: {named}{more}; {_ELSEWHERE}."
        )


_DIRECTIONS = {"LOW": "down", "LOW LOW": "down", "HIGH": "up", "HIGH HIGH": "up"}


def result_row(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    beside = [row["specimen"] or (row["category"] if row["kind"] == Kind.LAB else ""), row["method"]]
    if row["kind"] != Kind.LAB:
        beside.insert(0, wording.kind_label(row["kind"]))
    beside += [row["position"], row["laterality"]]
    if row["grade"] == row["grade"]:
        beside.append(f"grade {row['grade']:.0f}")
    if row["clinically_significant"] == "yes":
        beside.append("clinically significant")
    ratio = row["ratio"]
    return (
        Pair(row["subject"] or "–", f"Site {row['site']}" if row["site"] else "No site"),
        Pair(wording.collected_date(row["collected"]) or "–", row["visit"]),
        Pair(row["test"] or row["test_code"] or "–", ", ".join(filter(None, beside))),
        _with_minus(row["value_text"]) or "–",
        row["value_unit"] or "–",
        _range(row),
        Flag(row["flag"], _DIRECTIONS.get(row["flag"], "")),
        "–" if ratio != ratio else "∞" if ratio == float("inf") else _factor(ratio),
    )


def _factor(ratio: float) -> str:
    """Two digits behind the point where they say something; what is a thousandfold or more as such."""
    return f"{ratio:.2f}" if ratio < 100 else f"{ratio:.0f}" if ratio < 1000 else "> 1,000"


def _with_minus(result: str) -> str:
    """A negative number with the sign that does not break from it."""
    return f"−{result[1:]}" if result[:1] == "-" and plain(result) is not None else result


def _range(row: Mapping[str, Any]) -> str:
    """The range in the unit of the result; the original one where there is no other."""
    low, high = row["low"], row["high"]
    if low != low and high != high:
        text = wording.reference_range(row["original_low"], row["original_high"])
        unit = row["original_unit"]
        return f"{text} {unit}" if text != "–" and unit != row["value_unit"] else text
    return wording.reference_range(low, high)


_SITE_COLUMNS = (
    Column("Site", 14, bold=True),
    Column("Documents", 13, "right"),
    Column("Subjects", 11, "right"),
    Column("Visits done", 11, "right"),
    Column("Adverse events", 14, "right"),
    Column("of these serious", 12, "right"),
    Column("Results assessed", 16, "right"),
    Column("of these out of range", 14, "right"),
    Column("Files missing or unreadable", 17, "right"),
)


#: Columns of `TrialFigures.site_activity` as shown, and the figure without which one means nothing.
_SITE_FIGURES = {
    "documents": Figure.DOCUMENTS,
    "subjects": Figure.SUBJECTS,
    "visits": Figure.VISITS,
    "adverse_events": Figure.ADVERSE_EVENTS,
    "serious": Figure.SERIOUS_ADVERSE_EVENTS,
    "results": Figure.RESULTS_ASSESSED,
    "out_of_range": Figure.OUT_OF_RANGE,
    "bad_files": Figure.FILES_MISSING,
}


def site_activity(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    flow.heading("Activity by site", bookmark=f"Sites ({trial.trial})")
    flow.space(4)
    sites = trial.site_activity
    shown = [trial.values[figure] is not None for figure in _SITE_FIGURES.values()]
    rows = [
        (
            str(site) or "No site",
            *(wording.count(n) if known else "–" for n, known in zip(counts, shown, strict=True)),
        )
        for site, counts in zip(sites.index, sites[list(_SITE_FIGURES)].to_numpy().tolist(), strict=True)
    ]
    flow.table(_SITE_COLUMNS, rows[: CAPS["sites"]])
    _more(flow, len(rows), "sites", "site")


# --- conduct and what else is recorded -----------------------------------------------------------


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
    _more(flow, len(rows), "sites", "kind of disposition")


def _missed_visits(flow: Flow, trial: TrialFigures) -> None:
    visits = trial.tables["visits"]
    missed = visits.where(visits.facts.one_of("visit_status", ("missed",)))
    if not len(missed):
        return
    flow.heading("Visits missed", bookmark=f"Visits missed ({trial.trial})")
    flow.space(4)
    columns = (Column("Subject, site", 20), Column("Visit", 40, bold=True), Column("Reason", 40))
    rows = [
        (
            Pair(row["subject"] or "–", f"Site {row['site']}" if row["site"] else "No site"),
            row["visit"] or "–",
            row["reason_not_done"] or "not stated",
        )
        for row in _head(missed, "missed_visits")
    ]
    flow.table(columns, rows)
    _more(flow, len(missed), "missed_visits", "missed visit")


def recorded(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    """Subjects, tumour responses, questionnaires, medications and medical history, as far as they arrived."""
    _subjects(flow, trial, content)
    for name, title in (("tumour_responses", "Tumour responses"), ("questionnaires", "Questionnaires")):
        _plain_listing(
            flow,
            trial,
            name,
            title,
            CAPS["records"],
            (
                ("Test", ("test", "test_code"), 40),
                ("Result", ("value_text",), 22),
                ("Visit", ("visit",), 18),
                ("Collected", ("collected",), 16),
            ),
            dated=False,
        )
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
        Column("Subject, site", 22, bold=True),
        Column("Age, sex", 14),
        Column("Enrolled", 14),
        Column("Status", 20),
        Column("Died", 14),
    ]
    if content.unblinded:
        columns.append(Column("Arm", 22))
    rows = []
    for row in _head(listing, "records"):
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
    _more(flow, len(listing), "records", "subject")


def _plain_listing(
    flow: Flow,
    trial: TrialFigures,
    name: str,
    title: str,
    cap: int,
    columns: Sequence[tuple[str, tuple[str, ...], float]],
    dated: bool = True,
) -> None:
    """A table of one kind of record; `columns`: title, where to take it (the first that is filled), share."""
    listing = trial.tables[name]
    if not len(listing):
        return
    flow.heading(title, bookmark=f"{title} ({trial.trial})")
    flow.space(4)
    heads = [Column("Subject, site", 20), *(Column(head, share) for head, _, share in columns)]
    if dated:
        heads.append(Column("Start, end", 17))
    rows = []
    for row in listing.records(cap):
        cells: list[Cell] = [Pair(row["subject"] or "–", f"Site {row['site']}" if row["site"] else "No site")]
        for _, sources, _ in columns:
            cells.append(next((str(row[source]) for source in sources if row[source]), "–"))
        if dated:
            start, end = (wording.collected_date(row[side]) for side in ("start", "end"))
            cells.append(Pair(start or "–", end))
        rows.append(tuple(cells))
    flow.table(heads, rows)
    rest = len(listing) - cap
    if rest > 0:
        flow.note(f"{wording.plural(rest, 'more record')} not shown here: {_ELSEWHERE}.")


# --- notes and pictures --------------------------------------------------------------------------


def notes(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    if not len(trial.notes):
        return
    flow.heading("Notes from the sites", bookmark=f"Notes ({trial.trial})")
    for row in _head(trial.notes, "notes"):
        text = str(row["note"])
        shown = text[: CAPS["note_characters"]]
        flow.need(36)
        flow.space(5)
        flow.paragraph(_source(row), SMALL, MUTED, most=2)
        room = 12
        for line in shown.splitlines() or [""]:
            if room > 0:
                room -= flow.paragraph(line, most=room)
        if len(text) > len(shown):
            flow.note(f"[cut here: {wording.count(len(text) - len(shown))} more characters; {_ELSEWHERE}]")
    _more(flow, len(trial.notes), "notes", "note")


def _source(row: Mapping[str, object]) -> str:
    """Site, subject, day and title of a document, and whether it is synthetic."""
    parts = [
        f"Site {row['site']}" if row["site"] else "",
        f"Subject {row['subject']}" if row["subject"] else "",
        wording.day(str(row["day"])),
        str(row["title"])[:120],
        "SYNTHETIC" if row["synthetic"] else "",
    ]
    return "  ·  ".join(part for part in parts if part)


def pictures(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    """Images set upright and the first pages of PDFs, in order of arrival."""
    found = zip(trial.files["file_sha256"].tolist(), trial.files["file_status"].tolist(), strict=True)
    files = trial.files.only([sha in trial.media and status == "ok" for sha, status in found])
    if not len(files):
        return
    flow.heading("Images and documents", keep=180, bookmark=f"Images ({trial.trial})")
    shown = []
    for row in _head(files, "pictures"):
        thumbnail = trial.media[row["file_sha256"]]
        shown.append(
            Picture(
                content.thumbnail_path(thumbnail),
                thumbnail.width,
                thumbnail.height,
                _caption(row, thumbnail),
                badge="SYNTHETIC" if row["synthetic"] else "",
                says=wording.picture_says(", ".join(_caption(row, thumbnail))),
            )
        )
    flow.pictures(shown)
    _more(flow, len(files), "pictures", "picture")


def _caption(row: Mapping[str, str], thumbnail: Thumbnail) -> tuple[str, ...]:
    first_page = f" (first of {thumbnail.pages} pages)" if thumbnail.pages > 1 else ""
    who = f"subject {row['subject']}" if row["subject"] else f"site {row['site']}"
    return (
        f"{wording.kind_label(row['kind'])}, {who}, {wording.day(row['day'])}",
        f"{row['file_name']}{first_page}",
    )


# --- appendix ------------------------------------------------------------------------------------


def appendix(flow: Flow, content: ReportContent) -> None:
    """Filters, data quality, definitions and provenance: the same for every report type."""
    flow.need(260)
    flow.space(12)
    flow.title("Appendix", "How this report was made, and what its figures mean.", "Appendix")
    flow.heading("Filters applied", bookmark="Filters applied")
    flow.space(2)
    flow.table(
        (Column("Filter", 24, bold=True), Column("Selected", 76, lines=6)), filter_rows(content.filters)
    )
    _omissions(flow, content)
    _provenance(flow, content)
    _bad_files(flow, content)
    _findings(flow, content)
    flow.heading("Definitions", bookmark="Definitions")
    flow.space(2)
    flow.table(
        (Column("Figure", 26, bold=True), Column("What it counts", 74, lines=4)),
        [(figure.label, figure.definition) for figure in Figure],
    )
    flow.note(
        "The change shown with a figure is its difference from the same figure of the "
        f"{content.noun} before. With several trials, figures are sums over the trials."
    )


def omission_text(omission: Omission) -> str:
    """ "T1: labs/GLUC (urine): why." """
    part = "the whole trial" if omission.part == WHOLE_TRIAL else omission.part
    return f"{omission.trial}, {part}: {omission.reason.rstrip('.')}."


def _omissions(flow: Flow, content: ReportContent) -> None:
    if not content.omissions:
        return
    flow.heading("What this report leaves out", bookmark="What this report leaves out")
    flow.space(2)
    rows = [
        (one.trial, "the whole trial" if one.part == WHOLE_TRIAL else one.part, one.reason)
        for one in content.omissions[: CAPS["omissions"]]
    ]
    columns = (Column("Trial", 18, bold=True), Column("Part", 24), Column("Why", 58, lines=6))
    flow.table(columns, rows)
    _more(flow, len(content.omissions), "omissions", "part")


def _provenance(flow: Flow, content: ReportContent) -> None:
    flow.heading("Provenance", bookmark="Provenance")
    flow.space(2)
    rows = [
        ("Written for", AUDIENCE_NAMES[content.audience]),
        ("Period", wording.period_detail(content.period)),
        ("Data as of", wording.moment(content.data_as_of, content.period.timezone)),
        ("Dataset versions", ", ".join(f"{trial}: {version}" for trial, version in content.versions.items())),
        ("Software", f"reporting-pipeline {content.code_version}"),
    ]
    flow.table((Column("Source", 24, bold=True), Column("As used here", 76, lines=8)), rows)


def filter_rows(filters: Filters) -> list[tuple[str, str]]:
    kinds = [wording.kind_label(kind) for kind in sorted(set(filters.kinds))]
    return [
        ("Trials", ", ".join(sorted(set(filters.trials))) or "All that the reader may see"),
        ("Sites", ", ".join(sorted(set(filters.sites))) or "All"),
        ("Kinds of document", ", ".join(kinds) or "All"),
        (
            "File types shown and counted",
            ", ".join(sorted(set(filters.file_types))) or "All",
        ),
    ]


def _bad_files(flow: Flow, content: ReportContent) -> None:
    flow.heading("Files missing, unreadable or not inspected", bookmark="Files that could not be used")
    bad = [
        (trial.trial, row)
        for trial in content.trials
        for row in trial.files.where(~trial.files.facts.one_of("file_status", ("ok",))).records()
    ]
    if not bad:
        files = sum(len(trial.files) for trial in content.trials)
        flow.note(
            f"All {wording.plural(files, 'file')} of the period were found intact and opened."
            if files
            else "No file arrived in the period."
        )
        return
    flow.space(4)
    flow.table(
        (
            Column("Trial", 15),
            Column("Site", 6),
            Column("File", 22, bold=True),
            Column("Document", 28, lines=1),
            Column("What is wrong", 36, lines=3),
        ),
        [
            (
                trial,
                row["site"] or "–",
                row["file_name"] or "–",
                row["document_id"],
                f"{_FILE_STATUS.get(row['file_status'], row['file_status'])}: "
                f"{row['file_reason'] or 'no reason was given'}",
            )
            for trial, row in bad[: CAPS["bad_files"]]
        ],
    )
    _more(flow, len(bad), "bad_files", "file")


_FILE_STATUS = {"missing": "Missing", "corrupt": "Corrupt", "not_inspected": "Not inspected"}
#: Findings that the list of unusable files says already.
_SHOWN_AS_FILES = ("file_missing", "file_corrupt")


def _findings(flow: Flow, content: ReportContent) -> None:
    findings = [
        (trial.trial, finding)
        for trial in content.trials
        for finding in trial.findings.where(~trial.findings.facts.one_of("code", _SHOWN_AS_FILES)).records()
    ]
    flow.heading("Data quality findings", bookmark="Data quality findings")
    if not findings:
        flow.note("Nothing odd was found in the documents of the period.")
        return
    flow.space(4)
    rows = [
        (
            trial,
            Pair(row["subject"] or "–", f"Site {row['site']}" if row["site"] else "No site"),
            row["field"] or "–",
            row["document_id"] or "–",
            row["message"],
        )
        for trial, row in findings[: CAPS["findings"]]
    ]
    columns = (
        Column("Trial", 15),
        Column("Subject, site", 14),
        Column("Field", 13),
        Column("Document", 26, lines=1),
        Column("What was found", 44, lines=3),
    )
    flow.table(columns, rows)
    _more(flow, len(findings), "findings", "finding")


def _head(listing: Listing, cap: str) -> list[dict[str, Any]]:
    return listing.records(CAPS[cap])


def _more(flow: Flow, total: int, cap: str, noun: str) -> None:
    """The line that says what a cap left out."""
    rest = total - CAPS[cap]
    if rest > 0:
        flow.note(f"{wording.plural(rest, f'more {noun}')} not shown here: {_ELSEWHERE}.")


__all__ = ["CAPS", "Kind", "ReportContent", "appendix"]
