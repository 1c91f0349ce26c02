"""One table in full, with the columns and rows that are asked for.

PDF and HTML show as many rows as CAP and say how many they leave out; the others hold them all. Of a table
that is too large for memory no more is read at a time than a batch, and for PDF and HTML no further than CAP.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pandas as pd
import pyarrow as pa
from pydantic import Field, model_validator

from reporting_pipeline.domain.datasets import RESTRICTED, TABLES
from reporting_pipeline.domain.deferred import DEFERRABLE
from reporting_pipeline.domain.facts import Listing
from reporting_pipeline.domain.figures import Figure, TrialFigures
from reporting_pipeline.domain.parameters import Parameters
from reporting_pipeline.reports import sections, wording
from reporting_pipeline.reports.blocks import Column, Flow
from reporting_pipeline.reports.content import ReportContent
from reporting_pipeline.reports.csv import columns_of
from reporting_pipeline.reports.deferred_rows import rows_of_deferred
from reporting_pipeline.reports.rows import (
    RowTable,
    TrialRows,
    rows_of_listing,
    schema_of,
    table_of_trials,
)
from reporting_pipeline.reports.types.base import ReportType

#: Rows of a trial in PDF and HTML; more are for a machine.
CAP = 1_000
#: Columns in a PDF: more cannot be read on a page.
COLUMNS_SHOWN = 8
#: Of a cell: what is cut may be the word that counts, as of RECOVERED/RESOLVED WITH SEQUELAE.
LINES = 6

TableName = Literal[
    "adverse_events",
    "deviations",
    "dispositions",
    "documents",
    "ecgs",
    "exposures",
    "findings",
    "labs",
    "medical_history",
    "medications",
    "other_results",
    "questionnaires",
    "subjects",
    "tumour_responses",
    "visits",
    "vitals",
]
#: What a reader looks for first, where no columns are chosen and not all have room.
_FIRST: Mapping[str, tuple[str, ...]] = {
    "adverse_events": (
        *("subject", "preferred_term", "severity", "serious", "related"),
        *("outcome", "start", "end"),
    ),
    "subjects": ("subject", "site", "age", "sex", "consented", "enrolled", "status", "died"),
    "visits": ("subject", "visit", "start", "visit_status", "reason_not_done"),
    "tumour_responses": (
        *("subject", "collected", "lesion", "lesion_type", "location", "test", "value_text", "value_unit"),
    ),
    "other_results": (
        *("subject", "collected", "domain", "test", "value_text", "value_unit", "reference_text", "flag"),
    ),
    "findings": ("document_id", "subject", "code", "field", "message"),
    "documents": ("received_at", "site", "subject", "kind", "title", "file_name", "file_status"),
    **{
        name: (
            "subject",
            "collected",
            "test",
            "value_text",
            "value_unit",
            "low",
            "high",
            "reference_text",
            "flag",
        )
        for name in ("labs", "vitals", "ecgs")
    },
}


class ListingParameters(Parameters):
    """Which table, which of its columns, which of its rows."""

    table: TableName = Field("adverse_events", description="The table to list.")
    columns: tuple[Annotated[str, Field(max_length=40)], ...] = Field(
        (), max_length=60, description="Its columns, in this order; none named: all of them."
    )
    where: dict[str, tuple[Annotated[str, Field(max_length=200)], ...]] = Field(
        default_factory=dict,
        max_length=20,
        description="Column to the values of which a row must have one, written as in the CSV.",
    )

    @model_validator(mode="after")
    def _columns_exist(self) -> Self:
        known = [column for column in TABLES[self.table] if column not in ("window", "file_key")]
        for column in (*self.columns, *self.where):
            if column not in known:
                raise ValueError(f"{self.table} has no column {column!r}; it has {', '.join(known)}")
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("a column is named twice")
        empty = sorted(column for column, values in self.where.items() if not values)
        if empty:
            raise ValueError(f"where {empty[0]}: name at least one value")
        return self


def listing(trial: TrialFigures, content: ReportContent) -> pd.DataFrame:
    """The rows of the period, in a reader's order, with the chosen columns that the audience may see."""
    chosen, columns = _rows(trial, content), _columns(content)
    return chosen.facts.frame[columns].take(chosen.places).reset_index(drop=True)


def deferrable(parameters: Parameters) -> frozenset[str]:
    """The table that is listed, where its rows can be read in batches."""
    asked = parameters if isinstance(parameters, ListingParameters) else ListingParameters()
    return DEFERRABLE & {asked.table}


def _rows(trial: TrialFigures, content: ReportContent) -> Listing:
    """Where the rows of the period that are asked for stand, in a reader's order."""
    asked = _asked(content)
    table = trial.findings if asked.table == "findings" else trial.tables.get(asked.table, trial.documents)
    allowed = columns_of(asked.table, content)
    for column, values in asked.where.items():
        if column not in allowed:  # a row that is there or not would tell what the column says
            return table.only([False] * len(table))
        cells = table.facts.frame[column].take(table.places)
        table = table.only(_as_text(cells).isin(values).tolist())
    return table


def _columns(content: ReportContent) -> list[str]:
    """The columns that are asked for and may be seen; none where a row's being there would tell too much."""
    asked = _asked(content)
    allowed = columns_of(asked.table, content)
    if not set(asked.where) <= set(allowed):
        return []
    return [column for column in (asked.columns or allowed) if column in allowed]


