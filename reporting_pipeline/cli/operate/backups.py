"""Backup and restore of a deployment's database, and what awaits a release after a restore."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from bson.codec_options import CodecOptions
from rich.console import Console

from reporting_pipeline.cli.operate.stores import deployment_settings, named_mongodb, open_stores
from reporting_pipeline.cli.plain import plain_errors
from reporting_pipeline.operations.backup.drill import RECOVERY_POINT, RECOVERY_TIME, drill_restore
from reporting_pipeline.operations.backup.prune import KeptBackup, kept_backups, outlived, prune_backups
from reporting_pipeline.operations.backup.restore import read_manifest, restore_backup, verify_backup
from reporting_pipeline.operations.backup.take import take_backup
from reporting_pipeline.operations.backup.vault import backup_key, open_place
from reporting_pipeline.stores.audit import AuditAction, Restored
from reporting_pipeline.stores.deliveries import settle_jobs
from reporting_pipeline.stores.mongo import mongo_client
from reporting_pipeline.stores.notices import notices_awaiting_release
from reporting_pipeline.stores.objects import open_object_store
from reporting_pipeline.stores.person_keys import rewrap_all, wrapping_keys
from reporting_pipeline.stores.restores import (
    deliveries_awaiting_release,
    learn_what_was_sent,
    mark_restored,
)
from reporting_pipeline.stores.schema import SCHEMA_VERSION
from reporting_pipeline.usecases.keeping import (
    COMMAND,
    decide_after_restore,
    note,
    note_restored,
    refuse_unfit,
)

console = Console()
app = typer.Typer(no_args_is_help=True, help="Encrypted backups of the database.")
Target = Annotated[str, typer.Argument(help="A folder, or s3://bucket/prefix of another bucket.")]
Name = Annotated[str | None, typer.Option("--backup", help="Its name; default: the latest.")]
By = Annotated[str, typer.Option(help="Who restores it: a user id, for the audit log.")]


@app.command("take")
def take(target: Target) -> None:
    """Write a backup: every collection, then the list of the bucket's objects.

    The keys of sealed reports are wrapped by the newest REPORTING_SEAL_SECRET first.
    """
    with plain_errors():
        stores = open_stores()
        key, place = backup_key(stores.settings), open_place(target, stores.settings)
        now, home = datetime.now(UTC), stores.settings.organisation
        if (ring := wrapping_keys(stores.settings)) is not None:
            rewrap_all(stores.database, ring)
        manifest = take_backup(stores.database, stores.objects, place, key, now)
        details = {"records": sum(manifest.records.values())}
        note(stores.database, AuditAction.BACKUP_TAKEN, manifest.backup, COMMAND, home, now, details)
        moment = "of one moment" if manifest.snapshot else "each collection as it was read"
        console.print(
            f"{manifest.backup}: {sum(manifest.records.values()):,} records ({moment}), "
            f"{manifest.objects:,} objects listed",
            highlight=False,
        )


@app.command("verify")
def verify(target: Target, backup: Name = None) -> None:
    """Open every part of a backup and count what is in it. Nothing is restored."""
    with plain_errors():
        settings = deployment_settings()
        vault, manifest = read_manifest(open_place(target, settings), backup_key(settings), backup)
        console.print(
            f"{manifest.backup} of {manifest.at} is whole: {verify_backup(vault, manifest):,} records"
        )


@app.command("restore")
def restore(target: Target, backup: Name = None, by: By = COMMAND) -> None:
    """Fill this deployment's empty database. What may have been sent since the backup awaits a release."""
    with plain_errors():
        refuse_unfit("any", by)
        settings = deployment_settings()
        # Opened bare: indexes or a schema's mark written before would make the place look used.
        database = mongo_client(named_mongodb(settings)).get_database(
            settings.mongodb_database, codec_options=CodecOptions(tz_aware=True)
        )
        key, place = backup_key(settings), open_place(target, settings)
        now, objects = datetime.now(UTC), open_object_store(settings)
        done = restore_backup(database, place, key, now, backup, objects)
        console.print(f"{done.records:,} records of {done.manifest.at} stand again", highlight=False)
        if done.migration < SCHEMA_VERSION:
            console.print(
                f"they are of migration {done.migration}, this version needs {SCHEMA_VERSION}: run "
                "`reporting-pipeline migrate` before anything starts",
                highlight=False,
                soft_wrap=True,
            )
        _tell_awaiting(done.awaiting_release)
        if done.missing_objects:
            console.print(f"{done.missing_objects:,} objects that the backup lists are not in the bucket")
        details = {"records": done.records, "awaiting_release": done.awaiting_release}
        told = note_restored(
            *(database, objects, done.manifest.backup, done.manifest.taken_at),
            *(details, by, settings.organisation, now),
        )
        _tell_audit(told)


