"""Two streams side by side: every difference comes out once, and nothing is held back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporting_pipeline.domain.reconciliation import (
    DifferenceKind,
    Named,
    OutOfOrder,
    Source,
    Stored,
    paired,
    suspicion,
)

NOW = datetime(2026, 11, 25, tzinfo=UTC)
keys = st.text(min_size=1, max_size=3)


def named(key: str, record: str = "r", size: int | None = None) -> Named:
    return Named(key, Source.REPORT, record, size)


def stored(key: str, size: int = 1, age_days: int = 9) -> Stored:
    return Stored(key, size, NOW - timedelta(days=age_days))


@given(st.lists(keys), st.sets(keys))
def test_the_pairs_are_those_of_the_two_sets(names: list[str], objects: set[str]) -> None:
    """Sorted as S3 sorts, by UTF-8 bytes; several records may name one object."""

    def by_bytes(key: str) -> bytes:
        return key.encode("utf-8", "surrogatepass")

    found = list(
        paired(
            (named(key) for key in sorted(names, key=by_bytes)),
            (stored(key) for key in sorted(objects, key=by_bytes)),
        )
    )
    assert sorted(name.key for name, one in found if name and one is None) == sorted(
        key for key in names if key not in objects
    )
    assert {one.key for name, one in found if name is None and one} == objects - set(names)
    assert sorted(name.key for name, one in found if name and one and name.key == one.key) == sorted(
        key for key in names if key in objects
    )
    assert len(found) == len(names) + len(objects - set(names))


def test_a_pair_comes_out_as_soon_as_both_sides_were_read_so_far() -> None:
    read = {"names": 0, "objects": 0}

    def counted(what: str, step: int) -> Iterator[str]:
        for number in range(0, 100_000, step):
            read[what] += 1
            yield f"{number:06}"

    pairs = paired(
        (named(key) for key in counted("names", 3)), (stored(key) for key in counted("objects", 2))
    )
    position = -1
    for position, (name, one) in enumerate(pairs):
        assert read["names"] + read["objects"] <= position * 2 + 4
        assert name is not None or one is not None
    assert position + 1 == len({*range(0, 100_000, 3), *range(0, 100_000, 2)})


@pytest.mark.parametrize("side", ["names", "objects"])
def test_a_stream_out_of_order_is_refused_and_gives_no_false_finding(side: str) -> None:
    wrong, right = ["b", "a"], ["a", "b"]
    names, objects = (wrong, right) if side == "names" else (right, wrong)
    with pytest.raises(OutOfOrder, match=f"the {side} are not in the order"):
        list(paired(map(named, names), map(stored, objects)))


@pytest.mark.parametrize(
    ("name", "one", "kind"),
    [
        (named("k", size=1), stored("k", 1), None),
        (named("k", size=None), stored("k", 1), None),
        (named("k", size=2), stored("k", 1), DifferenceKind.WRONG_SIZE),
        (named("k", size=0), stored("k", 1), DifferenceKind.WRONG_SIZE),
        (named("k"), None, DifferenceKind.MISSING),
        (None, stored("k", age_days=9), DifferenceKind.ORPHAN),
        (None, stored("k", age_days=1), None),
    ],
)
def test_what_is_suspected(name: Named | None, one: Stored | None, kind: DifferenceKind | None) -> None:
    assert suspicion((name, one), NOW - timedelta(days=2)) is kind
