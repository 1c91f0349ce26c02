"""The papers of a release: a package that one of them leaves out ends `make release` with its name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from reporting_pipeline_tests.deploy import artefacts

SCRIPT = artefacts.ROOT / ".ci/release_papers.py"
LICENCES = [
    {"Name": "PyYAML", "Version": "6.0.3", "License": "MIT License"},
    {"Name": "uvicorn", "Version": "0.40", "License": "BSD-3-Clause"},
    {"Name": "reporting-pipeline", "Version": "0.2.0", "License": "Apache-2.0"},
]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    hashed = (
        "pyyaml==6.0.3 \\\n    --hash=sha256:00\n"
        "uvicorn[standard]==0.40 ; python_version < '4' \\\n    --hash=sha256:11\n"
    )
    (tmp_path / "requirements.txt").write_text(hashed)
    bill = {"components": [{"name": "PyYAML", "version": "6.0.3"}, {"name": "uvicorn", "version": "0.40"}]}
    (tmp_path / "sbom.cdx.json").write_text(json.dumps(bill))
    (tmp_path / "licences.json").write_text(json.dumps(LICENCES))
    return tmp_path


def examined(release: Path) -> tuple[int, str]:
    done = subprocess.run([sys.executable, SCRIPT, release], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_papers_that_name_the_same_packages_are_in_order(release: Path) -> None:
    assert examined(release) == (0, "")


def test_what_one_of_them_leaves_out_or_does_not_know_is_named(release: Path) -> None:
    (release / "licences.json").write_text(json.dumps([{**LICENCES[0], "License": "UNKNOWN"}, LICENCES[2]]))
    (release / "sbom.cdx.json").write_text(
        json.dumps({"components": [{"name": "uvicorn", "version": "0.39"}]})
    )
    code, said = examined(release)
    assert code == 1
    assert set(said.splitlines()) == {
        "sbom.cdx.json lacks pyyaml 6.0.3",
        "sbom.cdx.json lacks uvicorn 0.40",
        "sbom.cdx.json alone names uvicorn 0.39",
        "licences.json lacks uvicorn 0.40",
        "the licence of PyYAML is unknown",
    }


def test_the_release_asks_for_it_before_it_sums_up() -> None:
    recipe = (artefacts.ROOT / "Makefile").read_text().partition("\nrelease:")[2]
    assert recipe.index(".ci/release_papers.py") < recipe.index("sha256sum")
    assert "cyclonedx-bom==" in recipe
    assert "pip-licenses==" in recipe
