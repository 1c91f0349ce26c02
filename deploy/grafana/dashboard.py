"""Write the Grafana dashboard beside this file: `python deploy/grafana/dashboard.py`.

One row a question; a panel is a title, a unit and its queries. Nothing but the standard library.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("dashboard.json")
BY_TYPE = "by (report_type, format)"
ENDED = "reporting_jobs_ended_total"
PROMISED = "reporting_deliveries_promised_total"
Query = tuple[str, str]  # expression, legend
Panel = tuple[str, str, list[Query]]  # title, unit, queries


def quantile(share: float, metric: str, labels: str, window: str = "15m") -> str:
    return f"histogram_quantile({share}, sum by (le, {labels}) (rate({metric}_bucket[{window}])))"


ROWS: dict[str, list[Panel]] = {
    "Is the promise kept?": [
        (
            "Delivered within 30 minutes of due, 30 days (99.5 % is promised)",
            "percentunit",
            [(f'sum(increase({PROMISED}{{promise="kept"}}[30d])) / sum(increase({PROMISED}[30d]))', "kept")],
        ),
        (
            "Success of reports",
            "percentunit",
            [
                (
                    f'sum(increase({ENDED}{{state="completed"}}[{window}])) '
                    f'/ sum(increase({ENDED}{{state=~"completed|failed"}}[{window}]))',
                    window,
                )
                for window in ("1h", "24h")
            ],
        ),
        (
            "Waits for a person",
            "short",
            [("reporting_alerts_open", "alerts"), ("reporting_dead_letters", "{{kind}}")],
        ),
        (
            "Reports that took the place of others, a day",
            "short",
            [("sum by (state) (increase(reporting_restatements_ended_total[1d]))", "{{state}}")],
        ),
        ("Age of these counts", "s", [("reporting_figures_age_seconds", "age")]),
    ],
    "What waits, and who works?": [
        ("Queue depth", "short", [("reporting_queue_depth", "{{stage}}")]),
        ("Oldest in the queue", "s", [("reporting_queue_oldest_seconds", "{{stage}}")]),
        (
            "Runs at work",
            "short",
            [("reporting_workers", "{{stage}}"), ("reporting_worker_capacity", "{{stage}} at most")],
        ),
        (
            "Utilisation",
            "percentunit",
            [("reporting_workers / on (stage) reporting_worker_capacity", "{{stage}}")],
        ),
        ("Since the last sign of life", "s", [("reporting_heartbeat_age_seconds", "any run")]),
        ("Jobs", "short", [("reporting_jobs", "{{state}}")]),
        ("Editions", "short", [("reporting_editions", "{{state}}")]),
        ("Subscriptions", "short", [("reporting_subscriptions", "{{status}}")]),
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
        ("A partition, P95", "s", [(quantile(0.95, "reporting_partition_seconds", "stage"), "{{stage}}")]),
        ("S3, P95", "s", [(quantile(0.95, "reporting_s3_seconds", "operation"), "{{operation}}")]),
        ("MongoDB, P95", "s", [(quantile(0.95, "reporting_mongodb_seconds", "command"), "{{command}}")]),
        ("Sending, P95", "s", [(quantile(0.95, "reporting_send_seconds", "channel"), "{{channel}}")]),
    ],
    "What was made and sent?": [
        (
            "Reports a day",
            "short",
            [(f'sum {BY_TYPE} (increase({ENDED}{{state="completed"}}[1d]))', "{{report_type}} {{format}}")],
        ),
        (
            "Failures an hour by kind of error",
            "short",
            [
                (
                    f'sum by (report_type, error) (increase({ENDED}{{state="failed"}}[1h]))',
                    "{{report_type}} {{error}}",
                )
            ],
        ),
        (
            "Recipients of a report, a day's mean",
            "short",
            [
                (
                    f"sum(increase(reporting_deliveries_settled_total[1d])) "
                    f'/ sum(increase({ENDED}{{state=~"completed|failed"}}[1d]))',
                    "recipients",
                )
            ],
        ),
        (
            "Deliveries an hour",
            "short",
            [
                (
                    "sum by (channel, state) (increase(reporting_deliveries_settled_total[1h]))",
                    "{{channel}} {{state}}",
                )
            ],
        ),
        ("Open deliveries", "short", [("reporting_deliveries", "{{state}}")]),
        ("Bounces an hour", "short", [("sum by (kind) (increase(reporting_bounces_total[1h]))", "{{kind}}")]),
        ("Oldest dead letter", "s", [("reporting_dead_letters_oldest_seconds", "delivery")]),
        (
            "Stored",
            "bytes",
            [("reporting_stored_bytes", "{{kind}}"), ("reporting_storage_limit_bytes", "limit")],
        ),
        (
            "Records and bucket differ",
            "short",
            [("reporting_reconciliation_findings", "{{kind}} {{source}}")],
        ),
        (
            "CPU of a report",
            "s",
            [
                (
                    "sum by (stage) (increase(reporting_cpu_seconds_total[1h]))"
                    ' / scalar(sum(increase(reporting_jobs_ended_total{state="completed"}[1h])))',
                    "{{stage}}",
                )
            ],
        ),
        ("Since the last reconciliation", "s", [("reporting_reconciliation_age_seconds", "age")]),
        ("Since the last upkeep", "s", [("reporting_upkeep_age_seconds", "{{work}}")]),
        ("Upkeep that failed", "short", [("reporting_upkeep_failed", "{{work}}")]),
        (
            "S3 traffic",
            "Bps",
            [("sum by (direction, kind) (rate(reporting_s3_bytes_total[5m]))", "{{direction}} {{kind}}")],
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
