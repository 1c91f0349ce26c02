"""The shared fixtures keep their promises: real servers, empty stores, isolation by name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, text

from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import INDEXES, Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.waiting import wait_until


@pytest.mark.parametrize("turn", ["first", "second"])
def test_a_test_has_a_database_and_a_bucket_of_its_own(
    turn: str, database: Database, objects: ObjectStore, settings: Settings
) -> None:
    assert database.name == settings.mongodb_database
    assert objects.bucket == settings.s3_bucket
    assert database.trials.count_documents({}) == 0
    assert list(objects.keys("")) == []
    database.trials.insert_one({"_id": turn})
    objects.put(f"files/{turn}", turn.encode())
    assert [record["_id"] for record in database.trials.find()] == [turn]
    assert list(objects.keys("files/")) == [f"files/{turn}"]


def test_the_database_has_every_index(database: Database) -> None:
    for collection, indexes in INDEXES.items():
        assert {index.document["name"] for index in indexes} <= set(database[collection].index_information())


def test_postgres_answers(postgres_url: str) -> None:
    assert postgres_url.startswith("postgresql+psycopg2://")
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        assert connection.execute(text("select 1")).scalar() == 1
    engine.dispose()


SESSION = """
import os
from pathlib import Path

def test_that_never_ends(endpoints, postgres_url):
    Path(os.environ["READY"]).write_text("ready")
    __import__("threading").Event().wait()
"""


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_session_that_is_ended_from_outside_leaves_no_server_behind(
    end: signal.Signals, tmp_path: Path
) -> None:
    temporary = Path(tempfile.mkdtemp(prefix="reporting-session-"))
    temporary.chmod(0o755)  # PostgreSQL may run as another user
    (tmp_path / "test_session.py").write_text(SESSION)
    ready = tmp_path / "ready"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "reporting_pipeline_tests.conftest"]
    with subprocess.Popen(
        [*command, "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "READY": str(ready), "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as session:
        wait_until("the session runs", ready.exists)
        assert len(processes_under(temporary)) >= 3
        session.send_signal(end)
    wait_until("its processes are gone", lambda: not processes_under(temporary), every=0.1)
    wait_until("its folder is empty", lambda: not list(temporary.iterdir()))
    temporary.rmdir()


def processes_under(folder: Path) -> list[int]:
    """The pids of the processes that have a path under `folder` among their arguments."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(str(folder) in argument for argument in process.info["cmdline"] or [])
    ]
