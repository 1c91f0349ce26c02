"""The commands. Each does one thing and says in plain words what came of it."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from reporting_pipeline.cli import demo as demo_run
from reporting_pipeline.cli import dev as dev_run
from reporting_pipeline.cli.delivery import app as delivery_app
from reporting_pipeline.cli.deployment import Deployment, open_deployment
from reporting_pipeline.domain.access import Role
from reporting_pipeline.domain.editions import closed_period
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.embedded import servers as embedded
from reporting_pipeline.embedded.errors import EmbeddedError
from reporting_pipeline.settings import SettingsError, current_settings
from reporting_pipeline.stores.audit import Action, record
from reporting_pipeline.stores.editions import EditionExists, open_edition

console = Console()
ALARM_LISTED = 50
app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Automated reports for clinical trials: documents in, one report per subscriber out.",
)
servers_app = typer.Typer(no_args_is_help=True, help="The embedded MongoDB- and S3-protocol servers.")
edition_app = typer.Typer(
    no_args_is_help=True, help="Editions: one cadence's report for one period, for everybody."
)
audit_app = typer.Typer(no_args_is_help=True, help="The audit log.")
app.add_typer(servers_app, name="servers")
app.add_typer(edition_app, name="edition")
app.add_typer(audit_app, name="audit")
app.add_typer(delivery_app, name="delivery")


@app.callback()
def _main() -> None:
    # A terminated command ends what it started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


@contextmanager
def _plain_errors() -> Iterator[None]:
    """What a person can mend is said in one line, without a stack trace."""
    try:
        yield
    except (SettingsError, EmbeddedError, ValueError) as error:
        console.print(f"[bold red]Error:[/] {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None


@app.command()
def demo(
    subscriptions: Annotated[int, typer.Option(min=1, max=5_000, help="How many people subscribe.")] = 60,
) -> None:
    """Load sample trials, run one weekly edition through Dagster, and show what came out."""
    with _plain_errors():
        demo_run.run(current_settings(), subscriptions, console)


@app.command()
def dev(
    port: Annotated[int, typer.Option(help="Of Dagster's UI; the API is on the next port.")] = 3000,
) -> None:
    """Start the embedded servers, Dagster's UI and daemon, and the API, on this home's data."""
    with _plain_errors():
        dev_run.run(current_settings(), port, console)


@servers_app.command("start")
def servers_start() -> None:
    """Start what is not running, and print the environment that points to it."""
    with _plain_errors():
        endpoints = embedded.start(current_settings())
        for name, value in endpoints.as_environment().items():
            console.print(f"export {name}='{value}'", highlight=False, soft_wrap=True)


@servers_app.command("status")
def servers_status() -> None:
    """What runs, and where."""
    table = Table("server", "state", "process", "address")
    for one in embedded.status(current_settings()):
        state = (
            "named by the environment"
            if not one.embedded
            else "running"
            if one.healthy
            else "does not answer"
            if one.running
            else "stopped"
        )
        table.add_row(one.name, state, str(one.pid or ""), one.address or "")
    console.print(table)


@servers_app.command("stop")
def servers_stop() -> None:
    """Stop this home's servers. Their data stays."""
    with _plain_errors():
        stopped = embedded.stop(current_settings())
        console.print(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")


@edition_app.command("open")
def edition_open(
    cadence: Annotated[Cadence, typer.Argument(help="daily, weekly or monthly")] = Cadence.WEEKLY,
    period: Annotated[
        str | None, typer.Option(help="First date of the period; default: the last closed one.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Make an edition again that was opened before.")] = False,
) -> None:
    """Open an edition, as the schedule and POST /api/reports do. edition_sensor takes it from there."""
    with _plain_errors(), _deployment() as deployment:
        now = datetime.now(UTC)
        window = closed_period(cadence, period, now, deployment.settings.timezone)
        try:
            edition = open_edition(deployment.database, cadence, window.key, "command line", now, force)
        except EditionExists as error:
            raise ValueError(f"{error}. Use --force to make it again") from None
        organisation = deployment.settings.organisation
        record(
            deployment.database, Action.EDITION_OPENED, "system", edition.id, now, organisation=organisation
        )
        console.print(f"edition {edition.id} is open")


@edition_app.command("list")
def edition_list() -> None:
    """The newest editions and how far they are."""
    from reporting_pipeline.stores.editions import list_editions

    with _plain_errors(), _deployment() as deployment:
        table = Table("edition", "state", "opened", "jobs")
        for one in list_editions(deployment.database, limit=20):
            counts = ", ".join(f"{count} {state}" for state, count in sorted(one.counts.items()))
            table.add_row(
                one.id, one.state.value, f"{one.opened_at:%Y-%m-%d %H:%M} by {one.opened_by}", counts
            )
        console.print(table)


@app.command()
def token(
    user: Annotated[str | None, typer.Argument(help="User id, e.g. usr_…")] = None,
    role: Annotated[
        Role | None, typer.Option(help="Instead of a user: this machine's own, who is made when missing.")
    ] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=720, help="How long it is valid.")] = 8,
) -> None:
    """Print a bearer token for the API, signed with this deployment's own secret."""
    from reporting_pipeline.api.tokens import local_user, mint_token

    with _plain_errors():
        settings, now = current_settings(), datetime.now(UTC)
        if (user is None) == (role is None):
            raise ValueError("name a user id, or give --role for this machine's own user")
        if role is not None:
            with _deployment() as deployment:
                user = local_user(deployment.database, settings, role, now)
        typer.echo(mint_token(settings, user or "", now, timedelta(hours=hours)))


@app.command()
def openapi() -> None:
    """Print the API's OpenAPI document."""
    from reporting_pipeline.api.app import openapi_document

    with _plain_errors():
        typer.echo(json.dumps(openapi_document(), indent=2))


@app.command()
def alarm() -> None:
    """List reports that were expected and did not arrive (exit code 3). For a cron outside."""
    from reporting_pipeline.delivery.alarm import check_absence

    with _plain_errors(), _deployment() as deployment:
        absent = check_absence(deployment.database, deployment.settings, datetime.now(UTC))
        for one in absent[:ALARM_LISTED]:
            console.print(f"{one.subscription}  due {one.due_at:%Y-%m-%d %H:%M} UTC", highlight=False)
        if len(absent) > ALARM_LISTED:
            console.print(f"and {len(absent) - ALARM_LISTED} more")
        if absent:
            raise typer.Exit(3)
        console.print("everything that was expected has arrived")


@audit_app.command("verify")
def audit_verify() -> None:
    """Check the audit log's hash chain against itself and its anchor in S3; name the first bad row."""
    from reporting_pipeline.stores.audit import verify

    with _plain_errors(), _deployment() as deployment:
        verdict = verify(deployment.database, deployment.objects)
        if verdict.ok:
            console.print(f"{verdict.rows} rows, the chain is whole and agrees with its anchor")
            return
        where = f"row {verdict.first_bad}" if verdict.first_bad is not None else "the log"
        console.print(f"[bold red]{where}:[/] {verdict.reason} ({verdict.rows} rows read)")
        raise typer.Exit(2)


@contextmanager
def _deployment() -> Iterator[Deployment]:
    """The stores of this deployment, its embedded servers started where nothing else is named."""
    yield open_deployment(current_settings())
