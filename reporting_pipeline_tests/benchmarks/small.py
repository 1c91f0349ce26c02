"""Runs a benchmark small, as a program of its own, and reads what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.__main__ import SMALL

ROOT = Path(__file__).parents[2]


def figures_of(name: str) -> dict[str, Any]:
    command = [sys.executable, "-m", f"benchmarks.{name}", *SMALL[name]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1_800, check=False)
    assert done.returncode == 0, done.stderr[-4_000:]
    said = json.loads(done.stdout)
    assert said["name"] == name
    assert said["machine"]["cores"] >= 1
    return dict(said)
