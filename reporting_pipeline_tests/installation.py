"""The product as an operator has it: its wheel in an environment of its own, out of reach of the checkout.

Built and installed once for all tests and workers of a session; no test writes into it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from reporting_pipeline_tests.waiting import PATIENCE

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).parent / "uv"
OURS = ("REPORTING_", "MONGODB_", "S3_", "AWS_", "DAGSTER_", "SENDGRID_", "SLACK_", "PYTHON", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Ran:
    code: int
    output: str


@dataclass(frozen=True)
class Installation:
    """An environment with the wheel and its main dependencies, and nothing else."""

    folder: Path

    def program(self, name: str) -> str:
        return str(self.folder / "bin" / name)

    def environment(self, variables: Mapping[str, str] | None = None) -> dict[str, str]:
        """This process's environment without anything that describes a deployment, and `variables`."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]])
        return {**kept, "PATH": path, "COLUMNS": "200", **(variables or {})}

    def run(self, *command: str, cwd: Path, environment: Mapping[str, str] | None = None) -> Ran:
        done = subprocess.run(
            [self.program(command[0]), *command[1:]],
            cwd=cwd,
            env=self.environment(environment),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return Ran(done.returncode, done.stdout + done.stderr)


def pythons() -> dict[str, str]:
    """The interpreters of this machine by version, 3.11 and 3.12."""
    found = {f"{sys.version_info.major}.{sys.version_info.minor}": sys.executable}
    for version in ("3.11", "3.12"):
        named = shutil.which(f"python{version}")
        managed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
        for candidate in [*([named] if named else []), *map(str, managed)]:
            if version not in found and _runs(candidate):
                found[version] = candidate
    return found


def _runs(python: str) -> bool:
    return subprocess.run([python, "-c", ""], capture_output=True, timeout=PATIENCE).returncode == 0


@dataclass(frozen=True)
class Installations:
    """What was built and installed in this session."""

    folder: Path  # of all workers

    @property
    def sdist(self) -> Path:
        return next(self._built().glob("*.tar.gz"))

    @property
    def wheel(self) -> Path:
        """Built from the sdist alone."""
        return next(self._built().glob("*.whl"))

    def of(self, python: str) -> Installation:
        """The wheel for this interpreter, under the pins of constraints.txt, without any extra."""
        wheel = self.wheel

        def make(folder: Path) -> None:
            subprocess.run(
                [str(UV), "venv", "--quiet", "--python", python, str(folder)], check=True, timeout=PATIENCE
            )
            command = [str(UV), "pip", "install", "--quiet"]
            command += ["--python", str(folder / "bin" / "python")]
            pins = ["--constraint", str(ROOT / "constraints.txt")]
            subprocess.run([*command, *pins, str(wheel)], check=True, timeout=2 * PATIENCE)

        return Installation(self._made(f"installed-{Path(python).name}", make))

    def _built(self) -> Path:
        def make(folder: Path) -> None:
            command = [str(UV), "build", "--quiet", "--out-dir", str(folder), str(ROOT)]
            subprocess.run(command, check=True, timeout=2 * PATIENCE)

        return self._made("dist", make)

    def _made(self, name: str, make: Callable[[Path], None]) -> Path:
        """The folder of this name, which whoever comes first makes; one that was left half is made anew."""
        folder, whole = self.folder / name, self.folder / f"{name}.whole"
        with FileLock(self.folder / f"{name}.lock"):
            if not whole.exists():
                shutil.rmtree(folder, ignore_errors=True)
                make(folder)
                whole.touch()
        return folder
