"""The first page and the running header and footer: the shared half, and the personal half.

Personal texts have fixed boxes and are cut to them, so that they never move what is shared.
"""

from __future__ import annotations

from reporting_pipeline.domain.figures import Figure, TrialFigures
from reporting_pipeline.reports import wording
from reporting_pipeline.reports.palette import ACCENT, ALARM, FAINT, INK, MUTED, TINT
from reporting_pipeline.reports.pdf.binding import PAGE_HEIGHT, Page, Personal
from reporting_pipeline.reports.pdf.layout import BOTTOM, LEFT, RIGHT, WIDTH, Flow
from reporting_pipeline.reports.pdf.surface import Surface
from reporting_pipeline.reports.pdf.tables import TEXT, Column, Pair
from reporting_pipeline.reports.pdf.typesetting import clean, fit, wrap
from reporting_pipeline.reports.request import ReportRequest
from reporting_pipeline.reports.sections import ReportContent, filter_rows, omission_text, tiles
from reporting_pipeline.reports.types.base import ReportType

_BAND_TOP = PAGE_HEIGHT - 128.0  # lower edge of the title band
_WHO_TOP = _BAND_TOP - 22
_HALF = WIDTH * 0.55
_TRIALS_SHOWN = 10
_OMISSIONS_SHOWN = 4
#: Heights of the table of trials: its two-line head, a row (always two lines), head and lines below.
_TRIAL_HEAD, _TRIAL_ROW, _AROUND_TRIALS = 24.0, 23.0, 110.0


def shared_cover(flow: Flow, content: ReportContent, kind: ReportType) -> None:
    """The first page but for the names: title, period, trials, key figures."""
    surface = flow.surface
    surface.rectangle(0, _BAND_TOP, 1000, PAGE_HEIGHT - _BAND_TOP, fill=TINT)
    surface.rectangle(0, _BAND_TOP, 1000, 2.5, fill=ACCENT)
    surface.text(LEFT, PAGE_HEIGHT - 48, fit(content.organisation, WIDTH, 10, True), 10, MUTED, bold=True)
    surface.text(LEFT, PAGE_HEIGHT - 82, fit(content.title, WIDTH, 25, True), 25, ACCENT, bold=True)
    surface.text(LEFT, PAGE_HEIGHT - 106, wording.period_title(content.period), 14, INK)
    x = LEFT + _HALF
    _fact(surface, x, _WHO_TOP, "Period", wording.period_detail(content.period))
    _fact(
        surface, x, _WHO_TOP - 34, "Data as of", wording.moment(content.data_as_of, content.period.timezone)
    )
    names = ", ".join(trial.trial for trial in content.trials) or "None that can be reported"
    if len(content.trials) > 3:
        names = f"{len(content.trials)}: {names}"
    _fact(surface, x, _WHO_TOP - 68, "Trials", names)
    flow.y = _WHO_TOP - 112
    _left_out(flow, content)
    if content.is_empty:
        _empty_statement(flow, content)
        return
    flow.heading("Key figures", bookmark="Overview", level=0)
    flow.space(6)
    flow.tiles(tiles(content.totals, kind.tiles, content.noun))
    _contents(flow, content)


def _left_out(flow: Flow, content: ReportContent) -> None:
    """What is missing from this report, before anything that is in it."""
    if not content.omissions:
        return
    shown = [
        line
        for omission in content.omissions[:_OMISSIONS_SHOWN]
        for line in wrap(omission_text(omission), WIDTH - 18, 8, False, 2)
    ]
    rest = len(content.omissions) - _OMISSIONS_SHOWN
    if rest > 0:
        shown.append(f"and {wording.plural(rest, 'more part')}; the appendix names them all.")
    height = 24 + 11 * len(shown)
    top = flow.y - 4
    flow.surface.rectangle(LEFT, top - height, WIDTH, height, stroke=ALARM, line_width=0.8)
    flow.surface.rectangle(LEFT, top - height, 3, height, fill=ALARM)
    flow.surface.text(LEFT + 11, top - 14, "This report is not complete", 9.5, ALARM, bold=True)
    for number, line in enumerate(shown):
        flow.surface.text(LEFT + 11, top - 27 - 11 * number, line, 8, INK)
    flow.y = top - height - 4


