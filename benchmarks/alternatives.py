"""The same report by WeasyPrint and by Typst: equal tables, notes and pictures, charts given as PNG.

Both are favoured: figures are computed and charts drawn once and outside of what is measured.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pandas as pd

from benchmarks import measuring
from benchmarks.platypus import AE_COLUMNS, LAB_COLUMNS, MOST_ROWS, chart, charts_of
from reporting_pipeline.domain.figures import TrialFigures, figures_for
from reporting_pipeline.reports.images import ThumbnailCache
from reporting_pipeline.reports.request import ReportRequest


@dataclass(frozen=True)
class Page:
    """What a document says, ready to be set."""

    title: str
    reader: str
    figures: list[str]
    charts: list[str]  # paths of PNG files
    tables: list[list[list[str]]]  # rows of cells, the first row is the header
    notes: list[str]
    pictures: list[str]  # paths of JPEG files


def measure(sample: Sequence[ReportRequest], thumbnails: ThumbnailCache) -> dict[str, object]:
    """CPU seconds of one document, by program; a text instead where the program does not run here."""
    with tempfile.TemporaryDirectory(prefix="reporting-alternatives-") as name:
        folder = Path(name)
        pages = [page_of(request, thumbnails, folder / f"{at}") for at, request in enumerate(sample)]
        return {
            "weasyprint": _seconds(weasyprint_document, pages, folder),
            "typst": _seconds(typst_document, pages, folder),
        }


def page_of(request: ReportRequest, thumbnails: ThumbnailCache, folder: Path) -> Page:
    folder.mkdir(parents=True)
    (dataset,) = request.datasets
    trial = figures_for(dataset, request.subscription.filters)
    charts = []
    for at, frame in enumerate(charts_of(trial)):
        path = folder / f"chart{at}.png"
        path.write_bytes(chart(frame).getvalue())
        charts.append(str(path))
    return Page(
        title=f"{trial.title}, {request.period.key}",
        reader=f"Prepared for {request.owner_name}",
        figures=[
            f"{figure.label}: {value.current:g}"
            for figure, value in trial.values.items()
            if value is not None
        ],
        charts=charts,
        tables=_tables(trial),
        notes=[str(note) for note in trial.notes["note"][:20]],
        pictures=[thumbnails.path(one) for one in list(trial.media.values())[:12]],
    )


def weasyprint_document(page: Page, _: Path) -> bytes:
    from weasyprint import HTML  # type: ignore[import-untyped,unused-ignore]

    tables = "".join(
        "<table>" + "".join(_html_row(row, "td" if at else "th") for at, row in enumerate(table)) + "</table>"
        for table in page.tables
    )
    pictures = "".join(f'<img src="file://{path}" width="220">' for path in [*page.charts, *page.pictures])
    texts = "".join(f"<p>{escape(text)}</p>" for text in [page.reader, *page.figures, *page.notes])
    style = "table{font-size:7pt;border-collapse:collapse;width:100%}td,th{border-bottom:.2pt solid #ccc}"
    return bytes(
        HTML(
            string=f"<style>body{{font:9pt sans-serif}}{style}</style><h1>{escape(page.title)}</h1>"
            f"{texts}{pictures}{tables}"
        ).write_pdf()
    )


def typst_document(page: Page, folder: Path) -> bytes:
    import typst

    source = folder / "report.typ"
    data = {**page.__dict__, "charts": [], "pictures": []}
    images = [str(Path("/") / Path(path).relative_to("/")) for path in [*page.charts, *page.pictures]]
    source.write_text(
        "#let page_data = json(bytes(" + json.dumps(json.dumps(data)) + "))\n"
        '#set text(size: 9pt)\n#set page(paper: "a4")\n'
        "= #page_data.title\n#page_data.reader\n"
        "#for one in page_data.figures [- #one]\n"
        + "".join(f"#image({json.dumps(path)}, width: 45%)\n" for path in images)
        + "#set text(size: 7pt)\n"
        "#for rows in page_data.tables {\n"
        "  table(columns: rows.at(0).len(), stroke: 0.2pt, ..rows.flatten())\n}\n"
        "#for one in page_data.notes [#par(one)]\n"
    )
    return bytes(typst.compile(str(source), root="/"))


def _seconds(make: Callable[[Page, Path], bytes], pages: Sequence[Page], folder: Path) -> float | str:
    try:
        assert make(pages[0], folder).startswith(b"%PDF")
    except (ImportError, OSError) as error:  # WeasyPrint needs libraries of the system
        return f"left out: {type(error).__name__}: {error}"[:200]
    with measuring.Watch() as watch:
        for page in pages:
            make(page, folder)
    return watch.cpu / len(pages)


def _tables(trial: TrialFigures) -> list[list[list[str]]]:
    frames = [
        trial.adverse_events.frame[list(AE_COLUMNS)],
        trial.out_of_range.frame[list(LAB_COLUMNS)],
        trial.site_activity.reset_index(),
    ]
    return [_cells(frame) for frame in frames if not frame.empty]


def _cells(frame: pd.DataFrame) -> list[list[str]]:
    rows = frame.head(MOST_ROWS).itertuples(index=False)
    return [[str(column) for column in frame.columns], *([str(cell) for cell in row] for row in rows)]


def _html_row(row: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) + "</tr>"
