"""What an installation may expose: alerts and panels name nothing else."""

from __future__ import annotations

from reporting_pipeline.operations.metrics import (
    CAPACITY,
    COUNTS,
    DIFFERENCES,
    DURATIONS,
    ENDED,
    GAUGES,
    OWN,
    UPKEEP,
)


def metric_names() -> set[str]:
    """Every metric that may be exposed, as Prometheus names its series."""
    names = {name for name, _, _ in GAUGES.values()} | {*OWN, CAPACITY, *DIFFERENCES, *UPKEEP}
    names |= {f"{name}_total" for name, _, _ in ENDED.values()} | {
        f"{name}_total" for name, _ in COUNTS.values()
    }
    return names | {f"{name}_{part}" for name, _ in DURATIONS.values() for part in ("bucket", "sum", "count")}
