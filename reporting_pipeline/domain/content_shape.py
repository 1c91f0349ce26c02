"""What of a trial's dataset the content gate looks at: counts, columns, and whether documents gave rows.

Apart from `content_gate`, which every process loads: only aggregating needs tables.
"""

from __future__ import annotations

from collections import Counter

from reporting_pipeline.domain.content_gate import ContentShape
from reporting_pipeline.domain.datasets import TABLES, TrialDataset
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.facts import CURRENT
from reporting_pipeline.domain.figures import Figure, figures_for
from reporting_pipeline.domain.subscriptions import Filters

#: Counts that only grow unless something was lost; shares and files say nothing of that kind.
TOTALS = (
    Figure.DOCUMENTS,
    Figure.SUBJECTS,
    Figure.ADVERSE_EVENTS,
    Figure.SERIOUS_ADVERSE_EVENTS,
    Figure.DEATHS,
    Figure.RESULTS_ASSESSED,
    Figure.OUT_OF_RANGE,
    Figure.VISITS,
    Figure.DISPOSITIONS,
)
#: A column is missed where it was filled in each of the periods before, of tables with so many rows.
ROWS_FOR_A_COLUMN = 10
#: Documents of these kinds may be a file or a text and no row.
_WITHOUT_ROWS = frozenset({Kind.NOTE.value, Kind.LAB_SHEET.value, Kind.IMAGING.value, Kind.ECG.value})


def shape_of(dataset: TrialDataset) -> ContentShape:
    """What of a dataset is remembered: counts over the whole trial, and which columns say anything."""
    values = figures_for(dataset, Filters()).values
    counted = {figure: value for figure in TOTALS if (value := values.get(figure)) is not None}
    columns, mostly = {}, {}
    for name in dataset.tables:
        if name in ("documents", "findings"):
            continue
        rows, filled = _filled(dataset, name)
        if rows < ROWS_FOR_A_COLUMN:
            continue
        columns[name] = sorted(one for one, count in filled.items() if count)
        mostly[name] = sorted(one for one, count in filled.items() if count / rows >= 0.5)
    return ContentShape(
        {figure.value: float(value.current) for figure, value in counted.items()},
        {figure.value: float(value.previous) for figure, value in counted.items()},
        columns,
        mostly,
    )


def _filled(dataset: TrialDataset, name: str) -> tuple[int, Counter[str]]:
    """(Rows of the period, how many of them say something in each column)."""
    rows, filled = 0, Counter[str]()
    for part in dataset.parts(name, list(TABLES[name])):
        current = part[part["window"] == CURRENT] if "window" in part else part
        rows += len(current)
        filled.update({str(one): int((current[one].notna() & (current[one] != "")).sum()) for one in current})
    return rows, filled


def rowless(dataset: TrialDataset) -> str:
    """Says which documents arrived, where none of them gave a row; "" else."""
    documents = dataset.tables["documents"]
    arrived = documents[(documents["window"] == CURRENT) & ~documents["kind"].isin(_WITHOUT_ROWS)]
    arrived = arrived[arrived["kind"].isin([kind.value for kind in Kind])]
    if not len(arrived) or any(_has_current_rows(dataset, name) for name in dataset.tables):
        return ""
    kinds = ", ".join(sorted(set(arrived["kind"])))
    return f"{len(arrived)} documents arrived ({kinds}) and none of them gave a row"


def _has_current_rows(dataset: TrialDataset, name: str) -> bool:
    if name in ("documents", "findings") or "window" not in TABLES[name]:
        return False
    return any((part["window"] == CURRENT).any() for part in dataset.parts(name, ["window"]))
