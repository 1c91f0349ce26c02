"""The image: what can be said of it without building it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from reporting_pipeline_tests.deploy import artefacts

FILE = artefacts.DEPLOY / "docker/Dockerfile"


def test_hadolint_has_nothing_to_say() -> None:
    program = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([program, "--no-fail", FILE], capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_it_runs_without_rights() -> None:
    last = artefacts.dockerfile().rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert last.index("\nUSER ") > max(last.rfind("\nCOPY "), last.rfind("\nRUN "))


def test_the_source_and_the_tools_of_the_build_stay_behind() -> None:
    build, _, last = artefacts.dockerfile().rpartition("\nFROM ")
    assert "COPY . ." not in last
    assert "pip install" not in last
    assert "--constraint constraints.txt" in build


def test_no_secret_is_in_it() -> None:
    named = re.findall(r"\b(\w*(?:SECRET|PASSWORD|TOKEN|MONGODB_URI|ACCESS_KEY)\w*)=", artefacts.dockerfile())
    assert named == []


@pytest.mark.parametrize(
    "path", re.findall(r"^COPY (?!--from|\. )(.*) \S+$", artefacts.dockerfile(), re.MULTILINE)
)
def test_what_is_copied_exists_and_is_not_ignored(path: str) -> None:
    kept = {
        line[1:] for line in (artefacts.ROOT / ".dockerignore").read_text().split("\n") if line[:1] == "!"
    }
    for one in path.split():
        assert (artefacts.ROOT / one).is_file()
        assert one.split("/")[0] in kept


def test_what_the_wheel_is_built_from_is_not_ignored() -> None:
    lines = (artefacts.ROOT / ".dockerignore").read_text().splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    assert kept >= {"pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "constraints.txt"}
    assert kept >= {"reporting_pipeline", "deploy", "dagster.yaml", "workspace.yaml"}
    assert [name for name in kept if not (artefacts.ROOT / name).exists()] == []
