"""What an edition does is seen in the metrics: each that was asked for moves while it is made and sent."""

from __future__ import annotations

import threading
from itertools import pairwise

from prometheus_client.parser import text_string_to_metric_families

from reporting_pipeline.operations.metrics import exposition
from reporting_pipeline.stores.measures import MEASURES
from reporting_pipeline.stores.metrics import refresh
from reporting_pipeline_tests.automation.crank import Crank
from reporting_pipeline_tests.waiting import PATIENCE

#: By what the first readers asked for: what waits and since when, how long, what became of it, how much.
MOVING = {
    "reporting_queue_depth",
    "reporting_queue_oldest_seconds",
    "reporting_jobs",
    "reporting_editions",
    "reporting_jobs_ended_total",
    "reporting_deliveries_settled_total",
    "reporting_deliveries_promised_total",
    "reporting_generation_seconds_bucket",
    "reporting_generation_seconds_count",
    "reporting_generation_seconds_sum",
    "reporting_partition_seconds_count",
    "reporting_s3_seconds_count",
    "reporting_mongodb_seconds_count",
    "reporting_send_seconds_count",
    "reporting_cpu_seconds_total",
    "reporting_s3_bytes_total",
    "reporting_stored_bytes",
}
Seen = dict[str, set[tuple[tuple[tuple[str, str], ...], float]]]


def seen(crank: Crank) -> Seen:
    """Every metric with its series, as a scrape an hour later tells them."""
    crank.clock.forward(hours=1, minutes=1)
    MEASURES.flush(crank.database)
    refresh(crank.database, crank.clock.at)
    told: Seen = {}
    text = exposition(crank.database, crank.settings, crank.clock.at).decode()
    for counting in threading.enumerate():  # what counts behind an answer, by the time of that answer
        if counting.name == "metrics":
            counting.join(PATIENCE)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            told.setdefault(sample.name, set()).add((tuple(sorted(sample.labels.items())), sample.value))
    return told


def test_each_metric_that_was_asked_for_moves_in_an_edition(crank: Crank) -> None:
    looks = [seen(crank)]
    crank.open()
    looks.append(seen(crank))
    for name in ("subscription_sync", "edition_sensor"):
        for asked in crank.sensor(name):
            crank.execute(asked)
    crank.sensor("edition_sensor")
    looks.append(seen(crank))
    crank.settle()
    looks.append(seen(crank))
    moved = {
        name for before, after in pairwise(looks) for name in after if after[name] != before.get(name, set())
    }
    assert MOVING - moved == set()
    types = {dict(labels)["report_type"] for labels, _ in looks[-1]["reporting_generation_seconds_count"]}
    assert types == {"trial_activity"}
    assert {dict(labels)["stage"] for labels, _ in looks[-1]["reporting_partition_seconds_count"]} >= {
        "fetch",
        "aggregate",
        "render",
    }
