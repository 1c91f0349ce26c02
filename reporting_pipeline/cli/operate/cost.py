"""`reporting-pipeline cost`: what an edition, or an organisation's editions of a time, cost."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from reporting_pipeline.cli.operate.stores import open_stores
from reporting_pipeline.cli.plain import plain_errors
from reporting_pipeline.domain.costs import SERVICES, Charge
from reporting_pipeline.operations.costs import bill, editions_of_time, read_prices, write_focus

console = Console()
DAY = ["%Y-%m-%d"]
LISTED = 10


def cost(
    prices: Annotated[Path, typer.Option(help="A YAML file of prices; docs/operations.md shows one.")],
    edition: Annotated[str | None, typer.Option(help="Of one edition, such as weekly:2026-11-16.")] = None,
    organisation: Annotated[str | None, typer.Option(help="Of one organisation; default: of all.")] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=DAY, help="Editions opened from this day on (UTC).")
    ] = None,
    until: Annotated[datetime | None, typer.Option(formats=DAY, help="And before this day (UTC).")] = None,
    to_csv: Annotated[Path | None, typer.Option("--csv", help="Write it there in FOCUS's columns.")] = None,
) -> None:
    """What editions cost at the prices of a file, by organisation, report type and service."""
    with plain_errors():
        if (edition is None) == (since is None):
            raise ValueError("say which: --edition weekly:2026-11-16, or --since 2026-11-01 (and --until)")
        if since is not None and until is not None and until <= since:
            raise ValueError("--until is the day after the last one, so it must come after --since")
        stores, told = open_stores(), read_prices(prices)
        editions = [edition] if edition else []
        if since is not None:
            last = until.replace(tzinfo=UTC) if until else datetime.now(UTC)
            editions = editions_of_time(stores.database, since.replace(tzinfo=UTC), last)
        lines = bill(stores.database, stores.settings, told, editions, organisation)
        console.print(_table(lines, told.currency))
        if not lines:
            whose = f" of the organisation {organisation}" if organisation else ""
            which = ", ".join(editions[:LISTED]) or "no edition was opened then"
            console.print(f"no report{whose} was made in them: {which}", highlight=False, soft_wrap=True)
        if to_csv is not None:
            with to_csv.open("w", encoding="utf-8", newline="") as file:
                write_focus(lines, told, stores.settings.organisation, file)


def _table(lines: list[Charge], currency: str) -> Table:
    table = Table("edition", "organisation", "report type", "reports", "service", "used", f"cost {currency}")
    for line in lines:
        used = f"{line.quantity:f}".rstrip("0").rstrip(".") if line.quantity % 1 else f"{line.quantity:.0f}"
        table.add_row(
            line.used.edition,
            line.used.organisation,
            line.used.report_type,
            f"{line.used.reports:,}",
            line.service.value,
            f"{used} {SERVICES[line.service][0]}",
            f"{line.cost:f}",
        )
    table.add_section()
    table.add_row("sum", "", "", "", "", "", f"{sum(line.cost for line in lines):f}")
    return table
