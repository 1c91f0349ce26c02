"""Charts with what they say: the numbers behind each as a table, and the sentence that stands for it.

Both come from the data that is drawn, so neither can say anything that the drawing does not.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from reporting_pipeline.reports import wording
from reporting_pipeline.reports.blocks import Chart
from reporting_pipeline.reports.pdf.surface import Surface
from reporting_pipeline.reports.plots import Axis, Point


def bars(
    title: str, surface: Surface, width: float, height: float, frame: pd.DataFrame, head: Sequence[str],
    names: Sequence[str] = (), last_is_whole: bool = False,
) -> Chart:  # fmt: skip
    """A chart of bars: a row of `frame` is a bar, its columns the parts, called `head[1:]`.

    `names`: of the rows, where the index does not say them; `last_is_whole`: the last column is no part
    but that of which the parts are.
    """
    named = [str(name) for name in (names or frame.index)]
    counts = [[int(value) for value in row] for row in frame.to_numpy().tolist()]
    rows = tuple(
        (name or wording.NOT_NAMED, *map(wording.count, values))
        for name, values in zip(named, counts, strict=True)
    )
    totals = [sum(values[:-1] if last_is_whole else values) for values in counts]
    says = wording.bars_say(title, tuple(head), rows, totals)
    return Chart(title, surface, width, height, says, tuple(head), rows)


def points(
    title: str, surface: Surface, width: float, height: float, marks: Sequence[Point], x: Axis, y: Axis
) -> Chart:
    """A chart of points. Whom the drawing does not name is not named here."""
    rows = tuple(
        (
            mark.name if mark.stands_out and mark.name else wording.NOT_NAMED,
            wording.rounded(mark.x),
            wording.rounded(mark.y),
        )
        for mark in marks
    )
    out = [mark.name for mark in marks if mark.stands_out and mark.name]
    says = wording.points_say(title, len(marks), out, (x.label, x.limits), (y.label, y.limits))
    return Chart(title, surface, width, height, says, (wording.NAME, x.label, y.label), rows)
