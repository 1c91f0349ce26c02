"""The code server that daemon, UI and runs share: who can reach it, what it is called, that it ends."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import psutil
import pytest

from reporting_pipeline.cli.local import dagster_processes
from reporting_pipeline.cli.local.dagster_processes import LOCATION, code_server
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.settings import SettingsError, child_environment

WORKSPACE = Path(__file__).parents[3] / "workspace.yaml"


@pytest.fixture
def environment(endpoints: Endpoints, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "dagster").mkdir()
    return child_environment(
        {
            "REPORTING_ENVIRONMENT": "test",
            "REPORTING_HOME": str(tmp_path),
            "DAGSTER_HOME": str(tmp_path / "dagster"),
            **endpoints.as_environment(),
        }
    )


def test_it_answers_on_a_socket_that_only_its_user_reaches_and_ends_with_the_block(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with code_server(environment, tmp_path / "logs") as code:
        (named,) = json.loads(code.workspace.read_text())["load_from"]
        socket = Path(named["grpc_server"]["socket"])
        assert socket.is_socket()
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert named["grpc_server"]["location_name"] == LOCATION
        assert f"location_name: {LOCATION}" in WORKSPACE.read_text(), "switches of sensors are kept by name"
        family = [psutil.Process(code.child.pid), *psutil.Process(code.child.pid).children(recursive=True)]
    assert not any(process.is_running() and process.status() != "zombie" for process in family)
    assert not socket.parent.exists()


def test_one_that_does_not_load_in_time_is_an_error_that_names_its_log(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dagster_processes, "START_SECONDS", 0.0)
    with (
        pytest.raises(SettingsError, match=r"did not load within 0 s; see .*code-server\.log"),
        code_server(environment, tmp_path / "logs"),
    ):
        raise AssertionError("it cannot have loaded so fast")
