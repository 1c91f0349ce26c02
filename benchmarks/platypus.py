"""The same report in the usual way: a platypus story, Paragraphs in cells, charts as PNG, from scratch.

What the benchmarks compare with. It is written as reportlab's guide teaches, with its defaults: no
shared body, no cached chart, ASCII85 streams. Fonts are registered once per process.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from xml.sax.saxutils import escape

import pandas as pd
from matplotlib.figure import Figure
from reportlab import rl_config
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import (
    Flowable,
    Image,
    LongTable,
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    TableStyle,
)

from benchmarks import measuring
from reporting_pipeline.domain.figures import TrialFigures, figures_for
from reporting_pipeline.reports import fonts
from reporting_pipeline.reports.images import ThumbnailCache
from reporting_pipeline.reports.request import ReportRequest

FACES = {"Plain": "NotoSans-Regular.ttf", "Plain-Bold": "NotoSans-Bold.ttf"}
MOST_ROWS = 60
_GRID = TableStyle(
    [
        ("BACKGROUND", (0, 0), (-1, 0), colors.HexColor("#e8edf2")),
        ("LINEBELOW", (0, 0), (-1, -1), 0.25, colors.HexColor("#c9d1d9")),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ]
)
AE_COLUMNS = (
    "site",
    "subject",
    "preferred_term",
    "severity",
    "serious",
    "related",
    "outcome",
    "start",
    "end",
)
LAB_COLUMNS = ("site", "subject", "day", "test", "value", "unit", "low", "high", "indicator")


def seconds_per_document(sample: Sequence[ReportRequest], thumbnails: ThumbnailCache) -> float:
    """CPU seconds of one platypus document: the mean over `sample` after a first one that warms up."""
    with as_installed():
        document(sample[0], thumbnails)
        with measuring.Watch() as watch:
            for request in sample:
                document(request, thumbnails)
    return watch.cpu / len(sample)


@contextmanager
def as_installed() -> Iterator[None]:
    """reportlab's own defaults, which the product changes for itself."""
    before = rl_config.useA85
    rl_config.useA85 = 1
    try:
        yield
    finally:
        rl_config.useA85 = before


def document(request: ReportRequest, thumbnails: ThumbnailCache) -> bytes:
    """One whole document: the figures are computed, the charts drawn, the pages laid out for it alone."""
    _register()
    story: list[Flowable] = [
        _text(f"Weekly trial activity, {request.period.key}", 18, bold=True),
        _text(f"Prepared for {request.owner_name}, {request.organisation_name}", 10),
    ]
    for dataset in request.datasets:
        story += _trial(figures_for(dataset, request.subscription.filters), thumbnails)
    buffer = io.BytesIO()
    SimpleDocTemplate(buffer, pagesize=A4).build(story)
    return buffer.getvalue()


def _trial(trial: TrialFigures, thumbnails: ThumbnailCache) -> list[Flowable]:
    story: list[Flowable] = [_text(trial.title, 12, bold=True)]
    for figure, value in trial.values.items():
        if value is not None:
            story.append(_text(f"{figure.label}: {value.current:g} ({value.change:+g})", 9))
    for frame in charts_of(trial):
        story += [Image(chart(frame), 420, 160), Spacer(1, 6)]
    story += [
        PageBreak(),
        _table(trial.adverse_events.frame, AE_COLUMNS),
        Spacer(1, 10),
        _table(trial.out_of_range.frame, LAB_COLUMNS),
        Spacer(1, 10),
        _table(trial.site_activity.reset_index(), tuple(trial.site_activity.reset_index().columns)),
    ]
    story += [_text(str(note), 9) for note in trial.notes["note"][:20]]
    for thumbnail in list(trial.media.values())[:12]:
        picture = io.BytesIO(Path(thumbnails.path(thumbnail)).read_bytes())
        story.append(Image(picture, 160, 160 * thumbnail.height / thumbnail.width))
    return story


def _table(frame: pd.DataFrame, columns: Sequence[str]) -> Flowable:
    rows = [[_text(str(column).replace("_", " "), 7, bold=True) for column in columns]]
    for row in frame[list(columns)].head(MOST_ROWS).itertuples(index=False):
        rows.append([_text(str(value), 7) for value in row])
    return LongTable(rows, repeatRows=1, style=_GRID)


def charts_of(trial: TrialFigures) -> list[pd.DataFrame]:
    frames = (trial.documents_by_day, trial.visits_by_site, trial.adverse_events_by_class)
    return [frame for frame in frames if not frame.empty]


def chart(frame: pd.DataFrame) -> io.BytesIO:
    """A bar chart as PNG, as matplotlib draws it out of the box."""
    figure = Figure(figsize=(7, 2.6), dpi=120)
    frame.plot.bar(stacked=True, ax=figure.subplots(), fontsize=6)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    buffer.seek(0)
    return buffer


def _text(text: str, size: float, bold: bool = False) -> Paragraph:
    return Paragraph(escape(text), _style(size, bold))


@lru_cache
def _style(size: float, bold: bool) -> ParagraphStyle:
    face = "Plain-Bold" if bold else "Plain"
    return ParagraphStyle(f"{face}{size}", fontName=face, fontSize=size, leading=size * 1.3)


@lru_cache(maxsize=1)
def _register() -> None:
    folder = Path(str(fonts.__file__)).parent
    for name, file in FACES.items():
        pdfmetrics.registerFont(TTFont(name, str(folder / file)))
