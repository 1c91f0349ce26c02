"""The report as CSV: a zip with one tidy table each, and a README that says what they are.

For spreadsheets: UTF-8 with a byte order mark, and no cell that a spreadsheet would run as a formula;
the README, last in the zip, counts what was done to cells. Numbers stay numbers, negative ones too. Rows
are written batch by batch. The bytes follow from the request alone.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import IO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from reporting_pipeline.domain.datasets import TABLES, open_columns
from reporting_pipeline.domain.facts import Listing
from reporting_pipeline.domain.figures import Figure, TrialFigures
from reporting_pipeline.reports import wording
from reporting_pipeline.reports.content import ReportContent
from reporting_pipeline.reports.pdf.typesetting import clean
from reporting_pipeline.reports.request import ReportRequest
from reporting_pipeline.reports.rows import (
    LONGEST_CELL,
    CellNotes,
    RowTable,
    is_text,
    mapped,
    refuse_too_many,
    table_of_frame,
    table_of_listings,
)
from reporting_pipeline.reports.sections import filter_rows, omission_text
from reporting_pipeline.reports.sections.assessed import SITE_FIGURES

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
#: Excel and LibreOffice take the full-width signs for the plain ones.
_SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20"
_DANGEROUS = (*_SIGNS, "\t", "\r", "\n")
_ONLY_SIGNS = re.compile(f"[{re.escape(_SIGNS)} ]+")  # "-", "+++": there is nothing to calculate
#: Where a spreadsheet splits at semicolons (it does where the comma is a decimal sign) or at tabs, a formula
#: may begin within a text; a number is none.
_WITHIN = re.compile(
    rf"""([;\t][\s"]*)(?=[{re.escape(_SIGNS)}])"""
    rf"(?!(?:{_NUMBER.pattern}|{_ONLY_SIGNS.pattern})\s*(?:[;\t]|$))"
)
#: Where a table comes from, for README and Overview.
TABLE_NOTES: Mapping[str, str] = {
    "key_figures": "The key figures with the period before and their definitions, per trial and in all.",
    "what_changed": "Figures old and new, against the report whose place this one takes.",
    "documents": "Every document of the period, with its note and what became of its file.",
    "adverse_events": "Every adverse event, dates as collected.",
    "out_of_range": "Results of all measurements that are flagged or out of range, in the order of the rank.",
    "labs": "Every laboratory result, original and in standard units.",
    "vitals": "Every vital sign, original and in standard units.",
    "ecgs": "Every ECG measurement.",
    "questionnaires": "Every answer of a questionnaire.",
    "tumour_responses": "Every tumour measurement and response.",
    "other_results": "Every result of another examination, as of the heart or of microbiology.",
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


#: Tables of the trial so far, beside those of the period; `reports.status_tables` makes them.
STATUS_NOTES: Mapping[str, str] = {
    "look_first": "Subjects to look at first, in order, with every sign; the trial so far.",
    "liver": "Peak ALT or AST and peak bilirubin of each person, times the upper limit; the trial so far.",
    "event_rates": "Persons with each adverse event, of all persons known; the trial so far.",
    "shifts": "Persons by first and worst later laboratory result; the trial so far.",
    "outliers": "QTc and blood pressure beyond the limits, by person; the trial so far.",
    "enrolment": "Subjects enrolled by day, counted up; the trial so far.",
    "site_indicators": "Key risk indicators by site with their z; the trial so far.",
    "my_visits": "Your visits: done, coming, did not take place; the trial so far.",
    "my_results": "Your newest result of each test, with the usual range; the trial so far.",
    "trial_progress": "Totals of the whole trial, rounded down; empty where too few people are in it.",
    "site_beside_median": "Each site of the reader beside the median of the trial; the trial so far.",
}


def note_of(name: str) -> str:
    """What a table is, for README and Overview."""
    return TABLE_NOTES.get(name) or STATUS_NOTES.get(name, "A table of this report type.")


def harmless(value: object) -> object:
    """`value`, with an apostrophe before what a spreadsheet would take for a formula."""
    if not isinstance(value, str) or not value:
        return value
    text = _WITHIN.sub(r"\1'", value.replace("\x00", "\ufffd"))
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
        own = {**content.own_tables, "omissions": _omissions(content)}
        return own if content.restates is None else {"what_changed": _what_changed(content), **own}
    tables = {"key_figures": key_figures(content)}
    for name in list(TABLE_NOTES)[1:]:
        if columns_of(name, content):
            tables[name] = _WHOLE[name](content) if name in _WHOLE else _over_trials(name, content)
    return {**tables, **content.more_tables}


def _over_trials(name: str, content: ReportContent) -> pd.DataFrame:
    frames = []
    for trial in content.trials:
        frame = _table(name, trial, content)
        frame.insert(0, "trial", trial.trial)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["trial"])


def columns_of(name: str, content: ReportContent) -> list[str]:
    """The columns of a table that the readers of this report may see, in order; [] for none of it."""
    if name not in TABLES:
        return [] if name == "what_changed" and content.restates is None else ["*"]
    columns = list(TABLES[name]) if content.unblinded else open_columns(name)
    return [column for column in columns if column not in ("window", "file_key")]


def _table(name: str, trial: TrialFigures, content: ReportContent) -> pd.DataFrame:
    if name == "site_activity":
        return _site_activity(trial)
    frame = listing_of(name, trial).frame
    if name in TABLES:
        return frame[columns_of(name, content)].copy()
    return frame.drop(columns=["window"])


def _site_activity(trial: TrialFigures) -> pd.DataFrame:
    """The counts by site; what the filters leave out is not known, and no 0."""
    frame = trial.site_activity.rename_axis("site").reset_index()
    absent = [column for column, figure in SITE_FIGURES.items() if trial.values[figure] is None]
    return frame.assign(**dict.fromkeys(absent, math.nan))


def listing_of(name: str, trial: TrialFigures) -> Listing:
    """The rows of a trial in a table of TABLE_NOTES."""
    found: Listing = getattr(trial, name) if hasattr(trial, name) else trial.tables[name]
    return found


def _omissions(content: ReportContent) -> pd.DataFrame:
    rows = [(one.trial, one.part, one.reason) for one in content.omissions]
    return pd.DataFrame(rows, columns=["trial", "part", "reason"], dtype="object")


def _what_changed(content: ReportContent) -> pd.DataFrame:
    rows = [
        {
            "trial": one.trial,
            "figure": one.figure.value,
            "label": one.figure.label,
            "before": math.nan if one.before is None else one.before,
            "after": math.nan if one.after is None else one.after,
            "documents_added": ", ".join(one.added),
            "documents_gone": ", ".join(one.gone),
        }
        for one in content.changes
    ]
    columns = ["trial", "figure", "label", "before", "after", "documents_added", "documents_gone"]
    return pd.DataFrame(rows, columns=columns)


def restated_text(content: ReportContent) -> str:
    """What the report says of the one whose place it takes; "" where it takes none's."""
    before = content.restates
    if before is None:
        return ""
    made = wording.moment(before.rendered_at, content.period.timezone)
    kept = "" if before.complete else "; its data is kept no longer, so not all figures are compared"
    return f"the report made on {made} (SHA-256 {before.sha256[:16]}){kept}"


def _figure_documents(content: ReportContent) -> pd.DataFrame:
    rows = [
        (trial.trial, figure.value, document)
        for trial in content.trials
        for figure in Figure
        for document in trial.documents_behind(figure)
    ]
    return pd.DataFrame(rows, columns=["trial", "figure", "document_id"], dtype="object")


#: Tables that are made for the report as a whole.
_WHOLE = {
    "what_changed": _what_changed,
    "omissions": _omissions,
    "figure_documents": _figure_documents,
}


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


def row_tables(content: ReportContent, request: ReportRequest) -> list[RowTable]:
    """All tables of a report in order, in batches. Raises ReportError for more rows than are allowed."""
    if content.own_rows is not None:
        changed = [] if content.restates is None else [table_of_frame("what_changed", _what_changed(content))]
        tables = [*changed, *content.own_rows, table_of_frame("omissions", _omissions(content))]
    elif content.own_tables is not None:
        tables = [table_of_frame(name, frame) for name, frame in tables_of(content).items()]
    else:
        tables = _common_tables(content)
    refuse_too_many(request, sum(table.rows for table in tables))
    return tables


def _common_tables(content: ReportContent) -> list[RowTable]:
    tables = [table_of_frame("key_figures", key_figures(content))]
    for name in list(TABLE_NOTES)[1:]:
        columns = columns_of(name, content)
        if not columns:
            continue
        if name in _WHOLE:
            tables.append(table_of_frame(name, _WHOLE[name](content)))
        elif name in TABLES:
            listings = [(trial.trial, listing_of(name, trial)) for trial in content.trials]
            tables.append(table_of_listings(name, columns, listings))
        else:
            tables.append(table_of_frame(name, _over_trials(name, content)))
    return [*tables, *(table_of_frame(name, frame) for name, frame in content.more_tables.items())]


def write(content: ReportContent, request: ReportRequest, out: IO[bytes]) -> None:
    """Write the zip."""
    tables = row_tables(content, request)
    notes, closing = CellNotes(), content.period.end_at
    with ZipFile(out, "w", ZIP_DEFLATED, compresslevel=DEFLATE_LEVEL) as archive:
        for table in tables:
            with archive.open(entry(closing, f"{table.name}.csv"), "w", force_zip64=True) as file:
                write_rows(table, file, notes)
        readme = _readme(content, request, tables, notes).encode("utf-8-sig", "replace")
        archive.writestr(entry(closing, "README.txt"), readme)


def entry(closing: datetime, name: str, compression: int = ZIP_DEFLATED) -> ZipInfo:
    """A file of a zip, dated by the period's end."""
    info = ZipInfo(name, (closing.year, closing.month, closing.day, closing.hour, closing.minute, 0))
    info.compress_type = compression
    # A zip's own level holds for entries by name alone, and these have a date: at zlib's usual level they
    # take twice the CPU. Python 3.13 calls it compress_level and takes this name, too.
    info._compresslevel = DEFLATE_LEVEL  # type: ignore[attr-defined]
    info.external_attr = 0o644 << 16
    return info


def write_rows(table: RowTable, file: IO[bytes], notes: CellNotes) -> None:
    """One table as CSV (RFC 4180), UTF-8 with a byte order mark."""
    file.write(("\ufeff" + ",".join(table.schema.names) + "\r\n").encode())
    for batch in table.batches():
        if batch.num_rows:
            file.write(_lines([_cells(column, notes) for column in batch.columns], batch.nbytes))


def _lines(cells: list[pa.Array], size: int) -> memoryview:
    """The lines of columns whose cells are text as it stands in the file; null is nothing.

    Arrow joins them: the texts of the joined column lie one after the other, and are the bytes of the file.
    """
    kind = pa.large_string() if size > _MOST_JOINED else pa.string()
    comma, end, nothing = (pa.scalar(text, kind) for text in (",", "\r\n", ""))
    cells = [one.cast(kind) for one in cells]
    rows = pc.binary_join_element_wise(*cells, comma, null_handling="replace", null_replacement="")
    lines = pc.binary_join_element_wise(rows, end, nothing)
    _, offsets, data = lines.buffers()
    large = pa.types.is_large_string(lines.type)
    ends = memoryview(offsets).cast("q") if large else memoryview(offsets).cast("i")
    return memoryview(data)[ends[lines.offset] : ends[lines.offset + len(lines)]]


def _cells(column: pa.Array, notes: CellNotes) -> pa.Array:
    """The cells of a column as text; null where there is nothing."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        return mapped(column.cast(pa.string()), lambda text: text.replace(" ", "T").replace("Z", "+00:00"))
    if pa.types.is_boolean(kind):
        return pc.if_else(column, "True", "False")
    if not is_text(kind):
        shown = pc.if_else(pc.is_finite(column), column, None)
        numbers = shown.cast(pa.string())
        return mapped(numbers, _shortest) if pc.any(pc.match_substring(numbers, "e")).as_py() else numbers
    return harmless_texts(column, notes)


def harmless_texts(column: pa.Array, notes: CellNotes) -> pa.Array:
    """Texts as they stand in the file: none that a spreadsheet runs, no control characters, in quotes where
    they must be; "" is null. Each different text is looked at once."""
    coded = column.dictionary_encode()
    words = pc.if_else(pc.equal(coded.dictionary, ""), None, coded.dictionary)
    plain = pc.match_substring_regex(words, _PLAIN)
    if (
        pc.all(plain).as_py() is not False
        and (pc.max(pc.utf8_length(words)).as_py() or 0) <= LONGEST_CELL // 2
    ):
        return words.take(coded.indices)
    texts, cells = words.to_pylist(), pc.value_counts(coded.indices.drop_null())
    times = dict(zip(cells.field("values").to_pylist(), cells.field("counts").to_pylist(), strict=True))
    for place, text in enumerate(texts):
        if text is None:
            continue
        readable = text.translate(_CONTROLS)
        safe = str(harmless(readable))
        notes.overlong += times.get(place, 0) * (len(text.encode("utf-16-le")) // 2 > LONGEST_CELL)
        notes.replaced += times.get(place, 0) * (readable != text)
        notes.apostrophes += times.get(place, 0) * (safe != readable)
        texts[place] = '"' + safe.replace('"', '""') + '"' if _QUOTED.search(safe) else safe
    return pa.array(texts, type=pa.string()).take(coded.indices)


def cell_notes(notes: CellNotes) -> list[str]:
    """What was done to cells, a sentence each."""
    told = (
        (notes.apostrophes, "have an apostrophe for that reason"),
        (notes.replaced, "had control characters, which stand as U+FFFD"),
        (notes.overlong, "are longer than the 32,767 characters that Excel holds in one"),
    )
    return [f"Cells that {what}: {number}." for number, what in told if number]


#: A third of zlib's usual time; a file grows by an eighth.
DEFLATE_LEVEL = 2
_CONTROLS = {code: "\ufffd" for code in (*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F)}
#: Texts that need no second look and no quotes.
_PLAIN = r'^[0-9A-Za-z][^\x00-\x1f\x7f",;]*$'
_QUOTED = re.compile(r'[",\r\n]')
#: Beyond so many bytes of a batch the joined texts need 64-bit offsets.
_MOST_JOINED = 1 << 29


def _shortest(number: str) -> str:
    """ "1000000" of Arrow's "1e+06": a person reads it, and so does every program."""
    if "e" not in number:
        return number
    value = float(number)
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _readme(
    content: ReportContent, request: ReportRequest, tables: Sequence[RowTable], notes: CellNotes
) -> str:
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
    if content.restates is not None:
        lines.insert(-1, f"In place of    {restated_text(content)}; what_changed.csv has the figures")
    if content.preliminary_at is not None:
        lines.insert(
            -1, f"Preliminary    {wording.preliminary(content.preliminary_at, content.period.timezone)}"
        )
    lines += [f"Left out       {omission_text(one)}" for one in content.omissions]
    if content.omissions:
        lines.append("")
    if content.is_empty:
        lines += [f"No document that matches the filters arrived this {content.noun}.", ""]
    filters = [f"  {name}: {clean(selected)}" for name, selected in filter_rows(content.filters)]
    lines += ["Filters", *filters, "", "Tables"]
    lines += [f"  {one.name}.csv ({one.rows} rows): {note_of(one.name)}" for one in tables]
    lines += [
        "",
        "UTF-8, comma-separated. What a spreadsheet would run as a formula has an apostrophe before it.",
        *cell_notes(notes),
        "Statistics may use only the columns `value`, `unit`, `low` and `high`: they are in standard units.",
        "Not where `comparator` says that a value is a limit, or `units_differ` that units of a test differ.",
        "",
    ]
    return "\r\n".join(lines)
