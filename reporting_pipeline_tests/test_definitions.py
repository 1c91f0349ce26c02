"""The definitions load without a server, and their lineage changes only where a reviewer can see it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance, Definitions
from dagster._core.definitions.partitions.context import partition_loading_context

from reporting_pipeline.definitions import build_defs
from reporting_pipeline.domain.periods import Cadence, Period, next_window_start
from reporting_pipeline.partitions import SubscriptionPartition, TrialPartition
from reporting_pipeline.settings import SettingsError, load_settings
from reporting_pipeline_tests.waiting import PATIENCE

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
#: What a reviewer reads. After a change that is meant:
#: REWRITE=1 .venv/bin/pytest reporting_pipeline_tests/test_definitions.py
SNAPSHOT = Path(__file__).parent / "definitions.json"
ROOT = Path(__file__).parents[1]
#: Nothing listens on port 1, and nothing may try to find out.
UNREACHABLE = {
    "REPORTING_ENVIRONMENT": "test",
    "REPORTING_HOME": "/nonexistent/reporting",
    "MONGODB_URI": "mongodb://pipeline:hunter2@127.0.0.1:1/?directConnection=true",
    "S3_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_ACCESS_KEY_ID": "hunter2-id",
    "AWS_SECRET_ACCESS_KEY": "hunter2-secret",
}

#: Loads what Dagster loads, with every connection refused before it is tried.
LOAD = """
import socket, sys, warnings

def refuse(*args, **kwargs):
    raise AssertionError(f"loading the definitions opens a connection: {args[1:]}")

socket.socket.connect = refuse
socket.socket.connect_ex = refuse
socket.getaddrinfo = refuse

import dagster
for category in (dagster.BetaWarning, dagster.PreviewWarning):
    warnings.filterwarnings("ignore", category=category)

import reporting_pipeline.definitions as module
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext, DefinitionsLoadType

DefinitionsLoadContext.set(DefinitionsLoadContext(load_type=DefinitionsLoadType.INITIALIZATION))
definitions = module.defs()
dagster.Definitions.validate_loadable(definitions)
print(len(list(definitions.resolve_all_asset_specs())))
"""


@pytest.fixture(scope="module")
def defs() -> Definitions:
    return build_defs(load_settings(UNREACHABLE), NOW)


def test_the_definitions_load_in_a_fresh_process_without_a_server_or_a_warning() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOAD],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": str(ROOT), **UNREACHABLE},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) == 2 + 3 * 7, "two sources, and seven assets of each cadence"


def test_without_a_server_in_the_settings_the_definitions_say_what_to_do() -> None:
    with pytest.raises(SettingsError, match=r"MONGODB_URI is not set.*reporting-pipeline dev"):
        build_defs(load_settings({}), NOW)


def test_the_lineage_and_its_texts_are_the_ones_that_were_reviewed(defs: Definitions) -> None:
    now = described(defs)
    if os.environ.get("REWRITE"):
        SNAPSHOT.write_text(json.dumps(now, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    reviewed = json.loads(SNAPSHOT.read_text())
    for part in sorted(set(now) | set(reviewed)):
        assert now.get(part) == reviewed.get(part), f"{part}: see SNAPSHOT"


def test_every_asset_schedule_and_sensor_explains_itself(defs: Definitions) -> None:
    everything = described(defs)
    for part, entries in everything.items():
        for name, entry in entries.items():
            assert entry.get("description"), f"{part} {name} has no description"
    for name, entry in everything["assets"].items():
        assert entry["owners"], name
        assert entry["kinds"], name


def test_the_cadences_differ_in_their_names_alone(defs: Definitions) -> None:
    """One factory: what weekly has, daily and monthly have."""
    assets = described(defs)["assets"]

    def shape(cadence: Cadence) -> str:
        own = {name: entry for name, entry in assets.items() if name.startswith(f"{cadence}/")}
        text = json.dumps(own, sort_keys=True)
        return text.replace(cadence.value, "CADENCE").replace(cadence.noun, "NOUN")

    assert shape(Cadence.WEEKLY) == shape(Cadence.DAILY) == shape(Cadence.MONTHLY)


@pytest.mark.parametrize("cadence", list(Cadence))
def test_a_report_stands_on_every_trial_of_its_own_period_and_of_no_other(
    defs: Definitions, cadence: Cadence
) -> None:
    """Dagster's default mapping between the two kinds of partition yields nothing, in silence."""
    graph = defs.resolve_asset_graph()
    reports = graph.get(AssetKey([cadence.value, "subscriber_reports"]))
    period = Period.last_closed(cadence, NOW, "UTC").previous()
    assert next_window_start(cadence, period.start) <= NOW.date()
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("trials", ["T1", "T2", "T3"])
        instance.add_dynamic_partitions(f"{cadence}_subscriptions", ["sub_a", "sub_b"])
        with partition_loading_context(effective_dt=NOW, dynamic_partitions_store=instance):
            for upstream in ("trial_dataset", "trial_media", "trial_status"):
                parent = graph.get(AssetKey([cadence.value, upstream]))
                mapping = graph.get_partition_mapping(reports.key, parent.key)
                assert reports.partitions_def is not None
                assert parent.partitions_def is not None
                wanted = reports.partitions_def.subset_with_partition_keys(
                    [SubscriptionPartition(period, "sub_a").key]
                )
                found = mapping.get_upstream_mapped_partitions_result_for_partitions(
                    wanted, reports.partitions_def, parent.partitions_def
                )
                keys = set(found.partitions_subset.get_partition_keys())
                assert keys == {str(TrialPartition(period, trial).key) for trial in ("T1", "T2", "T3")}
                below = mapping.get_downstream_partitions_for_partitions(
                    parent.partitions_def.subset_with_partition_keys([TrialPartition(period, "T1").key]),
                    parent.partitions_def,
                    reports.partitions_def,
                )
                assert set(below.get_partition_keys()) == {
                    str(SubscriptionPartition(period, one).key) for one in ("sub_a", "sub_b")
                }


