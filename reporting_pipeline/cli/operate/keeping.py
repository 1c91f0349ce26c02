"""What is kept and what goes: retention, holds, the bucket's rules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from reporting_pipeline.cli.operate.stores import open_stores
from reporting_pipeline.cli.plain import plain_errors
from reporting_pipeline.operations.retention.rules import retention_days
from reporting_pipeline.stores.audit import AuditAction, named
from reporting_pipeline.stores.bucket_rules import rule_problems, standing_rules, wanted_rules, write_rules
from reporting_pipeline.stores.holds import HoldKind, holds, lift_hold, place_hold
from reporting_pipeline.stores.mongo import server_time
from reporting_pipeline.usecases.keeping import COMMAND, note, note_deleted

if TYPE_CHECKING:
    from dagster import DagsterInstance

console = Console()
hold_app = typer.Typer(no_args_is_help=True, help="Reports that no rule deletes: legal hold, critical.")


def retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="A kind, such as reports; may be repeated.")] = None,
) -> None:
    """Delete what is past its time. Exit code 1 when a kind could not be looked through."""
    # Here, as Dagster is a second that no other command should wait for.
    from reporting_pipeline.operations.retention.run import retain

    with plain_errors():
        stores = open_stores()
        with _dagster(stores.settings.dagster_home) as (instance, unseen):
            report = retain(
                stores.database,
                stores.objects,
                stores.settings,
                server_time(stores.database),
                dry_run=dry_run,
                instance=instance,
                only=only or (),
            )
        if not dry_run:
            home = stores.settings.organisation
            note_deleted(stores.database, report.deleted, COMMAND, home, report.at)
        table = Table("kind", "records", "objects", "files", "MB", "kept although past its time", "error")
        for one in report.removed:
            kept = ", ".join(f"{count} ({reason})" for reason, count in sorted(one.kept.items()))
            figures = (f"{one.records:,}", f"{one.objects:,}", f"{one.files:,}", f"{one.bytes / 1e6:,.1f}")
            table.add_row(one.kind, *figures, kept, one.error)
        console.print(table)
        console.print("nothing was deleted: a dry run" if dry_run else "deleted")
        if unseen:
            console.print(unseen, soft_wrap=True)
        if report.failed or (instance is None and stores.settings.dagster_home):
            raise typer.Exit(1)


@contextmanager
def _dagster(home: Path | None) -> Iterator[tuple[DagsterInstance | None, str]]:
    """The instance of the home; or None, and why Dagster's runs are not looked at: everything else is.

    Raises ValueError for a home whose file cannot be used.
    """
    if not home:
        yield None, "DAGSTER_HOME is not set: Dagster's runs were not looked at"
        return
    from dagster import DagsterError, DagsterInstance
    from dagster_postgres.utils import DagsterPostgresException

    try:
        instance = DagsterInstance.get()
    except DagsterError as error:
        said = next((line.strip() for line in str(error).splitlines() if "nvironment variable" in line), "")
        told = said.partition("PostProcessingError: ")[2] or str(error).strip().partition("\n")[0]
        raise ValueError(
            f"DAGSTER_HOME: its dagster.yaml cannot be used: {told.rstrip('.')}. Set what its head lists; "
            "`reporting-pipeline doctor` looks at the rest"
        ) from None
    except DagsterPostgresException:
        told = "Dagster's Postgres does not answer: its runs were not looked at"
        yield None, f"{told}. `reporting-pipeline doctor` says why; then call this again"
        return
    with instance:
        yield instance, ""


@hold_app.command("place")
def hold_place(
    report: Annotated[str, typer.Argument(help="The report's id, as printed on it: rep_…")],
    reason: Annotated[str, typer.Option(help="Why; it stands in the hold.")],
    critical: Annotated[bool, typer.Option(help="Critical and kept, rather than a legal hold.")] = False,
) -> None:
    """Keep a report, all its renderings and what they were made from, whatever its age."""
    with plain_errors():
        stores = open_stores()
        kind: HoldKind = "critical" if critical else "legal_hold"
        now = datetime.now(UTC)
        hold = place_hold(stores.database, stores.objects, report, kind, reason, "system", now)
        console.print(f"{hold['_id']} is held ({kind}): {hold['cadence']} {hold['period']}")


@hold_app.command("lift")
def hold_lift(report: Annotated[str, typer.Argument(help="The report's id: rep_…")]) -> None:
    """Let retention have a report again."""
    with plain_errors():
        stores = open_stores()
        if not lift_hold(stores.database, stores.objects, report, "system", datetime.now(UTC)):
            raise ValueError(f"{report} is not held; `reporting-pipeline hold list` shows what is")
        console.print(f"{report} is not held any more")


@hold_app.command("list")
def hold_list() -> None:
    """What is held, and why."""
    with plain_errors():
        table = Table(Column("report", no_wrap=True), "kind", "edition", "since", "reason")
        for one in holds(open_stores().database):
            edition = f"{one['cadence']} {one['period']}"
            table.add_row(one["_id"], one["kind"], edition, f"{one['at']:%Y-%m-%d}", one["reason"])
        console.print(table)


def bucket_rules(
    write: Annotated[bool, typer.Option("--write", help="Write them; other rules stay.")] = False,
) -> None:
    """Verify the bucket's lifecycle rules, or write them. Exit code 2 when they are not as they should be."""
    with plain_errors():
        stores = open_stores()
        wanted = wanted_rules(stores.settings, retention_days(stores.settings))
        if write:
            write_rules(stores.objects, wanted)
            bucket, home = stores.objects.bucket, stores.settings.organisation
            note(
                stores.database,
                AuditAction.BUCKET_RULES_WRITTEN,
                named(bucket),
                COMMAND,
                home,
                datetime.now(UTC),
            )
        problems = rule_problems(wanted, standing_rules(stores.objects))
        for problem in problems:
            console.print(problem, highlight=False, soft_wrap=True)
        if problems:
            raise typer.Exit(2)
        console.print(f"{len(wanted)} rules stand as they should")
