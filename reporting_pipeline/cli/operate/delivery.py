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
from reporting_pipeline.stores.alerts import close_alert
from reporting_pipeline.stores.deliveries import resume_channel
from reporting_pipeline.stores.suppressions import lift_suppression, list_suppressions

console = Console()
app = typer.Typer(no_args_is_help=True, help="Channels and addresses that wait for a person.")
ACTOR = "command line"


@app.command()
def resume(channel: Annotated[Channel, typer.Argument(help="email, slack or webhook")]) -> None:
    """Let a channel send again that was halted because its credentials were refused."""
    with plain_errors():
        database, now = open_stores().database, datetime.now(UTC)
        if not resume_channel(database, channel.value, now):
            console.print(f"{channel.value} was not halted")
            raise typer.Exit(1)
        close_alert(database, f"channel-halted:{channel.value}", ACTOR, now)
        console.print(f"{channel.value} sends again")


@app.command()
def suppressions(
    after: Annotated[str | None, typer.Option(help="ORGANISATION|ADDRESS of the page before's last.")] = None,
) -> None:
    """Addresses that bounced or complained and are not written to any more."""
    with plain_errors():
        table = Table("address", "organisation", "reason")
        for row in list_suppressions(open_stores().database, after=after):
            table.add_row(row["address"], row["organisation"] or "all", str(row["reason"]))
        console.print(table)


@app.command()
def lift(
    address: str,
    organisation: Annotated[str | None, typer.Option(help="Only there; otherwise everywhere.")] = None,
) -> None:
    """Say that a suppressed address is good again."""
    with plain_errors():
        database, now = open_stores().database, datetime.now(UTC)
        if not lift_suppression(database, mailbox(address), ACTOR, now, organisation):
            console.print("this address is not suppressed")
            raise typer.Exit(1)
        console.print("this address is written to again")


@app.command("webhook-secret")
def webhook_secret(organisation: str, url: str) -> None:
    """The key with which the receiver at URL verifies our webhooks."""
    with plain_errors():
        typer.echo(shown_secret(deployment_settings(), organisation, url))
