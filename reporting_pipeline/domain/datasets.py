"""A trial's dataset for one period: tidy tables, one row per fact.

Every table carries `window`: "current" for the period, "previous" for the period before, so that
any filter of a subscription can be compared with the period before. Instants are
`datetime64[us, UTC]`, `day` is the local date of arrival as "YYYY-MM-DD", flags are `bool`, numbers
`float64` (missing is NaN), the rest is `object` holding str ("" when there is nothing).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from reporting_pipeline.domain.clinical.rows import ARMS, MORE_OF_RESULTS
from reporting_pipeline.domain.clinical.subjects import standing
from reporting_pipeline.domain.deferred import DeferredTable
from reporting_pipeline.domain.facts import Facts, prepared
from reporting_pipeline.domain.omissions import Omission
from reporting_pipeline.domain.periods import Period
from reporting_pipeline.domain.thumbnails import Thumbnail

_KEY = {"document_id": "str", "window": "str", "site": "str", "subject": "str", "day": "str"}
_RESULT = {
    **_KEY,
    "test_code": "str",
    "test": "str",
    "category": "str",
    "specimen": "str",
    "method": "str",
    "position": "str",
    "laterality": "str",
    "visit": "str",
    "visit_unblinding": "bool",  # its name tells who gets the treatment
    "visit_number": "float",
    "time_point": "str",
    "collected": "str",  # ISO 8601 as collected, possibly partial
    "original_result": "str",
    "original_unit": "str",
    "original_low": "float",
    "original_high": "float",
    "value": "float",  # standard unit; with `comparator` "" the only column statistics may use
    "comparator": "str",  # "<", "<=", ">", ">=": `value` is a limit; "" for an exact value
    "unit": "str",
    "low": "float",
    "high": "float",
    "reference_text": "str",  # a range in words or in one text, as collected; "" for none
    "indicator": "str",  # the laboratory's flag as collected, in capitals
    "grade": "float",  # toxicity grade of the result, 0 to 5
    "clinically_significant": "str",  # yes, no or ""
    "text_result": "str",
    "derived": "bool",  # made from other results, as the mean of three
    "baseline": "bool",  # that of its test with which later ones are compared, as its source says
    "unblinding": "bool",  # tells who gets the treatment (`domain.clinical.blinding`)
    "status": "str",  # "NOT DONE"
    "reason_not_done": "str",
    # Worked out by `domain.clinical.measurements`:
    "value_text": "str",  # the result as a reader sees it, in `value_unit`
    "value_unit": "str",
    "flag": "str",  # the laboratory's, or HIGH, LOW or NORMAL by the range; "" when not assessed
    "assessed": "bool",
    "out_of_range": "bool",  # flagged other than normal, or outside the range
    "tier": "float",  # of the ranking, 0 first
    "ratio": "float",  # to the limit, 1 or more
    "units_differ": "bool",  # results of this test have several units: in no statistic over them
}

#: table -> column -> kind of column (str, float, bool, instant)
TABLES: Mapping[str, Mapping[str, str]] = {
    "documents": {
        **_KEY,
        "external_id": "str",  # the caller's own id
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
        "file_type": "str",  # as `documents.file_type_of` names it: pdf, jpg, png, txt
        "file_status": "str",  # ok, not_inspected, missing, corrupt, or "" without a file
        "file_reason": "str",  # why it is missing, corrupt or not inspected, for a person
    },
    "adverse_events": {
        **_KEY,
        "term": "str",
        "preferred_term": "str",
        "system_organ_class": "str",
        "severity": "str",  # MILD, MODERATE, SEVERE, what the source has in capitals, or ""
        "grade": "float",  # toxicity grade, 1 to 5
        "serious": "str",  # yes, no or unknown
        "seriousness_criteria": "str",  # those that are met, with commas
        "treatment_emergent": "str",  # yes, no or unknown, as stated
        "related": "str",
        "location": "str",
        "laterality": "str",
        "outcome": "str",
        "fatal": "bool",  # by outcome, grade 5 or the criterion death
        "action_taken": "str",
        "visit": "str",
        "visit_unblinding": "bool",
        "start": "str",  # ISO 8601 as collected, possibly partial
        "end": "str",
        "ongoing": "str",  # yes, no or ""
    },
    "labs": _RESULT,
    "vitals": _RESULT,
    "ecgs": _RESULT,
    "questionnaires": _RESULT,
    **{name: {**_RESULT, **dict.fromkeys(more, "str")} for name, more in MORE_OF_RESULTS.items()},
    "visits": {
        **_KEY,
        "visit": "str",
        "visit_unblinding": "bool",
        "visit_number": "float",
        "start": "str",
        "end": "str",
        "planned": "bool",
        "occurred": "str",  # yes, no or unknown, as collected
        "visit_status": "str",  # done, missed, coming or not stated
        "reason_not_done": "str",
    },
    "dispositions": {
        **_KEY,
        "term": "str",
        "decoded": "str",
        "category": "str",
        "subcategory": "str",  # of what: STUDY PARTICIPATION, STUDY TREATMENT, or what the source has
        "disposition_class": "str",  # DISPOSITION EVENT, PROTOCOL MILESTONE, OTHER EVENT or NOT STATED
        "discontinued": "bool",  # left the trial before its end
        "discontinued_treatment": "bool",  # ended the treatment before its end, which leaves nobody out
        "death": "bool",
        "visit": "str",
        "visit_unblinding": "bool",
        "start": "str",
    },
    "subjects": {
        **_KEY,
        "age": "float",
        "age_unit": "str",
        "sex": "str",
        "race": "str",
        "ethnicity": "str",
        "country": "str",
        "arm": "str",
        "arm_code": "str",
        "actual_arm": "str",
        "actual_arm_code": "str",
        "consented": "str",
        "enrolled": "str",
        "ended": "str",
        "first_treatment": "str",
        "last_treatment": "str",
        "status": "str",
        "died": "str",  # yes, no or ""
        "death": "str",
    },
    "exposures": {
        **_KEY,
        "treatment": "str",
        "category": "str",
        "dose": "float",
        "dose_text": "str",
        "dose_unit": "str",
        "dose_form": "str",
        "frequency": "str",
        "route": "str",
        "visit": "str",
        "visit_unblinding": "bool",
        "start": "str",
        "end": "str",
    },
    "deviations": {
        **_KEY,
        "term": "str",
        "decoded": "str",
        "category": "str",
        "visit": "str",
        "visit_unblinding": "bool",
        "start": "str",
        "end": "str",
    },
    "medications": {
        **_KEY,
        "term": "str",
        "decoded": "str",
        "category": "str",
        "indication": "str",
        "dose": "float",
        "dose_text": "str",
        "dose_unit": "str",
        "frequency": "str",
        "route": "str",
        "ongoing": "str",  # yes, no or ""
        "start": "str",
        "end": "str",
    },
    "medical_history": {
        **_KEY,
        "term": "str",
        "preferred_term": "str",
        "system_organ_class": "str",
        "category": "str",
        "occurred": "str",  # yes, no or ""
        "ongoing": "str",
        "start": "str",
        "end": "str",
    },
    # What was odd about the input; `code` is stable, `message` is for a person.
    "findings": {
        "document_id": "str",
        "window": "str",
        "site": "str",
        "subject": "str",
        "code": "str",
        "field": "str",
        "message": "str",
    },
    # What reports leave out, as `domain.omissions` has it.
    "omissions": {"part": "str", "reason": "str"},
}

#: kind of column -> its type where rows stand in Arrow or Parquet
ARROW_TYPES = {
    "str": pa.string(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "instant": pa.timestamp("us", tz="UTC"),
}

#: Columns that say who gets which treatment. They are in no report but for an unblinded audience; a
#: table of which every column beside the key is restricted is left out as a whole.
RESTRICTED: Mapping[str, frozenset[str]] = {
    "subjects": frozenset({*ARMS, "first_treatment", "last_treatment"}),
    "exposures": frozenset(TABLES["exposures"]) - frozenset(_KEY),
    **{
        name: frozenset({"unblinding", "visit_unblinding"} & columns.keys())
        for name, columns in TABLES.items()
        if "visit_unblinding" in columns and name != "exposures"
    },
}


def open_columns(name: str) -> list[str]:
    """The columns of a table that any audience may see; [] for a table that is restricted as a whole."""
    columns = [column for column in TABLES[name] if column not in RESTRICTED.get(name, ())]
    return columns if set(columns) - set(_KEY) else []


def arrow_schema(name: str) -> pa.Schema:
    """The columns of the table `name` of TABLES, in order, as Parquet holds them."""
    return pa.schema([(column, ARROW_TYPES[kind]) for column, kind in TABLES[name].items()])


def empty_table(name: str) -> pd.DataFrame:
    """The table `name` of TABLES without rows, with its dtypes."""
    return table_from_rows(name, [])


def table_from_rows(name: str, rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """A frame of TABLES[name] with its columns in order and its dtypes; of a row other keys are left out."""
    columns = TABLES[name]
    return pd.DataFrame(
        {column: _cells(kind, [row.get(column) for row in rows]) for column, kind in columns.items()}
    )


def _cells(kind: str, values: list[Any]) -> Any:
    """One column of a table, with its dtype. What is missing is "", NaN, NaT or False.

    Made column by column, since a frame that is given its columns one after the other takes 30 ms for a table
    of a few rows, and a trial of a quiet week has twenty of them.
    """
    if kind == "str":
        cells = np.empty(len(values), dtype=object)
        cells[:] = [value if type(value) is str else "" if _is_missing(value) else value for value in values]
        return cells
    if kind == "instant":
        return pd.to_datetime(pd.Series(values, dtype=object), utc=True).astype("datetime64[us, UTC]")
    if kind == "float":
        return np.array([math.nan if _is_missing(value) else value for value in values], dtype="float64")
    return np.array(
        [value is True or (not _is_missing(value) and value == 1) for value in values], dtype=bool
    )


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or value != value


def with_all_columns(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """A table of an earlier version of this program, with an empty cell in each column that came since."""
    return table_from_rows(
        name, [{str(key): cell for key, cell in row.items()} for row in frame.to_dict("records")]
    )


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
    deferred: Mapping[str, DeferredTable] = field(default_factory=dict)  # by name; empty in `tables`

    def parts(self, name: str, columns: Sequence[str]) -> Iterable[pd.DataFrame]:
        """The rows of a table in order, with these columns at least, also where they are not in memory.

        For whoever makes a dataset: of a deferred table they are all rows, whoever reads them.
        """
        deferred = self.deferred.get(name)
        return [self.tables[name]] if deferred is None else deferred.frames(columns)

    @property
    def rows(self) -> dict[str, int]:
        """How many rows each table has, wherever they stand."""
        return {
            name: self.deferred[name].rows if name in self.deferred else len(table)
            for name, table in self.tables.items()
        }

    @cached_property
    def omissions(self) -> tuple[Omission, ...]:
        """What of this trial could not be reported, narrowest parts first named by their table."""
        found = self.tables["omissions"]
        rows = zip(found["part"].tolist(), found["reason"].tolist(), strict=True)
        return tuple(sorted(Omission(self.trial, part, reason) for part, reason in rows))

    @cached_property
    def facts(self) -> Mapping[str, Facts]:
        """The tables as filters are applied to them, prepared at the first use and then kept."""
        return prepared(self.tables)

    @cached_property
    def people(self) -> Mapping[tuple[str, str], tuple[str, str]]:
        """(site, subject) as rows name it -> the one under which the person stands, where they were last."""
        named = [table for table in self.tables.values() if "subject" in table]
        pairs = {pair for table in named for pair in zip(table["site"], table["subject"], strict=True)}
        arrived = self.tables["documents"]
        return standing([*sorted(pairs), *zip(arrived["site"], arrived["subject"], strict=True)])
