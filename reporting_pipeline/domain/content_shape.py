"""What of a trial's dataset the content gate looks at: counts, columns, and whether documents gave rows.

Apart from `content_gate`, which every process loads: only aggregating needs tables.
"""

from __future__ import annotations

from reporting_pipeline.domain.content_gate import ContentShape
from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.documents import Kind
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
    for name, table in dataset.tables.items():
        current = table[table["window"] == "current"] if "window" in table else table
        if name in ("documents", "findings") or len(current) < ROWS_FOR_A_COLUMN:
            continue
        shares = {str(one): float((current[one].notna() & (current[one] != "")).mean()) for one in current}
        columns[name] = sorted(one for one, share in shares.items() if share > 0)
        mostly[name] = sorted(one for one, share in shares.items() if share >= 0.5)
    return ContentShape(
        {figure.value: float(value.current) for figure, value in counted.items()},
        {figure.value: float(value.previous) for figure, value in counted.items()},
        columns,
        mostly,
    )


def rowless(dataset: TrialDataset) -> str:
    """Says which documents arrived, where none of them gave a row; "" else."""
    documents = dataset.tables["documents"]
    arrived = documents[(documents["window"] == "current") & ~documents["kind"].isin(_WITHOUT_ROWS)]
    arrived = arrived[arrived["kind"].isin([kind.value for kind in Kind])]
    facts = sum(
        int((table["window"] == "current").sum())
        for name, table in dataset.tables.items()
        if name not in ("documents", "findings") and "window" in table
    )
    if not len(arrived) or facts:
        return ""
    kinds = ", ".join(sorted(set(arrived["kind"])))
    return f"{len(arrived)} documents arrived ({kinds}) and none of them gave a row"
