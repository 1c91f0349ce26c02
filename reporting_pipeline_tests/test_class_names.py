"""One class name, one meaning: no two public classes of the package have the same name."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import reporting_pipeline

PACKAGE = Path(reporting_pipeline.__file__).parent
#: name -> why two classes may have it.
MAY_STAND_TWICE: dict[str, str] = {}


def test_no_two_public_classes_have_one_name() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(f"{path.relative_to(PACKAGE)}:{node.lineno}")

    twice = {name: where for name, where in places.items() if len(where) > 1}

    assert len(places) > 300  # the walk saw the package
    assert twice.keys() == MAY_STAND_TWICE.keys(), {name: twice.get(name) for name in twice}
