"""What the image, compose and the chart have in common: commands that exist, variables that are read."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
import pytest
import typer.main
import yaml

from reporting_pipeline.cli import app
from reporting_pipeline.settings import SECRETS_DIR, variable_names
from reporting_pipeline_tests.deploy import artefacts
from reporting_pipeline_tests.deploy.jail import as_nobody

#: Read by others than settings/: Dagster's instance file, Celery's, and Python's own.
FOREIGN = {
    *re.findall(r"env: ([A-Z0-9_]+)", (artefacts.DEPLOY / "celery/dagster.yaml").read_text()),
    "MPLCONFIGDIR",
    "PATH",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONUNBUFFERED",
}
COMMANDS = artefacts.commands()
VARIABLES = artefacts.variables()


def _program(name: str) -> Any:
    """The click command behind a program; of Typer's own click for ours."""
    if name == "reporting-pipeline":
        return typer.main.get_command(app)
    (script,) = entry_points(group="console_scripts", name=name)
    loaded = script.load()
    if isinstance(loaded, click.Command):
        return loaded
    # A main() that calls its click command, which stands beside it.
    module = importlib.import_module(script.module)
    commands = {"dagster-webserver": "dagster_webserver", "dagster-daemon": "create_dagster_daemon_cli"}
    if name == "celery":
        from celery.bin.celery import celery

        return celery
    if name == "dagster":
        from dagster._cli import create_dagster_cli

        return create_dagster_cli()
    found = getattr(module, commands[name])
    return found if isinstance(found, click.Command) else found()


def unknown_words(command: Any, words: list[str]) -> Iterator[str]:
    """The options and subcommands among `words` that `command` does not have."""
    context = command.context_class(command)
    options = {
        option: parameter
        for parameter in command.get_params(context)
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("-"):
            parameter = options.get(word)
            if parameter is None:
                yield word
            elif not (getattr(parameter, "is_flag", False) or getattr(parameter, "count", False)):
                rest.pop(0)
        elif hasattr(command, "get_command"):
            inner = command.get_command(context, word)
            if inner is None:
                yield word
            else:
                yield from unknown_words(inner, rest)
            return


@pytest.mark.parametrize("where", COMMANDS)
def test_every_command_and_option_exists(where: str) -> None:
    program, *words = COMMANDS[where]
    if program == "python":
        compile(words[1], where, "exec")
        return
    assert list(unknown_words(_program(program), words)) == []


@pytest.mark.parametrize(
    "words", [["retain"], ["retention", "--dry"], ["backup", "make", "x"], ["code-server", "--bind", "x"]]
)
def test_a_command_or_option_that_is_none_is_found(words: list[str]) -> None:
    assert list(unknown_words(typer.main.get_command(app), words)) != []


def test_every_role_has_its_command() -> None:
    called = {" ".join(command[:2]) for command in COMMANDS.values()}
    assert called >= {
        "uvicorn reporting_pipeline.sidecar:app_from_environment",
        "reporting-pipeline code-server",
        "reporting-pipeline migrate",
        "reporting-pipeline retention",
        "reporting-pipeline backup",
        "dagster-daemon run",
        "dagster-webserver --host",
        "dagster-webserver --read-only",
        "celery --app",
    }


@pytest.mark.parametrize("where", VARIABLES)
def test_every_variable_is_read_by_somebody(where: str) -> None:
    assert VARIABLES[where] - variable_names() - {SECRETS_DIR} - FOREIGN == set()


@pytest.mark.parametrize("where", [name for name in VARIABLES if name != "chart's secret"])
def test_a_range_s_events_are_one_write_everywhere(where: str) -> None:
    assert "DAGSTER_EVENT_BATCH_SIZE" in VARIABLES[where]


def test_the_chart_says_of_every_setting_that_one_machine_gives_where_it_stands() -> None:
    """One that only compose has is one that the chart's reader does not know of."""
    settings = yaml.safe_load((artefacts.CHART / "values.yaml").read_text())["settings"]
    given = {name for name in VARIABLES["compose/api"] if name.startswith("REPORTING_")}
    assert given - set(settings) - VARIABLES["chart's secret"] == set()


def test_behind_a_proxy_its_word_is_believed_by_the_setting_alone() -> None:
    """Else all who come without a token come from one network, or uvicorn believes by rules of its own."""
    serving = [command for command in COMMANDS.values() if command[0] == "uvicorn"]
    assert len(serving) >= 3
    assert all("--no-proxy-headers" in command for command in serving)
    assert "REPORTING_TRUSTED_PROXIES" in VARIABLES["compose/api"]
    values = yaml.safe_load((artefacts.CHART / "values.yaml").read_text())
    assert values["settings"]["REPORTING_TRUSTED_PROXIES"]


def test_every_variable_of_the_instance_files_is_given() -> None:
    wanted = set(re.findall(r"env: ([A-Z0-9_]+)", (artefacts.DEPLOY / "dagster.yaml").read_text()))
    assert wanted <= VARIABLES["compose/daemon"]
    values = yaml.safe_load((artefacts.CHART / "values.yaml").read_text())
    assert set(values["settings"]) | VARIABLES["chart's secret"] >= FOREIGN - {
        "MPLCONFIGDIR",
        "PATH",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONUNBUFFERED",
    }


LOAD = (
    "from importlib import import_module; module, _, name = {target!r}.partition(':'); "
    "print(type(getattr(import_module(module), name)()).__name__)"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["reporting-pipeline", "migrate", "--dry-run"], "database"),
        (["reporting-pipeline", "retention", "--dry-run"], "a dry run"),
        (["uvicorn", "--help"], "--factory"),
        (["python", "-c", LOAD.format(target=artefacts.image_command("CMD")[1])], "Sidecar"),
        (["dagster", "instance", "info"], "BatchedPostgresEventLog"),
    ],
    ids=["migrate", "retention", "uvicorn", "app", "instance"],
)
def test_a_command_runs_as_nobody_on_a_tree_it_cannot_write(
    deployment: dict[str, str], jail: Path, command: list[str], said: str
) -> None:
    done = as_nobody(command, deployment, jail)
    assert done.returncode == 0, done.stdout + done.stderr
    assert said in done.stdout
