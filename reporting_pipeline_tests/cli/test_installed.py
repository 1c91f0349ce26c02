"""An installation from the wheel, in an empty environment and another folder, is a whole deployment.

Nothing of the checkout is in reach here: what a command needs and the wheel does not bring fails.
"""

from __future__ import annotations

import json
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.installation import ROOT, Installation, Installations, pythons

pytestmark = pytest.mark.slow

#: Walks the tree of commands in the installation itself and asks each for its help.
EVERY_HELP = """
import typer.main
from typer.testing import CliRunner
from reporting_pipeline.cli import app

def walk(command, path):
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, [*path, name])

for path in walk(typer.main.get_command(app), []):
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0, (path, result.output, result.exception)
    print(" ".join(path))
"""

#: Runs commands of the product one after another, and writes what each said into said.json.
EACH_COMMAND = """
import json, sys
from pathlib import Path
from typer.testing import CliRunner
from reporting_pipeline.cli import app

results = [CliRunner().invoke(app, command) for command in json.loads(sys.argv[1])]
Path("said.json").write_text(json.dumps([f"{each.output}{each.exception or ''}" for each in results]))
"""

#: Commands of a deployment, and what each says.
WORK_BY_URL: list[tuple[list[str], str]] = [
    (["edition", "open", "weekly", "--period", "2026-11-09"], "weekly:2026-11-09 is open"),
    (["edition", "list"], "weekly:2026-11-09"),
    (["audit", "anchor"], "is anchored"),
    (["alarm"], "everything that was expected has arrived"),
    (["delivery", "suppressions"], "address"),
    (["delivery", "resume", "email"], "email was not halted"),
    (["delivery", "lift", "nobody@example.org"], "not suppressed"),
    (["bootstrap", "ann@example.org"], "with admin"),
    (["token", "--role", "admin"], "."),
    (["doctor"], "an object is written and read"),
    (["migrate"], "is at migration"),
    (["files", "dagster.yaml"], "PostgresRunStorage"),
]


@pytest.fixture(params=["3.11", "3.12"])
def installed(request: pytest.FixtureRequest, installations: Installations) -> Installation:
    python = pythons().get(request.param)
    if python is None:
        pytest.skip(f"no Python {request.param} on this machine")
    return installations.of(python)


@pytest.fixture
def named(
    settings: Settings, endpoints: Endpoints, database: Database, objects: ObjectStore
) -> dict[str, str]:
    """The variables of a deployment on the real servers, named by URL."""
    return {
        **endpoints.as_environment(),
        "REPORTING_ENVIRONMENT": "test",
        "REPORTING_HOME": str(settings.home),
        "REPORTING_MONGODB_DATABASE": settings.mongodb_database,
        "REPORTING_S3_BUCKET": settings.s3_bucket,
    }


def _tracked() -> Iterator[str]:
    """Every file of the package that belongs to the product and is no bytecode."""
    for path in (ROOT / "reporting_pipeline").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(ROOT).as_posix()


def test_the_wheel_holds_every_file_of_the_package_and_of_deploy_and_no_test(
    installations: Installations,
) -> None:
    with zipfile.ZipFile(installations.wheel) as wheel:
        held = set(wheel.namelist())
    assert set(_tracked()) - held == set()
    deployed = {path for path in (ROOT / "deploy").rglob("*") if path.is_file()}
    wanted = {
        f"reporting_pipeline/{path.relative_to(ROOT).as_posix()}"
        for path in deployed
        if "__pycache__" not in path.parts
    }
    assert wanted
    assert wanted - held == set()
    assert not [name for name in held if name.startswith(("reporting_pipeline_tests", "benchmarks"))]


def test_the_sdist_holds_what_a_builder_and_a_tester_need(installations: Installations) -> None:
    with tarfile.open(installations.sdist) as sdist:
        held = {name.partition("/")[2] for name in sdist.getnames()}
    wanted = {"LICENSE", "README.md", "constraints.txt", "dagster.yaml", "workspace.yaml", "Makefile"}
    assert wanted - held == set()
    assert set(_tracked()) - held == set()
    assert "reporting_pipeline_tests/conftest.py" in held
    assert "docs/operations.md" in held


