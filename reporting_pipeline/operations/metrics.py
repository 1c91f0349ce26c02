"""The deployment's metrics in Prometheus' text format: what `/metrics` answers.

Belongs here: names, help texts and types. Does not: counting (`stores/metrics.py`) and measuring
(`stores/measures.py`), both of which happen elsewhere and earlier, so that an answer reads a few small
records however much there is. `reporting_figures_age_seconds` says how old the counts are.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.measures import BOUNDS, MEASURES
from reporting_pipeline.stores.metrics import Figures, read, refresh
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.upkeep import last_upkeep

log = logging.getLogger(__name__)
_counting = threading.Lock()

#: Prefix of the figure -> metric, help, labels.
GAUGES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "jobs": ("reporting_jobs", "Jobs that are open, by state; failed ones wait for a person.", ("state",)),
    "deliveries": ("reporting_deliveries", "Deliveries that are open, by state.", ("state",)),
    "editions": ("reporting_editions", "Editions by state.", ("state",)),
    "subscriptions": ("reporting_subscriptions", "Subscriptions by status.", ("status",)),
    "queue": ("reporting_queue_depth", "What waits in a stage: trials, reports, deliveries.", ("stage",)),
    "queue_oldest": (
        "reporting_queue_oldest_seconds",
        "How long the oldest has waited.",
        ("stage",),
    ),
    "workers": ("reporting_workers", "Runs at work with a heartbeat in the last minute.", ("stage",)),
    "heartbeat_age": ("reporting_heartbeat_age_seconds", "Since the newest sign of life of any run.", ()),
    "dead_letters": ("reporting_dead_letters", "Given up: deliveries, and reports not rendered.", ("kind",)),
    "dead_letters_oldest": (
        "reporting_dead_letters_oldest_seconds",
        "Age of the oldest given up.",
        (),
    ),
    "alerts": ("reporting_alerts_open", "Alerts that wait for a person.", ()),
}
#: The same for what only ever grows.
ENDED: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "jobs": (
        "reporting_jobs_ended",
        "Jobs that ended, by how, and for failed ones by kind of error.",
        ("state", "report_type", "format", "error"),
    ),
    "restatements": (
        "reporting_restatements_ended",
        "Jobs of a report that takes the place of one that was sent, by how they ended.",
        ("state",),
    ),
    "deliveries": ("reporting_deliveries_settled", "Deliveries that were settled.", ("channel", "state")),
    "promised": (
        "reporting_deliveries_promised",
        "Deliveries within 30 minutes of being due (kept), later or given up (broken).",
        ("promise",),
    ),
}
#: Durations that processes measure.
DURATIONS: Mapping[str, tuple[str, str]] = {
    "generation": ("reporting_generation_seconds", "Making one report."),
    "stage": ("reporting_partition_seconds", "One partition of a stage."),
    "s3": ("reporting_s3_seconds", "One request to S3."),
    "mongodb": ("reporting_mongodb_seconds", "One command to MongoDB."),
    "send": ("reporting_send_seconds", "Handing messages to a provider, one request."),
}
#: Counts that processes keep.
COUNTS: Mapping[str, tuple[str, str]] = {
    "cpu_seconds": ("reporting_cpu_seconds", "CPU of runs, by stage: what an edition costs in compute."),
    "s3_bytes": ("reporting_s3_bytes", "Bytes moved to and from S3."),
    "bounces": ("reporting_bounces", "Bounces and complaints that providers reported."),
}
OWN = ("reporting_figures_age_seconds", "reporting_stored_bytes", "reporting_storage_limit_bytes")
CAPACITY = "reporting_worker_capacity"
#: Of the last reconciliation.
DIFFERENCES = ("reporting_reconciliation_findings", "reporting_reconciliation_age_seconds")
#: Of the last upkeep of each kind that there was, by the names under which it is kept.
UPKEEP = ("reporting_upkeep_age_seconds", "reporting_upkeep_failed")
WORKS = ("backup", "restore_drill", "retention")


def exposition(database: Database, settings: Settings, now: datetime) -> bytes:
    """The metrics at `now`. Counts anew behind the answer; only the very first answer waits for it."""
    figures = read(database)
    if figures.at is None:
        _bring_up_to_date(database, now)
        figures = read(database)
    else:
        _count_behind(database, now)
    registry = CollectorRegistry()
    registry.register(_Figures(figures, settings, now))
    registry.register(_Differences(last_upkeep(database, "reconciliation"), now))
    last = {work: record for work in WORKS if (record := last_upkeep(database, work)) is not None}
    registry.register(_Upkeep(last, now))
    return generate_latest(registry)


def _count_behind(database: Database, now: datetime) -> None:
    """Count in another thread, unless this process is at it already."""
    if _counting.acquire(blocking=False):

        def work() -> None:
            try:
                _bring_up_to_date(database, now)
            except Exception as error:  # told by `reporting_figures_age_seconds`, too; never by a traceback
                log.warning("the metrics were not brought up to date: %s", type(error).__name__)
            finally:
                _counting.release()

        threading.Thread(target=work, name="metrics", daemon=True).start()


def _bring_up_to_date(database: Database, now: datetime) -> None:
    MEASURES.flush(database)
    refresh(database, now)


class _Figures(Collector):
    def __init__(self, figures: Figures, settings: Settings, now: datetime) -> None:
        self._figures, self._settings, self._now = figures, settings, now

    def collect(self) -> Iterable[Metric]:
        yield from self._gauges()
        yield from self._ended()
        yield from self._measured()
        yield from self._stored()
        yield self._capacity()
        if self._figures.at is not None:
            age = max(0.0, (self._now - self._figures.at).total_seconds())
            yield GaugeMetricFamily(OWN[0], "Age of the counts in this answer.", value=age)

    def _gauges(self) -> Iterator[Metric]:
        for prefix, (name, text, labels) in GAUGES.items():
            family = GaugeMetricFamily(name, text, labels=labels)
            for values, number in _of(self._figures.now, prefix, len(labels)):
                family.add_metric(values, number)
            yield family

    def _ended(self) -> Iterator[Metric]:
        for prefix, (name, text, labels) in ENDED.items():
            family = CounterMetricFamily(name, text, labels=labels)
            for values, number in _of(self._figures.ended, prefix, len(labels)):
                family.add_metric(values, number)
            yield family

    def _measured(self) -> Iterator[Metric]:
        by_name: dict[str, list[Record]] = {}
        for record in self._figures.measures:
            by_name.setdefault(record["name"], []).append(record)
        for measure, (name, text) in DURATIONS.items():
            if measure in by_name:
                yield _histogram(name, text, by_name[measure])
        for measure, (name, text) in COUNTS.items():
            records = by_name.get(measure, [])
            if records:
                labels = _labels(records)
                family = CounterMetricFamily(name, text, labels=labels)
                for record in records:
                    family.add_metric(_values(record, labels), record["count"])
                yield family

    def _stored(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(OWN[1], "Bytes of reports and uploaded files.", labels=["kind"])
        for kind, number in self._figures.stored.items():
            family.add_metric([kind], number)
        yield family
        limit = self._settings.storage_limit_bytes
        if limit is not None:
            yield GaugeMetricFamily(OWN[2], "REPORTING_STORAGE_LIMIT_BYTES.", value=limit)

    def _capacity(self) -> Metric:
        family = GaugeMetricFamily(CAPACITY, "Runs of a stage at a time, by the settings.", labels=["stage"])
        family.add_metric(["render"], self._settings.render_runs)
        family.add_metric(["notify"], self._settings.delivery_runs)
        return family


class _Differences(Collector):
    """What the last reconciliation found and did not mend; nothing where there was none."""

    def __init__(self, last: Record | None, now: datetime) -> None:
        self._last, self._now = last, now

    def collect(self) -> Iterable[Metric]:
        if self._last is None:
            return
        family = GaugeMetricFamily(
            DIFFERENCES[0], "Found by the last reconciliation and not mended.", labels=["kind", "source"]
        )
        mended = self._last.get("mended", {})
        for kind, by_source in self._last.get("found", {}).items():
            for source, count in by_source.items():
                family.add_metric([kind, source], count - mended.get(kind, {}).get(source, 0))
        yield family
        age = max(0.0, (self._now - self._last["at"]).total_seconds())
        yield GaugeMetricFamily(DIFFERENCES[1], "Since the last reconciliation.", value=age)


class _Upkeep(Collector):
    """When each kind of upkeep was done last, and whether it failed; nothing of what never was."""

    def __init__(self, last: Mapping[str, Record], now: datetime) -> None:
        self._last, self._now = last, now

    def collect(self) -> Iterable[Metric]:
        age = GaugeMetricFamily(UPKEEP[0], "Since the last backup, drill, retention.", labels=["work"])
        failed = GaugeMetricFamily(UPKEEP[1], "1 where the last one did not do all.", labels=["work"])
        for work, record in self._last.items():
            age.add_metric([work], max(0.0, (self._now - record["at"]).total_seconds()))
            failed.add_metric([work], float(not record.get("ok")))
        yield age
        yield failed


def _of(counts: Mapping[str, float], prefix: str, labels: int) -> Iterator[tuple[list[str], float]]:
    """The figures of one metric: the values of its labels, and the number."""
    for key, number in counts.items():
        first, *values = key.split("|")
        if first == prefix and len(values) == labels:
            yield values, number


def _labels(records: Iterable[Record]) -> list[str]:
    """The labels of a measure: what an earlier version measured may have fewer."""
    return sorted({label for record in records for label in record["labels"]})


def _values(record: Record, labels: Iterable[str]) -> list[str]:
    """To Prometheus an empty label is none."""
    return [record["labels"].get(label, "") for label in labels]


def _histogram(name: str, text: str, records: list[Record]) -> HistogramMetricFamily:
    labels = _labels(records)
    family = HistogramMetricFamily(name, text, labels=labels)
    for record in records:
        buckets, so_far = [], 0
        for at, bound in enumerate([*map(str, BOUNDS), "+Inf"]):
            so_far += int(record.get("buckets", {}).get(str(at), 0))
            buckets.append((bound, so_far))
        family.add_metric(_values(record, labels), buckets, sum_value=record.get("sum", 0.0))
    return family
