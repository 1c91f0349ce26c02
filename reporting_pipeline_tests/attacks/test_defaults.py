"""What holds where nobody has set anything: files of a process are its user's alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reporting_pipeline.api import app as api
from reporting_pipeline.cli.app import app as command_line
from reporting_pipeline.settings import Settings


def _by_the_command_line(settings: Settings) -> None:
    assert CliRunner().invoke(command_line, ["files", "dagster.yaml"]).exit_code == 0


def _by_the_api(settings: Settings) -> None:
    api.app_from_environment()


@pytest.mark.parametrize("begin", [_by_the_command_line, _by_the_api])
def test_what_a_process_writes_is_read_by_its_user_alone(
    begin: Callable[[Settings], None], settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "current_settings", lambda: settings)
    os.umask(0)
    begin(settings)
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o700
