"""The parts a report is composed of; a report type chooses among them and orders them.

Every list has a cap (`CAPS`), so that a monstrous period cannot blow a report up; what a cap leaves
out is said in the report, with where to find it. Nothing is cut in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reporting_pipeline.domain.datasets import Thumbnail
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.facts import Listing
from reporting_pipeline.domain.figures import Figure, TrialFigures, Value
from reporting_pipeline.domain.periods import Period
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.reports import charts, wording
from reporting_pipeline.reports.palette import MUTED
from reporting_pipeline.reports.pdf.layout import (
    SMALL,
    WIDTH,
    Flow,
    Picture,
    Tile,
)
from reporting_pipeline.reports.pdf.surface import Surface
from reporting_pipeline.reports.pdf.tables import Cell, Column, Flag, Pair

#: Rows, pictures or characters shown per trial; docs/report-types.md lists them.
CAPS: Mapping[str, int] = {
    "adverse_events": 150,
    "abnormal_labs": 80,
    "sites": 60,
    "notes": 20,
    "note_characters": 600,
    "pictures": 12,
    "bad_files": 60,
    "findings": 60,
}
_ELSEWHERE = "the CSV and XLSX formats of this report list them all"


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

    @property
    def is_empty(self) -> bool:
        return all(trial.is_empty for trial in self.trials)

    @property
    def with_documents(self) -> tuple[TrialFigures, ...]:
        return tuple(trial for trial in self.trials if not trial.is_empty)

    @property
    def noun(self) -> str:
        return self.period.cadence.noun


def tiles(values: Mapping[Figure, Value | None], figures: Sequence[Figure], noun: str) -> list[Tile]:
    """Tiles of the figures that the filters cover. Serious events and bad files stand out."""
    alarming = (Figure.SERIOUS_ADVERSE_EVENTS, Figure.FILES_MISSING, Figure.FILES_CORRUPT)
    return [
        Tile(
            figure.label,
            wording.figure_value(figure, value.current),
            wording.change(figure, value, noun),
            alarm=figure in alarming and value.current > 0,
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
    first: list[tuple[str, Surface, float, float]] = []
    visits = trial.visits_by_site
    height = max(150.0, charts.bars_height(min(len(visits), charts.MOST_BARS)))
    wide_alone = WIDTH if visits.empty else wide
    first.append(
        (
            "Documents by day and kind",
            charts.documents_by_day(
                trial.documents_by_day, wording.day_labels(content.period), wide_alone, height
            ),
            wide_alone,
            height,
        )
    )
    if not visits.empty:
        rows = charts.bars_height(min(len(visits), charts.MOST_BARS))
        first.append(("Visits by site", charts.visits_by_site(visits, narrow), narrow, rows))
    flow.charts(first)
    safety_charts(flow, trial, content)


def safety_charts(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    half = (WIDTH - 16) / 2
    row: list[tuple[str, Surface, float, float]] = []
    flow.space(4)
    events, labs = trial.adverse_events_by_class, trial.labs_outside_range
    both = not events.empty and not labs.empty
    width = half if both else WIDTH
    if not events.empty:
        named = events.rename(index=wording.sentence)
        height = charts.bars_height(min(len(events), charts.MOST_BARS))
        title = "Adverse events by system organ class and severity"
        row.append((title, charts.adverse_events(named, width), width, height))
    if not labs.empty:
        height = charts.bars_height(min(len(labs), charts.MOST_BARS))
        row.append(
            (
                "Laboratory results out of range, by test",
                charts.labs_outside_range(labs, width),
                width,
                height,
            )
        )
    if row:
        flow.charts(row)


# --- tables --------------------------------------------------------------------------------------

_EVENT_COLUMNS = (
    Column("Subject, site", 60),
    Column("Adverse event, system organ class", 182, bold=True),
    Column("Severity", 48),
    Column("Serious", 40),
    Column("Related", 46),
    Column("Outcome", 73),
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
        "Serious events first, then by severity. Dates as collected; a partial date is all that is known."
    )
    flow.space(4)
    rows = [_event_row(row) for row in _head(events, "adverse_events")]
    flow.table(_EVENT_COLUMNS, rows)
    _more(flow, len(events), "adverse_events", "adverse event")


def _event_row(row: Mapping[str, str]) -> tuple[Cell, ...]:
    severity = row["severity"].capitalize() or "Not stated"
    return (
        Pair(row["subject"] or "–", f"Site {row['site']}" if row["site"] else "No site"),
        Pair(
            wording.sentence(row["preferred_term"] or row["term"]) or "–",
            wording.sentence(row["system_organ_class"]) or "Not coded",
        ),
        Flag(severity) if severity == "Severe" else severity,
        Flag("Yes", "up") if row["serious"] else "No",
        wording.sentence(row["related"]) or "–",
        wording.sentence(row["outcome"]) or "–",
        Pair(row["start"][:10] or "–", row["end"][:10] or "no end given"),
    )


_LAB_COLUMNS = (
    Column("Site", 28),
    Column("Subject", 58, lines=1),
    Column("Arrived", 40, lines=1),
    Column("Test", 128, bold=True),
    Column("Value", 46, "right", lines=1),
    Column("Unit", 48, lines=1),
    Column("Reference range", 68, lines=1),
    Column("Finding", 42, lines=1),
    Column("Outside by", 47, "right", lines=1),
)


def abnormal_labs(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    if trial.values[Figure.ABNORMAL_LABS] is None:
        return
    labs = trial.abnormal_labs
    flow.heading("Laboratory results out of range", bookmark=f"Laboratory results ({trial.trial})")
    if not len(labs):
        flow.note("No laboratory result lay outside its range.")
        return
    flow.note(
        "Values and ranges in standard units, farthest outside first. “Outside by” is the distance beyond "
        "the limit as a multiple of the width of the range (of the limit, where only one is known)."
    )
    flow.space(4)
    flow.table(_LAB_COLUMNS, [_lab_row(row) for row in _head(labs, "abnormal_labs")])
    _more(flow, len(labs), "abnormal_labs", "result")


def _lab_row(row: Mapping[str, float]) -> tuple[Cell, ...]:
    low = row["value"] < row["low"]
    return (
        str(row["site"]) or "–",
        str(row["subject"]) or "–",
        wording.day(str(row["day"])),
        str(row["test"]) or str(row["test_code"]) or "–",
        wording.amount(row["value"]),
        str(row["unit"]) or "–",
        wording.reference_range(row["low"], row["high"]),
        Flag("Low", "down") if low else Flag("High", "up"),
        f"{row['deviation']:.2f} ×" if row["deviation"] >= 0.005 else "< 0.01 ×",
    )


_SITE_COLUMNS = (
    Column("Site", 14, bold=True),
    Column("Documents", 13, "right"),
    Column("Subjects", 11, "right"),
    Column("Visits", 11, "right"),
    Column("Adverse events", 14, "right"),
    Column("of these serious", 12, "right"),
    Column("Lab results with a range", 16, "right"),
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
    "labs": Figure.LAB_RESULTS_ASSESSED,
    "out_of_range": Figure.ABNORMAL_LABS,
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
        flow.paragraph(shown, most=12)
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


def _provenance(flow: Flow, content: ReportContent) -> None:
    flow.heading("Provenance", bookmark="Provenance")
    flow.space(2)
    rows = [
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
    flow.heading("Files that could not be used", bookmark="Files that could not be used")
    bad = [
        (trial.trial, row)
        for trial in content.trials
        for row in trial.files.where(trial.files.facts["file_status"] != "ok").records()
    ]
    if not bad:
        flow.note("All files of the period were found intact.")
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
                f"{row['file_status'].capitalize()}: {row['file_reason'] or 'no reason was given'}",
            )
            for trial, row in bad[: CAPS["bad_files"]]
        ],
    )
    _more(flow, len(bad), "bad_files", "file")


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
        (trial, row["site"] or "–", row["field"] or "–", row["document_id"] or "–", row["message"])
        for trial, row in findings[: CAPS["findings"]]
    ]
    columns = (
        Column("Trial", 15),
        Column("Site", 6),
        Column("Field", 12),
        Column("Document", 30, lines=1),
        Column("What was found", 49, lines=3),
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
