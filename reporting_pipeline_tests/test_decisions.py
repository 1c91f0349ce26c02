"""The tests that a decision names are there, and the table of decisions is whole."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
DECISIONS = TESTS.parent / "docs" / "decisions"
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
PAGES = sorted(DECISIONS.glob("0*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_tests_that_a_decision_names_are_there(page: Path) -> None:
    missing = [
        f"{file}::{name}"
        for file, name in NAMED.findall(page.read_text(encoding="utf-8"))
        if name not in functions(TESTS / file)
    ]
    assert missing == []


@pytest.mark.parametrize("name", ["what-operating-it-asked-for", "what-an-attack-found"])
def test_each_row_of_what_was_asked_or_found_names_its_tests(name: str) -> None:
    (page,) = [page for page in PAGES if page.stem.endswith(name)]
    held, _, open_rows = page.read_text(encoding="utf-8").partition("**Not held")
    rows = [line for line in held.splitlines() if line.startswith("|") and "---" not in line]
    assert [row for row in rows if not NAMED.search(row) and "held by" not in row] == []
    assert open_rows


def test_each_row_of_the_reading_has_its_test_or_its_reason() -> None:
    (page,) = [page for page in PAGES if page.stem.endswith("what-a-reading-of-the-code-found")]
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    rows = [row for row in rows if "held by" not in row]
    assert [row for row in rows if not NAMED.search(row) and "No test: " not in row] == []
    numbered = [int(row.split()[1]) for row in rows if row.split()[1].isdecimal()]
    assert numbered == list(range(1, 20))


def test_each_row_of_the_papers_has_its_test_or_its_reason() -> None:
    (page,) = [page for page in PAGES if page.stem.endswith("what-the-seeds-asked-for")]
    rows = [
        line for line in page.read_text(encoding="utf-8").splitlines() if re.match(r"\| \d{3}:\d+ ", line)
    ]
    assert len(rows) == len(set(rows)) == 251
    assert [row for row in rows if bool(NAMED.search(row)) == ("No test: " in row)] == []


def test_no_lock_is_made_at_its_first_use() -> None:
    """Since Python 3.12 two threads that come first to a `cached_property` get one each."""
    found = [
        f"{path.name}:{node.lineno}"
        for path in (TESTS.parent / "reporting_pipeline").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        and any("cached_property" in ast.unparse(one) for one in node.decorator_list)
        and re.search(r"\b(R?Lock|Semaphore|Condition|Event)\(", ast.unparse(node))
    ]
    assert found == []


def test_every_decision_stands_in_the_table() -> None:
    table = (DECISIONS / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if f"({page.name})" not in table] == []


def functions(path: Path) -> set[str]:
    if not path.is_file():
        return set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
