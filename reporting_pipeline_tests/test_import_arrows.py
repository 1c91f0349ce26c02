"""The arrows between the packages: who may import whom. Read from the source, so nothing runs.

domain <- media <- stores <- intake, reports, delivery <- usecases <- api, console <- sidecar
stores, reports, delivery <- assets <- automation <- definitions; api -> delivery for links and unsubscribing
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import reporting_pipeline
from reporting_pipeline.stores.mongo import INDEXES

PACKAGE = Path(reporting_pipeline.__file__).parent
NAME = "reporting_pipeline"
VERSION = "__init__"  # `from reporting_pipeline import __version__`

#: part of the package -> the other parts that it may import.
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "made_once": set(),
    "settings": {"domain", "made_once"},  # keyring: the written form of a secret
    "domain": set(),
    "languages": set(),
    "media": {"domain"},
    "tracing": {"settings", "trace_export"},
    "trace_export": {"settings"},
    "stores": {"settings", "domain", "media", "tracing", "made_once"},
    "reports": {"settings", "domain", "media", "stores", "languages"},
    "delivery": {"settings", "domain", "media", "stores", "languages", "tracing"},
    "intake": {"settings", "domain", "stores"},
    "usecases": {"settings", "domain", "media", "stores", "intake", "reports", "delivery", "tracing"},
    "partitions": {"domain", "settings"},
    "resources": {"settings", "domain", "media", "stores", "delivery"},
    "dagster_instance": set(),  # not even the settings: dagster.yaml configures it
    "assets": {
        *("settings", "domain", "media", "stores", "reports", "delivery", "partitions", "resources"),
        *("dagster_instance", "operations", "tracing"),
        "usecases",  # a delivery run finishes what somebody confirmed
    },
    "automation": {
        *("settings", "domain", "stores", "delivery", "operations", "partitions", "resources", "assets"),
        *("tracing", "usecases"),  # upkeep leaves its rows in the audit log
    },
    "definitions": {
        *("settings", "domain", "stores", "delivery", "partitions", "resources", "assets"),
        *("automation", "operations", "tracing"),
    },
    "warm": {"definitions", "assets", "delivery", "domain", "operations", "reports"},
    "api": {"settings", "domain", "stores", "delivery", "intake", "usecases", "operations", "tracing"},
    "operations": {"settings", "domain", "media", "stores", "reports", "delivery"},
    "console": {"settings", "domain", "stores", "reports", "usecases"},
    "sidecar": {"settings", "api", "console", "operations"},
    "embedded": {"settings", "domain", "stores"},
    "samples": {"settings", "domain", "media", "stores", "intake"},
}
MAY_IMPORT_ALL = {"cli"}
WITHOUT_VERSION = {"domain", "media", "languages"}  # nothing of ours at all
KNOW_DAGSTER = {
    *("partitions", "resources", "dagster_instance", "operations", "assets", "automation", "definitions")
}
READS_ENVIRONMENT = {"settings"}
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
#: What the API may know of delivery: how a link is signed, not how a report is sent.
API_KNOWS_OF_DELIVERY = {
    f"{NAME}.delivery.{part}" for part in ("links", "channels.sendgrid_events", "outbound")
}


@dataclass(frozen=True)
class Import:
    """One import: of a module, or of a name that may be a module."""

    line: int
    module: str  # absolute, "reporting_pipeline.stores"
    name: str = ""  # "mongo" of `from reporting_pipeline.stores import mongo`

    @property
    def path(self) -> list[str]:
        """The dotted parts; of `from a import b` both, for b may be a module."""
        return [*self.module.split("."), *([self.name] if self.name else [])]


def imports_of(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[Import]:
    """Every import of a module, wherever it stands: also in functions and under TYPE_CHECKING."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, is_package)
            for alias in node.names:
                yield Import(node.lineno, base, alias.name)
        elif isinstance(node, ast.Call) and (name := _imported_by_call(node)) is not None:
            yield Import(node.lineno, name)


