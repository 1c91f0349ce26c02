"""Each benchmark, small: it ends well and says what it promises to say. No time is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import SMALL

ROOT = Path(__file__).parents[2]
#: What each object says, beside `name` and `machine`.
SAID: Mapping[str, set[str]] = {
    "render": {"bodies", "readers", "alternatives"},
    "aggregate": {"documents", "rows", "wall_s", "documents_per_second", "peak_mb"},
    "due": set(),
    "api": set(),
    "kill_delivery": set(),
    "lineage": set(),
    "edition": {
        "wall_s",
        "limit_wall_s",
        "vs_run_per_report",
        "vs_celery",
        "events_share",
        "startup_share",
        "peak_mb",
        "cost_per_report_s",
        "breakdown",
    },
}


def figures_of(name: str) -> dict[str, Any]:
    command = [sys.executable, "-m", f"benchmarks.{name}", *SMALL[name]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-4_000:]
    said = json.loads(done.stdout)
    assert said["name"] == name
    assert said["machine"]["cores"] >= 1
    return dict(said)


def test_every_benchmark_is_among_the_small_ones() -> None:
    parts = {"__init__", "__main__", "alternatives", "celery_design", "measuring", "platypus"}
    parts |= {"synthetic", "unorchestrated"}
    assert {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - parts == set(SMALL) == set(SAID)


@pytest.mark.parametrize("name", [name for name in SMALL if name != "edition"])
def test_a_small_benchmark_ends_well_and_says_its_figures(name: str) -> None:
    assert figures_of(name).keys() >= SAID[name]


def test_a_small_edition_is_made_whole_and_compared_with_its_limit_and_its_alternatives() -> None:
    said = figures_of("edition")
    assert said.keys() >= SAID["edition"]
    assert said["reports"] == said["mails"] == said["subscriptions"]
    assert said["jobs"] == {"completed": said["subscriptions"]}
    assert said["limit"]["reports"] == said["subscriptions"]
    assert said["limit"]["same_bytes"] is True
    assert said["limit_parallel"]["same_bytes"] is True
    assert said["run_per_report"]["runs"] >= 1
    assert said["celery"]["seconds_per_report"] > 0