def row_tables(content: ReportContent) -> list[RowTable]:
    """The one table of all trials, in batches: its rows are never copied as a whole."""
    parts = [_trial_rows(trial, content) for trial in content.trials]
    return [table_of_trials(_asked(content).table, _columns(content), parts)]


def _trial_rows(trial: TrialFigures, content: ReportContent) -> TrialRows:
    asked, columns = _asked(content), _columns(content)
    table = trial.deferred.get(asked.table)
    if table is None:
        return rows_of_listing(trial.trial, asked.table, columns, _rows(trial, content))
    allowed = columns_of(asked.table, content)

    def chosen(batch: pa.RecordBatch) -> pa.RecordBatch:
        for column, values in asked.where.items():
            if column not in allowed:  # a row that is there or not would tell what the column says
                return batch.slice(0, 0)
            batch = batch.filter(pa.array(_as_text(batch[column].to_pandas()).isin(values)))
        return batch

    return rows_of_deferred(trial.trial, table, columns, content.filters, chosen, asked.where)


def _as_text(column: pd.Series) -> pd.Series:
    """Values as a person writes them: 3 for 3.0, yes and no for flags, "" for what is not there."""
    if pd.api.types.is_bool_dtype(column):
        return column.map({True: "yes", False: "no"})
    if pd.api.types.is_float_dtype(column):
        return column.map(lambda value: "" if value != value else wording.amount(value).replace(",", ""))
    return column.map(str)


def tables(content: ReportContent) -> dict[str, pd.DataFrame]:
    """The one table of all trials, with a column `trial` first."""
    frames = []
    for trial in content.trials:
        frame = listing(trial, content)
        frame.insert(0, "trial", trial.trial)
        frames.append(frame)
    name = _asked(content).table
    return {name: pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["trial"])}


def _asked(content: ReportContent) -> ListingParameters:
    asked = content.parameters
    return asked if isinstance(asked, ListingParameters) else ListingParameters()


def _section(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    asked = _asked(content)
    count, frame = _first_rows(trial, content)
    name = asked.table.replace("_", " ")
    flow.heading(f"Listing: {name}", bookmark=f"Listing ({trial.trial})")
    for column, values in asked.where.items():
        flow.note(f"Only rows whose {column} is {' or '.join(values)}.")
    withheld = [
        column for column in (*asked.columns, *asked.where) if column not in columns_of(asked.table, content)
    ]
    if withheld or (asked.table in RESTRICTED and not columns_of(asked.table, content)):
        flow.note(f"Not shown to this audience: {', '.join(sorted(set(withheld))) or 'this table'}.")
    if not count or frame.empty:
        flow.note("No row of this period matches.")
        return
    shown = _shown(asked, list(frame.columns))
    flow.space(4)
    rows = [tuple(_cell(value) for value in row) for row in frame[shown].itertuples(index=False, name=None)]
    flow.table([_column(name) for name in shown], rows)
    if count > CAP:
        flow.note(f"{wording.plural(count - CAP, 'more row')} not shown here: CSV and XLSX have all.")
    left = [column for column in frame.columns if column not in shown]
    if left:
        flow.note(f"Columns without room on the page: {', '.join(left)}; CSV and XLSX hold them.")


def _first_rows(trial: TrialFigures, content: ReportContent) -> tuple[int, pd.DataFrame]:
    """(How many rows there are, the first CAP of them)."""
    if _asked(content).table not in trial.deferred:
        frame = listing(trial, content)
        return len(frame), frame.head(CAP)
    found, first = (
        _trial_rows(trial, content),
        schema_of(_asked(content).table, _columns(content)).empty_table(),
    )
    for batch in found.batches():
        first = pa.concat_tables([first, pa.Table.from_batches([batch])])
        if len(first) >= CAP:
            break
    return found.rows, first.slice(0, CAP).to_pandas().drop(columns=["trial"])


def _shown(asked: ListingParameters, columns: list[str]) -> list[str]:
    if asked.columns or len(columns) <= COLUMNS_SHOWN:
        return columns[:COLUMNS_SHOWN]
    first = [column for column in _FIRST.get(asked.table, ()) if column in columns]
    rest = [column for column in columns if column not in (*first, "document_id", "day")]
    return (first or rest)[:COLUMNS_SHOWN]


def _column(name: str) -> Column:
    named = name in ("subject", "site", "document_id", "external_id")
    return Column(name.replace("_", " ").capitalize(), _weight(name), lines=LINES, names=named)


def _weight(column: str) -> float:
    return 2.0 if column in ("term", "preferred_term", "test", "message", "title", "note") else 1.2


def _cell(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "–" if value != value else wording.amount(value)
    return str(value) or "–"


REPORT_TYPE = ReportType(
    name="data_listing",
    title="data listing",
    description="One table in full, with the columns and rows that are asked for.",
    tiles=(Figure.DOCUMENTS, Figure.SUBJECTS, Figure.SITES),
    sections=(sections.trial_title, _section),
    parameters=ListingParameters,
    tables=tables,
    row_tables=row_tables,
    deferrable=deferrable,
)
