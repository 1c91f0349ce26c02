"""What a person decides about delivery: resume a halted channel, lift a suppressed address."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from reporting_pipeline.cli.operate.stores import deployment_settings, open_stores
from reporting_pipeline.cli.plain import plain_errors
from reporting_pipeline.delivery.channels.webhooks import shown_secret
from reporting_pipeline.domain.deliveries import Channel, mailbox
from reporting_pipeline.domain.masked_recipients import is_shortened, shown
from reporting_pipeline.stores.suppressions import list_suppressions
from reporting_pipeline.usecases.sending_again import lift_suppression, resume_channel, whole_address

console = Console()
app = typer.Typer(no_args_is_help=True, help="Channels and addresses that wait for a person.")
ACTOR = "system"


@app.command()
def resume(channel: Annotated[Channel, typer.Argument(help="The channel that was halted.")]) -> None:
    """Let a channel send again that was halted because its credentials were refused."""
    with plain_errors():
        stores = open_stores()
        home = stores.settings.organisation
        if not resume_channel(stores.database, channel.value, ACTOR, home, datetime.now(UTC)):
            console.print(f"{channel.value} was not halted")
            raise typer.Exit(1)
        console.print(f"{channel.value} sends again")


@app.command()
def suppressions(
    after: Annotated[str | None, typer.Option(help="ORGANISATION|ADDRESS of the page before's last.")] = None,
) -> None:
    """Addresses that bounced or complained and are not written to any more."""
    with plain_errors():
        database, behind = open_stores().database, after
        if after is not None:
            organisation, bar, address = after.rpartition("|")
            behind = f"{organisation}{bar}{whole_address(database, address, organisation or None)}"
        table = Table("address", "organisation", "reason")
        for row in list_suppressions(database, after=behind):
            table.add_row(shown(row["address"]), row["organisation"] or "all", str(row["reason"]))
        console.print(table)


@app.command()
def lift(
    address: str,
    organisation: Annotated[str | None, typer.Option(help="Only there; otherwise everywhere.")] = None,
) -> None:
    """Say that a suppressed address is good again."""
    with plain_errors():
        stores, now = open_stores(), datetime.now(UTC)
        given = address if is_shortened(address) else mailbox(address)
        home = stores.settings.organisation
        if not lift_suppression(stores.database, given, ACTOR, home, now, organisation):
            console.print("this address is not suppressed")
            raise typer.Exit(1)
        console.print("this address is written to again")


@app.command("webhook-secret")
def webhook_secret(organisation: str, url: str) -> None:
    """The key with which the receiver at URL verifies our webhooks."""
    with plain_errors():
        typer.echo(shown_secret(deployment_settings(), organisation, url))
