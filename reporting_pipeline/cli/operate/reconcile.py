"""Do the records and the bucket say the same? The exit code is the answer."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reporting_pipeline.cli.operate.stores import open_stores
from reporting_pipeline.cli.plain import plain_errors
from reporting_pipeline.operations.reconciliation import run
from reporting_pipeline.operations.reconciliation.findings import Findings
from reporting_pipeline.stores.mongo import server_time
from reporting_pipeline.usecases.keeping import COMMAND, note_mended

console = Console()
_NAMED = 10  # of each kind; the JSON names more


def reconcile(
    mend: Annotated[
        bool,
        typer.Option("--mend", help="Tag orphans, have made again what can be, raise alerts of the rest."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    inventory: Annotated[
        str, typer.Option(help="An S3 inventory's manifest.json (s3://… or a file) instead of a listing.")
    ] = "",
    grace_hours: Annotated[
        int, typer.Option(min=1, help="A younger object without a record is no orphan.")
    ] = int(run.GRACE / timedelta(hours=1)),
    hashes: Annotated[
        bool, typer.Option("--hashes", help="Compare SHA-256, too: a request an object.")
    ] = False,
) -> None:
    """Hold records and bucket against each other. Exit code 3: something that a person must mend."""
    with plain_errors():
        stores = open_stores()
        findings = run.reconcile(
            stores.database,
            stores.objects,
            server_time(stores.database),
            mending=mend,
            inventory=inventory,
            grace=timedelta(hours=grace_hours),
            hashes=hashes,
        )
        if mend:
            home = stores.settings.organisation
            note_mended(stores.database, findings.mended.total(), COMMAND, home, findings.at)
        if as_json:
            typer.echo(json.dumps({"at": findings.at.isoformat(), **findings.as_record()}, indent=2))
        else:
            _say(findings, mend)
        if findings.for_a_person:
            raise typer.Exit(3)


def _say(findings: Findings, mend: bool) -> None:
    console.print(f"{findings.names:,} names, {findings.objects:,} objects", highlight=False)
    table = Table("found", "of", "how many", "mended", "for a person")
    for group, count in sorted(findings.found.items()):
        kind, source = group
        person = "yes" if group in findings.for_a_person else ""
        table.add_row(kind, source, f"{count:,}", f"{findings.mended[group]:,}", person)
    if findings.found:
        console.print(table)
    for group, some in sorted(findings.examples.items()):
        for one in some[:_NAMED]:
            where = " ".join(part for part in (one.record, one.key) if part)
            console.print(f"{group[0]} {group[1]} {escape(where)}: {escape(one.told)}", soft_wrap=True)
    for reason, count in sorted(findings.left.items()):
        console.print(f"left: {count:,} ({reason})", highlight=False)
    if not findings.found:
        console.print("nothing differs")
    elif not mend:
        console.print("nothing was mended: `--mend` does where it is safe")