def _absolute(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    kept = parts[: len(parts) - node.level + (1 if is_package else 0)]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _imported_by_call(node: ast.Call) -> str | None:
    """The module of `import_module("x")` and `__import__("x")`."""
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called not in ("import_module", "__import__") or not node.args:
        return None
    argument = node.args[0]
    return argument.value if isinstance(argument, ast.Constant) and isinstance(argument.value, str) else None


def environment_reads(tree: ast.AST) -> Iterator[int]:
    """Lines that touch the process's environment: `os.environ`, `from os import getenv`, …"""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT:
            if isinstance(node.value, ast.Name) and node.value.id in ("os", "posix"):
                yield node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module in ("os", "posix"):
            if ENVIRONMENT & {alias.name for alias in node.names}:
                yield node.lineno
        elif isinstance(node, ast.Import) and any(
            alias.name == "os" and alias.asname not in (None, "os") for alias in node.names
        ):
            yield node.lineno  # another name for os would hide it from this test


def broken_rules(source: str, relative: str) -> list[str]:
    """What the module at `relative` (below the package) imports or reads against the rules."""
    try:
        tree = ast.parse(source, relative)
    except SyntaxError as error:
        return [f"{NAME}/{relative}:{error.lineno}: is no Python of this version: {error.msg}"]
    parts = relative.removesuffix(".py").split("/")
    is_package = parts[-1] == "__init__"
    module = ".".join([NAME, *(parts[:-1] if is_package else parts)])
    part = parts[0]
    found = []
    for each in imports_of(tree, module, is_package=is_package):
        rule = _broken_rule(part, each)
        if rule:
            found.append(f"{NAME}/{relative}:{each.line}: imports {'.'.join(each.path)}: {rule}")
    if part not in READS_ENVIRONMENT:
        found += [
            f"{NAME}/{relative}:{line}: reads the environment: only settings/ may; take it from Settings"
            for line in environment_reads(tree)
        ]
    return found


def _broken_rule(part: str, imported: Import) -> str | None:
    root = imported.path[0]
    if root == "dagster" or root.startswith("dagster_"):
        return None if part in KNOW_DAGSTER | MAY_IMPORT_ALL else f"{part} knows nothing of Dagster"
    if root != NAME or part in MAY_IMPORT_ALL:
        return None
    if part not in MAY_IMPORT:
        return f"{part} has no rule; give it one in MAY_IMPORT"
    target = _part_of(imported)
    if target == part or target in MAY_IMPORT[part]:
        return _api_beyond_links(part, target, imported)
    if target == VERSION:
        return f"{part} imports nothing of ours" if part in WITHOUT_VERSION else None
    return f"{part} may import {', '.join(sorted(MAY_IMPORT[part])) or 'nothing of ours'}"


def _part_of(imported: Import) -> str:
    path = imported.path
    if len(path) < 2 or (len(path) == 2 and path[1].startswith("__")):
        return VERSION
    return path[1]


def _api_beyond_links(part: str, target: str, imported: Import) -> str | None:
    if (part, target) != ("api", "delivery"):
        return None
    module = ".".join(imported.path) + "."
    known = any(module.startswith(f"{each}.") for each in API_KNOWS_OF_DELIVERY)
    return None if known else "api knows links and unsubscribing, not sending"


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_every_module_keeps_to_the_arrows() -> None:
    found: list[str] = []
    for path in modules():
        found += broken_rules(path.read_text(encoding="utf-8"), path.relative_to(PACKAGE).as_posix())
    assert not found, "\n" + "\n".join(found)


#: Only these two packages touch collections.
TOUCH_COLLECTIONS = ("stores", "operations")
_NAMES = "|".join(sorted(name for name in INDEXES if name.isidentifier()))
COLLECTION = re.compile(rf"\b_?database(?:\.(?:{_NAMES})\b|\[)")


def touches_collections(path: Path) -> bool:
    return COLLECTION.search(path.read_text(encoding="utf-8")) is not None


def test_only_the_stores_touch_collections() -> None:
    outside = {
        path.relative_to(PACKAGE).as_posix()
        for path in modules()
        if path.relative_to(PACKAGE).parts[0] not in TOUCH_COLLECTIONS and touches_collections(path)
    }
    assert outside == set()


def test_every_part_of_the_package_has_a_rule() -> None:
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules()}
    assert parts - MAY_IMPORT.keys() - MAY_IMPORT_ALL == set()
    assert {"domain", "media", "stores", "settings"} <= parts  # the walk saw the package


