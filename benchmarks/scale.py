"""What an edition costs beyond these machines: python -m benchmarks.scale

A model whose coefficients are fitted to measured editions (`MEASURED`, from docs/performance.md), so that a
deployment can be sized before it is paid for. Measures nothing and ends at once. Prints one JSON object:

    predicted      CPU seconds by who spends them, rows, files, mails, memory and money of one edition
    wall_s         by what would hold it up if nothing else did: the slowest of them is `first_to_break`
    shards         deployments over which the organisations would have to be spread, by each limit
    check          each measured edition, predicted from the others alone: how far off the model is

    python -m benchmarks.edition --subscriptions 3000 --trials 50 > measured.json
    python -m benchmarks.scale --against measured.json     # the same model held against a new measurement
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from benchmarks import measuring
from reporting_pipeline.assets.emails import DELIVERIES_PER_RUN
from reporting_pipeline.settings import Settings

#: Who spends CPU: the runs (workers), Dagster (one daemon, one code server), the servers (database, files).
SPENDERS = ("runs", "dagster", "servers")


@dataclass(frozen=True)
class Edition:
    """One measured edition: CPU seconds by spender, and the code server's peak of memory in MB."""

    reports: int
    trials: int
    runs: float
    dagster: float
    servers: float
    code_server_mb: float


#: docs/performance.md, "Editions"; each with `python -m benchmarks.edition --subscriptions N --trials T`.
MEASURED = (
    Edition(1_000, 5, 34, 14, 13, 307),
    Edition(10_000, 50, 125, 36, 132, 369),
    Edition(50_000, 50, 464, 139, 775, 498),
)
#: CPU of the runs to fetch and aggregate one trial of 130 documents, whoever reads its reports.
TRIAL_SECONDS = 0.3
#: Rows and files of one report of the reference edition (one recipient each), counted in its stores.
RECORDS, CHANGES, LOOK_UPS = 5, 4, 12
EVENTS = 3  # planned, made, handed over
FILES_OF_A_TRIAL = 3  # snapshot, dataset, media
TRIAL_STAGES = 4  # runs over the trials: documents, datasets, media, status
REPORT_BYTES = 190_000
EVENTS_OF_A_RUN = 40
#: Above so many keys of an asset Dagster's pages get slow; its makers name this figure.
KEYS_OF_AN_ASSET = 100_000
#: An edition is to be done in so long: the time between two nights.
WITHIN_SECONDS = 8 * 3600
PRICES = {"compute_cpu_hour": 0.05, "storage_gb_month": 0.023, "mail_thousand": 0.10}


@dataclass(frozen=True)
class Line:
    """cost = fixed + each * reports"""

    fixed: float
    each: float

    def at(self, reports: int) -> float:
        return self.fixed + self.each * reports


def fitted(editions: Sequence[Edition], what: str) -> Line:
    """The line of least relative error: a small edition counts as much as a large one.

    What the trials cost is taken from the runs first, since it does not go by reports. The fixed part is what
    starting costs, and so never less than nothing: where it would be, the line goes through nothing.
    Raises ValueError for fewer than two sizes.
    """
    points = [(one.reports, getattr(one, what) - _of_trials(what, one.trials)) for one in editions]
    if len({size for size, _ in points}) < 2:
        raise ValueError("a line needs two editions of different size")
    weights = [1 / cost**2 for _, cost in points]
    total = sum(weights)
    mean = sum(w * size for w, (size, _) in zip(weights, points, strict=True)) / total
    cost = sum(w * value for w, (_, value) in zip(weights, points, strict=True)) / total
    spread = sum(w * (size - mean) ** 2 for w, (size, _) in zip(weights, points, strict=True))
    along = sum(w * (size - mean) * (value - cost) for w, (size, value) in zip(weights, points, strict=True))
    each = along / spread
    if cost >= each * mean:
        return Line(cost - each * mean, each)
    rates = [(w * size * size, value / size) for w, (size, value) in zip(weights, points, strict=True)]
    return Line(0.0, sum(w * rate for w, rate in rates) / sum(w for w, _ in rates))


def _of_trials(what: str, trials: int) -> float:
    return trials * TRIAL_SECONDS if what == "runs" else 0.0


