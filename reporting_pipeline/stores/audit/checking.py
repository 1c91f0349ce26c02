"""The verifier: the whole chain, held to its head and its anchors; the first bad row is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pymongo import ASCENDING

from reporting_pipeline.domain.keyring import Keyring
from reporting_pipeline.stores.audit.anchors import overwritten_anchors, whole_anchors
from reporting_pipeline.stores.audit.chain import BATCH, FIELDS, GENESIS, HEAD, Anchor, head_part, row_hash
from reporting_pipeline.stores.audit.keys import process_keys
from reporting_pipeline.stores.audit.restoring import contradicted
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore


@dataclass(frozen=True)
class AuditCheck:
    """The outcome of a check. `first_bad` is the seq of the first row that is wrong or missing."""

    ok: bool
    rows: int  # read until the check ended
    first_bad: int | None = None
    reason: str = ""
    restored: tuple[Anchor, ...] = ()  # where the log went on from a backup, the oldest first


def verify(database: Database, objects: ObjectStore | None = None) -> AuditCheck:
    """Read the whole chain and name the first bad row. With `objects`, also hold it to its anchors.

    Streams: memory does not grow with the log, but with its anchors. A log that went on from an older backup
    is held to the anchors from there on, and to what the backup held; the verdict names each restore.
    """
    ring = process_keys()
    anchors: list[Anchor] = []
    if objects is not None:
        anchors, broken = whole_anchors(objects, ring)
        if broken:
            first = anchors[-1].seq + 1 if anchors else 1
            return AuditCheck(False, 0, first, f"row {first}: {broken}")
    head, unfit = _head(database, ring)
    restored = tuple(anchor for anchor in anchors if anchor.restored is not None)
    former = [anchor for anchor in anchors if restored and anchor.number < restored[-1].number]
    marks: dict[int, str] = {anchor.seq: anchor.hash for anchor in anchors[len(former) :]}
    if objects is not None:
        hidden = overwritten_anchors(objects, ring)
        marks |= {one.seq: one.hash for one in hidden if one.number > len(former)}
    agreeing: set[int] = {anchor.number for anchor in former if anchor.hash == GENESIS}
    before = _by_row(former)
    unkeyed = anchors[0].unkeyed if anchors else None
    expected, previous, keyed = 1, GENESIS, False
    for row in _rows(database):
        problem = _problem(row, expected, previous, ring, keyed, unkeyed)
        if problem is None and marks.get(expected, row["hash"]) != row["hash"]:
            problem = "the anchor has another hash"
        if problem is None and head is not None and head.seq == expected and head.hash != row["hash"]:
            problem = "the head has another hash"
        if problem is not None:
            return AuditCheck(False, expected - 1, expected, f"row {expected}: {problem}")
        agreeing |= before.get((expected, row["hash"]), set())
        keyed = keyed or "key" in row
        expected, previous = expected + 1, row["hash"]
    kept = restored[-1].restored.kept if restored and restored[-1].restored else 0
    if (bad := contradicted(former, agreeing, kept)) is not None:
        reason = (
            f"row {bad.seq}: the anchor has another hash, though the backup that was restored had the row"
        )
        return AuditCheck(False, expected - 1, bad.seq, reason)
    known = max([*marks, head.seq if head else 0])
    if known >= expected:
        reason = f"row {expected}: the tail is cut off; there were rows up to {known} at least"
        return AuditCheck(False, expected - 1, expected, reason)
    if unfit and (keyed or known):
        return AuditCheck(False, expected - 1, expected, f"row {expected}: {unfit}")
    return AuditCheck(True, expected - 1, restored=restored)


def _by_row(anchors: Sequence[Anchor]) -> dict[tuple[int, str], set[int]]:
    """(seq, hash) -> the numbers of the anchors that name this row."""
    found: dict[tuple[int, str], set[int]] = {}
    for anchor in anchors:
        found.setdefault((anchor.seq, anchor.hash), set()).add(anchor.number)
    return found


def _head(database: Database, ring: Keyring) -> tuple[Anchor | None, str]:
    """The head, and why it is not fit."""
    head = database.audit_heads.find_one({"_id": HEAD})
    if head is None:
        return None, "the head of the log is missing"
    try:
        good = ring.verifies(head_part(head), bytes.fromhex(head["signature"]), head["key"])
    except (ValueError, KeyError, TypeError):
        good = False
    if not good:
        return None, "the head of the log is not one of ours, or its key is not known here"
    return Anchor(head["seq"], head["hash"]), ""


def _rows(database: Database) -> Iterator[Record]:
    with database.audit.find({}).sort("seq", ASCENDING).batch_size(BATCH) as cursor:
        yield from cursor


def _problem(
    row: Record, expected: int, previous: str, ring: Keyring, keyed: bool, unkeyed: int | None
) -> str | None:
    """What is wrong with a row. `keyed`: one before it had a key; `unkeyed`: the last that may have none."""
    if row.get("seq") != expected:
        return "it is missing"
    fields = {*FIELDS, "hash", "_id"}
    first_form = "key" not in row and not keyed and (unkeyed is None or expected <= unkeyed)
    if set(row) != (fields - {"key"} if first_form else fields):
        return "it has other fields than it was written with"
    if row["previous"] != previous:
        return "it does not follow from the row before"
    try:
        computed = row_hash(row, ring)
    except (ValueError, TypeError, AttributeError, KeyError):
        return "its content cannot be hashed"
    return None if computed == row["hash"] else "its content is not what was written"
