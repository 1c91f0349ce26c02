"""Documents to datasets: python -m benchmarks.aggregate --documents 1000000

Tidies that many document records of one week into the tables of a trial dataset, trial by trial, writes
them as the Parquet objects of S3 (in memory) and computes the figures of one filter set per trial.
Prints one JSON object; seconds are of one process. Records are made before the clock starts.
"""

from __future__ import annotations

import argparse
import io
from datetime import UTC, datetime
from typing import Any

from benchmarks import measuring, synthetic
from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.figures import figures_for
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.tidying import tidy_documents

NOW = datetime(2026, 11, 23, 6, tzinfo=UTC)


def measure(documents: int, trials: int) -> dict[str, Any]:
    """Seconds of wall time by step, over all trials."""
    period = Period.last_closed(Cadence.WEEKLY, NOW)
    seconds = {"tidy": 0.0, "parquet": 0.0, "figures": 0.0}
    cpu = 0.0
    rows = count = size = 0
    for trial, records in synthetic.week_of(trials, documents, period):
        with measuring.Watch() as tidying:
            tables = tidy_documents(records, {}, period)
        with measuring.Watch() as writing:
            for table in tables.values():
                buffer = io.BytesIO()
                table.to_parquet(buffer, index=False, compression="zstd")
                size += buffer.tell()
        dataset = TrialDataset(trial, trial, period, tables, "0" * 16, period.end_at)
        with measuring.Watch() as figures:
            figures_for(dataset, synthetic.filter_sets(trial)[1])
        for name, watch in (("tidy", tidying), ("parquet", writing), ("figures", figures)):
            seconds[name] += watch.wall
            cpu += watch.cpu
        count += len(records)
        rows += sum(len(table) for table in tables.values())
    wall = sum(seconds.values())
    return {
        "documents": count,
        "trials": trials,
        "rows": rows,
        "parquet_mb": size / 1e6,
        "wall_s": wall,
        "cpu_s": cpu,
        "seconds": seconds,
        "documents_per_second": count / wall,
        "peak_mb": measuring.own_peak_mb(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--trials", type=int, default=synthetic.TRIALS)
    chosen = parser.parse_args()
    measuring.show("aggregate", measure(chosen.documents, chosen.trials))


if __name__ == "__main__":
    main()
