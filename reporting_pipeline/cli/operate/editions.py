"""Editions: open one by hand, see how far the newest are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from reporting_pipeline.cli.operate.stores import open_stores
from reporting_pipeline.cli.plain import plain_errors
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.stores.editions import EditionExists, list_editions
from reporting_pipeline.usecases.editions import COMMAND_LINE, open_edition

console = Console()
app = typer.Typer(no_args_is_help=True, help="Editions: one cadence's report for one period, for everybody.")


@app.command("open")
def open_one(
    cadence: Annotated[Cadence, typer.Argument(help="daily, weekly or monthly")] = Cadence.WEEKLY,
    period: Annotated[
        str | None, typer.Option(help="First date of the period; default: the last closed one.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Make an edition again that was opened before.")] = False,
) -> None:
    """Open an edition, as the schedule and POST /api/reports do. edition_sensor takes it from there."""
    with plain_errors():
        stores, now = open_stores(), datetime.now(UTC)
        settings = stores.settings
        try:
            edition = open_edition(
                *(stores.database, settings, cadence, period),
                *(COMMAND_LINE, settings.organisation, now),
                force=force,
            )
        except EditionExists as error:
            raise ValueError(f"{error}. Use --force to make it again") from None
        console.print(f"edition {edition.id} is open")


@app.command("list")
def list_newest() -> None:
    """The newest editions and how far they are."""
    with plain_errors():
        table = Table("edition", "state", "opened", "jobs")
        for one in list_editions(open_stores().database, limit=20):
            counts = ", ".join(f"{count} {state}" for state, count in sorted(one.counts.items()))
            opened = f"{one.opened_at:%Y-%m-%d %H:%M} by {one.opened_by}"
            table.add_row(one.id, one.state.value, opened, counts)
        console.print(table)
