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

from reporting_pipeline.domain.clinical.codes import severity_level
from reporting_pipeline.domain.clinical.rows import MEASUREMENTS, MORE_OF_RESULTS, TEST_IDENTITY
from reporting_pipeline.domain.clinical.subjects import persons

CURRENT, PREVIOUS = "current", "previous"
_SERIOUS_RANKS = {"yes": 0, "unknown": 1, "no": 2}  # what meets a criterion of seriousness: 0


class Facts:
    """One table of `domain.datasets.TABLES`. Masks are arrays of bool, one for each row of the table."""

    def __init__(
        self,
        frame: pd.DataFrame,
        order: Callable[[Facts], np.ndarray] | None = None,
        numbers: Mapping[tuple[str, str], int] | None = None,
    ) -> None:
        """`numbers`: of the persons by (site, subject), as `domain.clinical.subjects` gives them."""
        self.frame = frame
        self._order = order
        self._numbers = numbers or {}
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
        found: np.ndarray = self["window"] == CURRENT
        return found

    @cached_property
    def previous(self) -> np.ndarray:
        """Rows of the period before."""
        found: np.ndarray = self["window"] == PREVIOUS
        return found

    @cached_property
    def none(self) -> np.ndarray:
        return np.zeros(len(self), dtype=bool)

    @cached_property
    def persons(self) -> np.ndarray:
        """A number for each row: equal for one person, 0 for nobody."""
        pairs = zip(self["site"].tolist(), self["subject"].tolist(), strict=True)
        return np.array([self._numbers.get(pair, 0) for pair in pairs], dtype=np.int64)

    @cached_property
    def levels(self) -> np.ndarray:
        """How grave each adverse event is, 1 to 5, by the graver of severity and grade; 0: not stated."""
        grades = np.nan_to_num(self["grade"], nan=0).astype(np.int64)
        words = np.array([severity_level(text) for text in self["severity"].tolist()], dtype=np.int64)
        found: np.ndarray = np.maximum(grades, words)
        return found

    @cached_property
    def tests(self) -> np.ndarray:
        """Each measurement's test in words, with what tells it from another of the same name."""
        return _named_tests(self)

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
        found: np.ndarray = self.facts[column][self.places]
        return found

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
    """The tables of one dataset, and `out_of_range`: all measurements that are, with a column `kind`."""
    frames = {**tables, "out_of_range": _out_of_range(tables)}
    pairs = {
        pair
        for frame in tables.values()
        if "subject" in frame
        for pair in set(zip(frame["site"].tolist(), frame["subject"].tolist(), strict=True))
    }
    numbers = persons(pairs)
    return {name: Facts(frame, _ORDERS.get(name), numbers) for name, frame in frames.items()}


def _out_of_range(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    found = []
    more = list(dict.fromkeys(column for columns in MORE_OF_RESULTS.values() for column in columns))
    for kind, name in MEASUREMENTS.items():
        frame = tables[name]
        found.append(frame[frame["out_of_range"].to_numpy()])
        found[-1].insert(1, "kind", kind)
        found[-1] = found[-1].assign(**{name: "" for name in more if name not in frame})
    filled = [frame for frame in found if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else found[0].reset_index(drop=True)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _named_tests(results: Facts) -> np.ndarray:
    """ "Glucose", or "Glucose (urine)" where the name alone would mean two tests."""
    columns = [name for name in (*TEST_IDENTITY, "test") if name in results.frame]
    rows = list(zip(*_columns(results, *columns), strict=True))
    names: dict[tuple[str, ...], str] = {}
    for code, *parts, name in sorted(set(rows)):  # the first in the alphabet, whatever came first
        names.setdefault((code, *parts), name or code)
    sharing: dict[str, list[tuple[str, ...]]] = {}
    for identity, name in names.items():
        sharing.setdefault(name.casefold(), []).append(identity)
    labels = {identity: _label(name, identity, sharing[name.casefold()]) for identity, name in names.items()}
    return np.array([labels[row[:-1]] for row in rows], dtype=object)


def _label(name: str, identity: tuple[str, ...], others: Sequence[tuple[str, ...]]) -> str:
    """The name with the parts (specimen, category ..., at last the code) in which the tests differ."""
    if len(others) == 1:
        return name
    differing = [
        place for place in (*range(1, len(identity)), 0) if len({other[place] for other in others}) > 1
    ]
    beside: list[str] = []
    for place in differing:
        beside.append(identity[place].lower() if place else identity[place])
        chosen = differing[: len(beside)]
        alike = [other for other in others if all(other[at] == identity[at] for at in chosen)]
        if len(alike) == 1:
            break
    named = [part for part in beside if part]
    return f"{name} ({', '.join(named)})" if named else name


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
    """Fatal whatever else is said, then serious or with a criterion of seriousness, of unknown seriousness,
    not serious; in each the gravest."""
    answers = zip(*_columns(events, "serious", "seriousness_criteria"), strict=True)
    return _sorted(
        [not fatal for fatal in events["fatal"].tolist()],
        [0 if criteria else _SERIOUS_RANKS.get(serious, 1) for serious, criteria in answers],
        [-level if level else -1.5 for level in events.levels.tolist()],  # not stated: before mild
        *_columns(events, "site", "subject", "preferred_term", "term", "document_id"),
    )


def _by_rank(results: Facts) -> np.ndarray:
    """As `domain.clinical.measurements` ranks: by tier, then farthest outside first."""
    ratio = np.nan_to_num(results["ratio"], nan=0.0, posinf=np.inf)
    return _sorted(
        results["tier"].tolist(),
        (-ratio).tolist(),
        *_columns(results, "site", "subject", "kind", "test_code", "specimen", "collected", "document_id"),
    )


def _by_subject(rows: Facts) -> np.ndarray:
    return _sorted(*_columns(rows, "site", "subject", "start", "term", "document_id"))


def _by_code(findings: Facts) -> np.ndarray:
    return _sorted(*_columns(findings, "code", "site", "document_id", "field"))


_ORDERS: Mapping[str, Callable[[Facts], np.ndarray]] = {
    "documents": _by_arrival,
    "adverse_events": _gravest_first,
    "out_of_range": _by_rank,
    "deviations": _by_subject,
    "medications": _by_subject,
    "medical_history": _by_subject,
    "findings": _by_code,
}