def _fact(surface: Surface, x: float, y: float, label: str, text: str) -> None:
    surface.text(x, y, label, 7.5, MUTED)
    surface.text(x, y - 13, fit(text, RIGHT - x, 9), 9, INK)


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
    room = max(0, int((flow.y - BOTTOM - _AROUND_TRIALS) / _TRIAL_ROW))
    shown = content.with_documents[: min(_TRIALS_SHOWN, room)]
    top = flow.y - _TRIAL_HEAD
    width = WIDTH * 0.5 - 6
    flow.table(
        (Column("Trial", 60, bold=True), *(Column(name, 12, "right") for name, _ in _GLANCE)),
        [
            (
                Pair(fit(trial.trial, width, TEXT, True), fit(trial.title, width, 7)),
                *(_glance(trial, figures) for _, figures in _GLANCE),
            )
            for trial in shown
        ],
    )
    for place, trial in enumerate(shown):
        y = top - _TRIAL_ROW * place
        flow.page.links.append((LEFT, y - _TRIAL_ROW, RIGHT, y, f"Trial {trial.trial}"))
    rest = len(content.with_documents) - len(shown)
    if rest > 0:
        flow.note(f"and {wording.plural(rest, 'more trial')}, each with its own part; see the bookmarks.")
    quiet = [trial.trial for trial in content.trials if trial.is_empty]
    if quiet:
        flow.space(3)
        text = f"Without documents in this period: {', '.join(quiet)}."
        for line in wrap(text, WIDTH, 8, False, 3):
            flow.y -= 11
            flow.surface.text(LEFT, flow.y, line, 8, MUTED)
    synthetic = sum(trial.synthetic_documents for trial in content.trials)
    if synthetic:
        flow.space(3)
        flow.note(f"Contains {wording.plural(synthetic, 'synthetic document')}: generated, not collected.")


def number_pages(pages: list[Page], content: ReportContent) -> None:
    """The shared half of every footer: "Page x of y" and the age of the data."""
    as_of = f"Data as of {wording.moment(content.data_as_of, content.period.timezone)}"
    for number, page in enumerate(pages, 1):
        surface = page.surface
        surface.line(LEFT, 40, RIGHT, 40, FAINT, 0.5)
        surface.text(RIGHT, 28, f"Page {number} of {len(pages)}", 7.5, MUTED, align="right")
        surface.text(LEFT + WIDTH / 2, 28, as_of, 7.5, MUTED, align="center")


def personal_parts(request: ReportRequest, title: str) -> Personal:
    """Cover and header of one reader, and the document information."""
    subscription = request.subscription
    period = wording.period_title(request.period)
    cover, header = Surface(), Surface()
    width = _HALF - 20
    cover.text(LEFT, _WHO_TOP, "Prepared for", 7.5, MUTED)
    _lines(cover, LEFT, _WHO_TOP - 16, request.owner_name, width, 14, True, 2)
    cover.text(LEFT, _WHO_TOP - 53, "Subscription", 7.5, MUTED)
    _lines(cover, LEFT, _WHO_TOP - 66, subscription.name, width, 10, False, 2)
    cover.text(LEFT, 28, f"Document {clean(request.document_id)}", 7.5, MUTED)
    header.text(
        LEFT, PAGE_HEIGHT - 38, fit(f"{subscription.name}", WIDTH * 0.6, 8, True), 8, MUTED, bold=True
    )
    header.text(RIGHT, PAGE_HEIGHT - 38, fit(f"{title}, {period}", WIDTH * 0.38, 8), 8, MUTED, align="right")
    header.line(LEFT, PAGE_HEIGHT - 45, RIGHT, PAGE_HEIGHT - 45, FAINT, 0.5)
    header.text(LEFT, 28, f"Document {clean(request.document_id)}", 7.5, MUTED)
    return Personal(
        cover=cover,
        header=header,
        title=clean(f"{subscription.name}: {period}"[:400]),
        subject=f"{title}, {wording.period_detail(request.period)}",
        author=clean(request.organisation_name[:400]),
        keywords=clean(f"{request.document_id}, {request.subscription.report_type}"),
        creator=clean(f"reporting-pipeline {request.code_version}"),
        created=request.period.end_at,
    )


def _lines(
    surface: Surface, x: float, y: float, text: str, width: float, size: float, bold: bool, most: int
) -> None:
    lines = wrap(text, width, size, bold, most)
    if len(lines) > 1:  # two lines share the box of one
        size *= 0.82
        lines = wrap(text, width, size, bold, most)
    for number, line in enumerate(lines):
        surface.text(x, y - number * size * 1.2, line, size, INK, bold=bold)
