"""Write the Grafana dashboard beside this file: `python deploy/grafana/dashboard.py`.

One row a question; a panel is a title, a unit and its queries. Every API tells the numbers of its whole
deployment, so where several are scraped a panel shows one of them and never their sum. Nothing but the
standard library.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("dashboard.json")
BY_TYPE = ("report_type", "format")
ENDED = "reporting_jobs_ended_total"
PROMISED = "reporting_deliveries_promised_total"
SETTLED = "reporting_deliveries_settled_total"
KEPT, COMPLETED, FAILED = '{promise="kept"}', '{state="completed"}', '{state="failed"}'
MADE = '{state=~"completed|failed"}'
Query = tuple[str, str]  # expression, legend
Panel = tuple[str, str, list[Query]]  # title, unit, queries


def quantile(share: float, metric: str, labels: str, window: str = "15m") -> str:
    return f"histogram_quantile({share}, sum by (le, {labels}) (rate({metric}_bucket[{window}])))"


def gauge(metric: str, *labels: str) -> str:
    """What a gauge tells of each of `labels`, by whichever API."""
    return f"max by ({', '.join(labels)}) ({metric})" if labels else f"max({metric})"


def grown(counter: str, window: str, *labels: str, by: str = "increase") -> str:
    """How much a counter grew in `window`, for each of `labels`, by whichever API."""
    return gauge(f"sum by ({', '.join((*labels, 'instance'))}) ({by}({counter}[{window}]))", *labels)


ROWS: dict[str, list[Panel]] = {
    "Is the promise kept?": [
        (
            "Delivered within 30 minutes of due, 30 days (99.5 % is promised)",
            "percentunit",
            [(f"{grown(PROMISED + KEPT, '30d')} / {grown(PROMISED, '30d')}", "kept")],
        ),
        (
            "Success of reports",
            "percentunit",
            [
                (f"{grown(ENDED + COMPLETED, window)} / {grown(ENDED + MADE, window)}", window)
                for window in ("1h", "24h")
            ],
        ),
        (
            "Waits for a person",
            "short",
            [
                (gauge("reporting_alerts_open"), "alerts"),
                (gauge("reporting_dead_letters", "kind"), "{{kind}}"),
            ],
        ),
        (
            "Reports that took the place of others, a day",
            "short",
            [(grown("reporting_restatements_ended_total", "1d", "state"), "{{state}}")],
        ),
        ("Age of these counts", "s", [(gauge("reporting_figures_age_seconds"), "age")]),
    ],
    "What waits, and who works?": [
        ("Queue depth", "short", [(gauge("reporting_queue_depth", "stage"), "{{stage}}")]),
        ("Oldest in the queue", "s", [(gauge("reporting_queue_oldest_seconds", "stage"), "{{stage}}")]),
        (
            "Runs at work",
            "short",
            [
                (gauge("reporting_workers", "stage"), "{{stage}}"),
                (gauge("reporting_worker_capacity", "stage"), "{{stage}} at most"),
            ],
        ),
        (
            "Utilisation",
            "percentunit",
            [
                (
                    f"{gauge('reporting_workers', 'stage')} / {gauge('reporting_worker_capacity', 'stage')}",
                    "{{stage}}",
                )
            ],
        ),
        ("Since the last sign of life", "s", [(gauge("reporting_heartbeat_age_seconds"), "any run")]),
        ("Jobs", "short", [(gauge("reporting_jobs", "state"), "{{state}}")]),
        ("Editions", "short", [(gauge("reporting_editions", "state"), "{{state}}")]),
        ("Subscriptions", "short", [(gauge("reporting_subscriptions", "status"), "{{status}}")]),
    ],
    "How long does it take?": [
        *(
            (
                f"Making a report, P{int(share * 100)}",
                "s",
                [
                    (
                        quantile(share, "reporting_generation_seconds", "report_type, format"),
                        "{{report_type}} {{format}}",
                    )
                ],
            )
            for share in (0.5, 0.95, 0.99)
        ),
        (
            "Making a report, mean",
            "s",
            [
                (
                    f"{grown('reporting_generation_seconds_sum', '1h', 'report_type', by='rate')}"
                    f" / {grown('reporting_generation_seconds_count', '1h', 'report_type', by='rate')}",
                    "{{report_type}}",
                )
            ],
        ),
        ("A partition, P95", "s", [(quantile(0.95, "reporting_partition_seconds", "stage"), "{{stage}}")]),
        ("S3, P95", "s", [(quantile(0.95, "reporting_s3_seconds", "operation"), "{{operation}}")]),
        ("MongoDB, P95", "s", [(quantile(0.95, "reporting_mongodb_seconds", "command"), "{{command}}")]),
        ("Sending, P95", "s", [(quantile(0.95, "reporting_send_seconds", "channel"), "{{channel}}")]),
    ],
    "What was made and sent?": [
        *(
            (
                f"Reports a {name}",
                "short",
                [(grown(ENDED + COMPLETED, window, *BY_TYPE), "{{report_type}} {{format}}")],
            )
            for name, window in (("day", "1d"), ("week", "7d"))
        ),
        (
            "Failures an hour by kind of error",
            "short",
            [(grown(ENDED + FAILED, "1h", "report_type", "error"), "{{report_type}} {{error}}")],
        ),
        (
            "Recipients of a report, a day's mean",
            "short",
            [(f"{grown(SETTLED, '1d')} / {grown(ENDED + MADE, '1d')}", "recipients")],
        ),
        (
            "Deliveries an hour",
            "short",
            [(grown(SETTLED, "1h", "channel", "state"), "{{channel}} {{state}}")],
        ),
        ("Open deliveries", "short", [(gauge("reporting_deliveries", "state"), "{{state}}")]),
        ("Bounces an hour", "short", [(grown("reporting_bounces_total", "1h", "kind"), "{{kind}}")]),
        ("Oldest dead letter", "s", [(gauge("reporting_dead_letters_oldest_seconds"), "delivery")]),
        (
            "Stored",
            "bytes",
            [
                (gauge("reporting_stored_bytes", "kind"), "{{kind}}"),
                (gauge("reporting_storage_limit_bytes"), "limit"),
            ],
        ),
        (
            "Records and bucket differ",
            "short",
            [(gauge("reporting_reconciliation_findings", "kind", "source"), "{{kind}} {{source}}")],
        ),
        (
            "CPU of a report",
            "s",
            [
                (
                    f"{grown('reporting_cpu_seconds_total', '1h', 'stage')}"
                    f" / scalar({grown(ENDED + COMPLETED, '1h')})",
                    "{{stage}}",
                )
            ],
        ),
        ("Since the last reconciliation", "s", [(gauge("reporting_reconciliation_age_seconds"), "age")]),
        ("Since the last upkeep", "s", [(gauge("reporting_upkeep_age_seconds", "work"), "{{work}}")]),
        ("Upkeep that failed", "short", [(gauge("reporting_upkeep_failed", "work"), "{{work}}")]),
        (
            "S3 traffic",
            "Bps",
            [
                (
                    grown("reporting_s3_bytes_total", "5m", "direction", "kind", by="rate"),
                    "{{direction}} {{kind}}",
                )
            ],
        ),
    ],
}


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it; its Prometheus is asked for at the import."""
    panels: list[dict[str, Any]] = []
    height = 0
    for title, row in ROWS.items():
        panels.append({"type": "row", "title": title, "gridPos": {"x": 0, "y": height, "w": 24, "h": 1}})
        height += 1
        for number, panel in enumerate(row):
            place = {"x": number % 3 * 8, "y": height + number // 3 * 8, "w": 8, "h": 8}
            panels.append(_panel(*panel, place))
        height += -(-len(row) // 3) * 8
    for number, panel_ in enumerate(panels, start=1):
        panel_["id"] = number
    return {
        "__inputs": [
            {"name": "DS_PROMETHEUS", "label": "Prometheus", "type": "datasource", "pluginId": "prometheus"}
        ],
        "uid": "reporting-pipeline",
        "title": "Reporting pipeline",
        "schemaVersion": 39,
        "time": {"from": "now-24h", "to": "now"},
        "refresh": "30s",
        "panels": panels,
    }


def _panel(title: str, unit: str, queries: list[Query], place: dict[str, int]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
    return {
        "type": "timeseries",
        "title": title,
        "gridPos": place,
        "datasource": source,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": source, "expr": query, "legendFormat": legend}
            for number, (query, legend) in enumerate(queries)
        ],
    }


def as_text() -> str:
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    TARGET.write_text(as_text(), encoding="utf-8")
