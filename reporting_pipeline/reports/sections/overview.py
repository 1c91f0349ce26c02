"""What a trial comes to at a glance: its title, what happened, tiles of figures, charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reporting_pipeline.domain.figures import Figure, TrialFigures, Value
from reporting_pipeline.reports import charts, wording
from reporting_pipeline.reports.blocks import Chart, Flow, Tile
from reporting_pipeline.reports.content import ReportContent
from reporting_pipeline.reports.described import bars
from reporting_pipeline.reports.pdf.layout import WIDTH


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
