"""Small changes to the rules, one at a time, that some test must notice.

    python .ci/mutants.py [--sample 40] [--seed 1] [--only domain/planning] [--tests domain stores delivery]

A change is one comparison, boolean operator, number, sum or negation turned around. It is made in a copy of
the repository, and the tests that run its line run against it, nearest first, until one fails: killed. When
all pass, or none runs it, it survived, and is printed with its line. Which tests run which line is measured
once (`covering.py`); tests that fail without a change are chosen by nobody. What is run when a module is
imported (a constant, a default) is held by the tests that run the lines that name it, else by those of its
function, else by those of its module. Of more than `MOST_TESTS` the nearest are run. The same seed draws the
same changes of the same source. Ends with 1 where fewer than `--mark` percent were killed.

Left out by rule, as what no reader or operator would notice: what decorators say (`frozen=True` of a
dataclass), what is written into a log (`.debug` to `.exception`), what the words of an error say (`raise`).
"""

from __future__ import annotations

import argparse
import ast
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from covering import PRODUCT, TESTS, Covering, environment, measured

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("domain", "stores", "delivery")
KEPT = ROOT / "mutants" / "covering.json"
TIMEOUT_SECONDS = 600
#: More tests than this run the line: the nearest of them are asked.
MOST_TESTS = 60
_LOGS = frozenset({"debug", "info", "warning", "error", "exception"})

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
    left_out = {id(node) for each in _left_out(tree) for node in ast.walk(each)}
    return (node for node in ast.walk(tree) if id(node) not in left_out and _can_be_turned(node))


def _left_out(tree: ast.AST) -> Iterator[ast.AST]:
    """What no test can or need notice."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from node.decorator_list
            case ast.Call(func=ast.Attribute(attr=name)) if name in _LOGS:
                yield node
            case ast.Raise():
                yield node


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


def modules() -> list[str]:
    return [
        path.relative_to(ROOT / PRODUCT).with_suffix("").as_posix()
        for package in PACKAGES
        for path in sorted((ROOT / PRODUCT / package).rglob("*.py"))
    ]


def mutants_of(module: str) -> list[Mutant]:
    found = []
    for number, node in enumerate(places(_parsed(ROOT, module))):
        before = ast.unparse(node)
        turned(node)
        found.append(Mutant(module, number, getattr(node, "lineno", 0), before, ast.unparse(node)))
    return found


def _parsed(folder: Path, module: str) -> ast.Module:
    return ast.parse((folder / PRODUCT / f"{module}.py").read_text(encoding="utf-8"))


def tests_of(mutant: Mutant, covering: Covering) -> list[str]:
    """Those that may notice it, nearest first."""
    tree = _parsed(ROOT, mutant.module)
    place = list(places(tree))[mutant.number]
    around = [node for node in ast.walk(tree) if isinstance(node, ast.stmt) and _holds(node, place)]
    for lines in _where_it_is_run(tree, around):
        if found := covering.tests_of(mutant.module, lines):
            return found
    inside = any(isinstance(node, ast.FunctionDef) and _in_its_body(node, place) for node in around)
    return [] if inside else covering.tests_of(mutant.module)


def _where_it_is_run(tree: ast.AST, around: list[ast.stmt]) -> Iterator[range | set[int]]:
    """Lines of which a test must run one: of the statement (`around` is from the outermost in), of those that
    name what it gives a value, of the function whose default it is."""
    statement = around[-1]
    body = getattr(statement, "body", None)
    yield range(statement.lineno, body[0].lineno if body else (statement.end_lineno or statement.lineno) + 1)
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        names = {target.id for target in targets if isinstance(target, ast.Name)}
        yield {
            node.lineno
            for node in ast.walk(tree)
            if (isinstance(node, ast.Name) and node.id in names)
            or (isinstance(node, ast.Attribute) and node.attr in names)
        }
    if isinstance(statement, ast.FunctionDef):
        yield range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)


def _holds(node: ast.stmt, place: ast.AST) -> bool:
    return any(each is place for each in ast.walk(node))


def _in_its_body(function: ast.FunctionDef, place: ast.AST) -> bool:
    return any(_holds(statement, place) for statement in function.body)


def pass_in(copy: Path, tests: list[str]) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "not slow", "-p", "no:cacheprovider"]
    try:
        done = subprocess.run(
            [*command, *tests],
            cwd=copy,
            env=environment(copy),
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def killed(mutant: Mutant, tests: list[str], copy: Path) -> bool:
    """Whether a test fails, or never ends, with the change in place."""
    path = copy / PRODUCT / f"{mutant.module}.py"
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    turned(list(places(tree))[mutant.number])
    _write(path, ast.unparse(tree))
    try:
        return not pass_in(copy, tests)
    finally:
        _write(path, source)


def _write(path: Path, source: str) -> None:
    """What was compiled of it goes: two writes of a second may have one size."""
    path.write_text(source, encoding="utf-8")
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sample", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="modules whose name begins so")
    parser.add_argument("--tests", nargs="+", default=PACKAGES, help="folders of tests that are asked")
    parser.add_argument("--mark", type=int, default=0, help="percent that must be killed")
    asked = parser.parse_args()
    every = [mutant for module in modules() if module.startswith(asked.only) for mutant in mutants_of(module)]
    chosen = Random(asked.seed).sample(every, min(asked.sample, len(every)))
    dead = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder)
        for part in (PRODUCT, TESTS, "benchmarks", "docs"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        covering = measured(copy, asked.tests, KEPT)
        for test in sorted(covering.failing):
            print(f"left out  {test}: fails without a change", flush=True)
        for mutant in chosen:
            tests = tests_of(mutant, covering)
            if tests and killed(mutant, tests[:MOST_TESTS], copy):
                dead += 1
            else:
                place = f"{mutant.module}.py:{mutant.line}"
                told = f"{len(tests)} tests run it" if tests else "no test runs it"
                print(f"survived  {place}  {mutant.before}  ->  {mutant.after}  ({told})", flush=True)
    percent = 100 * dead // max(1, len(chosen))
    print(f"{dead} of {len(chosen)} killed ({percent} %), drawn from {len(every)} with seed {asked.seed}")
    return 1 if percent < asked.mark else 0


if __name__ == "__main__":
    sys.exit(main())
