"""Appending: each row with the hash of the one before, whoever else appends; the head tells how far."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from threading import Lock
from typing import Any

from pymongo import DESCENDING
from pymongo.errors import BulkWriteError, DuplicateKeyError

from reporting_pipeline.domain.keyring import Keyring
from reporting_pipeline.stores.audit.events import AuditAction, Event, checked, milliseconds
from reporting_pipeline.stores.audit.keys import process_keys
from reporting_pipeline.stores.mongo import DUPLICATE_KEY, Database, Record

BATCH = 1_000

GENESIS = "0" * 64


# Each lost race means that somebody else appended; so many in a row is a fault and not bad luck.
MAX_RACES = 10_000

KEPT_LOGS = 64

_TAIL = {"seq": 1, "hash": 1}


# Threads of one process take turns: without it most of their attempts are lost to each other. Whose turn
# it is appends for all that wait.
_TURN = Lock()

_WAITING: list[_Batch] = []

#: The newest row this process has seen of each log: nobody has to look before it again.
_SEEN: dict[Database, int] = {}

FIELDS = ("seq", "at", "organisation", "actor", "action", "subject", "details", "previous", "key")

HEAD = "head"


class _Batch:
    """The events of one call, waiting for their places."""

    def __init__(self, database: Database, events: Sequence[Record]) -> None:
        self.database = database
        self.rows = deque(events)  # not stored yet
        self.last = 0  # the seq of the newest one stored
        self.failure: Exception | None = None


class AuditBroken(RuntimeError):
    """The log does not continue from its anchor; nothing is anchored over that."""


@dataclass(frozen=True)
class Restored:
    """The log goes on from an older state of the database: who said so, and what is no longer in it."""

    by: str  # a user id, or "system" for the command line
    backup: str  # its name
    backup_at: str  # ISO 8601, UTC: what was written later was not in it
    kept: int  # rows that stood again
    gone_from: int  # the first row that is not in the log any more
    gone_to: int  # the last one known to have been; below `gone_from` where none is known
    follows: int  # number of the newest former anchor with which the log agrees; 0 for none

    @property
    def told(self) -> str:
        """For a person: what was restored by whom, and what is gone."""
        gone = (
            f"rows {self.gone_from} to {self.gone_to} at least, which came after it, are not in the log"
            if self.gone_to >= self.gone_from
            else "no row is known to be lost"
        )
        return f"the backup {self.backup} of {self.backup_at} was restored by {self.by}: {gone}"


@dataclass(frozen=True)
class Anchor:
    """A row that stood at some time. Those in S3 also have a number and what signs them."""

    seq: int
    hash: str
    number: int = 0
    at: str = ""  # ISO 8601, UTC
    previous: str = GENESIS  # the signature of the anchor before
    unkeyed: int = 0  # rows up to this one are of the first form
    key: str = ""
    signature: str = ""  # hex
    restored: Restored | None = None  # from here on the log goes on from an older state

    @classmethod
    def read(cls, body: bytes) -> Anchor:
        """The anchor that an object holds. Raises ValueError or TypeError for what is none."""
        content = json.loads(body)
        restored = content.pop("restored", None)
        return cls(**content, restored=Restored(**restored) if restored is not None else None)

    @property
    def body(self) -> bytes:
        return json.dumps(self._content()).encode()

    @property
    def signed_part(self) -> bytes:
        content = {name: value for name, value in self._content().items() if name != "signature"}
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()

    def _content(self) -> dict[str, Any]:
        """Without what is not said: an anchor of before there were restored ones is signed as it was."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def record(
    database: Database,
    action: AuditAction | str,
    actor: str,
    subject: str,
    now: datetime,
    *,
    organisation: str,
    details: Mapping[str, Any] | None = None,
) -> int:
    """Append one event; returns its seq. ValueError for an unknown action or details not fit to keep."""
    return record_many(database, [Event(action, actor, subject, organisation, details)], now)


def record_many(database: Database, events: Sequence[Event], now: datetime) -> int:
    """Append events in their order; returns the seq of the last (0 for no events).

    Safe beside other appenders: the unique index on `seq` lets one of two have a place, the other
    takes up the chain behind it. Their rows may then stand between these.
    """
    at = milliseconds(now)
    mine = _Batch(database, [checked(event, at) for event in events])
    if not mine.rows:
        return 0
    _WAITING.append(mine)
    with _TURN:
        if mine in _WAITING:  # nobody appended it while we waited for the turn
            _append_waiting(database, mine)
    if mine.failure is not None:
        raise mine.failure
    return mine.last


