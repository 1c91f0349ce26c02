"""The report as CSV: a zip with one tidy table each, and a README that says what they are.

For spreadsheets: UTF-8 with a byte order mark, and no cell that a spreadsheet would run as a formula.
Numbers stay numbers, negative ones too. The bytes follow from the request alone.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Mapping
from io import BytesIO, StringIO
from math import isfinite
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pandas as pd

from reporting_pipeline.domain.datasets import TABLES, open_columns
from reporting_pipeline.domain.facts import Listing
from reporting_pipeline.domain.figures import Figure, TrialFigures
from reporting_pipeline.reports import wording
from reporting_pipeline.reports.pdf.typesetting import clean
from reporting_pipeline.reports.request import ReportRequest
from reporting_pipeline.reports.sections import ReportContent, filter_rows, omission_text

#: Of tables that only some report types have.
_OWN_NOTES: Mapping[str, str] = {}
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
#: Excel and LibreOffice take the full-width signs for the plain ones.
_SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20"
_DANGEROUS = (*_SIGNS, "\t", "\r", "\n")
_ONLY_SIGNS = re.compile(f"[{re.escape(_SIGNS)} ]+")  # "-", "+++": there is nothing to calculate
#: Where a table comes from, for README and Overview.
TABLE_NOTES: Mapping[str, str] = {
    "key_figures": "The key figures with the period before and their definitions, per trial and in all.",
    "documents": "Every document of the period, with its note and what became of its file.",
    "adverse_events": "Every adverse event, dates as collected.",
    "out_of_range": "Results of all measurements that are flagged or out of range, in the order of the rank.",
    "labs": "Every laboratory result, original and in standard units.",
    "vitals": "Every vital sign, original and in standard units.",
    "ecgs": "Every ECG measurement.",
    "questionnaires": "Every answer of a questionnaire.",
    "tumour_responses": "Every tumour measurement and response.",
    "visits": "Every visit: done, missed, coming or not stated.",
    "dispositions": "Every disposition record, milestones and other events too.",
    "subjects": "Every record of a subject.",
    "exposures": "Every treatment given; in unblinded reports only.",
    "deviations": "Every protocol deviation.",
    "medications": "Every medication beside the treatment of the trial.",
    "medical_history": "Every condition from before the trial.",
    "site_activity": "Counts by site.",
    "findings": "What was odd in the input.",
    "omissions": "What this report leaves out, and why.",
    "figure_documents": "The documents behind each key figure, one row each.",
}


def note_of(name: str) -> str:
    """What a table is, for README and Overview."""
    return TABLE_NOTES.get(name) or _OWN_NOTES.get(name) or "A table of this report type."


def harmless(value: object) -> object:
    """`value`, with a leading apostrophe when a spreadsheet would take it for a formula."""
    if not isinstance(value, str) or not value:
        return value
    text = value.replace("\x00", "\ufffd")
    # Spreadsheets read a full-width = as one: what a text folds to counts, too.
    shapes = (text, text.lstrip(" \u00a0\ufeff"), unicodedata.normalize("NFKC", text[:8]).lstrip())
    dangerous = any(shape.startswith(_DANGEROUS) for shape in shapes)
    if not dangerous or _NUMBER.fullmatch(text) or _ONLY_SIGNS.fullmatch(text):
        return text
    return f"'{text}"


def tables_of(content: ReportContent) -> dict[str, pd.DataFrame]:
    """All tables of a report, each with a column `trial` first; empty ones included.

    A report type that has tables of its own gives those, and what the report leaves out.
    """
    if content.own_tables is not None:
        return {**content.own_tables, "omissions": _omissions(content)}
    tables = {"key_figures": key_figures(content)}
    for name in list(TABLE_NOTES)[1:]:
        if name in _WHOLE:
            tables[name] = _WHOLE[name](content)
            continue
        frames = []
        if not columns_of(name, content):
            continue
        for trial in content.trials:
            frame = _table(name, trial, content)
            frame.insert(0, "trial", trial.trial)
            frames.append(frame)
        tables[name] = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["trial"])
    return tables


def columns_of(name: str, content: ReportContent) -> list[str]:
    """The columns of a table that the readers of this report may see, in order; [] for none of it."""
    if name not in TABLES:
        return ["*"]
    columns = list(TABLES[name]) if content.unblinded else open_columns(name)
    return [column for column in columns if column not in ("window", "file_key")]


def _table(name: str, trial: TrialFigures, content: ReportContent) -> pd.DataFrame:
    if name == "site_activity":
        return trial.site_activity.rename_axis("site").reset_index()
    listing: Listing = getattr(trial, name) if hasattr(trial, name) else trial.tables[name]
    frame = listing.frame
    if name in TABLES:
        return frame[columns_of(name, content)].copy()
    return frame.drop(columns=["window"])


def _omissions(content: ReportContent) -> pd.DataFrame:
    rows = [(one.trial, one.part, one.reason) for one in content.omissions]
    return pd.DataFrame(rows, columns=["trial", "part", "reason"], dtype="object")


def _figure_documents(content: ReportContent) -> pd.DataFrame:
    rows = [
        (trial.trial, figure.value, document)
        for trial in content.trials
        for figure in Figure
        for document in trial.documents_behind(figure)
    ]
    return pd.DataFrame(rows, columns=["trial", "figure", "document_id"], dtype="object")


#: Tables that are made for the report as a whole.
_WHOLE = {"omissions": _omissions, "figure_documents": _figure_documents}


def key_figures(content: ReportContent) -> pd.DataFrame:
    """One row per scope (trial, or "all") and figure that the filters cover."""
    scopes = [*((trial.trial, trial.values) for trial in content.trials), ("all", content.totals)]
    rows = [
        {
            "trial": scope,
            "figure": figure.value,
            "label": figure.label,
            "current": value.current,
            "previous": value.previous,
            "definition": figure.definition,
        }
        for scope, values in scopes
        for figure in Figure
        if (value := values[figure]) is not None
    ]
    return pd.DataFrame(rows, columns=["trial", "figure", "label", "current", "previous", "definition"])


def write(content: ReportContent, request: ReportRequest) -> bytes:
    """The zip's bytes."""
    buffer = BytesIO()
    tables = tables_of(content)
    with ZipFile(buffer, "w", ZIP_DEFLATED, compresslevel=6) as archive:
        _add(archive, content, "README.txt", _readme(content, request, tables))
        for name, table in tables.items():
            _add(archive, content, f"{name}.csv", _csv(table))
    return buffer.getvalue()


