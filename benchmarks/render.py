"""Documents per second and core: python -m benchmarks.render --bodies 40

Renders reports of synthetic trials in one process without any server, with 1, 10 and 100 readers to a
body, and the same report by plain platypus, WeasyPrint and Typst. `per_core` is documents per second of
CPU time, so that other users of the machine count less. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import alternatives, measuring, platypus, synthetic
from benchmarks.in_memory import Trials
from reporting_pipeline.reports.images import ThumbnailCache
from reporting_pipeline.reports.renderer import ReportRenderer

READERS = (1, 10, 100)


def measure(bodies: int, sample: int) -> dict[str, Any]:
    """`bodies` for each number of readers; `sample` documents of each alternative."""
    filter_sets = min(bodies, synthetic.FILTER_SETS)
    trials = max(bodies // filter_sets, 1)
    shared = {readers: _in_a_process_of_its_own(trials, filter_sets, readers) for readers in READERS}
    with tempfile.TemporaryDirectory(prefix="reporting-render-") as name:
        source, folder = Trials(), Path(name)
        requests = list(source.requests(1, min(sample, filter_sets), 1))
        thumbnails = ThumbnailCache(source.read, folder / "thumbnails")
        seconds: dict[str, Any] = {
            "platypus": platypus.seconds_per_document(requests, thumbnails),
            **alternatives.measure(requests, thumbnails),
        }
    ten = shared[10]["per_core"]
    return {
        "bodies": trials * filter_sets,
        "readers_per_body": shared,
        "per_core_1": shared[1]["per_core"],
        "per_core_10": ten,
        "per_core_100": shared[100]["per_core"],
        "alternatives_s": seconds,
        "vs_platypus_at_10": _ratio(ten, seconds["platypus"]),
        "vs_weasyprint_at_10": _ratio(ten, seconds["weasyprint"]),
        "vs_typst_at_10": _ratio(ten, seconds["typst"]),
    }


def _in_a_process_of_its_own(trials: int, filter_sets: int, readers: int) -> dict[str, float]:
    """What one measurement draws once and keeps must not serve the next one."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        measured = pool.apply(_measured, (trials, filter_sets, readers))
        measuring.end_by_itself(pool)
    return measured


def _measured(trials: int, filter_sets: int, readers: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="reporting-render-") as name:
        source, folder = Trials(), Path(name)
        _render(source, folder, 1, 2, 1)  # fonts and imports are loaded once per process
        return _render(source, folder / "measured", trials, filter_sets, readers)


def _render(source: Trials, folder: Path, trials: int, filter_sets: int, readers: int) -> dict[str, float]:
    """Documents per second of CPU with a renderer that has made nothing before."""
    renderer = ReportRenderer(source.read, folder)
    requests = list(source.requests(trials, filter_sets, readers))
    pages = size = 0
    with measuring.Watch() as watch:
        for request in requests:
            rendered = renderer.render(request)
            pages += rendered.pages
            size += rendered.size
    count = len(requests)
    return {
        "documents": count,
        "pages": pages / count,
        "kb": size / count / 1000,
        "wall_s": watch.wall,
        "cpu_s": watch.cpu,
        "per_core": count / watch.cpu,
        "peak_mb": measuring.own_peak_mb(),
    }


def _ratio(per_second: float, seconds: float | str) -> float | None:
    return per_second * seconds if isinstance(seconds, float) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bodies", type=int, default=40)
    parser.add_argument("--sample", type=int, default=5, help="documents of each alternative")
    chosen = parser.parse_args()
    measuring.show("render", measure(chosen.bodies, chosen.sample))


if __name__ == "__main__":
    main()
