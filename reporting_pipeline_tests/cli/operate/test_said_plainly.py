"""What a person can mend is one line that says what to do, and no stack trace."""

from __future__ import annotations

import base64
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from reporting_pipeline.cli import app
from reporting_pipeline.cli.deploy_files import deploy_file
from reporting_pipeline.cli.plain import plain_errors
from reporting_pipeline.settings import current_settings
from reporting_pipeline.stores import audit
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.upkeep import last_upkeep
from reporting_pipeline_tests.delivery.seeds import NOW
from reporting_pipeline_tests.postgres import postgres_variables


def said(*command: str) -> str:
    result = CliRunner().invoke(app, list(command))
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    return " ".join(result.output.split())


def test_a_report_that_is_not_there(deployment: Database) -> None:
    assert "no report has the id" in said("hold", "place", "rep_0123456789abcdef0123", "--reason", "why")


def test_a_decision_over_an_edition_that_is_none(deployment: Database) -> None:
    assert "'16 November' is no edition" in said("backup", "release", "--send", "--edition", "16 November")


def test_a_device_that_is_full(deployment: Database, tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("currency: EUR\n")
    command = ["cost", "--prices", str(prices), "--since", "2026-11-01", "--csv", "/dev/full"]
    assert "No space left on device: free some" in said(*command)


def test_a_folder_for_temporary_files_that_is_full(capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect("")) as file:
        file.execute("PRAGMA max_page_count = 2")
        file.execute("CREATE TABLE names (name TEXT)")
        with pytest.raises(typer.Exit), plain_errors():
            file.execute("INSERT INTO names VALUES (?)", ("x" * 100_000,))
    assert "name a larger one by TMPDIR" in " ".join(capsys.readouterr().out.split())


def test_a_place_for_backups_that_cannot_be_written(
    deployment: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORTING_BACKUP_KEY", base64.b64encode(bytes(range(32))).decode())
    current_settings.cache_clear()
    file = tmp_path / "file"
    file.touch()
    assert "Not a directory. Give another" in said("backup", "take", str(file))
    assert f"there is no folder {tmp_path}/none" in said("backup", "list", f"{tmp_path}/none")
    assert "there is no folder" in said("backup", "prune", f"{tmp_path}/none", "--keep-days", "30")


def test_a_log_that_does_not_continue_from_its_anchor(deployment: Database, objects: ObjectStore) -> None:
    for _ in range(2):
        audit.record(deployment, audit.AuditAction.SIGNED_IN, "usr_x", "usr_x", NOW, organisation="default")
    audit.write_anchor(deployment, objects, NOW)
    deployment.audit.delete_one({"seq": 2})
    assert "`audit verify` says why" in said("audit", "anchor")


def test_a_postgres_that_is_away_keeps_retention_from_nothing_but_dagsters_runs(
    deployment: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text(deploy_file("dagster.yaml").read_text())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    for name, value in postgres_variables("postgresql://nobody:secret@127.0.0.1:1/none").items():
        monkeypatch.setenv(name, value)
    current_settings.cache_clear()
    told = said("retention")
    assert "deleted" in told
    assert "Dagster's Postgres does not answer" in told
    assert last_upkeep(deployment, "retention") is not None


def test_a_dagster_home_whose_variables_are_not_set(
    deployment: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text(deploy_file("dagster.yaml").read_text())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("DAGSTER_POSTGRES_HOST", raising=False)
    current_settings.cache_clear()
    told = said("retention", "--dry-run")
    assert "DAGSTER_HOME" in told
    assert "DAGSTER_POSTGRES" in told
