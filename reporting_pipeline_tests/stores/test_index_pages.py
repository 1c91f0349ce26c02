"""Pages in index_pages: whatever is guessed, each row comes once and in order, and few are looked at."""

from __future__ import annotations

from bisect import bisect_right
from random import Random

import pytest

from reporting_pipeline.stores.index_pages import IndexPages
from reporting_pipeline.stores.mongo import Record

END = 16**8


class List:
    """An index, and how many of its rows were in the ranges that were asked for."""

    def __init__(self, positions: list[int]) -> None:
        self.positions = sorted(positions)
        self.looked_at = 0
        self.queries = 0

    def read(self, low: int, high: int | None, limit: int) -> list[Record]:
        first = bisect_right(self.positions, low) if low > 0 else 0
        last = bisect_right(self.positions, high) if high is not None else len(self.positions)
        self.looked_at += last - first
        self.queries += 1
        return [{"position": one} for one in self.positions[first:last][:limit]]

    def pages(self, index_pages: IndexPages, limit: int) -> list[list[int]]:
        found: list[list[int]] = []
        start = 0
        while page := index_pages.page(
            "one", self.read, lambda row: int(row["position"]), start=start, end=END, limit=limit
        ):
            found.append([row["position"] for row in page])
            start = found[-1][-1]
            if len(page) < limit:
                break
        return found


def spread(count: int) -> list[int]:
    return Random(7).sample(range(1, END), count)


LISTS = {
    "none": [],
    "one": [5],
    "the last place": [END - 1],
    "evenly": spread(5_000),
    "at the beginning": list(range(1, 3_000)),
    "at the end": list(range(END - 3_000, END)),
    "two clusters": [*range(1, 2_000), *range(END // 2, END // 2 + 2_000)],
}


@pytest.mark.parametrize("positions", LISTS.values(), ids=LISTS)
@pytest.mark.parametrize("limit", [1, 51, 200])
def test_pages_hold_each_row_once_in_order(positions: list[int], limit: int) -> None:
    rows = List(positions)
    index_pages = IndexPages()

    for _ in range(2):  # not known yet, and known
        pages = rows.pages(index_pages, limit)
        assert [one for page in pages for one in page] == rows.positions
        assert all(len(page) == limit for page in pages[:-1])


def test_a_known_list_is_read_by_about_what_a_page_holds() -> None:
    rows = List(spread(5_000))
    index_pages = IndexPages()
    rows.pages(index_pages, 51)
    rows.looked_at = rows.queries = 0

    pages = rows.pages(index_pages, 51)

    assert rows.looked_at < 5_000 * 1.6
    assert rows.queries < len(pages) * 1.4


def test_an_unknown_list_is_not_read_whole() -> None:
    rows = List(spread(100_000))

    IndexPages().page("one", rows.read, lambda row: int(row["position"]), start=0, end=END, limit=51)

    assert rows.looked_at < 1_000


def test_a_short_list_that_is_known_takes_one_query() -> None:
    rows = List(spread(20))
    index_pages = IndexPages()
    rows.pages(index_pages, 51)
    rows.queries = 0

    rows.pages(index_pages, 51)

    assert rows.queries == 1