def test_the_arrows_have_no_cycle() -> None:
    left = {part: set(targets) for part, targets in MAY_IMPORT.items()}
    while free := {part for part, targets in left.items() if not targets & left.keys()}:
        for part in free:
            del left[part]
    assert not left


@pytest.mark.parametrize("private", ["api", "console", "cli", "embedded", "samples", "definitions"])
def test_nothing_but_the_cli_may_import_the_outer_parts(private: str) -> None:
    composed = {"sidecar": {"api", "console"}, "warm": {"definitions"}}  # one process
    assert [
        part
        for part, targets in MAY_IMPORT.items()
        if private in targets and private not in composed.get(part, set())
    ] == []


@pytest.mark.parametrize(
    ("relative", "source", "line", "words"),
    [
        ("domain/jobs.py", "import reporting_pipeline.stores.mongo", 1, "nothing of ours"),
        ("domain/jobs.py", "\nfrom reporting_pipeline import __version__", 2, "nothing of ours"),
        ("domain/jobs.py", "from ..stores import mongo", 1, "nothing of ours"),
        ("domain/__init__.py", "from ..settings import Settings", 1, "nothing of ours"),
        ("media/sandbox.py", "from reporting_pipeline import stores", 1, "media may import"),
        (
            "stores/mongo.py",
            "def f():\n    from reporting_pipeline.reports import pdf",
            2,
            "stores may import",
        ),
        ("stores/mongo.py", "if TYPE_CHECKING:\n    import dagster as dg", 2, "nothing of Dagster"),
        ("api/app.py", "from dagster_aws.s3 import S3Resource", 1, "nothing of Dagster"),
        ("api/app.py", "from reporting_pipeline.delivery.sender.worker import deliver_due", 1, "not sending"),
        ("api/app.py", "from reporting_pipeline.delivery import links, sender", 1, "not sending"),
        ("console/app.py", "from reporting_pipeline.api.deps import may", 1, "console may import"),
        ("api/app.py", "from reporting_pipeline.console.forms import Entries", 1, "api may import"),
        ("reports/csv.py", "import reporting_pipeline.delivery.links", 1, "reports may import"),
        ("assets/emails.py", "from reporting_pipeline.api.tokens import read", 1, "assets may import"),
        (
            "definitions.py",
            "import importlib\nimportlib.import_module('reporting_pipeline.embedded')",
            2,
            "may",
        ),
        ("automation/sensors.py", "from reporting_pipeline import samples", 1, "automation may import"),
        ("samples/pilot.py", "from reporting_pipeline.embedded import servers", 1, "samples may import"),
        ("domain/jobs.py", "x = 1\ndef", 2, "no Python"),
        ("novelty/new.py", "from reporting_pipeline.domain import jobs", 1, "has no rule"),
        ("stores/mongo.py", "import os\nos.environ['HOME']", 2, "environment"),
        ("stores/mongo.py", "import os\nx = os.getenv('HOME')", 2, "environment"),
        ("embedded/servers.py", "from os import environ", 1, "environment"),
        ("cli.py", "import os as system\nsystem.environ", 1, "environment"),
    ],
)
def test_a_forbidden_import_is_found_and_named(relative: str, source: str, line: int, words: str) -> None:
    (found,) = broken_rules(source, relative)
    assert found.startswith(f"reporting_pipeline/{relative}:{line}: ")
    assert words in found


@pytest.mark.parametrize(
    ("relative", "source"),
    [
        ("domain/jobs.py", "from reporting_pipeline.domain.periods import Period\nimport os.path"),
        ("domain/__init__.py", "from . import periods\nfrom .periods import Period"),
        ("stores/mongo.py", "from reporting_pipeline import __version__\nfrom .objects import ObjectStore"),
        (
            "api/app.py",
            "from reporting_pipeline.delivery.links.report_links import sign\nfrom fastapi import FastAPI",
        ),
        ("api/app.py", "from reporting_pipeline.delivery import links"),
        ("assets/media.py", "import dagster\nfrom reporting_pipeline.media.sandbox import MediaWorkers"),
        ("settings/loading.py", "import os\nos.environ"),
        ("cli.py", "from reporting_pipeline.embedded import servers\nfrom reporting_pipeline import samples"),
    ],
)
def test_an_allowed_import_is_left_alone(relative: str, source: str) -> None:
    assert broken_rules(source, relative) == []