def cpu(editions: Sequence[Edition], reports: int, trials: int) -> dict[str, float]:
    """CPU seconds of an edition of so many reports of so many trials, by spender."""
    return {name: fitted(editions, name).at(reports) + _of_trials(name, trials) for name in SPENDERS}


def off_by(editions: Sequence[Edition], held_out: Edition) -> float:
    """How far the CPU that is predicted from `editions` is from that of one that is not among them."""
    measured: float = sum(getattr(held_out, name) for name in SPENDERS)
    return abs(sum(cpu(editions, held_out.reports, held_out.trials).values()) - measured) / measured


def predict(reports: int, trials: int, cores: int, mails_per_second: float) -> dict[str, Any]:
    """The figures of one edition; see the module. `cores` are those of all workers."""
    spent = cpu(MEASURED, reports, trials)
    in_a_run = Settings.model_fields["range_size"].default
    runs = (
        ceil(reports / in_a_run) + TRIAL_STAGES * ceil(trials / in_a_run) + ceil(reports / DELIVERIES_PER_RUN)
    )
    memory = fitted(MEASURED, "code_server_mb").at(reports)
    gigabytes = reports * REPORT_BYTES / 1e9
    waits = {
        "workers": spent["runs"] / cores,
        "one daemon and code server": spent["dagster"],
        "one database of one core": spent["servers"],
        "mail provider": reports / mails_per_second,
    }
    shards = {
        "partition keys of an asset": ceil(reports / KEYS_OF_AN_ASSET),
        "one daemon and code server": ceil(spent["dagster"] / WITHIN_SECONDS),
        "one database of one core": ceil(spent["servers"] / WITHIN_SECONDS),
    }
    return {
        "reports": reports,
        "trials": trials,
        "worker_cores": cores,
        "predicted": {
            "cpu_s": {**spent, "all": sum(spent.values())},
            "database": {
                "records": reports * RECORDS,
                "changes": reports * CHANGES,
                "look_ups": reports * LOOK_UPS,
            },
            "files": reports + trials * FILES_OF_A_TRIAL,
            "gigabytes": gigabytes,
            "event_rows": reports * EVENTS + runs * EVENTS_OF_A_RUN,
            "runs": runs,
            "mails": reports,
            "code_server_mb": memory,
            "money": {
                "compute": sum(spent.values()) / 3600 * PRICES["compute_cpu_hour"],
                "storage_a_month": gigabytes * PRICES["storage_gb_month"],
                "mail": reports / 1000 * PRICES["mail_thousand"],
            },
        },
        "wall_s": waits,
        "first_to_break": max(waits, key=waits.__getitem__),
        "shards": shards,
    }


def check() -> dict[str, float]:
    """By measured size: how far off the prediction from the other editions is."""
    return {
        str(one.reports): off_by([other for other in MEASURED if other is not one], one) for one in MEASURED
    }


def measured_in(path: Path) -> Edition:
    """The edition that `benchmarks.edition` wrote. Raises ValueError that says what is missing."""
    said = json.loads(path.read_text())
    try:
        spent = said["cpu"]
        return Edition(
            int(said["reports"]),
            int(said["trials"]),
            float(spent["runs"]),
            float(spent["daemon_and_code_servers"]),
            float(spent["servers"]),
            float(said["code_server_peak_mb"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is not what benchmarks.edition prints: {error} is missing") from error


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--subscriptions", type=int, default=1_000_000)
    parser.add_argument("--trials", type=int, default=5_000)
    parser.add_argument("--cores", type=int, default=16, help="of all workers")
    parser.add_argument("--mails-per-second", type=float, default=100.0, help="that the provider takes")
    parser.add_argument("--against", type=Path, help="what benchmarks.edition printed")
    chosen = parser.parse_args()
    figures = predict(chosen.subscriptions, chosen.trials, chosen.cores, chosen.mails_per_second)
    figures["check"] = check()
    if chosen.against:
        edition = measured_in(chosen.against)
        figures["check"]["against"] = off_by(MEASURED, edition)
    measuring.show("scale", figures)


if __name__ == "__main__":
    main()
