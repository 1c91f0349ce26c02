"""What a process imports before its first line of work: every run, tick and command waits for it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import reporting_pipeline

PACKAGE = Path(reporting_pipeline.__file__).parent
DEFINITIONS = "reporting_pipeline.definitions"

#: Libraries that take long to import and that only some of the work needs.
SERVING = {"fastapi", "starlette", "uvicorn", "schemathesis"}
DRAWING = {"matplotlib", "reportlab", "polars", "xlsxwriter", "rustpy_xlsxwriter", "uharfbuzz"}
TABLES = {"pandas", "numpy", "pyarrow", "pyreadstat"}
SENDING = {"sendgrid", "jinja2"}
#: dagster_aws imports every AWS service that it knows.
NEVER = SERVING | {"dagster_aws", "pytest"}

#: Entry, or what a job does -> what its process may not have imported when its work begins.
UNWANTED = {
    "definitions.py": NEVER | DRAWING | TABLES | SENDING,
    "cli/__init__.py": NEVER | DRAWING | TABLES | {"dagster", "sqlalchemy"},
    "assets/documents.py": NEVER | DRAWING | TABLES | SENDING,
    "assets/media.py": NEVER | DRAWING | TABLES | SENDING,
    "assets/datasets.py": NEVER | DRAWING | SENDING,
    "assets/status.py": NEVER | DRAWING | SENDING,
    "assets/reports.py": NEVER | SENDING | {"matplotlib", "polars"},  # what a format needs comes with it
    "assets/emails.py": NEVER | DRAWING | TABLES,
    "automation/upkeep.py": NEVER | DRAWING | TABLES,
    "warm.py": NEVER,
    "automation/absence_alarm.py": NEVER | DRAWING | TABLES,
    "automation/control.py": NEVER | DRAWING | TABLES,
    "automation/edition_sensor.py": NEVER | DRAWING | TABLES,
    "automation/on_demand_sensor.py": NEVER | DRAWING | TABLES,
    "automation/schedules.py": NEVER | DRAWING | TABLES,
}

#: Prints, for each entry, the top-level names that came with its modules. Each is a fork of its own, so that
#: what all have in common is imported once.
LOOK = """
import importlib, json, os, sys, threading
for common, path, names in json.loads(sys.argv[1]):
    if common:
        importlib.import_module(common)
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0, path
        continue
    for name in names:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a fork has none of the threads that its parent started"
    print(json.dumps([path, sorted({name.partition(".")[0] for name in sys.modules})]), flush=True)
    os._exit(0)
"""


def imported_in_functions(source: str) -> list[str]:
    """The modules of ours that the functions of a source import."""
    functions = (one for one in ast.walk(ast.parse(source)) if isinstance(one, ast.FunctionDef))
    found = (one for function in functions for one in ast.walk(function) if isinstance(one, ast.ImportFrom))
    return sorted({str(one.module) for one in found if str(one.module).startswith("reporting_pipeline.")})


def looked_at(path: str) -> tuple[str, str, list[str]]:
    """What is there before, the entry, and what is imported: of a job's module what its work imports, too."""
    module = "reporting_pipeline." + path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    if not path.startswith(("assets/", "automation/")):
        return "", path, [module]
    source = (PACKAGE / path).read_text(encoding="utf-8")
    return DEFINITIONS, path, [module, *imported_in_functions(source)]


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    """By entry, the libraries that its process has imported when its work begins."""
    entries = sorted(map(looked_at, UNWANTED))  # those without anything before come first
    command = [sys.executable, "-c", LOOK, json.dumps(entries)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr
    return {path: set(names) for path, names in map(json.loads, answer.stdout.splitlines())}


@pytest.mark.parametrize("path", UNWANTED)
def test_a_process_imports_no_more_than_its_work_needs(path: str, imported: dict[str, set[str]]) -> None:
    assert not imported[path] & UNWANTED[path]
    assert "reporting_pipeline" in imported[path]


def test_what_a_job_imports_when_it_works_is_found() -> None:
    source = (
        "import json\ndef f():\n    from reporting_pipeline.stores.mongo import Database\n    import csv\n"
    )
    assert imported_in_functions(source) == ["reporting_pipeline.stores.mongo"]
    assert "reporting_pipeline.assets.report_batch" in looked_at("assets/reports.py")[2]
    assert "reporting_pipeline.delivery.sender.worker" in looked_at("assets/emails.py")[2]


#: Prints which descriptions of services a process reads for an S3 client when it has imported what runs need.
FIRST_CLIENT = """
import reporting_pipeline.warm
from botocore.loaders import JSONFileLoader
from reporting_pipeline.stores.objects import s3_client
read, load = [], JSONFileLoader.load_file
JSONFileLoader.load_file = lambda self, path: read.append(path) or load(self, path)
s3_client({"region_name": "eu-west-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"})
print([path for path in read if "service-2" in path])
"""


def test_a_run_that_is_a_fork_reads_no_description_of_the_object_store() -> None:
    told = subprocess.run([sys.executable, "-c", FIRST_CLIENT], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
