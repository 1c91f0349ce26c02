"""The audit log: append-only, hash-chained, checked against an anchor outside the database.

Each row holds the hash of the row before it and its own, over canonical JSON of everything else, so
an edit, a deletion, an insertion or a swap breaks the chain at the first row concerned. A tail that
is cut off leaves a chain that is whole; the anchor in S3 (`audit/anchor.json`: seq and hash of a row
at some time) catches that, and a chain that was computed anew from an edited row on.

One row per event, also for bulk events: a batch is hashed in one go and inserted with a few requests
(10,000 rendered reports: 10), and "what happened to this report" stays one look-up.

Rows cannot be changed, so they hold no personal data: people are their ids, addresses are marks
(`address_mark`). Erasing a person removes the record that the id or mark points to and leaves the
chain valid. Details that look like an address are refused.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from itertools import islice
from threading import Lock
from typing import Any
from uuid import uuid4

from pymongo import ASCENDING, DESCENDING
from pymongo.errors import BulkWriteError, DuplicateKeyError

from reporting_pipeline.stores.index_pages import IndexPages
from reporting_pipeline.stores.mongo import DUPLICATE_KEY, Database, Record
from reporting_pipeline.stores.objects import ObjectMissing, ObjectStore

ANCHOR_KEY = "audit/anchor.json"
ANCHOR_EVERY = 1_000  # rows
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
_PAGES = IndexPages()
_FIELDS = ("seq", "at", "organisation", "actor", "action", "subject", "details", "previous")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:\-]{0,199}", re.ASCII)
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)


class Action(StrEnum):
    SUBSCRIPTION_CREATED = "subscription.created"
    SUBSCRIPTION_CHANGED = "subscription.changed"
    SUBSCRIPTION_PAUSED = "subscription.paused"
    SUBSCRIPTION_RESUMED = "subscription.resumed"
    SUBSCRIPTION_DELETED = "subscription.deleted"
    SUBSCRIPTION_RUN = "subscription.run"
    RECIPIENT_ADDED = "recipient.added"
    RECIPIENT_REMOVED = "recipient.removed"
    EDITION_OPENED = "edition.opened"
    EDITION_CHANGED = "edition.changed"
    EDITION_SENT = "edition.sent"
    REPORT_RENDERED = "report.rendered"
    REPORT_FAILED = "report.failed"
    REPORT_DOWNLOADED = "report.downloaded"
    DELIVERY_ADDED = "delivery.added"
    REPORT_HELD = "report.held"
    REPORT_RELEASED = "report.released"
    DELIVERY_CHANGED = "delivery.changed"
    DOCUMENT_CREATED = "document.created"
    DOCUMENT_CORRECTED = "document.corrected"
    DOCUMENT_WITHDRAWN = "document.withdrawn"
    TRIAL_CREATED = "trial.created"
    TRIAL_CHANGED = "trial.changed"
    TRIAL_CLOSED = "trial.closed"
    TRIAL_REOPENED = "trial.reopened"
    ORGANISATION_CREATED = "organisation.created"
    ORGANISATION_CHANGED = "organisation.changed"
    USER_CREATED = "user.created"
    USER_CHANGED = "user.changed"
    USER_EXPORTED = "user.exported"
    USER_ERASED = "user.erased"
    REQUEUED = "requeued"
    SIGNED_IN = "signed.in"


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
class Event:
    """What is to be noted. Ids only: no name and no address."""

    action: Action | str
    actor: str  # a user id, "schedule", "system", or an address mark
    subject: str  # the id of what it happened to
    organisation: str
    details: Mapping[str, Any] | None = None  # JSON values


@dataclass(frozen=True)
class Anchor:
    seq: int
    hash: str


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check. `first_bad` is the seq of the first row that is wrong or missing."""

    ok: bool
    rows: int  # read until the check ended
    first_bad: int | None = None
    reason: str = ""


# --- appending ---------------------------------------------------------------------------------