def _append_waiting(database: Database, first: _Batch) -> None:
    """Append a batch, and with it those that wait for the same log."""
    group = [first, *(batch for batch in list(_WAITING) if batch.database == database and batch is not first)]
    while sum(len(batch.rows) for batch in group) > BATCH and len(group) > 1:
        group.pop()
    for batch in group:
        _WAITING.remove(batch)
    try:
        for _ in range(MAX_RACES):
            _append(database, group)
            if not any(batch.rows for batch in group):
                return
        raise AuditBroken(f"{MAX_RACES} times in a row another appender was faster")
    except BaseException as failure:
        # What a failed request of the server has stored nobody knows: all of them hear of it.
        for batch in group:
            if batch.rows:
                batch.failure = AuditBroken("the log could not be appended to")
                batch.failure.__cause__ = failure
        if first.rows or not isinstance(failure, Exception):
            raise


def _append(database: Database, group: Sequence[_Batch]) -> None:
    """Append up to BATCH rows, and take those that were stored (all, or those before a lost race) away."""
    tail, ring = chain_tail(database), process_keys()
    rows = []
    for event in islice((event for batch in group for event in batch.rows), BATCH):
        row = {**event, "seq": tail.seq + 1, "previous": tail.hash, "key": ring.current}
        row["hash"] = row_hash(row, ring)
        rows.append(row)
        tail = Anchor(row["seq"], row["hash"])
    stored = _insert(database, rows)
    if stored:
        _move_head(database, Anchor(rows[stored - 1]["seq"], rows[stored - 1]["hash"]), ring)
    for row in rows[:stored]:
        batch = next(batch for batch in group if batch.rows)
        batch.rows.popleft()
        batch.last = row["seq"]


def _insert(database: Database, rows: Sequence[Record]) -> int:
    """How many of `rows` were stored: all, or those before a lost race."""
    try:
        # Ordered: after the first row that lost its place none follows, so no gap can come about.
        database.audit.insert_many(rows, ordered=True)
    except BulkWriteError as error:
        if any(problem["code"] != DUPLICATE_KEY for problem in error.details["writeErrors"]):
            raise
        return int(error.details["nInserted"])
    except DuplicateKeyError:
        return 0
    return len(rows)


def _move_head(database: Database, newest: Anchor, ring: Keyring) -> None:
    """Note how far the log goes. A head that another appender moved further stays."""
    head = {"seq": newest.seq, "hash": newest.hash, "key": ring.current}
    with suppress(DuplicateKeyError):
        database.audit_heads.update_one(
            {"_id": HEAD, "seq": {"$lt": newest.seq}},
            {"$set": {**head, "signature": ring.sign(head_part(head)).hex()}},
            upsert=True,
        )


def set_head(database: Database, newest: Anchor) -> None:
    """Note how far a restored log goes, also where its head was of a later moment than its rows."""
    ring = process_keys()
    head = {"seq": newest.seq, "hash": newest.hash, "key": ring.current}
    signed = {"_id": HEAD, **head, "signature": ring.sign(head_part(head)).hex()}
    database.audit_heads.replace_one({"_id": HEAD}, signed, upsert=True)


def head_part(head: Mapping[str, Any]) -> bytes:
    return f"head|{head['seq']}|{head['hash']}|{head['key']}".encode()


def chain_tail(database: Database) -> Anchor:
    """The newest row's seq and hash; (0, GENESIS) of an empty log."""
    newest: Record | None = None
    if since := _SEEN.get(database, 0):
        # A range: some servers read a whole collection for the last row of an index.
        newest = database.audit.find_one({"seq": {"$gte": since}}, _TAIL, sort=[("seq", DESCENDING)])
    if newest is None:
        newest = database.audit.find_one({}, _TAIL, sort=[("seq", DESCENDING)])
    if newest is None:
        _SEEN.pop(database, None)
        return Anchor(0, GENESIS)
    if database not in _SEEN and len(_SEEN) >= KEPT_LOGS:
        _SEEN.clear()
    _SEEN[database] = newest["seq"]
    return Anchor(newest["seq"], newest["hash"])


def row_hash(row: Mapping[str, Any], ring: Keyring | None = None) -> str:
    """HMAC-SHA256 (hex) over the canonical JSON of a row without its own hash, with the key it names.

    A row that names none is of the first form: SHA-256. KeyError for a key that is not known here.
    """
    content = {field: row[field] for field in FIELDS if field in row}
    content["at"] = row["at"].astimezone(UTC).isoformat(timespec="milliseconds")
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    if "key" not in row:
        return sha256(text).hexdigest()
    return (ring or process_keys()).sign(text, row["key"]).hex()