def _add(archive: ZipFile, content: ReportContent, name: str, text: str) -> None:
    closing = content.period.end_at
    info = ZipInfo(name, (closing.year, closing.month, closing.day, closing.hour, closing.minute, 0))
    info.compress_type = ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    archive.writestr(info, text.encode("utf-8-sig", "replace"))


def _csv(table: pd.DataFrame) -> str:
    out = StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(table.columns)
    writer.writerows(zip(*(_cells(table[column]) for column in table.columns), strict=True))
    return out.getvalue()


def _cells(column: pd.Series) -> Iterable[object]:
    if pd.api.types.is_datetime64_any_dtype(column):
        return [moment.isoformat() if not pd.isna(moment) else "" for moment in column]
    if pd.api.types.is_float_dtype(column):
        return [_shortest(value) if isfinite(value) else "" for value in column.tolist()]
    return [harmless(value) for value in column.tolist()]


def _shortest(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _readme(content: ReportContent, request: ReportRequest, tables: Mapping[str, pd.DataFrame]) -> str:
    lines = [
        clean(f"{content.title}, {wording.period_title(content.period)}"),
        "",
        f"Prepared for   {clean(request.owner_name[:400])}",
        f"Organisation   {clean(content.organisation[:400])}",
        f"Subscription   {clean(request.subscription.name[:400])}",
        f"Document       {clean(request.document_id)}",
        f"Period         {wording.period_detail(content.period)}",
        f"Data as of     {wording.moment(content.data_as_of, content.period.timezone)}",
        f"Software       reporting-pipeline {clean(content.code_version)}",
        "",
    ]
    lines += [f"Left out       {omission_text(one)}" for one in content.omissions]
    if content.omissions:
        lines.append("")
    if content.is_empty:
        lines += [f"No document that matches the filters arrived this {content.noun}.", ""]
    filters = [f"  {name}: {clean(selected)}" for name, selected in filter_rows(content.filters)]
    lines += ["Filters", *filters, "", "Tables"]
    lines += [f"  {name}.csv ({len(table)} rows): {note_of(name)}" for name, table in tables.items()]
    lines += [
        "",
        "UTF-8, comma-separated. Text that a spreadsheet would run as a formula begins with an apostrophe.",
        "Statistics may use only the columns `value`, `unit`, `low` and `high`: they are in standard units.",
        "Not where `comparator` says that a value is a limit, or `units_differ` that units of a test differ.",
        "",
    ]
    return "\r\n".join(lines)
