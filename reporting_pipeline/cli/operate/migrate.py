"""`reporting-pipeline migrate`: bring the database to this version of the product, or back."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from reporting_pipeline.cli.migrating import migrate_and_note
from reporting_pipeline.cli.operate.stores import deployment_settings, named_mongodb
from reporting_pipeline.cli.plain import plain_errors
from reporting_pipeline.operations.migrations import Move, moves
from reporting_pipeline.stores.mongo import Database, prepare, unprepared_database
from reporting_pipeline.stores.schema import is_new, schema_version

console = Console()
ACTOR = "command line"


def migrate_command(
    to: Annotated[
        int | None, typer.Option("--to", min=0, help="Stop at this migration; a lower one goes back.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
) -> None:
    """Bring the database to this version of the product. Stop the deployment's other processes first."""
    with plain_errors():
        settings = deployment_settings()
        database = unprepared_database(named_mongodb(settings), settings.mongodb_database)
        if dry_run:
            _foretell(database, to)
        else:
            _run(database, to, settings.organisation)


def _foretell(database: Database, to: int | None) -> None:
    if is_new(database) and to is None:
        console.print(f"the database {database.name} is empty: it would be made new")
        return
    standing = schema_version(database)
    ahead = moves(standing, to)
    for move in ahead:
        console.print(_line(move, "" if move.back else f": {move.step.count(database)} records"))
    if not ahead:
        console.print(f"the database {database.name} is at migration {standing}: nothing to do")


def _run(database: Database, to: int | None, home: str) -> None:
    if is_new(database) and to is None:
        prepare(database)
        console.print(f"the database {database.name} is made new, at migration {schema_version(database)}")
        return
    done = migrate_and_note(database, ACTOR, home, to)
    for moved in done:
        console.print(_line(moved.move, f": {moved.changed} records changed"))
    console.print(f"the database {database.name} is at migration {schema_version(database)}")


def _line(move: Move, more: str) -> str:
    direction = "back over" if move.back else "migration"
    last = f" (cannot be taken back: {move.step.not_reversible})" if move.step.not_reversible else ""
    return escape(f"{direction} {move.step.number}, {move.step.name}{more}{last}")