def test_every_command_explains_itself_without_any_extra(installed: Installation, tmp_path: Path) -> None:
    ran = installed.run("python", "-c", EVERY_HELP, cwd=tmp_path)
    assert ran.code == 0, ran.output
    assert {"edition open", "audit verify", "delivery resume", "dev", "demo"} <= set(ran.output.splitlines())
    assert installed.run("python", "-c", "import psutil", cwd=tmp_path).code != 0, "an extra is installed"


def test_the_commands_of_a_deployment_work_by_url_and_leave_the_home_alone(
    installed: Installation, named: dict[str, str], settings: Settings, tmp_path: Path
) -> None:
    """One start for all of them; the tests below start the program itself."""
    dagster_home = settings.home / "dagster"
    dagster_home.mkdir(parents=True)
    (dagster_home / "dagster.yaml").write_text("# the operator's own\n")
    before = {path.relative_to(settings.home) for path in settings.home.rglob("*")}
    commands = json.dumps([command for command, _ in WORK_BY_URL])
    ran = installed.run("python", "-c", EACH_COMMAND, commands, cwd=tmp_path, environment=named)
    assert ran.code == 0, ran.output
    said = (tmp_path / "said.json").read_text()
    for (command, says), output in zip(WORK_BY_URL, json.loads(said), strict=True):
        assert says in output, command
    assert "Traceback" not in said + ran.output
    assert (dagster_home / "dagster.yaml").read_text() == "# the operator's own\n"
    assert {path.relative_to(settings.home) for path in settings.home.rglob("*")} == before


def test_a_command_is_a_program_of_the_installation(
    installed: Installation, named: dict[str, str], tmp_path: Path
) -> None:
    ran = installed.run("reporting-pipeline", "alarm", cwd=tmp_path, environment=named)
    assert (ran.code, "everything that was expected has arrived" in ran.output) == (0, True), ran.output


def test_the_api_s_document_is_printed_whole(installed: Installation, tmp_path: Path) -> None:
    document = json.loads(installed.run("reporting-pipeline", "openapi", cwd=tmp_path).output)
    assert "/api/subscriptions" in document["paths"]


@pytest.mark.parametrize(("command", "extras"), [("demo", "embedded,samples"), ("dev", "embedded")])
def test_a_command_of_this_machine_says_which_extra_it_needs(
    installed: Installation, tmp_path: Path, command: str, extras: str
) -> None:
    home = tmp_path / "home"
    ran = installed.run(
        "reporting-pipeline", command, cwd=tmp_path, environment={"REPORTING_HOME": str(home)}
    )
    assert ran.code == 1
    assert f"pip install 'reporting-pipeline[{extras}]'" in ran.output
    assert "Traceback" not in ran.output


def test_without_servers_a_command_names_the_variable_and_starts_nothing(
    installed: Installation, tmp_path: Path
) -> None:
    home = {"REPORTING_HOME": str(tmp_path / "home")}
    ran = installed.run("reporting-pipeline", "edition", "list", cwd=tmp_path, environment=home)
    assert ran.code == 1
    assert "MONGODB_URI is not set" in ran.output
    assert not (tmp_path / "home").exists()


def test_a_report_is_made_of_ones_own_lines_without_server_or_setting(
    installed: Installation, tmp_path: Path
) -> None:
    lines = tmp_path / "documents.ndjson"
    payload = {"term": "HEADACHE", "severity": "MILD", "serious": "N", "start": "2026-11-17"}
    document = {"trial": "T1", "site": "01", "subject": "01-1", "kind": "adverse_event", "payload": payload}
    lines.write_text(json.dumps({**document, "received_at": "2026-11-18T10:00:00Z"}) + "\n")
    ran = installed.run("reporting-pipeline", "try", str(lines), "--as-of", "2026-11-25", cwd=tmp_path)
    assert ran.code == 0, ran.output
    assert [path.read_bytes()[:5] for path in tmp_path.glob("*.pdf")] == [b"%PDF-"]


def test_dagster_loads_the_definitions_from_the_wheel(
    installed: Installation, named: dict[str, str], tmp_path: Path
) -> None:
    environment = {**named, "DAGSTER_HOME": str(tmp_path)}
    (tmp_path / "dagster.yaml").write_text(
        installed.run("reporting-pipeline", "files", "local/dagster.yaml", cwd=tmp_path).output
    )
    command = ("dagster", "definitions", "validate", "-m", "reporting_pipeline.definitions")
    ran = installed.run(*command, cwd=tmp_path, environment=environment)
    assert ran.code == 0, ran.output
