"""What a list of results shows when it cannot show all: each test before any test fills the list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from reporting_pipeline.domain.clinical.measurements import GRAVE
from reporting_pipeline.domain.clinical.rows import TEST_IDENTITY
from reporting_pipeline.domain.facts import Listing


def represented(results: Listing, most: int) -> Listing:
    """At most `most` rows of `out_of_range`, in its order: each test before any test fills the list.

    What is critical or grave comes first whatever its test; then the worst result of every test, then
    the second worst of every test, and so on.
    """
    if len(results) <= most:
        return results
    tiers = results["tier"].tolist()
    turns: Counter[tuple[str, ...]] = Counter()
    rounds = []
    for place, (tier, identity) in enumerate(zip(tiers, _identities(results), strict=True)):
        grave = tier <= GRAVE
        rounds.append((0 if grave else 1 + turns[identity], place))
        turns[identity] += 1
    chosen = {place for _, place in sorted(rounds)[:most]}
    return results.only([place in chosen for place in range(len(results))])


def left_out(results: Listing, shown: Listing) -> list[tuple[str, int]]:
    """How many rows of each test a shortened list left out, most first."""
    tests = Counter(results["test"].tolist())
    tests.subtract(shown["test"].tolist())
    return sorted(
        ((test, count) for test, count in tests.items() if count), key=lambda one: (-one[1], one[0])
    )


def _identities(results: Listing) -> Iterator[tuple[str, ...]]:
    return zip(*(results[name].tolist() for name in ("kind", *TEST_IDENTITY)), strict=True)