@app.command("mark-restored")
def mark(
    taken: Annotated[datetime, typer.Option(help="When the state was written that stands again, UTC.")],
    name: Annotated[str, typer.Option(help="What it was restored from, such as mongodump-2026-11-16.")],
    by: By = COMMAND,
) -> None:
    """Say that the database was restored by other means (mongorestore, a provider's backup).

    As after `restore`: what may have been sent since awaits a release, and the audit log goes on from here.
    """
    with plain_errors():
        refuse_unfit(name, by)
        stores, now = open_stores(), datetime.now(UTC)
        at = taken.replace(tzinfo=UTC) if taken.tzinfo is None else taken
        if at > now:
            raise ValueError("--taken lies in the future; say in UTC when the backup was taken")
        awaiting = mark_restored(stores.database, at, now)
        _tell_awaiting(awaiting)
        details, home = {"awaiting_release": awaiting}, stores.settings.organisation
        _tell_audit(note_restored(stores.database, stores.objects, name, at, details, by, home, now))


def _tell_awaiting(number: int) -> None:
    console.print(
        f"{number:,} deliveries await a release: `reporting-pipeline backup awaiting-release`",
        highlight=False,
        soft_wrap=True,
    )


def _tell_audit(restored: Restored) -> None:
    console.print(f"the audit log goes on: {restored.told}", highlight=False, soft_wrap=True)


@app.command("list")
def list_backups(target: Target) -> None:
    """The backups of a place, the oldest first."""
    with plain_errors():
        for one in kept_backups(open_place(target, deployment_settings())):
            console.print(_line(one), highlight=False)


@app.command("prune")
def prune(
    target: Target,
    keep_days: Annotated[int, typer.Option(min=1, help="Those taken longer ago go.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which.")] = False,
) -> None:
    """Delete backups that are older than they need be, and what was cut off. The newest whole one stays."""
    with plain_errors():
        stores, now, keep = open_stores(), datetime.now(UTC), timedelta(days=keep_days)
        place = open_place(target, stores.settings)
        gone = outlived(kept_backups(place), keep, now) if dry_run else prune_backups(place, keep, now)
        if gone and not dry_run:
            details, home = {"backups": len(gone), "keep_days": keep_days}, stores.settings.organisation
            note(stores.database, AuditAction.BACKUPS_PRUNED, "backups", COMMAND, home, now, details)
        for one in gone:
            console.print(f"{'would go' if dry_run else 'deleted'}: {_line(one)}", highlight=False)
        if not gone:
            console.print("nothing is older than that")


def _line(one: KeptBackup) -> str:
    return f"{one.name} of {one.taken_at:%Y-%m-%d %H:%M:%S} UTC{'' if one.whole else ', not whole'}"


@app.command("drill")
def drill(
    target: Target,
    point: Annotated[
        float, typer.Option("--point-minutes", min=0, help="How old the latest backup may be.")
    ] = RECOVERY_POINT.total_seconds() / 60,
    time: Annotated[
        float, typer.Option("--time-minutes", min=0, help="How long the restore may take.")
    ] = RECOVERY_TIME.total_seconds() / 60,
) -> None:
    """Restore the latest backup into a database of its own and drop it. Exit code 2 where it was too slow."""
    with plain_errors():
        stores = open_stores()
        key, place = backup_key(stores.settings), open_place(target, stores.settings)
        done = drill_restore(stores.database, stores.objects, place, key, lambda: datetime.now(UTC))
        console.print(
            f"{done.backup}: {done.records:,} records stood again after {done.time.total_seconds():.1f} s; "
            f"what was written in the last {done.point.total_seconds():.0f} s would be lost",
            highlight=False,
            soft_wrap=True,
        )
        problems = done.problems(timedelta(minutes=point), timedelta(minutes=time))
        for problem in problems:
            console.print(problem, highlight=False, soft_wrap=True)
    if problems:
        raise typer.Exit(2)


@app.command("held", hidden=True)  # its former name
@app.command("awaiting-release")
def awaiting_release() -> None:
    """What may have been sent before a restore, and waits for a decision. Learns from the outbox first."""
    with plain_errors():
        stores, now = open_stores(), datetime.now(UTC)
        outbox = stores.settings.outbox
        jobs = learn_what_was_sent(stores.database, lambda one: (outbox / f"{one}.eml").exists(), now)
        settle_jobs(stores.database, jobs, now)
        for one in deliveries_awaiting_release(stores.database):
            console.print(f"{one['_id']}  {one['edition']}  due {one['due_at']:%Y-%m-%d %H:%M} UTC")
        for notice, of, whose in notices_awaiting_release(stores.database):
            console.print(f"{notice.value}  {of}  to {whose}", highlight=False, soft_wrap=True)


@app.command("release")
def release(
    send: Annotated[bool, typer.Option("--send/--was-sent", help="Send it now, or take it as sent.")],
    edition: Annotated[str | None, typer.Option(help="Of this edition, such as weekly:2026-11-16.")] = None,
) -> None:
    """Decide over what awaits a release after a restore."""
    with plain_errors():
        stores, now = open_stores(), datetime.now(UTC)
        decided = decide_after_restore(
            stores.database,
            send=send,
            edition=edition,
            actor=COMMAND,
            home=stores.settings.organisation,
            now=now,
        )
        console.print(
            f"the deliveries of {decided.jobs:,} jobs are released, and {decided.notices:,} notices"
        )
