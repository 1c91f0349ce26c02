"""The deployment files as the tests read them: the image, compose and the rendered chart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm"
#: What a deployment must say itself, all of it made up.
VALUES: dict[str, Any] = {
    "settings": {
        "REPORTING_PUBLIC_URL": "https://reports.trials.test",
        "REPORTING_S3_BUCKET": "reports-bucket",
        "REPORTING_JWKS_URL": "https://id.trials.test/keys",
        "REPORTING_OIDC_ISSUER": "https://id.trials.test",
        "REPORTING_OIDC_CLIENT_ID": "reporting",
        "REPORTING_EMAIL_FROM": "reports@trials.test",
        "DAGSTER_POSTGRES_HOST": "postgres.stores.svc",
    },
    "secretName": "reporting",
    "signIn": {"issuer": "https://id.trials.test", "secretName": "sign-in"},
    "scaling": {"prometheus": "http://prometheus.monitoring.svc:9090"},
    "ingress": {
        "apiHost": "reports.trials.test",
        "dagsterHost": "dagster.trials.test",
        "dagsterReadHost": "look.trials.test",
    },
}
CRONS = {
    "retention": {"enabled": True},
    "backup": {"enabled": True, "target": "s3://backups/reporting", "keepDays": 35},
}


def dockerfile() -> str:
    return (DEPLOY / "docker/Dockerfile").read_text()


@cache
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return loaded


def rendered(more: Mapping[str, Any] | None = None, release: str = "rp") -> list[dict[str, Any]]:
    """Every object of the chart, as Helm's own engine renders it with VALUES and `more` over them."""
    with helm_python.Chart.load(str(CHART)) as chart:
        files = chart.render({**VALUES, **(more or {})}, name=release, namespace="reporting")
    return [one for text in files.values() for one in yaml.safe_load_all(text) if one]


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


def pods(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name and the pod's spec of all that makes pods."""
    for one in objects:
        spec = one.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            yield f"{one['kind']}/{one['metadata']['name']}", template["spec"]


def image_command(instruction: str) -> list[str]:
    (found,) = re.findall(rf"^(?:HEALTHCHECK .*\\\n  )?{instruction} (\[.*\])$", dockerfile(), re.MULTILINE)[
        -1:
    ]
    command: list[str] = json.loads(found)
    return command


def own_services() -> dict[str, dict[str, Any]]:
    """The services of compose that run the product's own image."""
    services: dict[str, dict[str, Any]] = compose()["services"]
    return {name: one for name, one in services.items() if one["image"].startswith("reporting-pipeline:")}


def commands() -> dict[str, list[str]]:
    """Every command with which a deployment file starts or probes the product's image, by where it stands."""
    found = {"Dockerfile": image_command("CMD")}
    for name, service in own_services().items():
        found[f"compose/{name}"] = service["command"]
        test = service["healthcheck"].get("test")
        if test:
            found[f"compose/{name}/healthcheck"] = test[1:]
    for name, spec in pods(rendered(CRONS)):
        for container in spec["containers"]:
            if container["image"].startswith("reporting-pipeline:"):
                found[name] = container["command"]
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    asked = container.get(probe, {}).get("exec")
                    if asked:
                        found[f"{name}/{probe}"] = asked["command"]
    return found


def variables() -> dict[str, set[str]]:
    """The variables that each deployment file gives to the product's image."""
    settled = re.search(r"^ENV (.*?[^\\])\n[A-Z]", dockerfile(), re.MULTILINE | re.DOTALL)
    assert settled is not None
    found = {"Dockerfile": set(re.findall(r"([A-Z_]+)=", settled[1]))}
    for name, service in own_services().items():
        found[f"compose/{name}"] = set(service["environment"])
    for name, spec in pods(rendered(CRONS)):
        for container in spec["containers"]:
            if container["image"].startswith("reporting-pipeline:"):
                found[name] = {one["name"] for one in container["env"]}
    secret = (CHART / "values.yaml").read_text().split("whose keys are variables:")[1].split("secretName")[0]
    found["chart's secret"] = set(re.findall(r"[A-Z][A-Z0-9_]{5,}", secret))
    return found
