"""What a figure counts: rows of tables in memory, and those of deferred tables, counted where they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reporting_pipeline.domain.deferred import DeferredTable
from reporting_pipeline.domain.disclosure import CHOOSING, rows_shown
from reporting_pipeline.domain.facts import CURRENT, PREVIOUS, Facts

#: Columns of a table of results that say which rows a figure counts.
COUNTED = ("assessed", "out_of_range")


@dataclass(frozen=True)
class CountedRows:
    """Rows that were counted and are not kept."""

    rows: int
    documents: frozenset[str]  # that they come from


#: Column of COUNTED -> (of the period, of the period before).
CountedByColumn = Mapping[str, tuple[CountedRows, CountedRows]]


@dataclass(frozen=True)
class Population:
    """The rows that a figure counts: masks over one or more tables, and what of them it counts."""

    parts: tuple[tuple[Facts, np.ndarray], ...]
    counting: str = "rows"  # rows, sites, persons, or deceased: persons, and rows that name nobody
    elsewhere: tuple[CountedRows, ...] = ()  # of those that count rows: those that are not in memory

    def count(self) -> int:
        if self.counting == "rows":
            kept = sum(int(mask.sum()) for _, mask in self.parts)
            return kept + sum(one.rows for one in self.elsewhere)
        if self.counting == "sites":
            return len({site for facts, mask in self.parts for site in facts["site"][mask].tolist()} - {""})
        people = [person for facts, mask in self.parts for person in facts.persons[mask].tolist()]
        return len(set(people) - {0}) + (people.count(0) if self.counting == "deceased" else 0)

    def documents(self) -> list[str]:
        kept = {one for facts, mask in self.parts for one in facts["document_id"][mask].tolist()}
        return sorted(kept.union(*(one.documents for one in self.elsewhere)))


def counted_elsewhere(table: DeferredTable, sites: Sequence[str]) -> CountedByColumn:
    """The rows of a deferred table of results that its reader gets, of `sites` (none named: all).

    Gone through once, with few columns.
    """
    places = [(column, window) for column in COUNTED for window in (CURRENT, PREVIOUS)]
    rows = dict.fromkeys(places, 0)
    documents: dict[tuple[str, str], set[str]] = {place: set() for place in places}
    for whole in table.read([*CHOOSING, "document_id", "window", *COUNTED]):
        batch = rows_shown(table, whole)
        if sites:
            batch = batch.filter(pc.is_in(batch["site"], value_set=pa.array(sites, pa.string())))
        for column, window in places:
            counted = pc.and_(batch[column], pc.equal(batch["window"], window))
            rows[column, window] += pc.sum(counted).as_py() or 0
            documents[column, window].update(batch["document_id"].filter(counted).unique().to_pylist())

    def found(column: str, window: str) -> CountedRows:
        return CountedRows(rows[column, window], frozenset(documents[column, window]))

    return {column: (found(column, CURRENT), found(column, PREVIOUS)) for column in COUNTED}
