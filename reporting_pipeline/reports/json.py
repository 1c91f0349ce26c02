"""The report as JSON: every figure with the documents behind it, every row, what is left out, what was odd.

    {"report": id,
     "figures": {trial: {figure: {"value", "documents": [ids]}}},
     "listings": {trial: {table: [rows]}},
     "omissions": [{"trial", "part", "reason"}],
     "findings": [{"document", "code", "field", "detail"}]}

A report that takes the place of one that was sent has, beside them, `restates`: {"sha256", "rendered_at",
"complete", "changes": [{"trial", "figure", "label", "before", "after", "documents_added",
"documents_gone"}]}; one of a period that is still open has `preliminary_as_of`.

Enough to recompute everything. Documents are named by the caller's own id where there is one. A figure
without a value (a share of nothing) is null, one that the filters leave out is absent. Rows stand in the
order in which a reader meets them; `out_of_range`, of all measurements, in the order of the rank. Columns
are those of `domain.datasets.TABLES`, without what is restricted. The bytes follow from the request alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import IO, Any

import pandas as pd
import pyarrow as pa

from reporting_pipeline.domain.facts import Facts, Listing
from reporting_pipeline.domain.figures import Figure, TrialFigures
from reporting_pipeline.reports.content import ReportContent
from reporting_pipeline.reports.csv import TABLE_NOTES, columns_of, listing_of
from reporting_pipeline.reports.request import ReportError, ReportRequest
from reporting_pipeline.reports.rows import RowTable, refuse_too_many

#: Rows that stand in memory as objects while they are written, some 5 KB each.
MOST_ROWS = 100_000
_NO_LISTINGS = ("key_figures", "site_activity", "findings", "omissions", "figure_documents", "what_changed")


def write(content: ReportContent, request: ReportRequest, out: IO[bytes]) -> None:
    """Write the file, UTF-8. Raises ReportError for more rows than are allowed, or than MOST_ROWS."""
    refuse_too_many_rows(content, request)
    names = {trial.trial: _own_ids(trial) for trial in content.trials}
    whole: dict[str, Any] = {
        "report": request.document_id,
        "figures": {trial.trial: _figures(trial, names[trial.trial]) for trial in content.trials},
        "listings": _all_listings(content, names),
        "audience": content.audience.value,
        "omissions": [
            {"trial": one.trial, "part": one.part, "reason": one.reason} for one in content.omissions
        ],
        "findings": [
            *(finding for trial in content.trials for finding in _findings(trial, names[trial.trial])),
            *(
                {"document": one.document, "code": one.code, "field": one.field, "detail": one.detail}
                for one in sorted(request.source_findings)
            ),
        ],
    }
    if content.preliminary_at is not None:
        whole["preliminary_as_of"] = content.preliminary_at.isoformat()
    if content.restates is not None:
        whole["restates"] = _restated(content, names)
    text = json.dumps(whole, ensure_ascii=False, allow_nan=False, indent=1)
    out.write(f"{text}\n".encode("utf-8", "replace"))


def refuse_too_many_rows(content: ReportContent, request: ReportRequest) -> None:
    """ReportError for more rows than the organisation allows, or than MOST_ROWS."""
    more = [*(content.own_tables or {}).values(), *content.more_tables.values()]
    rows = sum(map(len, more)) + sum(table.rows for table in content.own_rows or ())
    if content.own_tables is None and content.own_rows is None:
        rows += sum(len(listing_of(name, one)) for one in content.trials for name in _listed(content))
    refuse_too_many(request, rows)
    if rows > MOST_ROWS:
        raise ReportError(
            f"the report has {rows:,} rows; JSON takes {MOST_ROWS:,} at most: choose CSV, XLSX, Parquet or "
            "Dataset-JSON, or select fewer trials, sites or kinds of document"
        )


def _listed(content: ReportContent) -> list[str]:
    return [name for name in TABLE_NOTES if name not in _NO_LISTINGS and columns_of(name, content)]


def _own_ids(trial: TrialFigures) -> Mapping[str, str]:
    """The caller's own id of each document that has one."""
    return _external_ids(trial.documents.facts)


def _external_ids(documents: Facts | pd.DataFrame) -> Mapping[str, str]:
    pairs = zip(documents["document_id"].tolist(), documents["external_id"].tolist(), strict=True)
    return {document: own for document, own in pairs if own}


