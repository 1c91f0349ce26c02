"""The nightly jobs as Dagster runs them: what they did is on the run, and a kind that fails fails it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reporting_pipeline.operations.retention import run as retention_run
from reporting_pipeline_tests.automation.crank import Crank

OLD = datetime(2020, 1, 6, tzinfo=UTC)


def retention(crank: Crank, **config: Any) -> tuple[bool, dict[str, Any], str]:
    """Whether a run of retention_job succeeded, the metadata of its output, and its error."""
    job = crank.repository.get_job("retention_job")
    result = job.execute_in_process(
        run_config={"ops": {"retain": {"config": config}}}, instance=crank.instance, raise_on_error=False
    )
    outputs = [
        event.step_output_data.metadata
        for event in result.filter_events(lambda one: bool(one.is_successful_output))
    ]
    failures = [event.step_failure_data for event in result.get_step_failure_events()]
    error = failures[0].user_failure_data.description if failures and failures[0].user_failure_data else ""
    return result.success, dict(outputs[0]) if outputs else {}, error or ""


def spent(crank: Crank) -> int:
    return crank.database.usage.count_documents({"edition": "weekly:2020-01-06"})


def test_retention_says_on_its_run_what_it_deleted_and_a_dry_one_deletes_nothing(empty: Crank) -> None:
    empty.database.usage.insert_one(
        {"_id": "weekly:2020-01-06|render", "edition": "weekly:2020-01-06", "at": OLD}
    )
    success, told, _ = retention(empty, dry_run=True)
    assert success
    assert told["deleted"].value == "nothing: a dry run"
    assert spent(empty) == 1
    success, told, _ = retention(empty)
    assert success
    rows = {row.data["kind"]: row.data for row in told["kinds"].records}
    assert rows["expired"]["records"] == 1
    assert spent(empty) == 0


def test_a_kind_that_fails_fails_the_run_by_its_name_and_the_others_are_done(
    empty: Crank, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty.database.alerts.insert_one(
        {"_id": "a", "open": False, "closed_at": OLD + timedelta(days=1), "kind": "x"}
    )

    def broken(_retention: object) -> object:
        raise RuntimeError("no such shelf")

    monkeypatch.setitem(retention_run.KINDS, "pictures", broken)
    success, _, error = retention(empty)
    assert not success
    assert "pictures" in error
    assert "no such shelf" in error
    assert empty.database.alerts.count_documents({}) == 0
