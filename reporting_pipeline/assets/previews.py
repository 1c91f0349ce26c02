"""Metadata that analysts look at in Dagster's UI: table previews and column schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dagster import MetadataValue, TableColumn, TableSchema

if TYPE_CHECKING:  # a process that makes no table need not import pandas
    import pandas as pd


def table_preview(frame: pd.DataFrame) -> MetadataValue[str]:
    """What the table holds, as Markdown: per column how many rows say something.

    No row and no value: Dagster's UI shows metadata to everybody who may open it, and knows no trial,
    site or subject that somebody may not see.
    """
    if frame.empty:
        return MetadataValue.md("*no rows*")
    filled = [f"| {name} | {int((~_nothing(frame[name])).sum())} |" for name in frame.columns]
    return MetadataValue.md("\n".join(["| column | rows that say something |", "| --- | --- |", *filled]))


def _nothing(column: pd.Series) -> pd.Series:
    return column.isna() | (column.astype("object") == "")


def column_schema(columns: Mapping[str, str]) -> MetadataValue[TableSchema]:
    return MetadataValue.table_schema(
        TableSchema(columns=[TableColumn(name, kind) for name, kind in columns.items()])
    )
