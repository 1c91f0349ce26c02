"""The report as a workbook: an overview, one sheet per table, the definitions.

Rows are streamed (constant memory); a report of many rows by `xlsx_rows`, which is six times as fast. Text
is written as text, never as a formula or a link. The bytes follow from the request alone: creation date and
file times are the period's closing time.
"""

from __future__ import annotations

from math import isfinite
from typing import IO, Any

import pandas as pd
import xlsxwriter

from reporting_pipeline.domain.figures import Figure
from reporting_pipeline.reports import wording, xlsx_rows
from reporting_pipeline.reports.content import ReportContent
from reporting_pipeline.reports.csv import TABLE_NOTES, note_of, restated_text, row_tables, tables_of
from reporting_pipeline.reports.pdf.typesetting import clean
from reporting_pipeline.reports.request import ReportRequest
from reporting_pipeline.reports.rows import CellNotes
from reporting_pipeline.reports.sections import filter_rows, omission_text
from reporting_pipeline.reports.xlsx_rows import cell_text, changed_rows

#: Up to so many rows are written by XlsxWriter, with types and widths by cell.
FEW_ROWS = 50_000


def write(content: ReportContent, request: ReportRequest, out: IO[bytes]) -> None:
    """Write the workbook."""
    tables = row_tables(content, request)
    if content.own_rows is not None or sum(table.rows for table in tables) > FEW_ROWS:
        xlsx_rows.write(
            tables, overview_rows(content, request), definition_rows(content), content.period.end_at, out
        )
        return
    _write_few(content, request, out)


def _write_few(content: ReportContent, request: ReportRequest, out: IO[bytes]) -> None:
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "nan_inf_to_errors": False,
        "remove_timezone": True,
        "default_date_format": "yyyy-mm-dd hh:mm",
    }
    with xlsxwriter.Workbook(out, options) as book:
        closing = content.period.end_at.replace(tzinfo=None)
        book.set_properties(
            {
                "title": clean(request.subscription.name[:250]),
                "subject": content.title,
                "author": clean(content.organisation[:250]),
                "comments": clean(request.document_id),
                "created": closing,
            }
        )
        formats = _formats(book)
        _overview(book, formats, content, request)
        notes = CellNotes()
        for name, table in tables_of(content).items():
            _sheet(book, formats, name, table, content.period.timezone, notes)
        _definitions(book, formats, content, notes)


def _formats(book: Any) -> dict[str, Any]:
    return {
        "title": book.add_format({"bold": True, "font_size": 16, "font_color": "#00527F"}),
        "head": book.add_format(
            {"bold": True, "bg_color": "#E8EFF5", "bottom": 1, "font_color": "#00527F", "text_wrap": True}
        ),
        "bold": book.add_format({"bold": True}),
        "wrap": book.add_format({"text_wrap": True, "valign": "top"}),
        "instant": book.add_format({"num_format": "yyyy-mm-dd hh:mm"}),
        "share": book.add_format({"num_format": "0.0"}),
    }


def _overview(book: Any, formats: dict[str, Any], content: ReportContent, request: ReportRequest) -> None:
    sheet = book.add_worksheet("Overview")
    sheet.set_column(0, 0, 34)
    sheet.set_column(1, 3, 22)
    sheet.write_string(0, 0, cell_text(content.title), formats["title"])
    facts = overview_rows(content, request)
    row = 2
    for label, value in facts:
        sheet.write_string(row, 0, label, formats["bold"])
        sheet.write_string(row, 1, cell_text(value))
        row += 1
    if content.is_empty:
        statement = f"No document that matches the filters arrived this {content.noun}."
        sheet.write_string(row + 1, 0, statement, formats["bold"])
        row += 2
    row += 1
    for column, title in enumerate(
        ("Key figure", f"This {content.noun}", f"The {content.noun} before", "Change")
    ):
        sheet.write_string(row, column, title, formats["head"])
    for figure, total in content.totals.items():
        if total is None:
            continue
        row += 1
        style = formats["share"] if figure is Figure.ABNORMAL_LAB_SHARE else None
        sheet.write_string(row, 0, figure.label)
        for column, number in enumerate((total.current, total.previous, total.change), 1):
            if number == number:
                sheet.write_number(row, column, number, style)


