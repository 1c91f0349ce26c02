"""Metadata that analysts look at in Dagster's UI: table previews and column schemas."""

from collections.abc import Mapping

import pandas as pd
from dagster import MetadataValue, TableColumn, TableSchema

PREVIEW_ROWS = 5
PREVIEW_COLUMNS = 9
PREVIEW_CHARACTERS = 60


def table_preview(frame: pd.DataFrame) -> MetadataValue[str]:
    """The first rows as Markdown; text is cut, and nothing in it can break out of its cell."""
    columns = list(frame.columns[:PREVIEW_COLUMNS])
    rows = [
        "| " + " | ".join(_cell(value) for value in row) + " |"
        for row in frame[columns].head(PREVIEW_ROWS).itertuples(index=False)
    ]
    head = "| " + " | ".join(columns) + " |"
    rule = "|" + " --- |" * len(columns)
    return MetadataValue.md("\n".join([head, rule, *rows]) if rows else "*no rows*")


def column_schema(columns: Mapping[str, str]) -> MetadataValue[TableSchema]:
    return MetadataValue.table_schema(
        TableSchema(columns=[TableColumn(name, kind) for name, kind in columns.items()])
    )


def _cell(value: object) -> str:
    text = str(value).replace("\n", " ").replace("|", "\\|").replace("<", "&lt;")
    return text if len(text) <= PREVIEW_CHARACTERS else text[: PREVIEW_CHARACTERS - 1] + "…"
