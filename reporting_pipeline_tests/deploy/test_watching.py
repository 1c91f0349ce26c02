"""Alert rules and dashboard speak of metrics that exist; a real Prometheus reads what we expose."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main
import yaml

from reporting_pipeline.cli import app
from reporting_pipeline.operations.metrics import exposition
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.measures import Measures
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline_tests.operations.metric_names import metric_names

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
GENERATOR = DEPLOY / "grafana" / "dashboard.py"
NAME = re.compile(r"\breporting_[a-z0-9_]+")


def _rules(kind: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def alerts() -> list[dict[str, Any]]:
    return _rules("alert")


def totals() -> list[dict[str, Any]]:
    """Rules that record a deployment's totals, which alerts ask."""
    return _rules("record")


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dashboard", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def queries() -> list[str]:
    panels = json.loads(GENERATOR.with_suffix(".json").read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def promtool(*arguments: str, stdin: bytes | None = None) -> str:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed: `apt-get install prometheus` brings it")
    done = subprocess.run(
        [program, *arguments], input=stdin, capture_output=True, timeout=120, cwd=ALERTS.parent
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return (done.stdout + done.stderr).decode()


def test_every_metric_of_an_alert_or_a_panel_is_one_that_is_exposed() -> None:
    for expression in [*(rule["expr"] for rule in [*alerts(), *totals()]), *queries()]:
        assert set(NAME.findall(expression)) <= metric_names(), expression


def test_every_total_that_an_alert_asks_is_recorded_and_none_in_vain() -> None:
    asked = {name for rule in alerts() for name in re.findall(r"\breporting:\w+:total", rule["expr"])}
    assert asked == {rule["record"] for rule in totals()}


def test_a_panel_shows_the_deployment_and_not_the_sum_of_its_apis() -> None:
    """Each API tells the numbers of all: only shares of them, as quantiles, may be made of sums."""
    for query in queries():
        summed = re.findall(r"\bsum( by \(([^)]*)\))?", query)
        assert all({"instance", "le"} & set(labels.split(", ")) for _, labels in summed), query
        first = re.match(r"max( by \([^)]*\))? ?\(|histogram_quantile\(", query)
        assert first is not None, query


def test_every_metric_that_is_exposed_is_on_the_dashboard() -> None:
    shown = {re.sub("_(bucket|sum|count)$", "", name) for query in queries() for name in NAME.findall(query)}
    exposed = {re.sub("_(bucket|sum|count)$", "", name) for name in metric_names()}
    assert exposed - shown == set()


def test_the_dashboard_is_what_its_generator_writes() -> None:
    assert GENERATOR.with_suffix(".json").read_text() == generator().as_text()


def test_every_alert_says_what_to_do_and_whom_it_wakes() -> None:
    for rule in alerts():
        assert set(rule["annotations"]) == {"summary", "runbook", "runbook_url"}, rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_each_alert_leads_to_its_own_chapter_of_the_runbooks() -> None:
    text = (DEPLOY.parent / "docs" / "runbooks.md").read_text()
    chapters = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    for rule in alerts():
        path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert path == "docs/runbooks.md"
        assert anchor == rule["alert"].lower()
        assert rule["alert"] in chapters


def test_every_command_of_the_runbooks_is_one_of_the_product() -> None:
    text = (DEPLOY.parent / "docs" / "runbooks.md").read_text()
    commands = re.findall(r"reporting-pipeline ((?:[a-z][a-z-]*(?: |\b))+)", text)
    assert len(commands) > 10
    root = typer.main.get_command(app)
    for words in commands:
        command: Any = root
        for word in words.split():
            children = getattr(command, "commands", {})
            if not children:
                break
            assert word in children, words
            command = children[word]


def test_each_alert_has_a_case_in_which_it_speaks() -> None:
    files = ALERTS.parent.glob("alerts*_test.yaml")
    cases = [case for path in files for case in yaml.safe_load(path.read_text())["tests"]]
    spoken = {
        expected["alertname"]
        for case in cases
        for expected in case["alert_rule_test"]
        if expected["exp_alerts"]
    }
    assert {rule["alert"] for rule in alerts()} - spoken == set()


#: The figures that the first readers named for each alert (docs/decisions/0019), and for how long.
ASKED_ALERTS = {
    "002:527": (
        "ReportingWorkersDown",
        r"unless \(sum by \(namespace, job\) \(reporting_workers\) > 0\)$",
        "5m",
    ),
    "002:528": ("ReportingQueueDeep", r"\(reporting_queue_depth\) > 500$", "5m"),
    "002:529": ("ReportingFailuresMany", r"jobs_failed:total.*jobs_completed:total.* > 0\.10$", "15m"),
    "002:530": ("ReportingGenerationSlow", r"histogram_quantile\(0\.95,.* > 300$", "5m"),
    "002:531": ("ReportingStorageFull", r"reporting_stored_bytes.* > 0\.80$", "1h"),
    "002:532": ("ReportingBouncesMany", r"bounces:total.*mails_settled:total.* > 0\.05$", "10m"),
    "002:646": ("ReportingCostSpike", r"cpu_seconds:total\[1d\].* > 3 \* ", "1h"),
}


@pytest.mark.parametrize("asked", ASKED_ALERTS)
def test_an_alert_speaks_at_the_figure_that_was_asked_for(asked: str) -> None:
    name, expression, lasting = ASKED_ALERTS[asked]
    (rule,) = (rule for rule in alerts() if rule["alert"] == name)
    assert re.search(expression, " ".join(rule["expr"].split()))
    assert rule["for"] == lasting


#: What the dashboard of the first readers shows (docs/decisions/0019), as queries of ours.
ASKED_PANELS = {
    "002:507": [r"\(reporting_queue_depth\)$"],
    "002:508": [r"\(reporting_workers\) / .*\(reporting_worker_capacity\)$"],
    "002:509": [r"by \(report_type\) .*reporting_generation_seconds_sum.*reporting_generation_seconds_count"],
    "002:510": [rf'state="completed".*\[{time}\].* / .*completed\|failed' for time in ("1h", "24h")],
    "002:511": [r'by \(report_type, error\) .*state="failed"'],
    "002:515": [r"reporting_jobs_ended_total.*\[1d\]", r"reporting_jobs_ended_total.*\[7d\]"],
    "002:516": [r"by \(report_type, format\) .*increase\(reporting_jobs_ended_total"],
    "002:517": [r"reporting_deliveries_settled_total.* / .*reporting_jobs_ended_total"],
    "002:518": [r"\(reporting_stored_bytes\)$"],
    "002:521": [
        rf"histogram_quantile\({share}, .*reporting_generation_seconds_bucket" for share in (0.5, 0.95, 0.99)
    ],
    "002:522": [r"reporting_mongodb_seconds_bucket"],
    "002:523": [r"by \(le, operation\) .*reporting_s3_seconds_bucket"],
    "002:524": [r"by \(le, channel\) .*reporting_send_seconds_bucket"],
}


@pytest.mark.parametrize("asked", ASKED_PANELS)
def test_the_dashboard_shows_what_was_asked_for(asked: str) -> None:
    for wanted in ASKED_PANELS[asked]:
        assert any(re.search(wanted, query) for query in queries()), wanted


def test_prometheus_takes_the_rules_and_they_speak_when_they_should() -> None:
    promtool("check", "rules", "alerts.yaml")
    promtool("check", "config", "prometheus.yaml")
    promtool("test", "rules", "alerts_test.yaml", "alerts_slow_test.yaml")


def test_prometheus_takes_what_is_exposed_and_finds_no_fault_with_it(
    database: Database, settings: Settings
) -> None:
    measures = Measures()
    measures.observe("generation", 3.0, report_type="safety_summary", format="pdf")
    measures.count("bounces", kind="bounce")
    measures.flush(database)
    text = exposition(database, settings, datetime(2026, 11, 25, tzinfo=UTC))
    promtool("check", "metrics", stdin=text)
