"""The arrows within `delivery`: each group imports from those before it only, so there is no circle."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import reporting_pipeline.delivery
from reporting_pipeline_tests.test_import_arrows import imports_of

PACKAGE = Path(reporting_pipeline.delivery.__file__).parent
ORDER = ("outbound", "message", "rights", "links", "channels", "notices", "sender")
#: Neither a notice nor a link knows of the worker, the channels know nothing of links.
NOT = {("channels", "links"), ("channels", "rights"), ("sender", "notices"), ("notices", "links")}


def group_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_each_group_imports_from_those_before_it_only(path: Path) -> None:
    group = group_of(path)
    module = ".".join(["reporting_pipeline.delivery", *path.relative_to(PACKAGE).with_suffix("").parts])
    for each in imports_of(ast.parse(path.read_text(encoding="utf-8")), module, is_package=False):
        if each.path[:2] != ["reporting_pipeline", "delivery"] or len(each.path) < 3:
            continue
        target = each.path[2]
        if target != group:
            assert ORDER.index(target) < ORDER.index(group), f"{module} imports {each.module}"
            assert (group, target) not in NOT, f"{module} imports {each.module}"


def test_every_group_stands_in_the_order() -> None:
    assert {group_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"} == set(ORDER)
