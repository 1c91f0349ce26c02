"""Pages read from an index in bounded ranges.

A page is `sort` and `limit` on an index. Some servers that speak MongoDB's protocol read and sort all
that the filter selects before they apply the limit, so that a page of 50 costs as much as the list is
long. A range with two ends is looked up in the index by all of them: a page is read in ranges that are
about as wide as it needs. How wide that is, the pages read before tell; a list that is not known yet is
begun small. A guess that is wrong costs another query or some rows too many, never a row.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

from reporting_pipeline.stores.mongo import Record

FIRST_SHARE = 256  # of an unknown list, this part of the span is read first
GROWTH = 8  # of a range that held too little, at most
MARGIN = 1.25  # rows lie unevenly: a little more than needed saves the second query
KEPT_LISTS = 10_000

#: (low, high, limit) -> the rows with low < position <= high, at most `limit`, in order; None: to the end.
Read = Callable[[int, int | None, int], Sequence[Record]]


class IndexPages:
    """How far apart the rows of each list lie. Shared between threads, kept within the process."""

    def __init__(self) -> None:
        self._gaps: OrderedDict[Hashable, float] = OrderedDict()
        self._lock = threading.Lock()

    def page(
        self,
        name: Hashable,
        read: Read,
        position_of: Callable[[Record], int],
        *,
        start: int,
        end: int,
        limit: int,
    ) -> list[Record]:
        """The first `limit` rows behind `start`; fewer only when there are no more up to `end`.

        Positions are integers that rise in the order of the list; rows may share one. `name` says which
        list it is.
        """
        found: list[Record] = []
        low, width = start, self._first_width(name, start, end, limit)
        while True:
            high = low + width if low + width < end else None
            rows = read(low, high, limit - len(found))
            found += rows
            if high is None or len(found) >= limit:
                break
            width = _next_width(width, len(rows), limit - len(found))
            low = high
        if found and len(found) >= limit:
            self._learn(name, (position_of(found[-1]) - start) / len(found))
        elif start <= 0:
            self._learn(name, end / (len(found) + 1))
        return found

    def _first_width(self, name: Hashable, start: int, end: int, limit: int) -> int:
        with self._lock:
            gap = self._gaps.get(name)
        if gap is None:
            return max(1, (end - start) // FIRST_SHARE)
        return max(1, math.ceil(gap * limit * MARGIN))

    def _learn(self, name: Hashable, gap: float) -> None:
        with self._lock:
            self._gaps[name] = gap
            self._gaps.move_to_end(name)
            if len(self._gaps) > KEPT_LISTS:
                self._gaps.popitem(last=False)


def _next_width(width: int, held: int, needed: int) -> int:
    if not held:
        return width * GROWTH
    return max(1, min(width * GROWTH, math.ceil(width * needed / held * MARGIN)))
