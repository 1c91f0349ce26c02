"""`reporting-pipeline import`: SDTM or lines of JSON into the stores of a deployment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from reporting_pipeline.cli.operate.stores import Stores, open_stores
from reporting_pipeline.cli.plain import plain_errors
from reporting_pipeline.cli.understood import say_findings, say_what_was_read
from reporting_pipeline.intake.dates import instant_of
from reporting_pipeline.intake.documents import SourceDocument
from reporting_pipeline.intake.mapping import read_mapping
from reporting_pipeline.intake.sources import Source, SourceProblem, open_source
from reporting_pipeline.intake.understanding import Understanding
from reporting_pipeline.usecases.import_documents import (
    COLLECTED,
    NOW,
    Imported,
    ImportOptions,
    import_documents,
)

console = Console()
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
    arrival: Arrival = COLLECTED,
    dry_run: DryRun = False,
    mapping: Annotated[
        Path | None, typer.Option(help="YAML that says how tables that are not SDTM are read.")
    ] = None,
    organisation: Organisation = None,
) -> None:
    """Take in a folder of SDTM; its trial and sites are registered. The same import again changes nothing."""
    _run(path, trial, arrival, dry_run, mapping, organisation, wants_tables=True)


@app.command()
def ndjson(
    path: Annotated[Path, typer.Argument(help="A file or folder of documents, one JSON object a line.")],
    trial: Trial = None,
    arrival: Arrival = COLLECTED,
    dry_run: DryRun = False,
    organisation: Organisation = None,
) -> None:
    """Take in documents that stand as lines of JSON; those that say `received_at` keep it."""
    _run(path, trial, arrival, dry_run, None, organisation, wants_tables=False)


def _run(
    path: Path,
    trial: str | None,
    arrival: str,
    dry_run: bool,
    mapping: Path | None,
    organisation: str | None,
    *,
    wants_tables: bool,
) -> None:
    with plain_errors():
        stores, now = open_stores(), datetime.now(UTC).replace(microsecond=0)
        zone = ZoneInfo(stores.settings.timezone)
        options = ImportOptions(
            organisation=organisation or stores.settings.organisation,
            arrival=_arrival(arrival, zone),
            now=now,
            zone=zone,
            dry_run=dry_run,
        )
        understanding = Understanding()
        table_mapping = read_mapping(mapping) if mapping else None
        source = open_source(path, understanding, mapping=table_mapping)
        if source.is_sdtm != wants_tables:
            other = "import sdtm" if source.is_sdtm else "import ndjson"
            raise SourceProblem(f"{path} does not hold that; use `reporting-pipeline {other}`")
        done = _imported(stores, source, trial, options, understanding)
        say_what_was_read(console, understanding)
        say_findings(console, understanding, {})
        _say(done, dry_run)
        if done.refused:
            raise typer.Exit(2)


def _imported(
    stores: Stores, source: Source, trial: str | None, options: ImportOptions, understanding: Understanding
) -> Imported:
    found = _with_trial(source.documents(understanding, options.zone, trial), understanding)
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task("Reading", total=None)
        return import_documents(
            stores.database,
            stores.objects,
            found,
            source,
            options,
            understanding,
            lambda done: progress.update(task, description=f"{done:,} documents"),
        )


def _with_trial(found: Iterable[SourceDocument], understanding: Understanding) -> Iterator[SourceDocument]:
    for document in found:
        if document.trial:
            yield document
        else:
            detail = "Names no trial; it was left out. Give --trial."
            understanding.finding(document.source_id, "missing_field", "trial", detail)


def _arrival(given: str, zone: ZoneInfo) -> str | datetime:
    if given in (COLLECTED, NOW):
        return given
    found = instant_of(given, zone)
    if found is None:
        raise ValueError(f"--arrival: {given!r} is neither collected, now nor a date like 2026-11-23")
    return found[0]


def _say(done: Imported, dry_run: bool) -> None:
    for trial, state in sorted(done.trials.items()):
        console.print(f"[bold]Trial[/] {escape(trial)}: {state}", highlight=False)
    would = "Would be" if dry_run else "Were"
    console.print(
        f"[bold green]{would}[/] created {done.created:,}, changed {done.changed:,}, unchanged "
        f"{done.unchanged:,}, refused {done.refused:,}, withdrawn before {done.withdrawn:,}",
        highlight=False,
    )