def _restated(content: ReportContent, names: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    assert content.restates is not None  # noqa: S101 - for the type checker
    before = {one.trial: _external_ids(one.tables["documents"]) for one in content.restates.datasets}
    return {
        "sha256": content.restates.sha256,
        "rendered_at": content.restates.rendered_at.isoformat(),
        "complete": content.restates.complete,
        "changes": [
            {
                "trial": one.trial,
                "figure": one.figure.value,
                "label": one.figure.label,
                "before": _plain(one.before),
                "after": _plain(one.after),
                "documents_added": [names.get(one.trial, {}).get(each, each) for each in one.added],
                "documents_gone": [before.get(one.trial, {}).get(each, each) for each in one.gone],
            }
            for one in content.changes
        ],
    }


def _figures(trial: TrialFigures, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        figure.value: {
            "value": _plain(float(value.current)),
            "documents": sorted(names.get(one, one) for one in trial.documents_behind(figure)),
        }
        for figure in Figure
        if (value := trial.values[figure]) is not None
    }


def _listings(
    trial: TrialFigures, names: Mapping[str, str], content: ReportContent
) -> dict[str, list[dict[str, Any]]]:
    return {
        name: list(_rows(listing_of(name, trial), names, columns_of(name, content)))
        for name in _listed(content)
    }


Listings = dict[str, dict[str, list[dict[str, Any]]]]


def _all_listings(content: ReportContent, names: Mapping[str, Mapping[str, str]]) -> Listings:
    """By trial and table: those of the period or the type's own, and what it says of the trial so far."""
    own = _own_listings(content, content.own_tables or _kept(content.own_rows or ()), names)
    more = _own_listings(content, content.more_tables, names)
    of_the_period = content.own_tables is None and content.own_rows is None
    period = {
        trial.trial: _listings(trial, names[trial.trial], content) if of_the_period else {}
        for trial in content.trials
    }
    trials = [*period, *sorted((own.keys() | more.keys()) - period.keys())]
    return {one: {**period.get(one, {}), **own.get(one, {}), **more.get(one, {})} for one in trials}


def _kept(tables: Sequence[RowTable]) -> dict[str, pd.DataFrame]:
    """Tables in batches, which are few enough by now, as frames."""
    return {one.name: pa.Table.from_batches(one.batches(), one.schema).to_pandas() for one in tables}


def _own_listings(
    content: ReportContent, tables: Mapping[str, pd.DataFrame], names: Mapping[str, Mapping[str, str]]
) -> Listings:
    """Tables of the type by trial, as its CSV has them."""
    found: Listings = {trial.trial: {} for trial in content.trials}
    for table, frame in tables.items():
        for of_trial in found.values():
            of_trial[table] = []
        for row in frame.to_dict("records"):
            record = {str(name): _plain(value) for name, value in row.items()}
            own = names.get(record["trial"], {})
            if "document_id" in record:
                record["document_id"] = own.get(record["document_id"], record["document_id"])
            found.setdefault(record.pop("trial"), {}).setdefault(table, []).append(record)
    return found


def _rows(listing: Listing, names: Mapping[str, str], columns: list[str]) -> Iterator[dict[str, Any]]:
    shown = [column for column in listing.facts.frame.columns if column != "window"]
    if columns != ["*"]:
        shown = columns
    cells = [[_plain(cell) for cell in _cells(listing, column)] for column in shown]
    for row in zip(*cells, strict=True):
        record = dict(zip(shown, row, strict=True))
        record["document_id"] = names.get(record["document_id"], record["document_id"])
        yield record


def _cells(listing: Listing, column: str) -> list[Any]:
    if column == "received_at":
        return [moment.to_pydatetime() for moment in listing.frame[column]]
    cells: list[Any] = listing[column].tolist()
    return cells


def _findings(trial: TrialFigures, names: Mapping[str, str]) -> Iterator[dict[str, str]]:
    found = [trial.findings[column].tolist() for column in ("document_id", "code", "field", "message")]
    for document, code, field, detail in zip(*found, strict=True):
        yield {"document": names.get(document, document), "code": code, "field": field, "detail": detail}


def _plain(cell: Any) -> Any:
    """A value of JSON: whole numbers as such, what is not finite or not there as null."""
    if isinstance(cell, float):
        if cell != cell or cell in (float("inf"), float("-inf")):
            return None
        return int(cell) if cell.is_integer() and abs(cell) < 2**53 else cell
    return cell.isoformat() if isinstance(cell, datetime) else cell
