"""What keeps a deployment, with its row in the audit log: deletion, mending, backups, migrations, rules.

The deeds are in `operations` and `stores`; this says what is noted of them, whoever began them. Rows stand
in the log of the deployment's own organisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.stores import audit
from reporting_pipeline.stores.deliveries import settle_jobs
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.notices import release_notices
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.restores import release_after_restore

COMMAND, SCHEDULE = "system", "schedule"


@dataclass(frozen=True)
class Decided:
    """Over how much a person decided after a restore."""

    jobs: int  # whose deliveries awaited a release
    notices: int  # to owners and organisations


def note_deleted(
    database: Database, removed: Mapping[str, int], actor: str, home: str, now: datetime
) -> None:
    """Retention deleted so many records, objects and files of each kind; none is no row."""
    counts = {kind: count for kind, count in sorted(removed.items()) if count}
    if counts:
        note(database, audit.AuditAction.RETENTION_DELETED, "retention", actor, home, now, counts)


def note_mended(database: Database, mended: int, actor: str, home: str, now: datetime) -> None:
    """A reconciliation tagged orphans or forgot records of what is gone; none is no row."""
    if mended:
        note(
            database, audit.AuditAction.RECORDS_MENDED, "reconciliation", actor, home, now, {"mended": mended}
        )


def decide_after_restore(
    database: Database, *, send: bool, edition: str | None, actor: str, home: str, now: datetime
) -> Decided:
    """Decide over what awaits a release after a restore: send it, or take it as sent.

    Raises ValueError for what is no edition: a decision over none would read as one that was taken.
    """
    if edition is not None and edition.partition(":")[0] not in set(Cadence):
        raise ValueError(f"{edition!r} is no edition; they are called like weekly:2026-11-16")
    jobs = release_after_restore(database, send=send, edition=edition, now=now)
    settle_jobs(database, jobs, now)
    decided = Decided(len(jobs), release_notices(database, send=send, edition=edition))
    details = {"send": send, "edition": edition or "all", "jobs": decided.jobs, "notices": decided.notices}
    note(database, audit.AuditAction.AFTER_RESTORE_DECIDED, "restore", actor, home, now, details)
    return decided


def refuse_unfit(backup: str, actor: str) -> None:
    """Raise ValueError where the log would not take the name of a backup or of who restores it."""
    for name, value in (("backup", backup), ("person", actor)):
        if audit.named(value) != value:
            raise ValueError(f"the name of the {name} must be of letters, digits, dots, colons and dashes")


def note_restored(
    database: Database,
    objects: ObjectStore,
    backup: str,
    backup_at: datetime,
    details: Mapping[str, Any],
    actor: str,
    home: str,
    now: datetime,
) -> audit.Restored:
    """The database was restored from a backup: a row says so, and an anchor from where the log goes on.

    Returns what the anchor says. Raises AuditBroken where the anchors speak of another log; the row stands.
    """
    kept, known = audit.restart_log(database)
    note(database, audit.AuditAction.BACKUP_RESTORED, backup, actor, home, now, details)
    return audit.anchor_restored(
        database, objects, now, by=actor, backup=backup, backup_at=backup_at, kept=kept, known=known
    )


def note(
    database: Database,
    action: audit.AuditAction,
    subject: str,
    actor: str,
    home: str,
    now: datetime,
    details: Mapping[str, Any] | None = None,
) -> None:
    """A row of `home`, the organisation of the deployment, whose log tells of what concerns all."""
    audit.record(database, action, actor, subject, now, organisation=home, details=details)
