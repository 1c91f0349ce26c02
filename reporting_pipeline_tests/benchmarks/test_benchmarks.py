"""Each benchmark, small: it ends well and says what it promises to say. No time is judged."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from benchmarks.__main__ import SMALL
from reporting_pipeline_tests.benchmarks.small import ROOT, figures_of

#: What each object says, beside `name` and `machine`; `edition` has a test of its own.
SAID: Mapping[str, set[str]] = {
    "render": {
        "bodies",
        "per_core_1",
        "per_core_10",
        "per_core_100",
        "vs_typst_at_10",
        "vs_weasyprint_at_10",
    },
    "aggregate": {"documents", "rows", "wall_s", "documents_per_second", "peak_mb"},
    "large_trial": {"documents", "rows", "cpu_s", "wall_s", "peak_mb", "snapshot_peak_mb"},
    "due": {"schedules", "due", "jobs", "due_planned_seconds", "nothing_due_seconds"},
    "batch": {"documents", "bytes", "new_s", "again_s", "new_cpu_s", "again_cpu_s"},
    "api": {"subscriptions", "connections", "read", "list", "create"},
    "console": {"subscriptions", "pages", "slowest", "slowest_ms"},
    "kill_delivery": {"deliveries", "with_events", "without_events", "outbox"},
    "lineage": {"sqlite", "slowest_s"},
    "rows": {"rows", "format", "cpu_s", "wall_s", "peak_mb"},
    "run_now": {"reports", "median_s", "worst_s", "parts_s"},
    "scale": {"predicted", "wall_s", "first_to_break", "shards", "check"},
}


def test_every_benchmark_is_among_the_small_ones() -> None:
    files = (ROOT / "benchmarks").glob("[!_]*.py")
    programs = {path.stem for path in files if '__name__ == "__main__"' in path.read_text()}
    assert programs == set(SMALL) == {*SAID, "edition"}


@pytest.mark.slow
@pytest.mark.parametrize("name", SAID)
def test_a_small_benchmark_ends_well_and_says_its_figures(name: str) -> None:
    assert figures_of(name).keys() >= SAID[name]
