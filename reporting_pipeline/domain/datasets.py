"""A trial's dataset for one period: tidy tables, one row per fact.

Every table carries `window`: "current" for the period, "previous" for the period before, so that
any filter of a subscription can be compared with the period before. Instants are
`datetime64[us, UTC]`, `day` is the local date of arrival as "YYYY-MM-DD", flags are `bool`, numbers
`float64` (missing is NaN), the rest is `object` holding str ("" when there is nothing).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import pandas as pd

from reporting_pipeline.domain.facts import Facts, prepared
from reporting_pipeline.domain.periods import Period

_KEY = {"document_id": "str", "window": "str", "site": "str", "subject": "str", "day": "str"}
_RESULT = {
    **_KEY,
    "test_code": "str",
    "test": "str",
    "category": "str",
    "original_result": "str",
    "original_unit": "str",
    "value": "float",  # standard unit; the only column statistics may use
    "unit": "str",
    "low": "float",
    "high": "float",
    "indicator": "str",  # NORMAL, LOW, HIGH, ABNORMAL or ""
    "text_result": "str",
}

#: table -> column -> kind of column (str, float, bool, instant)
TABLES: Mapping[str, Mapping[str, str]] = {
    "documents": {
        **_KEY,
        "kind": "str",
        "title": "str",
        "received_at": "instant",
        "collected": "str",
        "synthetic": "bool",
        "note": "str",
        "file_name": "str",  # "" when the document has no file
        "file_key": "str",
        "file_sha256": "str",
        "file_size": "float",
        "file_type": "str",  # lower-case extension without the dot: pdf, jpg, png, txt
        "file_status": "str",  # ok, missing, corrupt, or "" without a file
        "file_reason": "str",  # why it is missing or corrupt, for a person
    },
    "adverse_events": {
        **_KEY,
        "term": "str",
        "preferred_term": "str",
        "system_organ_class": "str",
        "severity": "str",  # MILD, MODERATE, SEVERE or ""
        "serious": "bool",
        "related": "str",
        "outcome": "str",
        "start": "str",  # ISO 8601 as collected, possibly partial
        "end": "str",
    },
    "labs": _RESULT,
    "vitals": _RESULT,
    "visits": {
        **_KEY,
        "visit": "str",
        "visit_number": "float",
        "start": "str",
        "end": "str",
        "planned": "bool",
    },
    "dispositions": {**_KEY, "term": "str", "decoded": "str", "category": "str", "start": "str"},
    # What was odd about the input; `code` is stable, `message` is for a person.
    "findings": {
        "document_id": "str",
        "window": "str",
        "site": "str",
        "code": "str",
        "field": "str",
        "message": "str",
    },
}


def empty_table(name: str) -> pd.DataFrame:
    """The table `name` of TABLES without rows, with its dtypes."""
    return table_from_rows(name, [])


def table_from_rows(name: str, rows: list[dict[str, object]]) -> pd.DataFrame:
    """A frame of TABLES[name] with its columns in order and its dtypes. Extra keys are an error."""
    columns = TABLES[name]
    frame = (
        pd.DataFrame.from_records(rows, columns=list(columns))
        if rows
        else pd.DataFrame(columns=list(columns))
    )
    for column, kind in columns.items():
        if kind == "str":
            frame[column] = frame[column].fillna("").astype("object")
        elif kind == "instant":
            frame[column] = pd.to_datetime(frame[column], utc=True).astype("datetime64[us, UTC]")
        elif kind == "float":
            frame[column] = frame[column].astype("float64")
        else:
            frame[column] = frame[column].astype("bool")
    return frame


@dataclass(frozen=True)
class TrialDataset:
    """The tables of one trial for one period, and what they were made from."""

    trial: str
    title: str  # of the trial, for a reader
    period: Period
    tables: Mapping[str, pd.DataFrame]  # keys and columns of TABLES
    version: str  # 16 hex characters: the same inputs and code give the same version
    data_as_of: datetime  # UTC; the newest `updated_at` among the documents, or the period's end
    media: Mapping[str, Thumbnail] = field(default_factory=dict)  # by file sha256
    shown: str = ""  # what of it a reader may see, as a hash (`disclosure.restricted`); "": the whole

    @cached_property
    def facts(self) -> Mapping[str, Facts]:
        """The tables as filters are applied to them, prepared at the first use and then kept."""
        return prepared(self.tables)


@dataclass(frozen=True)
class Thumbnail:
    """A small JPEG of a file: an image set upright, or the first page of a PDF."""

    sha256: str  # of the file it shows
    key: str  # S3 key of the JPEG
    width: int
    height: int
    pages: int = 1  # of a PDF
