"""The chart: rendered by Helm's engine, held against Kubernetes' schemas, its numbers asked of Prometheus."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any, get_args

import helm_python
import kubernetes_validate
import pytest
import yaml
from pydantic import AliasChoices, SecretStr

from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.metrics import STAGES
from reporting_pipeline_tests.deploy import artefacts
from reporting_pipeline_tests.deploy.artefacts import of_kind, pods, rendered
from reporting_pipeline_tests.operations.metric_names import metric_names

#: Of operators, whose schemas are not Kubernetes' own: their text is held by the tests below.
FOREIGN = {"ScaledObject", "PrometheusRule", "ServiceMonitor"}
OLDEST, NEWEST = "1.27", "1.34"


def test_helm_s_linter_has_nothing_against_it() -> None:
    report = helm_python.lint(str(artefacts.CHART), artefacts.VALUES)
    assert report["errors"] == []
    assert [one["error"] for one in report["messages"] if one["severity"] > 1] == []


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("more", [{}, artefacts.CRONS, {"stopped": True}], ids=["plain", "crons", "stopped"])
def test_every_object_is_what_kubernetes_takes(version: str, more: dict[str, Any]) -> None:
    objects = rendered(more)
    known = [one for one in objects if one["kind"] not in FOREIGN]
    assert len(known) > 25
    for one in known:
        kubernetes_validate.validate(one, version, strict=True)
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "wrong",
    [
        {"secretName": ""},
        {"settings": {**artefacts.VALUES["settings"], "REPORTING_PUBLIC_URL": "http://reports.trials.test"}},
        {"settings": {**artefacts.VALUES["settings"], "REPORTING_LINK_SECRET": "in plain text"}},
        {"settings": {**artefacts.VALUES["settings"], "MONGODB_URI": "mongodb://user:word@host"}},
        {"settings": {**artefacts.VALUES["settings"], "REPORTING_EMAIL_BACKEND": "outbox"}},
        {"daemon": {"replicas": 2}},
        {"backup": {"enabled": True, "target": ""}},
        {"signIn": {"issuer": "", "secretName": "sign-in"}},
        {"signIn": {**artefacts.VALUES["signIn"], "operators": []}},
        {"settings": {**artefacts.VALUES["settings"], "REPORTING_ENVIRONMENT": "local"}},
        {"settings": {**artefacts.VALUES["settings"], "DAGSTER_POSTGRES_PORT": "five"}},
        {"misspelt": True},
    ],
    ids=str,
)
def test_values_that_cannot_work_are_refused_by_their_field(wrong: dict[str, Any]) -> None:
    with pytest.raises(helm_python.HelmError) as refused:
        rendered(wrong)
    field, value = next(iter(wrong.items()))
    changed = (
        [name for name in value if value[name] != artefacts.VALUES.get(field, {}).get(name)]
        if isinstance(value, dict)
        else [field]
    )
    assert any(name in str(refused.value) for name in changed), refused.value


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("api.autoscaling.maxReplicas", {"api": {"autoscaling": {"minReplicas": 5, "maxReplicas": 4}}}),
        ("scaling.maxReplicas", {"scaling": {**artefacts.VALUES["scaling"], "maxReplicas": 2}}),
        ("scaling.addOver", {"scaling": {**artefacts.VALUES["scaling"], "removeUnder": 200}}),
    ],
)
def test_values_that_contradict_each_other_are_refused_by_their_field(
    field: str, wrong: dict[str, Any]
) -> None:
    with pytest.raises(helm_python.HelmError, match=field):
        rendered(wrong)


def secrets() -> set[str]:
    """Every variable that holds a secret: ours by their type, and others of the chart's Secret."""
    own = {
        name
        for field in Settings.model_fields.values()
        if SecretStr in (field.annotation, *get_args(field.annotation))
        and isinstance(field.validation_alias, AliasChoices)
        for name in map(str, field.validation_alias.choices)
    }
    return own | {"DAGSTER_POSTGRES_PASSWORD", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"}


@pytest.mark.parametrize("name", sorted(secrets()))
def test_a_secret_stands_in_no_value(name: str) -> None:
    with pytest.raises(helm_python.HelmError, match=name):
        rendered({"settings": {**artefacts.VALUES["settings"], name: "in plain text"}})


def test_a_key_that_is_public_may_stand_in_the_values() -> None:
    settings = {**artefacts.VALUES["settings"], "SENDGRID_WEBHOOK_PUBLIC_KEY": "MFkw"}
    assert rendered({"settings": settings})


def test_no_variable_is_given_twice() -> None:
    for name, spec in pods(rendered(artefacts.CRONS)):
        for container in spec["containers"]:
            given = [one["name"] for one in container.get("env", [])]
            assert len(given) == len(set(given)), name


def let_out(more: dict[str, Any]) -> set[int]:
    """The ports at which a pod reaches what is outside the namespace."""
    default = of_kind(rendered(more), "NetworkPolicy")["rp-default"]["spec"]
    (outside,) = [rule for rule in default["egress"] if "ipBlock" in rule.get("to", [{}])[0]]
    ports = [port["port"] for port in outside["ports"]]
    assert len(ports) == len(set(ports))
    return set(ports)


def test_what_the_settings_name_is_let_out() -> None:
    usual = {443, 465, 587, 5432, 6379, 27017}
    assert let_out({}) == usual
    named = {
        "DAGSTER_POSTGRES_PORT": "6432",
        "S3_ENDPOINT_URL": "https://minio.stores.svc:9000",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.monitoring.svc:4318/path",
        "REPORTING_OIDC_ISSUER": "https://id.trials.test:8443/realm",
        "SLACK_URL": "http://proxy.trials.test",
    }
    more = {"settings": {**artefacts.VALUES["settings"], **named}}
    assert let_out(more) == usual | {6432, 9000, 4318, 8443, 80}


#: Who reaches whom within the release (docs/architecture.md: the API never calls Dagster, runs call nobody).
ARROWS = {
    ("daemon", "code-server", 4000),
    ("webserver", "code-server", 4000),
    ("webserver-read", "code-server", 4000),
}


def test_every_arrow_of_the_architecture_goes_through_and_no_other() -> None:
    objects = rendered(artefacts.CRONS)
    policies = of_kind(objects, "NetworkPolicy").values()
    labels = {
        one["metadata"]["name"]: template["metadata"]["labels"]
        for one in objects
        if (template := one.get("spec", {}).get("template"))
    }

    def meets(selector: dict[str, Any], name: str) -> bool:
        wanted = selector.get("podSelector", {}).get("matchLabels")
        return (
            wanted is not None
            and "namespaceSelector" not in selector
            and wanted.items() <= labels[name].items()
        )

    def passes(kind: str, side: str, at: str, other: str, port: int) -> bool:
        return any(
            any(meets(one, other) for one in rule.get(side, ()))
            and port in [one["port"] for one in rule["ports"]]
            for policy in policies
            if policy["spec"]["podSelector"]["matchLabels"].items() <= labels[at].items()
            for rule in policy["spec"].get(kind, ())
        )

    names = {name.removeprefix("rp-"): name for name in labels}
    found = {
        (one, other, port)
        for one in names
        for other in names
        for port in (4000, 8000, 3000, 4180)
        if passes("egress", "to", names[one], names[other], port)
        and passes("ingress", "from", names[other], names[one], port)
    }
    assert found == ARROWS


def test_no_budget_of_disruptions_keeps_a_machine_from_being_drained() -> None:
    objects = rendered()
    fewest = {
        name: one["spec"]["minReplicas"] for name, one in of_kind(objects, "HorizontalPodAutoscaler").items()
    }
    fewest |= {name: one["spec"]["minReplicaCount"] for name, one in of_kind(objects, "ScaledObject").items()}
    budgets = of_kind(objects, "PodDisruptionBudget")
    assert set(budgets) == set(fewest), "what stands alone has none: it could never leave"
    for name, one in budgets.items():
        spec = one["spec"]
        assert spec.get("maxUnavailable", 0) >= 1 or spec["minAvailable"] < fewest[name], name


def test_scaling_asks_for_metrics_that_are_exposed() -> None:
    for name, one in of_kind(rendered(), "ScaledObject").items():
        query = one["spec"]["triggers"][0]["metadata"]["query"]
        asked = set(re.findall(r"\breporting_\w+", query))
        assert asked, name
        assert asked <= metric_names(), name


def test_every_container_is_without_rights_and_bounded() -> None:
    for name, spec in pods(rendered(artefacts.CRONS)):
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["automountServiceAccountToken"] is False, name
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert "memory" in container["resources"]["limits"], name
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name


def test_every_volume_that_is_mounted_is_there() -> None:
    objects = rendered(artefacts.CRONS)
    maps = of_kind(objects, "ConfigMap")
    for name, spec in pods(objects):
        volumes = {one["name"]: one for one in spec["volumes"]}
        for container in spec["containers"]:
            assert {one["name"] for one in container.get("volumeMounts", [])} <= set(volumes), name
        for one in volumes.values():
            assert one.get("configMap", {}).get("name", "rp-dagster") in maps, name


def test_every_account_is_there() -> None:
    objects = rendered(artefacts.CRONS)
    asked = {spec["serviceAccountName"] for _, spec in pods(objects) if "serviceAccountName" in spec}
    assert asked == set(of_kind(objects, "ServiceAccount"))


def test_daemon_and_code_server_are_one_and_never_two_for_a_moment() -> None:
    deployments = of_kind(rendered(), "Deployment")
    for name in ("rp-daemon", "rp-code-server"):
        assert deployments[name]["spec"]["replicas"] == 1
        assert deployments[name]["spec"]["strategy"] == {"type": "Recreate"}


def test_the_api_grows_by_cpu_and_is_asked_for_health_and_readiness() -> None:
    objects = rendered()
    scaler = of_kind(objects, "HorizontalPodAutoscaler")["rp-api"]["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 10)
    assert scaler["metrics"][0]["resource"]["target"]["averageUtilization"] == 70
    (container,) = of_kind(objects, "Deployment")["rp-api"]["spec"]["template"]["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_every_stage_has_its_workers() -> None:
    objects = rendered()
    deployments, scalers = of_kind(objects, "Deployment"), of_kind(objects, "ScaledObject")
    assert set(scalers) == {f"rp-{stage}-workers" for stage in STAGES}
    for stage in STAGES:
        (container,) = deployments[f"rp-{stage}-workers"]["spec"]["template"]["spec"]["containers"]
        command = container["command"]
        assert command[command.index("--queues") + 1] == stage
        spec = scalers[f"rp-{stage}-workers"]["spec"]
        assert spec["scaleTargetRef"]["name"] in deployments
        assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (3, 20)


def test_prometheus_answers_as_the_scaling_is_meant(tmp_path: Path) -> None:
    """2 adds a pod, 1 leaves, 0 takes one: over 100 at once, under 10 for ten minutes, nothing unknown."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed: `apt-get install prometheus` brings it")
    scaler = of_kind(rendered(), "ScaledObject")["rp-render-workers"]["spec"]
    (trigger,) = scaler["triggers"]
    assert trigger["metricType"] == "Value"
    assert trigger["metadata"]["threshold"] == "1"
    query = trigger["metadata"]["query"]
    # As Prometheus's operator labels what a ServiceMonitor finds.
    ours = 'namespace="reporting",job="rp-api"'

    def case(depth: str, minute: int, expected: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "interval": "30s",
            "input_series": [
                # Two APIs tell the same number; another stage's is not this one's.
                {"series": f'reporting_queue_depth{{stage="render",pod="a",{ours}}}', "values": depth},
                {"series": f'reporting_queue_depth{{stage="render",pod="b",{ours}}}', "values": depth},
                {"series": f'reporting_queue_depth{{stage="fetch",pod="a",{ours}}}', "values": "5000x80"},
                # Nor is that of another release, or of another namespace's.
                *(
                    {"series": f'reporting_queue_depth{{stage="render",{labels}}}', "values": "5000x80"}
                    for labels in ('namespace="reporting",job="two-api"', 'namespace="other",job="rp-api"')
                ),
            ],
            "promql_expr_test": [{"expr": query, "eval_time": f"{minute}m", "exp_samples": expected}],
        }

    adds, leaves, takes = ([{"labels": "{}", "value": value}] for value in (2, 1, 0))
    cases = [
        case("101x80", 1, adds),
        case("100x80", 30, leaves),
        case("10x80", 30, leaves),
        case("9x80", 30, takes),
        case("50x10 9x70", 14, leaves),  # 9 for nine minutes
        case("50x10 9x70", 16, takes),
        case("9x20 50 9x60", 12, leaves),  # one deep moment begins the ten minutes again
    ]
    absent = case("9x1", 30, [])
    absent["input_series"] = absent["input_series"][2:]
    (tmp_path / "cases.yaml").write_text(yaml.safe_dump({"tests": [*cases, absent]}))
    done = subprocess.run(
        [program, "test", "rules", "cases.yaml"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert trigger["metadata"]["ignoreNullValues"] == "false"


def test_dagster_s_ui_listens_to_its_own_pod_alone() -> None:
    objects = rendered()
    deployments, services = of_kind(objects, "Deployment"), of_kind(objects, "Service")
    for name in ("rp-webserver", "rp-webserver-read"):
        web, sign_in = deployments[name]["spec"]["template"]["spec"]["containers"]
        assert web["command"][web["command"].index("--host") + 1] == "127.0.0.1"
        assert "ports" not in web
        environment = {one["name"]: one["value"] for one in sign_in["env"]}
        assert environment["OAUTH2_PROXY_UPSTREAMS"] == "http://127.0.0.1:3000/"
        assert environment["OAUTH2_PROXY_ALLOWED_GROUPS"]
        assert "OAUTH2_PROXY_SKIP_AUTH_ROUTES" not in environment
        assert services[name]["spec"]["ports"][0]["targetPort"] == sign_in["ports"][0]["name"]
        assert ("--read-only" in web["command"]) == name.endswith("-read")
        analysts = "reporting-analysts" in environment["OAUTH2_PROXY_ALLOWED_GROUPS"]
        assert analysts == name.endswith("-read")


def test_nothing_comes_in_that_no_policy_names() -> None:
    policies = of_kind(rendered(), "NetworkPolicy")
    default = policies["rp-default"]["spec"]
    assert set(default["policyTypes"]) == {"Ingress", "Egress"}
    assert "ingress" not in default
    (outside,) = [rule["to"] for rule in default["egress"] if "ipBlock" in rule.get("to", [{}])[0]]
    assert [one["ipBlock"] for one in outside] == [
        {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]},
        {"cidr": "::/0", "except": ["fd00:ec2::254/128"]},
    ], "by both protocols, but not to the machine's metadata"
    opened = {
        name: [port["port"] for rule in one["spec"].get("ingress", []) for port in rule["ports"]]
        for name, one in policies.items()
    }
    assert opened == {
        "rp-default": [],
        "rp-api": [8000],
        "rp-webserver": [4180],
        "rp-webserver-read": [4180],
        "rp-code-server": [4000],
    }
    assert all(rule["from"] for one in policies.values() for rule in one["spec"].get("ingress", []))
    labels = default["podSelector"]["matchLabels"].items()
    for one in rendered(artefacts.CRONS):
        spec = one.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            assert labels <= template["metadata"]["labels"].items(), one["metadata"]["name"]


def test_the_migration_comes_before_all_and_needs_nothing_of_the_chart() -> None:
    (job,) = of_kind(rendered(), "Job").values()
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    spec = job["spec"]["template"]["spec"]
    assert "serviceAccountName" not in spec
    assert all("configMap" not in volume for volume in spec["volumes"])


def test_stopped_leaves_nothing_that_works_or_starts_something() -> None:
    objects = rendered({**artefacts.CRONS, "stopped": True})
    assert {one["spec"]["replicas"] for one in of_kind(objects, "Deployment").values()} == {0}
    assert of_kind(objects, "ScaledObject") == {}
    assert of_kind(objects, "HorizontalPodAutoscaler") == {}
    assert all(one["spec"]["suspend"] for one in of_kind(objects, "CronJob").values())
    assert of_kind(objects, "Job") != {}


def test_instance_and_rules_are_those_that_are_tested_elsewhere() -> None:
    objects = rendered()
    data = of_kind(objects, "ConfigMap")["rp-dagster"]["data"]
    instance = (artefacts.DEPLOY / "celery/dagster.yaml").read_text()
    assert yaml.safe_load(data["dagster.yaml"]) == yaml.safe_load(instance)
    server = yaml.safe_load(data["workspace.yaml"])["load_from"][0]["grpc_server"]
    service = of_kind(objects, "Service")[server["host"]]
    assert service["spec"]["ports"][0]["port"] == server["port"]
    text = (artefacts.DEPLOY / "prometheus/alerts.yaml").read_text()
    # That another release is scraped says nothing of this one.
    own = 'absent(reporting_figures_age_seconds{namespace="reporting",job="rp-api"})'
    rules = yaml.safe_load(text.replace("absent(reporting_figures_age_seconds)", own))
    assert own in str(rules)
    assert of_kind(objects, "PrometheusRule")["rp"]["spec"] == rules


def test_without_the_operator_s_scrape_nothing_is_asked_of_its_labels() -> None:
    scaler = of_kind(rendered({"monitoring": {"enabled": False}}), "ScaledObject")["rp-render-workers"]
    assert 'reporting_queue_depth{stage="render"}' in scaler["spec"]["triggers"][0]["metadata"]["query"]


def test_the_scrape_finds_the_api_and_signs_in() -> None:
    objects = rendered()
    monitor = of_kind(objects, "ServiceMonitor")["rp"]["spec"]
    service = of_kind(objects, "Service")["rp-api"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] == service["spec"]["ports"][0]["name"]
    assert endpoint["authorization"]["credentials"]["key"] == "REPORTING_METRICS_TOKEN"


def test_chart_image_and_compose_are_of_the_product_s_version() -> None:
    version = tomllib.loads((artefacts.ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((artefacts.CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (version, version)
    assert artefacts.compose()["services"]["api"]["image"].endswith(f":-{version}}}")
