"""What a report begins with, the same for all its readers: title, period, what is missing, figures."""

from __future__ import annotations

from math import isfinite

from reporting_pipeline.domain.figures import Figure, TrialFigures
from reporting_pipeline.reports import wording
from reporting_pipeline.reports.blocks import Column, Flow, Letterhead, Pair, Picture
from reporting_pipeline.reports.content import ReportContent
from reporting_pipeline.reports.palette import ACCENT, MUTED, rgb
from reporting_pipeline.reports.request import ReportRequest
from reporting_pipeline.reports.sections import filter_rows, omission_text, tiles
from reporting_pipeline.reports.types.base import ReportType

_TRIALS_SHOWN = 10
_OMISSIONS_SHOWN = 4
#: Heights of the table of trials: a row (always two lines), its head and the lines below it.
_TRIAL_ROW, _AROUND_TRIALS = 23.0, 110.0


def letterhead_of(content: ReportContent) -> Letterhead:
    """The organisation's own colour and logo, as they are drawn."""
    own, name = content.branding, content.organisation
    logo = own.logo
    return Letterhead(
        rgb(own.colour) if own.colour else ACCENT,
        Picture(content.thumbnail_path(logo), logo.width, logo.height, (name,), says=name) if logo else None,
    )


def shared_cover(flow: Flow, content: ReportContent, kind: ReportType) -> None:
    """The first page but for the names: title, period, trials, key figures."""
    names = ", ".join(trial.trial for trial in content.trials) or "None that can be reported"
    if len(content.trials) > 3:
        names = f"{len(content.trials)}: {names}"
    flow.first_page(
        content.organisation,
        content.title,
        wording.period_title(content.period),
        (
            ("Period", wording.period_detail(content.period)),
            ("Data as of", wording.moment(content.data_as_of, content.period.timezone)),
            ("Trials", names),
        ),
    )
    _preliminary(flow, content)
    _left_out(flow, content)
    if content.is_empty:
        _empty_statement(flow, content)
        return
    flow.heading("Key figures", bookmark="Overview", level=0)
    flow.space(6)
    flow.tiles(tiles(content.totals, kind.tiles, content.noun, content.traced))
    if content.traced:
        flow.note("Each figure leads to the documents behind it, for whoever may read them.")
    _contents(flow, content)


def _preliminary(flow: Flow, content: ReportContent) -> None:
    """Before anything else: the period is not over, and every number may still change."""
    if content.preliminary_at is not None:
        told = wording.preliminary(content.preliminary_at, content.period.timezone)
        flow.alert("Preliminary", [told])


def _left_out(flow: Flow, content: ReportContent) -> None:
    """What is missing from this report, before anything that is in it."""
    if not content.omissions:
        return
    shown = [omission_text(omission) for omission in content.omissions[:_OMISSIONS_SHOWN]]
    rest = len(content.omissions) - _OMISSIONS_SHOWN
    if rest > 0:
        shown.append(f"and {wording.plural(rest, 'more part')}; the appendix names them all.")
    flow.alert("This report is not complete", shown)


def _empty_statement(flow: Flow, content: ReportContent) -> None:
    flow.heading(f"No documents this {content.noun}", bookmark="Overview", level=0)
    flow.space(4)
    flow.paragraph(
        "No document that matches the filters of this subscription arrived in the period "
        f"{wording.period_detail(content.period)}"
        + (
            " in the trials that could be reported; the others are named above."
            if content.omissions
            else ". There is nothing else to report; the next report comes as scheduled."
        ),
        10,
    )
    flow.space(10)
    for name, selected in filter_rows(content.filters):
        flow.paragraph(f"{name}: {selected}", 9, MUTED, most=4)


_GLANCE = (
    ("Documents", (Figure.DOCUMENTS,)),
    ("Adverse events", (Figure.ADVERSE_EVENTS,)),
    ("Serious", (Figure.SERIOUS_ADVERSE_EVENTS,)),
    ("Out of range", (Figure.OUT_OF_RANGE,)),
    ("Files unusable", (Figure.FILES_MISSING, Figure.FILES_CORRUPT)),
)


def _glance(trial: TrialFigures, figures: tuple[Figure, ...]) -> str:
    values = [value.current for figure in figures if (value := trial.values[figure]) is not None]
    return wording.count(sum(values)) if values else "–"


def _contents(flow: Flow, content: ReportContent) -> None:
    """The trials in one row each, linked to their pages."""
    flow.heading("Trials in this report", keep=20)
    flow.space(4)
    trials = content.with_documents
    if isfinite(flow.room):
        trials = trials[: min(_TRIALS_SHOWN, max(0, int((flow.room - _AROUND_TRIALS) / _TRIAL_ROW)))]
    flow.table(
        (
            Column("Trial", 60, bold=True, lines=1, lines_under=1, names=True),
            *(Column(name, 12, "right") for name, _ in _GLANCE),
        ),
        [
            (Pair(trial.trial, trial.title), *(_glance(trial, figures) for _, figures in _GLANCE))
            for trial in trials
        ],
        targets=[f"Trial {trial.trial}" for trial in trials],
    )
    rest = len(content.with_documents) - len(trials)
    if rest > 0:
        flow.note(f"and {wording.plural(rest, 'more trial')}, each with its own part; see the bookmarks.")
    quiet = [trial.trial for trial in content.trials if trial.is_empty]
    if quiet:
        flow.space(3)
        flow.paragraph(f"Without documents in this period: {', '.join(quiet)}.", 8, MUTED, most=3)
    synthetic = sum(trial.synthetic_documents for trial in content.trials)
    if synthetic:
        flow.space(3)
        flow.note(f"Contains {wording.plural(synthetic, 'synthetic document')}: generated, not collected.")


#: The console's address of a report's figures; a figure's name follows the report's id.
TRACE = "/console/trace/"


def trace_address(request: ReportRequest) -> str:
    """Where the figures of a reader's own report lead to their documents; "" for nowhere."""
    return f"{request.console_url.rstrip('/')}{TRACE}{request.document_id}/" if request.console_url else ""