@pytest.mark.parametrize(
    ("tree", "shown"),
    [
        (None, f"{ROOT}/reporting_pipeline/assets/reports.py:"),
        (
            "https://github.com/acme/reports/tree/v1.2",
            "https://github.com/acme/reports/tree/v1.2/reporting_pipeline/assets/reports.py#L",
        ),
        (
            "https://git.example.org/acme/reports/-/tree/main/",
            "https://git.example.org/acme/reports/-/tree/main/reporting_pipeline/assets/reports.py#L",
        ),
    ],
)
def test_an_asset_leads_to_its_code(tree: str | None, shown: str) -> None:
    settings = load_settings(UNREACHABLE | ({"REPORTING_SOURCE_URL": tree} if tree else {}))
    specs = {spec.key: spec for spec in build_defs(settings, NOW).resolve_all_asset_specs()}
    [reference] = (
        specs[AssetKey(["weekly", "subscriber_reports"])].metadata["dagster/code_references"].code_references
    )
    assert reference.source.startswith(shown)
    line = int(reference.source.removeprefix(shown))
    source = (ROOT / "reporting_pipeline/assets/reports.py").read_text().splitlines()
    assert source[line - 1].strip() == "@asset("


def test_resources_show_the_names_of_secrets_and_not_the_secrets(defs: Definitions) -> None:
    shown = {name: f"{resource!r} {resource}" for name, resource in (defs.resources or {}).items()}
    assert {name for name, text in shown.items() if "hunter2" in text} == set()
    assert "MONGODB_URI" in " ".join(shown.values())


# --- what a reviewer reads -----------------------------------------------------------------------


def described(defs: Definitions) -> dict[str, dict[str, Any]]:
    """Assets, jobs, schedules and sensors as plain values."""
    graph = defs.resolve_asset_graph()
    repository = defs.get_repository_def()
    assets = {}
    for spec in defs.resolve_all_asset_specs():
        node = graph.get(spec.key)
        assets[spec.key.to_user_string()] = {
            "description": spec.description,
            "deps": sorted(key.to_user_string() for key in node.parent_keys),
            "group": spec.group_name,
            "kinds": sorted(spec.kinds),
            "owners": list(spec.owners),
            "partitions": sorted(getattr(spec.partitions_def, "partition_dimension_names", [])),
            "executable": node.is_executable,
            "pools": sorted(node.pools or ()) if node.is_executable else [],
            "code version": spec.code_version,
            "checks": {
                key.name: {
                    "blocking": graph.get_check_spec(key).blocking,
                    "description": graph.get_check_spec(key).description,
                }
                for key in sorted(node.check_keys, key=lambda key: key.name)
            },
        }
    jobs = {
        job.name: {"description": job.description, "tags": dict(job.tags)}
        for job in repository.get_all_jobs()
        if not job.name.startswith("__")
    }
    schedules = {
        one.name: {
            "description": one.description,
            "cron": one.cron_schedule,
            "timezone": one.execution_timezone,
            "starts": one.default_status.value,
        }
        for one in repository.schedule_defs
    }
    sensors = {
        one.name: {
            "description": one.description,
            "seconds": one.minimum_interval_seconds,
            "starts": one.default_status.value,
            "jobs": sorted({target.job_name for target in one.targets}),
        }
        for one in repository.sensor_defs
    }
    return {"assets": assets, "jobs": jobs, "schedules": schedules, "sensors": sensors}
