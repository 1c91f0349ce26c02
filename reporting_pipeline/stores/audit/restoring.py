"""A log that goes on from an older backup: a signed anchor says so, and which rows are gone.

A restore is a branch: the anchors behind the point at which the backup was taken name rows that are in no log
any more. They stay where they are. The `restored` anchor behind them says from where the log goes on; those
before it need not agree with the log any more, but for what the backup itself held.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from reporting_pipeline.stores.audit.anchors import (
    newest_unkeyed,
    put_anchor,
    read_anchor,
    whole_anchors,
)
from reporting_pipeline.stores.audit.chain import (
    BATCH,
    GENESIS,
    HEAD,
    Anchor,
    AuditBroken,
    Restored,
    chain_tail,
    set_head,
)
from reporting_pipeline.stores.audit.keys import process_keys
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectExists, ObjectStore


def restart_log(database: Database) -> tuple[int, int]:
    """Let a restored log go on from its newest row. Returns that row's seq, and what its head knew of.

    A backup that is not of one moment may hold a head of a later moment than its rows.
    """
    tail = chain_tail(database)
    head = database.audit_heads.find_one({"_id": HEAD}, {"seq": 1}) or {}
    known = head.get("seq")
    set_head(database, tail)
    return tail.seq, max(tail.seq, known if isinstance(known, int) else 0)


def anchor_restored(
    database: Database,
    objects: ObjectStore,
    now: datetime,
    *,
    by: str,
    backup: str,
    backup_at: datetime,
    kept: int,
    known: int,
) -> Restored:
    """Anchor the newest row as that of a log which goes on from a backup with `kept` rows, of `known`.

    Returns what the anchor says. Raises AuditBroken where the anchors are not whole or the rows are not those
    that were anchored: then what was restored is of another log, or was changed.
    """
    former = _former(objects)
    agreeing = _agreeing(database, former)
    if (bad := contradicted(former, agreeing, kept)) is not None:
        raise AuditBroken(
            f"row {bad.seq} is not the one that was anchored on {bad.at}: what was restored is not this "
            "deployment's log, or was changed"
        )
    follows = max(agreeing, default=0)
    left = [one.restored.kept for one in former if one.restored is not None and one.number > follows]
    restored = Restored(
        by=by,
        backup=backup,
        backup_at=backup_at.isoformat(),
        kept=kept,
        gone_from=min([kept, *left]) + 1,
        gone_to=max(known, former[-1].seq if former else 0),
        follows=follows,
    )
    unkeyed = former[-1].unkeyed if former else newest_unkeyed(database)
    try:
        put_anchor(objects, chain_tail(database), former[-1] if former else None, unkeyed, now, restored)
    except ObjectExists:
        raise AuditBroken(
            "another process wrote an anchor meanwhile: stop the deployment, then say it again with "
            "`reporting-pipeline backup mark-restored`"
        ) from None
    return restored


def contradicted(former: Sequence[Anchor], agreeing: Collection[int], kept: int) -> Anchor | None:
    """The first anchor that names another row than stands in a log which kept so many of them, if any.

    `former` are the anchors before the restore, `agreeing` the numbers of those whose row is in the log.
    Behind the newest of these the log was at `kept` rows when the backup was taken; what another restore had
    begun meanwhile is another branch.
    """
    newest = max(agreeing, default=0)
    for anchor in former:
        if anchor.number <= newest:
            continue
        if anchor.restored is not None:
            return None
        if anchor.seq <= kept:
            return anchor
    return None


def _former(objects: ObjectStore) -> list[Anchor]:
    former, broken = whole_anchors(objects, process_keys())
    newest = read_anchor(objects)
    if broken and newest is not None and newest.number:
        raise AuditBroken(broken)
    return former


def _agreeing(database: Database, anchors: Sequence[Anchor]) -> set[int]:
    """The numbers of the anchors whose row is in the log."""
    found = {0: GENESIS}
    wanted = sorted({anchor.seq for anchor in anchors})
    for start in range(0, len(wanted), BATCH):
        rows = database.audit.find({"seq": {"$in": wanted[start : start + BATCH]}}, {"seq": 1, "hash": 1})
        found |= {row["seq"]: row["hash"] for row in rows}
    return {anchor.number for anchor in anchors if found.get(anchor.seq) == anchor.hash}
