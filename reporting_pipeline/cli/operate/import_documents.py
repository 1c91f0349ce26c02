"""`reporting-pipeline import`: SDTM or lines of JSON into the stores of a deployment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Take in documents from files: SDTM, mapped tables, NDJSON.")

Trial = Annotated[str | None, typer.Option(help="The trial: chooses one, or names it.")]
Arrival = Annotated[
    str, typer.Option(help="When they count as arrived: collected, now, or an instant for all of them.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Organisation = Annotated[str | None, typer.Option(help="Default: this deployment's own.")]


@app.command()
def sdtm(
    path: Annotated[Path, typer.Argument(help="A folder of SDTM: XPT, Dataset-JSON or CSV.")],
    trial: Trial = None,
    arrival: Arrival = "collected",
    dry_run: DryRun = False,
    mapping: Annotated[
        Path | None, typer.Option(help="YAML that says how tables that are not SDTM are read.")
    ] = None,
    organisation: Organisation = None,
) -> None:
    """Take in a folder of SDTM; its trial and sites are registered. The same import again changes nothing."""
    from reporting_pipeline.cli.operate.importing import run

    run(path, trial, arrival, dry_run, mapping, organisation, wants_tables=True)


@app.command()
def ndjson(
    path: Annotated[Path, typer.Argument(help="A file or folder of documents, one JSON object a line.")],
    trial: Trial = None,
    arrival: Arrival = "collected",
    dry_run: DryRun = False,
    organisation: Organisation = None,
) -> None:
    """Take in documents that stand as lines of JSON; those that say `received_at` keep it."""
    from reporting_pipeline.cli.operate.importing import run

    run(path, trial, arrival, dry_run, None, organisation, wants_tables=False)
