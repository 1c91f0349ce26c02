"""`reporting-pipeline doctor`: what is wrong with this deployment, and what to do about it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from reporting_pipeline.cli.operate.stores import deployment_settings, named_mongodb
from reporting_pipeline.cli.plain import plain_errors
from reporting_pipeline.operations.doctor import Diagnosis, examine
from reporting_pipeline.settings import SettingsError
from reporting_pipeline.stores.mongo import unprepared_database
from reporting_pipeline.stores.objects import open_object_store

console = Console()
MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]look[/]", "failed": "[red]FAILED[/]"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of findings for a machine.")] = False,
) -> None:
    """Check the whole deployment and say what to do. Exit code 0: fit; 1: something failed."""
    findings = _findings()
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in findings], indent=2))
    else:
        for one in findings:
            console.print(f"{MARKS[one.state]:<20} {one.part:<9}", one.text, highlight=False, soft_wrap=True)
            if one.todo and one.state != "ok":
                console.print(f"{'':<17} -> {one.todo}", highlight=False, soft_wrap=True, markup=False)
    if any(one.state == "failed" for one in findings):
        raise typer.Exit(1)


def _findings() -> list[Diagnosis]:
    try:
        settings = deployment_settings()
        uri = named_mongodb(settings)
    except SettingsError as error:
        return [Diagnosis("settings", "failed", str(error), "mend the variable that is named")]
    with plain_errors():
        database = unprepared_database(uri, settings.mongodb_database)
        good = Diagnosis("settings", "ok", f"valid for {settings.environment}")
        return [good, *examine(database, open_object_store(settings), settings)]
