"""What `reporting-pipeline import` does. Apart from the commands: reading tables takes libraries that are
half a second to import, and every other command would wait for them, too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
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
from reporting_pipeline.intake.sources import ImportSource, SourceProblem, open_source
from reporting_pipeline.intake.understanding import Understanding
from reporting_pipeline.usecases.import_documents import (
    COLLECTED,
    NOW,
    Imported,
    ImportOptions,
    import_documents,
)

console = Console()


def run(
    path: Path,
    trial: str | None,
    arrival: str,
    dry_run: bool,
    mapping: Path | None,
    organisation: str | None,
    *,
    wants_tables: bool,
) -> None:
    """Take in what stands at `path` and say what became of it. Exit code 2 when documents were refused."""
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
    stores: Stores,
    source: ImportSource,
    trial: str | None,
    options: ImportOptions,
    understanding: Understanding,
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
        elif not document.withdrawn:
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