def record(
    database: Database,
    action: Action | str,
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
    at = _milliseconds(now)
    mine = _Batch(database, [_checked(event, at) for event in events])
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
    tail = chain_tail(database)
    rows = []
    for event in islice((event for batch in group for event in batch.rows), BATCH):
        row = {**event, "seq": tail.seq + 1, "previous": tail.hash}
        row["hash"] = row_hash(row)
        rows.append(row)
        tail = Anchor(row["seq"], row["hash"])
    stored = _insert(database, rows)
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


def address_mark(database: Database, organisation: str, address: str) -> str:
    """A random mark that stands for an address in the log: the same each time, until it is erased."""
    found = database.address_marks.find_one({"organisation": organisation, "address": address})
    if found is None:
        fresh = {"_id": f"adr_{uuid4().hex[:24]}", "organisation": organisation, "address": address}
        try:
            database.address_marks.insert_one(fresh)
        except DuplicateKeyError:
            return address_mark(database, organisation, address)
        found = fresh
    return str(found["_id"])


# --- reading -----------------------------------------------------------------------------------


def events_of(
    database: Database,
    organisation: str,
    *,
    action: Action | str | None = None,
    actor: str | None = None,
    subject: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Record]:
    """Rows of an organisation, newest first; `before` is the seq of the last one already read."""
    filters: Record = {"organisation": organisation}
    if action is not None:
        filters["action"] = str(Action(action))
    if actor is not None:
        filters["actor"] = actor
    if subject is not None:  # few have the same
        query = {"subject": subject, **filters, **({"seq": {"$lt": before}} if before is not None else {})}
        return list(database.audit.find(query, {"_id": 0}).sort("seq", DESCENDING).limit(limit))
    return _newest(database, filters, chain_tail(database).seq + 1, before, limit)


def _newest(database: Database, filters: Record, end: int, before: int | None, limit: int) -> list[Record]:
    """By pages of `seq`, counted down from `end`."""

    def read(low: int, high: int | None, most: int) -> list[Record]:
        bounds = {"$lt": end - low} | ({"$gte": end - high} if high is not None else {})
        # The range first: some servers look only the first condition up that has an index.
        query = {"seq": bounds, **filters}
        return list(database.audit.find(query, {"_id": 0}).sort("seq", DESCENDING).limit(most))

    start = max(0, end - before) if before is not None else 0
    name = (database.name, *filters.items())
    return _PAGES.page(name, read, lambda row: end - row["seq"], start=start, end=end, limit=limit)


# --- checking ----------------------------------------------------------------------------------


def verify(database: Database, objects: ObjectStore | None = None) -> Verdict:
    """Read the whole chain and name the first bad row. With `objects`, also hold it to its anchor.

    Streams: memory does not grow with the log.
    """
    anchor = read_anchor(objects) if objects is not None else None
    expected, previous = 1, GENESIS
    for row in _rows(database):
        problem = _problem(row, expected, previous)
        if problem is None and anchor is not None and row["seq"] == anchor.seq:
            problem = "the anchor has another hash" if row["hash"] != anchor.hash else None
        if problem is not None:
            return Verdict(False, expected - 1, expected, f"row {expected}: {problem}")
        expected, previous = expected + 1, row["hash"]
    if anchor is not None and anchor.seq >= expected:
        reason = f"row {expected}: the tail is cut off; the anchor knows rows up to {anchor.seq}"
        return Verdict(False, expected - 1, expected, reason)
    return Verdict(True, expected - 1)


def write_anchor(database: Database, objects: ObjectStore) -> Anchor:
    """Anchor the newest row. Raises AuditBroken when the log does not hold the anchored row any more."""
    standing = read_anchor(objects)
    if standing is not None and standing.seq:
        row = database.audit.find_one({"seq": standing.seq}, {"hash": 1})
        if row is None or row["hash"] != standing.hash:
            raise AuditBroken(f"row {standing.seq} is not the one that was anchored; run the verifier")
    tail = chain_tail(database)
    objects.put(ANCHOR_KEY, json.dumps({"seq": tail.seq, "hash": tail.hash}).encode(), "application/json")
    return tail


def anchor_when_due(database: Database, objects: ObjectStore, every: int = ANCHOR_EVERY) -> Anchor | None:
    """Anchor the newest row when `every` rows came since the last anchor; None when not due."""
    standing = read_anchor(objects)
    if chain_tail(database).seq - (standing.seq if standing else 0) < every:
        return None
    return write_anchor(database, objects)


def read_anchor(objects: ObjectStore) -> Anchor | None:
    """The anchor, None when none was written yet. AuditBroken when it cannot be read."""
    try:
        stored = json.loads(objects.get(ANCHOR_KEY, max_bytes=10_000))
        return Anchor(int(stored["seq"]), str(stored["hash"]))
    except ObjectMissing:
        return None
    except (ValueError, KeyError, TypeError):
        raise AuditBroken(f"the anchor at {ANCHOR_KEY} is not readable") from None


def row_hash(row: Mapping[str, Any]) -> str:
    """SHA-256 (hex) over the canonical JSON of a row without its own hash."""
    content = {field: row[field] for field in _FIELDS}
    content["at"] = row["at"].astimezone(UTC).isoformat(timespec="milliseconds")
    return sha256(
        json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    ).hexdigest()


def _rows(database: Database) -> Iterator[Record]:
    with database.audit.find({}).sort("seq", ASCENDING).batch_size(BATCH) as cursor:
        yield from cursor


def _problem(row: Record, expected: int, previous: str) -> str | None:
    if row.get("seq") != expected:
        return "it is missing"
    if set(row) != {*_FIELDS, "hash", "_id"}:
        return "it has other fields than it was written with"
    if row["previous"] != previous:
        return "it does not follow from the row before"
    try:
        computed = row_hash(row)
    except (ValueError, TypeError, AttributeError):
        return "its content cannot be hashed"
    return None if computed == row["hash"] else "its content is not what was written"


# --- what may be kept --------------------------------------------------------------------------


def _checked(event: Event, at: datetime) -> Record:
    for name, value in (
        ("actor", event.actor),
        ("subject", event.subject),
        ("organisation", event.organisation),
    ):
        if not _ID.fullmatch(value):
            raise ValueError(f"the audit's {name} must be an id, not a name or an address")
    details = dict(event.details or {})
    try:
        plain = json.loads(json.dumps(details, allow_nan=False))
    except (TypeError, ValueError):
        raise ValueError("audit details must be plain JSON values") from None
    for key, value in _leaves(plain):
        if not _KEY.fullmatch(key):
            raise ValueError("audit details have a key that is no plain word")
        if isinstance(value, str) and "@" in value:
            raise ValueError(f"audit details must not hold an address ({key}); use address_mark")
    return {
        "at": at,
        "organisation": event.organisation,
        "actor": event.actor,
        "action": str(Action(event.action)),
        "subject": event.subject,
        "details": plain,
    }


def _leaves(value: Any, key: str = "details") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name, None
            yield from _leaves(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, key)
    else:
        yield key, value


def _milliseconds(instant: datetime) -> datetime:
    """As MongoDB will give it back, so that the hash can be computed again."""
    return instant.astimezone(UTC).replace(microsecond=instant.microsecond // 1000 * 1000)
