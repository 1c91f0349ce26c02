"""A table of a dataset whose rows are too many to stand in memory: they are read batch by batch.

A dataset that defers a table holds it empty. Figures over it are counted batch by batch (`populations`), or
are absent where nobody asks for them; they are never 0 for it. What a reader gets of its rows is
`disclosure`'s, as for a table in memory; how they are kept is that of whoever gives `read`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pandas as pd
import pyarrow as pa

from reporting_pipeline.domain.clinical.rows import MEASUREMENTS
from reporting_pipeline.domain.entitlements import Audience

#: Those whose rows stand in the order in which they are kept, each judged by itself alone.
DEFERRABLE = frozenset(MEASUREMENTS.values())


@dataclass(frozen=True)
class DeferredTable:
    """One table of `datasets.TABLES` that is not in memory, and what of it its reader may see."""

    name: str
    rows: int  # as it is kept, of both windows
    #: Its rows from the first on, with these columns (or more), each time it is called.
    read: Callable[[Sequence[str]], Iterator[pa.RecordBatch]] = field(repr=False)
    sites: tuple[str, ...] | None = None  # None: all
    subject: str = ""  # of whom alone; "": of everybody
    audience: Audience | None = None  # None: nothing was withheld yet

    def frames(self, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Its rows as they are kept, with these columns and their dtypes, some at a time."""
        for batch in self.read(columns):
            yield batch.select(list(columns)).to_pandas()


class RowsAside(Protocol):
    """Where rows of a table go while it is made and they are too many for memory."""

    def add(self, frame: pd.DataFrame) -> None:
        """Put these rows after those before."""

    def table(self) -> DeferredTable:
        """All rows that were added; none can be added any more."""
