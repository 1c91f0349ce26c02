"""Anchors in S3: how far the log went at some time, each signed and written once."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

from pymongo import ASCENDING

from reporting_pipeline.domain.keyring import Keyring
from reporting_pipeline.stores.audit.chain import GENESIS, Anchor, AuditBroken, Restored, chain_tail
from reporting_pipeline.stores.audit.events import milliseconds
from reporting_pipeline.stores.audit.keys import process_keys
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectExists, ObjectMissing, ObjectStore, ObjectTooLarge

FIRST_ANCHOR_KEY = "audit/anchor.json"  # of the first form: one object, written over

ANCHORS = "audit/anchors/"

ANCHOR_EVERY = 1_000  # rows

ANCHOR_AFTER = timedelta(hours=1)  # when fewer rows came

ANCHORS_KEPT = timedelta(days=3_650)  # locked for so long where the bucket locks objects

_NUMBERS: dict[str, int] = {}  # bucket -> the newest anchor that this process knows


def write_anchor(database: Database, objects: ObjectStore, now: datetime) -> Anchor:
    """Anchor the newest row, once. Raises AuditBroken when the log does not hold what was anchored before."""
    standing = read_anchor(objects)
    if standing is not None and standing.seq:
        row = database.audit.find_one({"seq": standing.seq}, {"hash": 1})
        if row is None or row["hash"] != standing.hash:
            raise AuditBroken(f"row {standing.seq} is not the one that was anchored; `audit verify` says why")
    first = standing is None or not standing.number
    unkeyed = newest_unkeyed(database) if first or standing is None else standing.unkeyed
    return put_anchor(objects, chain_tail(database), standing, unkeyed, now)


def put_anchor(
    objects: ObjectStore,
    row: Anchor,
    before: Anchor | None,
    unkeyed: int,
    now: datetime,
    restored: Restored | None = None,
) -> Anchor:
    """Sign an anchor of `row` behind the one before and write it once. Raises ObjectExists."""
    ring = process_keys()
    fresh = Anchor(
        seq=row.seq,
        hash=row.hash,
        number=1 if before is None else before.number + 1,
        at=milliseconds(now).isoformat(),
        previous=GENESIS if before is None or not before.number else before.signature,
        unkeyed=unkeyed,
        key=ring.current,
        restored=restored,
    )
    fresh = replace(fresh, signature=ring.sign(fresh.signed_part).hex())
    objects.put_once(_anchor_key(fresh.number), fresh.body, "application/json", now + ANCHORS_KEPT)
    _NUMBERS[objects.bucket] = fresh.number
    return fresh


def anchor_when_due(
    database: Database, objects: ObjectStore, now: datetime, every: int = ANCHOR_EVERY
) -> Anchor | None:
    """Anchor the newest row at the first look, when `every` rows came since, or some an hour ago."""
    standing = read_anchor(objects)
    if standing is not None and standing.number:
        came = chain_tail(database).seq - standing.seq
        # An anchor ahead of the log is for `write_anchor` to complain of.
        if came == 0 or (0 < came < every and now - datetime.fromisoformat(standing.at) < ANCHOR_AFTER):
            return None
    try:
        return write_anchor(database, objects, now)
    except ObjectExists:  # another process has just done it
        return None


def read_anchor(objects: ObjectStore) -> Anchor | None:
    """The newest anchor, also one of the first form; None when none was written yet.

    Raises AuditBroken when it cannot be read.
    """
    number = _newest_number(objects)
    if number:
        return _read(objects, _anchor_key(number), process_keys())
    try:
        stored = json.loads(objects.get(FIRST_ANCHOR_KEY, max_bytes=10_000))
        return Anchor(int(stored["seq"]), str(stored["hash"]))
    except ObjectMissing:
        return None
    except (ValueError, KeyError, TypeError):
        raise AuditBroken(f"the anchor at {FIRST_ANCHOR_KEY} is not readable") from None


def _anchor_key(number: int) -> str:
    return f"{ANCHORS}{number:08d}.json"


def _newest_number(objects: ObjectStore) -> int:
    """The number of the newest anchor, 0 without any; from the one last seen upwards."""
    number = _NUMBERS.get(objects.bucket, 0)
    if not number or not objects.exists(_anchor_key(number)):
        number = max((_number(key) for key in objects.keys(ANCHORS)), default=0)
    while objects.exists(_anchor_key(number + 1)):
        number += 1
    _NUMBERS[objects.bucket] = number
    return number


def _number(key: str) -> int:
    digits = key.removeprefix(ANCHORS).removesuffix(".json")
    return int(digits) if digits.isdecimal() else 0


def _read(objects: ObjectStore, key: str, ring: Keyring) -> Anchor:
    try:
        anchor = Anchor.read(objects.get(key, max_bytes=10_000))
        good = ring.verifies(anchor.signed_part, bytes.fromhex(anchor.signature), anchor.key)
        right = anchor.number == _number(key) and isinstance(anchor.seq, int)
    except (ObjectMissing, ValueError, KeyError, TypeError, AttributeError):
        raise AuditBroken(f"the anchor at {key} is missing or not readable") from None
    if not good or not right:
        raise AuditBroken(f"the anchor at {key} is not one of ours, or its key is not known here")
    return anchor


def whole_anchors(objects: ObjectStore, ring: Keyring) -> tuple[list[Anchor], str]:
    """The anchors from the first as far as they are good, and what is wrong behind them."""
    found: list[Anchor] = []
    ever = {one.key for one in objects.versions(ANCHORS)}  # one that was deleted is missing, also the newest
    newest = max((_number(key) for key in ever.union(objects.keys(ANCHORS))), default=0)
    if not newest:
        return [], "there is no anchor: nothing proves that the log was not cut or begun anew"
    for number in range(1, newest + 1):
        try:
            anchor = _read(objects, _anchor_key(number), ring)
        except AuditBroken as broken:
            return found, str(broken)
        before = found[-1] if found else None
        if anchor.previous != (before.signature if before else GENESIS):
            return found, f"the anchor at {_anchor_key(number)} does not follow from the one before"
        if before is not None and anchor.seq < before.seq and anchor.restored is None:
            return found, f"the anchor at {_anchor_key(number)} lies before the one before"
        found.append(anchor)
    return found, ""


def overwritten_anchors(objects: ObjectStore, ring: Keyring) -> list[Anchor]:
    """Anchors of ours in whose place something else stands, in a bucket that keeps versions.

    Somebody who takes database and bucket back to an older state hides them by deleting them, which a lock
    does not keep them from; then the log goes on, and anchors of the same numbers are written. What they say
    stays true.
    """
    found = []
    for one in objects.versions(ANCHORS):
        if one.newest or one.deletion:
            continue
        try:
            anchor = Anchor.read(objects.get_version(one, max_bytes=10_000))
            good = ring.verifies(anchor.signed_part, bytes.fromhex(anchor.signature), anchor.key)
        except (ObjectTooLarge, ValueError, KeyError, TypeError, AttributeError):
            continue  # nothing that we wrote
        if good and anchor.number == _number(one.key) and isinstance(anchor.seq, int):
            found.append(anchor)
    return found


def newest_unkeyed(database: Database) -> int:
    """The newest row of the first form, without a key; 0 where there is none."""
    first = database.audit.find_one({"key": {"$exists": True}}, {"seq": 1}, sort=[("seq", ASCENDING)])
    return int(first["seq"]) - 1 if first else chain_tail(database).seq
