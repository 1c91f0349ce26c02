"""The commands, in two halves: those of a deployment, and those that run something on this machine.

A command of `cli/local/` is imported when it is called: its packages come with extras.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reporting_pipeline.cli.operate import (
    access,
    backups,
    bootstrap,
    code_server,
    cost,
    delivery,
    doctor,
    editions,
    files,
    import_documents,
    keeping,
    migrate,
    proof,
    reconcile,
    registry,
    watching,
)
from reporting_pipeline.cli.plain import needing, plain_errors
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline.settings import current_settings

console = Console()
OPERATE = "A deployment (stores from the settings, nothing is started)"
FILES = "Your own files (no server, no setting)"
LOCAL = "This machine (starts servers and processes)"

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Automated reports for clinical trials: documents in, one report per subscriber out.",
)
servers_app = typer.Typer(no_args_is_help=True, help="The embedded MongoDB- and S3-protocol servers.")

app.add_typer(editions.app, name="edition", rich_help_panel=OPERATE)
app.add_typer(import_documents.app, name="import", rich_help_panel=OPERATE)
app.add_typer(registry.trial_app, name="trial", rich_help_panel=OPERATE)
app.add_typer(registry.organisation_app, name="organisation", rich_help_panel=OPERATE)
app.add_typer(delivery.app, name="delivery", rich_help_panel=OPERATE)
app.add_typer(watching.audit_app, name="audit", rich_help_panel=OPERATE)
app.command(rich_help_panel=OPERATE)(bootstrap.bootstrap)
app.command(rich_help_panel=OPERATE)(doctor.doctor)
app.command("migrate", rich_help_panel=OPERATE)(migrate.migrate_command)
app.command(rich_help_panel=OPERATE)(watching.alarm)
app.command(rich_help_panel=OPERATE)(access.token)
app.command(rich_help_panel=OPERATE)(access.openapi)
app.command("code-server", rich_help_panel=OPERATE)(code_server.code_server)
app.command(rich_help_panel=OPERATE)(files.files)
app.add_typer(backups.app, name="backup", rich_help_panel=OPERATE)
app.command(rich_help_panel=OPERATE)(keeping.retention)
app.command(rich_help_panel=OPERATE)(reconcile.reconcile)
app.command(rich_help_panel=OPERATE)(cost.cost)
app.add_typer(keeping.hold_app, name="hold", rich_help_panel=OPERATE)
app.command("reproduce", rich_help_panel=OPERATE)(proof.reproduce_command)
app.command("verify", rich_help_panel=FILES)(proof.verify)
app.command("bucket-rules", rich_help_panel=OPERATE)(keeping.bucket_rules)
app.add_typer(servers_app, name="servers", rich_help_panel=LOCAL)


@app.callback()
def _main() -> None:
    os.umask(0o077)  # reports, mails, logs and Dagster's databases are for this user alone
    # A terminated command ends what it started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


@app.command(rich_help_panel=LOCAL)
def demo(
    subscriptions: Annotated[int, typer.Option(min=1, max=5_000, help="How many people subscribe.")] = 60,
) -> None:
    """Load sample trials, run one weekly edition through Dagster, and show what came out."""
    with plain_errors(), needing("embedded", "samples"):
        from reporting_pipeline.cli.local import demo as demo_run

        demo_run.run(current_settings(), subscriptions, console)


@app.command(rich_help_panel=LOCAL)
def dev(
    port: Annotated[
        int, typer.Option(help="Of Dagster's UI; console and API take 8000 or the next that is free.")
    ] = 3000,
) -> None:
    """Start the embedded servers, Dagster's UI and daemon, and the API, on this home's data."""
    with plain_errors(), needing("embedded"):
        from reporting_pipeline.cli.local import dev as dev_run

        dev_run.run(current_settings(), port, console)


@app.command("try", rich_help_panel=FILES)
def try_(
    path: Annotated[
        Path, typer.Argument(help="A folder of SDTM (XPT, Dataset-JSON, CSV), or documents as NDJSON.")
    ],
    trial: Annotated[str | None, typer.Option(help="The trial: chooses one, or names it.")] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Report the newest period that had closed by this date; default: now.")
    ] = None,
    cadence: Annotated[Cadence, typer.Option(help="daily, weekly or monthly")] = Cadence.WEEKLY,
    form: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.PDF,
    timezone: Annotated[str, typer.Option(help="In which days and weeks are counted.")] = "UTC",
    out: Annotated[Path, typer.Option(help="The folder for the report.")] = Path("."),
    mapping: Annotated[
        Path | None, typer.Option(help="YAML that says how tables that are not SDTM are read.")
    ] = None,
    report_type: Annotated[
        str, typer.Option("--type", help="The report type, as docs/report-types.md has them.")
    ] = "trial_activity",
    audience: Annotated[
        Audience, typer.Option(help="Whom it is written for; decides what is shown.")
    ] = Audience.MONITOR,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="A parameter of the type, NAME=VALUE; VALUE may be JSON."),
    ] = None,
    preliminary: Annotated[
        bool, typer.Option("--preliminary", help="Report the period that is still open, and mark it so.")
    ] = False,
    subject: Annotated[
        str, typer.Option(help="Whose record alone it is made from, as a participant's reports are.")
    ] = "",
) -> None:
    """Make a report from your own files, with no server and no setting, and say what was understood."""
    with plain_errors():
        from reporting_pipeline.cli.local import try_report

        options = try_report.TryOptions(
            path,
            trial,
            as_of,
            cadence,
            form,
            timezone,
            out,
            mapping,
            report_type,
            audience,
            tuple(setting or ()),
            preliminary,
            subject,
        )
        try_report.run(options, console, datetime.now(UTC))


@servers_app.command("start")
def servers_start() -> None:
    """Start what is not running, and print the environment that points to it."""
    with plain_errors(), needing("embedded"):
        from reporting_pipeline.cli.local import servers

        servers.start(current_settings(), console)


@servers_app.command("status")
def servers_status() -> None:
    """What runs, and where."""
    with plain_errors(), needing("embedded"):
        from reporting_pipeline.cli.local import servers

        servers.show(current_settings(), console)


@servers_app.command("stop")
def servers_stop() -> None:
    """Stop this home's servers. Their data stays."""
    with plain_errors(), needing("embedded"):
        from reporting_pipeline.cli.local import servers

        servers.stop(current_settings(), console)
