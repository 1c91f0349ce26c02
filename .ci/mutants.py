"""Small changes to the rules, one at a time, that the tests of the same module must notice.

    python .ci/mutants.py [--sample 40] [--seed 1] [--only domain/planning]

A change is one comparison, boolean operator, number, sum or negation turned around. It is made in a copy of
the repository, and the module's own tests run against it: killed when a test fails, survived when all pass.
Its own are `test_<module>.py`, beside the tests of its package or of the package around it, and
`test_<package>.py`; where neither is, the few modules of tests that import it. They are run once without a
change: tests that fail by themselves kill nothing, and its changes are left out and told. Each survivor is
printed with its line. The same seed draws the same changes of the same source. Ends with 1 where fewer than
`--mark` percent were killed.

Left out as what no test can or need notice: what decorators say (`frozen=True` of a dataclass).
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("domain", "stores", "delivery")
TESTS = Path("reporting_pipeline_tests")
TIMEOUT_SECONDS = 600
#: Imported by more modules of tests than this, a module is what they stand on and not what they are about.
MOST_IMPORTING = 3

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    **{ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is},
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt},
    **{ast.In: ast.NotIn, ast.NotIn: ast.In},
}


@dataclass(frozen=True)
class Mutant:
    module: str  # "domain/planning"
    number: int  # which of the module's places
    line: int
    before: str
    after: str


def places(tree: ast.AST) -> Iterator[ast.AST]:
    """What can be turned around, in one order for one source."""
    decorating = {
        id(node)
        for decorated in ast.walk(tree)
        if isinstance(decorated, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        for decorator in decorated.decorator_list
        for node in ast.walk(decorator)
    }
    return (node for node in ast.walk(tree) if id(node) not in decorating and _can_be_turned(node))


def _can_be_turned(node: ast.AST) -> bool:
    match node:
        case ast.Compare(ops=[one]):
            return type(one) in COMPARED
        case ast.BoolOp() | ast.UnaryOp(op=ast.Not()) | ast.BinOp(op=ast.Add() | ast.Sub()):
            return True
        case ast.Constant(value=value):
            return type(value) in (int, bool)
    return False


def turned(node: ast.AST) -> None:
    """Turn one place around, in its tree."""
    if isinstance(node, ast.Compare):
        node.ops = [COMPARED[type(node.ops[0])]()]
    elif isinstance(node, ast.BoolOp):
        node.op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
    elif isinstance(node, ast.BinOp):
        node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
    elif isinstance(node, ast.UnaryOp):
        node.op, node.operand = ast.Not(), ast.UnaryOp(ast.Not(), node.operand)
    elif isinstance(node, ast.Constant):
        node.value = (not node.value) if isinstance(node.value, bool) else int(str(node.value)) + 1


def tests_of(module: str) -> list[Path]:
    """The module's own tests, relative to the repository; [] where nothing is its own."""
    *packages, name = module.split("/")
    beside = TESTS.joinpath(*packages)
    named = [beside / f"test_{name}.py"]
    if len(packages) > 1:
        named += [beside.parent / f"test_{name}.py", beside.parent / f"test_{packages[-1]}.py"]
    found = [path for path in named if (ROOT / path).exists()]
    return found or _tests_that_import(module)


def _tests_that_import(module: str) -> list[Path]:
    """Of the tests of its package; [] where so many do that none is about it."""
    package, name = f"reporting_pipeline/{module}".replace("/", ".").rsplit(".", 1)
    imported = re.compile(
        rf"^(from {re.escape(package)}\.{name} import|from {re.escape(package)} import .*\b{name}\b)", re.M
    )
    around = ROOT / TESTS / module.split("/")[0]
    found = [path for path in sorted(around.rglob("test_*.py")) if imported.search(path.read_text("utf-8"))]
    return [path.relative_to(ROOT) for path in found] if len(found) <= MOST_IMPORTING else []


def modules() -> list[str]:
    """Those of the packages that have tests of their own."""
    found = (
        path.relative_to(ROOT / "reporting_pipeline").with_suffix("").as_posix()
        for package in PACKAGES
        for path in sorted((ROOT / "reporting_pipeline" / package).rglob("*.py"))
    )
    return [module for module in found if tests_of(module)]


def mutants_of(module: str) -> list[Mutant]:
    source = (ROOT / "reporting_pipeline" / f"{module}.py").read_text(encoding="utf-8")
    found = []
    for number, node in enumerate(places(ast.parse(source))):
        before = ast.unparse(node)
        turned(node)
        found.append(Mutant(module, number, getattr(node, "lineno", 0), before, ast.unparse(node)))
    return found


def pass_by_themselves(module: str, copy: Path) -> bool:
    """Whether the module's tests pass in the copy as it stands."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    # The copy stands before the installed package.
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [*command, *map(str, tests_of(module))],
            cwd=copy,
            env=environment,
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def killed(mutant: Mutant, copy: Path) -> bool:
    """Whether a test fails, or never ends, with the change in place."""
    path = copy / "reporting_pipeline" / f"{mutant.module}.py"
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    turned(list(places(tree))[mutant.number])
    path.write_text(ast.unparse(tree), encoding="utf-8")
    try:
        return not pass_by_themselves(mutant.module, copy)
    finally:
        path.write_text(source, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sample", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="modules whose name begins so")
    parser.add_argument("--mark", type=int, default=0, help="percent that must be killed")
    asked = parser.parse_args()
    every = [mutant for module in modules() if module.startswith(asked.only) for mutant in mutants_of(module)]
    chosen = Random(asked.seed).sample(every, min(asked.sample, len(every)))
    dead = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder)
        for part in ("reporting_pipeline", "reporting_pipeline_tests", "benchmarks", "docs"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        sound = {one: pass_by_themselves(one, copy) for one in sorted({each.module for each in chosen})}
        for module in (one for one, passed in sound.items() if not passed):
            print(f"left out  {module}.py: its tests fail without a change", flush=True)
        chosen = [each for each in chosen if sound[each.module]]
        for mutant in chosen:
            if killed(mutant, copy):
                dead += 1
            else:
                place = f"{mutant.module}.py:{mutant.line}"
                print(f"survived  {place}  {mutant.before}  ->  {mutant.after}", flush=True)
    percent = 100 * dead // max(1, len(chosen))
    print(f"{dead} of {len(chosen)} killed ({percent} %), drawn from {len(every)} with seed {asked.seed}")
    return 1 if percent < asked.mark else 0


if __name__ == "__main__":
    sys.exit(main())
