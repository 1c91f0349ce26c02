"""The tables of a dataset in the shape that filters are applied to: prepared once, asked many times.

Twenty sets of filters over one trial ask the same columns for the same values. Here a table's columns
stand as arrays, its rows stand in the order in which a reader meets them, and what was worked out for
one set of filters (which rows come from a site, a row as a record) is kept for the next. Taking a
column out of a frame costs pandas some twenty microseconds; on the small tables of a week that was
most of the time that figures took.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

CURRENT, PREVIOUS = "current", "previous"
_SEVERITY_RANKS = {"SEVERE": 0, "MODERATE": 1, "MILD": 2}


class Facts:
    """One table of `domain.datasets.TABLES`. Masks are arrays of bool, one for each row of the table."""

    def __init__(self, frame: pd.DataFrame, order: Callable[[Facts], np.ndarray] | None = None) -> None:
        self.frame = frame
        self._order = order
        self._columns: dict[str, np.ndarray] = {}
        self._equal: dict[tuple[str, str], np.ndarray] = {}
        self._records: dict[int, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, column: str) -> np.ndarray:
        if column not in self._columns:
            self._columns[column] = self.frame[column].to_numpy()
        return self._columns[column]

    @cached_property
    def current(self) -> np.ndarray:
        """Rows of the period."""
        return self["window"] == CURRENT

    @cached_property
    def previous(self) -> np.ndarray:
        """Rows of the period before."""
        return self["window"] == PREVIOUS

    @cached_property
    def none(self) -> np.ndarray:
        return np.zeros(len(self), dtype=bool)

    def one_of(self, column: str, values: Iterable[str]) -> np.ndarray:
        """Rows whose `column` is one of `values`."""
        rows = self.none
        for value in values:
            if (column, value) not in self._equal:
                self._equal[column, value] = self[column] == value
            rows = rows | self._equal[column, value]
        return rows

    @cached_property
    def _places(self) -> np.ndarray:
        """All rows in the order in which a reader meets them."""
        return self._order(self) if self._order else np.arange(len(self))

    def listing(self, rows: np.ndarray) -> Listing:
        """The rows of a mask in the order in which a reader meets them."""
        return Listing(self, self._places[rows[self._places]])

    def record(self, place: int) -> dict[str, Any]:
        """One row as a dict of Python values; not to be changed."""
        if place not in self._records:
            columns = self.frame.columns
            self._records[place] = {name: _plain(self[name][place]) for name in columns}
        return self._records[place]


@dataclass(frozen=True)
class Listing:
    """Rows of a table in a reader's order."""

    facts: Facts
    places: np.ndarray  # positions in the table

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, column: str) -> np.ndarray:
        return self.facts[column][self.places]

    def where(self, rows: np.ndarray) -> Listing:
        """Those that are in the mask `rows` of the whole table, too."""
        return Listing(self.facts, self.places[rows[self.places]])

    def only(self, these: Sequence[bool]) -> Listing:
        """Those for which `these`, one for each row of this listing, says so."""
        return Listing(self.facts, self.places[np.array(these, dtype=bool)])

    def records(self, most: int | None = None) -> list[dict[str, Any]]:
        """The first `most` rows as dicts of Python values; not to be changed."""
        return [self.facts.record(place) for place in self.places[:most].tolist()]

    @cached_property
    def frame(self) -> pd.DataFrame:
        return self.facts.frame.take(self.places).reset_index(drop=True)


def prepared(tables: Mapping[str, pd.DataFrame]) -> dict[str, Facts]:
    """The tables of one dataset, and `abnormal_labs`: all of `labs` again, with a column `deviation`."""
    labs = tables["labs"]
    frames = {**tables, "abnormal_labs": labs.assign(deviation=_deviation(labs))}
    return {name: Facts(frame, _ORDERS.get(name)) for name, frame in frames.items()}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _deviation(labs: pd.DataFrame) -> np.ndarray:
    """The distance outside the range in widths of the range; NaN or below 0 for what is not outside.

    Where only one limit is known, or the range has no width, in sizes of the limit.
    """
    value, low, high = (labs[column].to_numpy() for column in ("value", "low", "high"))
    distance = np.where(value < low, low - value, value - high)
    limit = np.abs(np.where(value < low, low, high))
    width = high - low
    scale = np.where(width > 0, width, np.where(limit > 0, limit, 1.0))  # NaN > 0 is False
    return np.asarray(distance / scale)


def _sorted(*keys: Sequence[Any]) -> np.ndarray:
    """Positions sorted by `keys`. Sorting tuples beats pandas by far on the small tables of a week."""
    places = list(zip(*keys, strict=True))
    return np.array(sorted(range(len(places)), key=places.__getitem__), dtype=np.int64)


def _columns(facts: Facts, *names: str) -> list[list[Any]]:
    return [facts[name].tolist() for name in names]


def _by_arrival(documents: Facts) -> np.ndarray:
    arrivals = documents.frame["received_at"].astype("int64").tolist()
    return _sorted(arrivals, *_columns(documents, "document_id"))


def _gravest_first(events: Facts) -> np.ndarray:
    return _sorted(
        [not serious for serious in events["serious"].tolist()],
        [_SEVERITY_RANKS.get(severity, 3) for severity in events["severity"].tolist()],
        *_columns(events, "site", "subject", "preferred_term", "document_id"),
    )


def _farthest_first(labs: Facts) -> np.ndarray:
    # NaN has no place in an order; such rows are not outside their range and never listed.
    deviation = np.nan_to_num(labs["deviation"], nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    return _sorted((-deviation).tolist(), *_columns(labs, "site", "subject", "test", "document_id"))


def _by_code(findings: Facts) -> np.ndarray:
    return _sorted(*_columns(findings, "code", "site", "document_id", "field"))


_ORDERS: Mapping[str, Callable[[Facts], np.ndarray]] = {
    "documents": _by_arrival,
    "adverse_events": _gravest_first,
    "abnormal_labs": _farthest_first,
    "findings": _by_code,
}