def overview_rows(content: ReportContent, request: ReportRequest) -> list[tuple[str, str]]:
    """What the report is, line by line."""
    return [
        ("Prepared for", request.owner_name),
        ("Organisation", content.organisation),
        ("Subscription", request.subscription.name),
        ("Document", request.document_id),
        ("Period", wording.period_detail(content.period)),
        ("Data as of", wording.moment(content.data_as_of, content.period.timezone)),
        ("Trials", ", ".join(trial.trial for trial in content.trials)),
        *filter_rows(content.filters),
        *((("In place of", restated_text(content)),) if content.restates else ()),
        *(
            (("Preliminary", wording.preliminary(content.preliminary_at, content.period.timezone)),)
            if content.preliminary_at
            else ()
        ),
        *(("Left out", omission_text(one)) for one in content.omissions),
    ]


def definition_rows(content: ReportContent) -> list[tuple[str, str]]:
    """What figures and tables are."""
    figures = ((figure.label, figure.definition) for figure in Figure)
    return [*figures, *TABLE_NOTES.items(), *((name, note_of(name)) for name in content.more_tables)]


def _heading(column: str, cells: pd.Series, timezone: str) -> str:
    """The column's name; what is a moment or a day says in which zone."""
    zone = "UTC" if pd.api.types.is_datetime64_any_dtype(cells) else timezone if column == "day" else ""
    return column.replace("_", " ") + (f" ({zone})" if zone else "")


def _sheet(
    book: Any, formats: dict[str, Any], name: str, table: pd.DataFrame, timezone: str, notes: CellNotes
) -> None:
    sheet = book.add_worksheet(name.replace("_", " ").capitalize()[:31])
    sheet.freeze_panes(1, 0)
    sheet.set_row(0, 30)
    columns = list(table.columns)
    for place, column in enumerate(columns):
        longest = table[column].head(200).astype(str).str.len().max() if len(table) else 0
        sheet.set_column(place, place, min(max(len(column) + 2, int(longest or 0) + 1, 9), 48))
    if columns:
        sheet.autofilter(0, 0, max(len(table), 1), len(columns) - 1)
    for place, column in enumerate(columns):
        sheet.write_string(0, place, _heading(column, table[column], timezone), formats["head"])
    writers = [_writer(sheet, table[column], formats, notes) for column in columns]
    values = [table[column].tolist() for column in columns]
    for row, cells in enumerate(zip(*values, strict=True), 1):
        for place, (write_cell, cell) in enumerate(zip(writers, cells, strict=True)):
            write_cell(row, place, cell)


def _writer(sheet: Any, column: pd.Series, formats: dict[str, Any], notes: CellNotes) -> Any:
    """How the cells of a column are written; missing values stay empty cells."""
    if pd.api.types.is_datetime64_any_dtype(column):
        instant = formats["instant"]
        return lambda row, place, cell: (
            None if pd.isna(cell) else sheet.write_datetime(row, place, cell.to_pydatetime(), instant)
        )
    if pd.api.types.is_bool_dtype(column):
        return lambda row, place, cell: sheet.write_boolean(row, place, cell)
    if pd.api.types.is_numeric_dtype(column):
        return lambda row, place, cell: None if not isfinite(cell) else sheet.write_number(row, place, cell)
    return lambda row, place, cell: (
        sheet.write_string(row, place, cell_text(cell, notes)) if cell != "" else None
    )


def _definitions(book: Any, formats: dict[str, Any], content: ReportContent, notes: CellNotes) -> None:
    sheet = book.add_worksheet("Definitions")
    sheet.set_column(0, 0, 30)
    sheet.set_column(1, 1, 110)
    sheet.freeze_panes(1, 0)
    sheet.write_string(0, 0, "Figure or table", formats["head"])
    sheet.write_string(0, 1, "What it is", formats["head"])
    for row, (name, meaning) in enumerate([*definition_rows(content), *changed_rows(notes)], 1):
        sheet.write_string(row, 0, name)
        sheet.write_string(row, 1, meaning, formats["wrap"])
