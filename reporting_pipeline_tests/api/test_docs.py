"""docs/api.md is true: its examples run, and it lists every problem and every route's words."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reporting_pipeline.stores import users
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.usecases.callers.problems import PROBLEMS
from reporting_pipeline.usecases.callers.tokens import local_user
from reporting_pipeline_tests.api.conftest import Api
from reporting_pipeline_tests.waiting import PATIENCE

DOCS = Path(__file__).parents[2] / "docs" / "api.md"


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples are for curl")
def test_the_examples_run_from_top_to_bottom(api: Api, database: Database, tmp_path: Path) -> None:
    examples = re.findall(r"^```sh\n(.*?)^```", DOCS.read_text(), re.DOTALL | re.MULTILINE)
    users.save_organisation(database, "default", "Default", ["example.org"])
    admin = local_user(database, api.settings, "admin", datetime.now(UTC))
    script = "set -euo pipefail\n" + "\n".join(examples)
    done = subprocess.run(
        ["bash", "-c", script],
        env={
            "PATH": os.environ["PATH"],
            "TMPDIR": str(tmp_path),
            "API": api.base,
            "TOKEN": api.as_(admin).token or "",
            "USER_ID": admin,
            "TRIAL": "T1",
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert len(examples) >= 6


def test_every_problem_is_listed() -> None:
    listed = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) (.+) \|$", DOCS.read_text(), re.MULTILINE)
    assert {slug: (int(status), title) for slug, status, title in listed} == dict(PROBLEMS)
