"""Pins our SQLite storages to Dagster's own: the same files, looked over once, never behind for long."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage

from reporting_pipeline.dagster_instance.event_log import KEYS_KEPT_SECONDS
from reporting_pipeline.dagster_instance.sqlite import BatchedSqliteEventLog, SqliteRuns, SqliteSchedules

OWN = Path(__file__).parents[2] / "dagster.yaml"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with the deployment's own dagster.yaml."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text(OWN.read_text())
    return tmp_path


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The databases whose migrations were read."""
    found: list[str] = []
    for module in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):
        original = module.check_alembic_revision

        def check(config: Any, connection: Any, original: Any = original) -> Any:
            found.append(Path(connection.engine.url.database).name)
            return original(config, connection)

        monkeypatch.setattr(module, "check_alembic_revision", check)
    return found


def _files(home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in home.rglob("*.db")}


def test_the_deployment_uses_them(home: Path) -> None:
    with DagsterInstance.from_config(str(home)) as instance:
        assert isinstance(instance.run_storage, SqliteRuns)
        assert isinstance(instance.event_log_storage, BatchedSqliteEventLog)
        assert isinstance(instance.schedule_storage, SqliteSchedules)


def test_the_files_lie_where_dagster_itself_looks_for_them(home: Path, tmp_path_factory: Any) -> None:
    with DagsterInstance.from_config(str(home)) as instance:
        instance.add_dynamic_partitions("trials", ["A"])
        instance.get_runs()
    plain = tmp_path_factory.mktemp("plain")
    with DagsterInstance.from_config(str(plain)) as instance:
        instance.add_dynamic_partitions("trials", ["B"])
        instance.get_runs()
    assert _files(home) == _files(plain)
    (home / "dagster.yaml").write_text("")
    with DagsterInstance.from_config(str(home)) as instance:
        assert instance.get_dynamic_partitions("trials") == ["A"]


def test_a_process_looks_a_database_over_once(home: Path, looks: list[str]) -> None:
    for _ in range(3):
        with DagsterInstance.from_config(str(home)) as instance:
            instance.get_dynamic_partitions("trials")
            instance.get_runs()
            instance.all_instigator_state()
    assert sorted(looks) == sorted(set(looks)), "each database once"
    assert {"runs.db", "schedules.db", "index.db"} <= set(looks)


def test_a_database_that_was_removed_is_made_again(home: Path) -> None:
    with DagsterInstance.from_config(str(home)) as instance:
        instance.add_dynamic_partitions("trials", ["A"])
    for path in home.rglob("*.db*"):
        path.unlink()
    with DagsterInstance.from_config(str(home)) as instance:
        assert instance.get_dynamic_partitions("trials") == []
        assert instance.get_runs() == []


def test_keys_are_kept_for_a_moment_and_never_after_a_change_of_ones_own(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr("reporting_pipeline.dagster_instance.event_log.time.monotonic", lambda: now)
    with (
        DagsterInstance.from_config(str(home)) as one,
        DagsterInstance.from_config(str(home)) as two,
    ):
        one.add_dynamic_partitions("trials", ["A"])
        assert one.get_dynamic_partitions("trials") == ["A"]
        two.add_dynamic_partitions("trials", ["B"])
        assert one.get_dynamic_partitions("trials") == ["A"]
        now += KEYS_KEPT_SECONDS + 0.1
        assert one.get_dynamic_partitions("trials") == ["A", "B"]
        one.delete_dynamic_partition("trials", "A")
        assert one.get_dynamic_partitions("trials") == ["B"]


OPEN_AT_ONCE = """
import sys, time
from dagster import DagsterInstance
import reporting_pipeline.dagster_instance.sqlite
print("ready", flush=True)
sys.stdin.readline()
with DagsterInstance.from_config(sys.argv[1]) as instance:
    instance.get_runs()
    instance.all_instigator_state()
    instance.get_dynamic_partitions("trials")
"""


@pytest.mark.slow
def test_processes_that_open_a_new_home_at_once_make_it_once(home: Path) -> None:
    """A daemon, a webserver and a code server start together; two versions in one table stop every sensor."""
    command = [sys.executable, "-c", OPEN_AT_ONCE, str(home)]
    environment = {**os.environ, "DAGSTER_HOME": str(home)}
    started = [
        subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for one in started:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in started:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    told = [one.communicate(timeout=300)[1] for one in started]
    assert [one.returncode for one in started] == [0] * 4, "\n".join(told)[-3_000:]
    versions = {}
    for path in home.rglob("*.db"):
        with closing(sqlite3.connect(path)) as connection:
            versions[path.name] = connection.execute("select count(*) from alembic_version").fetchone()[0]
    assert set(versions) == {"runs.db", "index.db", "schedules.db"}
    assert set(versions.values()) == {1}, versions
