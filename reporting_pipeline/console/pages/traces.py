"""From a figure, on a page of a PDF or of the console, to the documents behind it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from reporting_pipeline.console.deployment import Parts, Person
from reporting_pipeline.console.pages.layout import Page
from reporting_pipeline.console.rendering import html
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.figures import Figure
from reporting_pipeline.usecases.callers.context import scoped
from reporting_pipeline.usecases.callers.tracing import traced

router = APIRouter()

SHOWN = 500  # documents of a trial on the page; the API names all of them


@router.get("/console/trace/{report_id}/{figure}")
def trace_page(
    report_id: Annotated[str, Path(pattern=r"^rep_[0-9a-f]{20}$")],
    figure: Figure,
    visitor: Person,
    parts: Parts,
) -> Response:
    """What the figure was counted from, as far as this person may read it."""
    found = traced(parts, visitor.user, report_id, figure)
    listed = [one for trial in found.trials for one in trial.documents[:SHOWN]]
    return html(
        "trace.html",
        page=Page(visitor, "/console/"),
        report=found.report,
        figure=figure,
        figures=list(Figure),
        trials=found.trials,
        told=scoped(parts, visitor.user).documents_named(listed),
        shown=SHOWN,
        kinds={kind.value: kind.label for kind in Kind},
    )
