"""Which tests run which lines of the product, measured once and kept until either changes.

Every test of a folder that is not slow runs once with coverage.py, which notes for each line the tests that
ran it (`--cov-context=test`). What was found is kept in `mutants/covering.json` by module of tests, under a
digest of the product, of what the tests stand on, and of that module: a test that is written is measured
without the others, and a change of the product measures all of them anew. Tests that fail as things stand
are noted and chosen by nobody.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from coverage import CoverageData

PRODUCT, TESTS = "reporting_pipeline", "reporting_pipeline_tests"
_FAILED = re.compile(r"^(?:FAILED|ERROR) ([^:\s]+(?:::\w+)+)", re.M)


@dataclass
class Covering:
    """By test (`path::name`, without its parameters) the lines of each module that it runs."""

    lines: Mapping[str, Mapping[str, frozenset[int]]]
    failing: frozenset[str]
    _sizes: dict[str, int] = field(default_factory=dict)

    def tests_of(self, module: str, lines: Iterable[int] | None = None) -> list[str]:
        """Those that run one of `lines` of `module` (None: any), nearest first: what runs little of the
        product is about little of it, and quick."""
        wanted = None if lines is None else frozenset(lines)
        found = [
            test
            for test, modules in self.lines.items()
            if test not in self.failing and module in modules and (wanted is None or wanted & modules[module])
        ]
        return sorted(found, key=lambda test: (self._size(test), test))

    def _size(self, test: str) -> int:
        if test not in self._sizes:
            self._sizes[test] = sum(map(len, self.lines[test].values()))
        return self._sizes[test]


def environment(copy: Path) -> dict[str, str]:
    """Of tests in a copy: it stands before the installed package."""
    return {**os.environ, "PYTHONPATH": str(copy)}


def measured(copy: Path, folders: Iterable[str], kept: Path) -> Covering:
    """What the tests of `folders` (of the tests of `copy`) run; measures those that `kept` does not know."""
    known: dict[str, dict[str, Any]] = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    digests = _digests(copy, folders)
    missing = [module for module, digest in digests.items() if known.get(module, {}).get("digest") != digest]
    if missing:
        print(f"measuring what {len(missing)} modules of tests run", flush=True)
        lines, failing = _measure(copy, missing)
        for module in missing:
            own = {test: found for test, found in lines.items() if test.partition("::")[0] == module}
            fails = sorted(test for test in failing if test.partition("::")[0] == module)
            known[module] = {"digest": digests[module], "lines": own, "failing": fails}
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(json.dumps(known), encoding="utf-8")
    asked = [known[module] for module in digests]
    return Covering(
        {
            test: {module: frozenset(own) for module, own in modules.items()}
            for each in asked
            for test, modules in each["lines"].items()
        },
        frozenset(test for each in asked for test in each["failing"]),
    )


def _digests(copy: Path, folders: Iterable[str]) -> dict[str, str]:
    stands_on = sha256()
    for folder in (PRODUCT, TESTS):
        for path in sorted((copy / folder).rglob("*.py")):
            if not path.name.startswith("test_"):
                stands_on.update(path.read_bytes())
    modules = [path for folder in folders for path in sorted((copy / TESTS / folder).rglob("test_*.py"))]
    return {
        path.relative_to(copy).as_posix(): sha256(stands_on.digest() + path.read_bytes()).hexdigest()
        for path in modules
    }


def _measure(copy: Path, modules: list[str]) -> tuple[dict[str, dict[str, list[int]]], set[str]]:
    data = copy / ".coverage-of-tests"
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--cov", "--cov-context=test", "--cov-report=", *modules],
        cwd=copy,
        env={**environment(copy), "COVERAGE_FILE": str(data)},
        capture_output=True,
        text=True,
        check=False,
    )
    if not data.exists():
        raise SystemExit(f"nothing was measured: {done.stdout[-2_000:]}{done.stderr[-2_000:]}")
    read = CoverageData(str(data))
    read.read()
    lines: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for path in read.measured_files():
        module = Path(path).relative_to(copy.resolve() / PRODUCT).with_suffix("").as_posix()
        for line, contexts in read.contexts_by_lineno(path).items():
            for context in filter(None, contexts):  # without one: when it was imported
                lines[context.partition("|")[0].partition("[")[0]][module].add(line)
    data.unlink()
    found = {
        test: {module: sorted(own) for module, own in modules_of.items()}
        for test, modules_of in lines.items()
    }
    return found, set(_FAILED.findall(done.stdout))
