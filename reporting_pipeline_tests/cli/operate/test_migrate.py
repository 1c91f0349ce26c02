"""`migrate` says what it would do, does it, and says what it did."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from reporting_pipeline.cli import app
from reporting_pipeline.operations.migrations import migrate
from reporting_pipeline.operations.migrations.steps import STEPS
from reporting_pipeline.stores import mongo
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.schema import SCHEMA_VERSION, migration_lock, schema_version

runner = CliRunner()


def made_before_steps(database: Database) -> None:
    database.schema.delete_many({})
    database.trials.insert_one({"_id": "trl_1", "organisation": "default"})


def test_a_dry_run_names_the_steps_and_touches_nothing(deployment: Database) -> None:
    made_before_steps(deployment)
    result = runner.invoke(app, ["migrate", "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "migration 1, the database's version is recorded" in result.output
    assert schema_version(deployment) == 0


def test_an_old_database_is_refused_by_commands_until_it_is_migrated(deployment: Database) -> None:
    made_before_steps(deployment)
    mongo._prepare_once.cache_clear()  # as a process that has just started
    refused = runner.invoke(app, ["edition", "list"])
    assert refused.exit_code == 1
    assert "run `reporting-pipeline migrate`" in " ".join(refused.output.split())
    assert schema_version(deployment) == 0
    done = runner.invoke(app, ["migrate"])
    assert f"is at migration {SCHEMA_VERSION}" in " ".join(done.output.split())
    again = runner.invoke(app, ["migrate"])
    assert again.exit_code == 0
    assert schema_version(deployment) == SCHEMA_VERSION


def test_a_number_that_is_no_step_is_an_error_in_one_line(deployment: Database) -> None:
    result = runner.invoke(app, ["migrate", "--to", "999"])
    assert result.exit_code == 1
    assert "there is no migration 999" in result.output


def test_a_new_database_is_made_new(deployment: Database) -> None:
    deployment.schema.delete_many({})
    assert "would be made new" in " ".join(runner.invoke(app, ["migrate", "--dry-run"]).output.split())
    assert schema_version(deployment) == 0
    assert "is made new" in " ".join(runner.invoke(app, ["migrate"]).output.split())
    assert schema_version(deployment) == SCHEMA_VERSION


def migrated(database: Database) -> list[tuple[int, int]]:
    return [
        (row["details"]["from"], row["details"]["to"])
        for row in database.audit.find({"action": "database.migrated"}).sort("seq")
    ]


def test_a_migration_that_somebody_else_holds_leaves_no_row(deployment: Database) -> None:
    back = ["migrate", "--to", str(SCHEMA_VERSION - 1)]
    with migration_lock(deployment, datetime.now(UTC)):
        assert runner.invoke(app, back).exit_code == 1
    assert migrated(deployment) == []
    assert runner.invoke(app, back).exit_code == 0
    assert migrated(deployment) == [(SCHEMA_VERSION, SCHEMA_VERSION - 1)]


def test_steps_that_were_taken_before_one_failed_have_their_row(
    deployment: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_before_steps(deployment)

    def broken(*_: object) -> int:
        raise ValueError("the step is broken")

    broken_last = (*STEPS[:-1], replace(STEPS[-1], up=broken))
    monkeypatch.setattr(migrate, "__defaults__", (None, broken_last, None))
    assert runner.invoke(app, ["migrate"]).exit_code == 1
    assert migrated(deployment) == [(0, SCHEMA_VERSION - 1)]
