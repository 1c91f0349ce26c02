"""What a cron outside asks: is anything late, is the audit log whole? The exit code is the answer."""

from __future__ import annotations

from datetime import UTC, datetime

import typer
from rich.console import Console

from reporting_pipeline.cli.operate.stores import open_stores
from reporting_pipeline.cli.plain import plain_errors
from reporting_pipeline.delivery.notices.absence import check_absence
from reporting_pipeline.stores.audit import verify, write_anchor
from reporting_pipeline.stores.mongo import server_time

console = Console()
LISTED = 50
audit_app = typer.Typer(no_args_is_help=True, help="The audit log.")


def alarm() -> None:
    """List reports that were expected and did not arrive (exit code 3). For a cron outside."""
    with plain_errors():
        stores = open_stores()
        absent = check_absence(stores.database, stores.settings, server_time(stores.database))
    for one in absent[:LISTED]:
        console.print(f"{one.subscription}  due {one.due_at:%Y-%m-%d %H:%M} UTC", highlight=False)
    if len(absent) > LISTED:
        console.print(f"and {len(absent) - LISTED} more")
    if absent:
        raise typer.Exit(3)
    console.print("everything that was expected has arrived")


@audit_app.command("verify")
def audit_verify() -> None:
    """Check the audit log's hash chain against itself and its anchors in S3; name the first bad row."""
    with plain_errors():
        stores = open_stores()
        verdict = verify(stores.database, stores.objects)
    if verdict.ok:
        console.print(f"{verdict.rows} rows, the chain is whole and agrees with its anchors")
        for anchor in verdict.restored:
            told = anchor.restored.told if anchor.restored is not None else ""
            console.print(f"row {anchor.seq}, {anchor.at}: {told}", highlight=False, soft_wrap=True)
        return
    console.print(f"[bold red]not whole:[/] {verdict.reason} ({verdict.rows} rows read)", soft_wrap=True)
    advice = (
        "Was a backup restored by other means than `backup restore`, such as mongorestore? Then say so with "
        "`reporting-pipeline backup mark-restored`; else change nothing and call whoever answers for security"
    )
    if "there is no anchor" in verdict.reason:
        advice = "A new deployment has none until its first hour: `reporting-pipeline audit anchor` writes it"
    console.print(advice, soft_wrap=True)
    raise typer.Exit(2)


@audit_app.command("anchor")
def audit_anchor() -> None:
    """Anchor the newest row in S3 now; the sensors do so each hour, and each thousand rows."""
    with plain_errors():
        stores = open_stores()
        anchor = write_anchor(stores.database, stores.objects, datetime.now(UTC))
    console.print(f"row {anchor.seq} is anchored (anchor {anchor.number})", highlight=False)
