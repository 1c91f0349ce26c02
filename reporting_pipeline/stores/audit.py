"""The audit log: append-only, chained with a key, held by anchors outside the database.

Each row holds the hash of the row before it and its own: an HMAC over canonical JSON of everything else,
with a key that no store holds (`key` names it). So an edit, a deletion, an insertion or a swap breaks the
chain at the first row concerned, and whoever has the database alone cannot compute it anew. A tail that
is cut off leaves a chain that is whole. Two things know how far it went:

- `audit_heads`: the newest row, signed, written with every append.
- `audit/anchors/` in S3: the newest row at some time, from the first row on; signed, each with the hash
  of the one before, written once and never over (locked where the bucket locks objects).

What is missing there is a failure, never an empty beginning. Rows and an anchor of the first form
(SHA-256 without a key, `audit/anchor.json`) stand up to the row that the first anchor names.

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
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from itertools import islice
from threading import Lock
from typing import Any
from uuid import uuid4

from pymongo import ASCENDING, DESCENDING
from pymongo.errors import BulkWriteError, DuplicateKeyError

from reporting_pipeline.domain.keyring import Keyring
from reporting_pipeline.settings import Settings, current_settings
from reporting_pipeline.stores.index_pages import IndexPages
from reporting_pipeline.stores.mongo import DUPLICATE_KEY, Database, Record
from reporting_pipeline.stores.objects import ObjectExists, ObjectMissing, ObjectStore

FIRST_ANCHOR_KEY = "audit/anchor.json"  # of the first form: one object, written over
ANCHORS = "audit/anchors/"
ANCHOR_EVERY = 1_000  # rows
ANCHOR_AFTER = timedelta(hours=1)  # when fewer rows came
ANCHORS_KEPT = timedelta(days=3_650)  # locked for so long where the bucket locks objects
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
_FIELDS = ("seq", "at", "organisation", "actor", "action", "subject", "details", "previous", "key")
_HEAD = "head"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:\-]{0,199}", re.ASCII)
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)


class Action(StrEnum):
    SUBSCRIPTION_CREATED = "subscription.created"
    SUBSCRIPTION_CHANGED = "subscription.changed"
    SUBSCRIPTION_PAUSED = "subscription.paused"
    SUBSCRIPTION_RESUMED = "subscription.resumed"
    SUBSCRIPTION_CONFIRMED = "subscription.confirmed"
    PREVIEW_SENT = "preview.sent"
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
    DELIVERY_REPEATED = "delivery.repeated"
    REPORT_HELD = "report.held"
    REPORT_RELEASED = "report.released"
    RELEASE_GIVEN = "release.given"  # of a held report, before it is sent
    RELEASE_REFUSED = "release.refused"
    DELIVERY_CHANGED = "delivery.changed"
    DOCUMENT_CREATED = "document.created"
    DOCUMENT_CORRECTED = "document.corrected"
    DOCUMENT_WITHDRAWN = "document.withdrawn"
    DOCUMENTS_IMPORTED = "documents.imported"
    TRIAL_CREATED = "trial.created"
    TRIAL_CHANGED = "trial.changed"
    TRIAL_CLOSED = "trial.closed"
    TRIAL_REOPENED = "trial.reopened"
    ORGANISATION_CREATED = "organisation.created"
    ORGANISATION_CHANGED = "organisation.changed"
    JOB_CANCELLED = "job.cancelled"
    LOGO_CHANGED = "organisation.logo_changed"
    ORGANISATION_CLOSED = "organisation.closed"
    USER_CREATED = "user.created"
    USER_CHANGED = "user.changed"
    USER_EXPORTED = "user.exported"
    USER_ERASED = "user.erased"
    REQUEUED = "requeued"
    DOCUMENT_DOWNLOADED = "document.downloaded"
    ACCESS_REFUSED = "access.refused"
    SIGNED_IN = "signed.in"
    SIGNED_OUT = "signed.out"
    ADDRESS_ASKED = "address.asked"
    ADDRESS_CONFIRMED = "address.confirmed"
    SUPPRESSION_LIFTED = "suppression.lifted"
    CHANNEL_RESUMED = "channel.resumed"
    AUDIT_EXPORTED = "audit.exported"
    AUDIT_VERIFIED = "audit.verified"
    RETENTION_DELETED = "retention.deleted"
    RECORDS_MENDED = "records.mended"
    BACKUP_TAKEN = "backup.taken"
    BACKUP_RESTORED = "backup.restored"
    HELD_DECIDED = "held.decided"  # after a restore: sent, or taken as sent
    DATABASE_MIGRATED = "database.migrated"
    BUCKET_RULES_WRITTEN = "bucket_rules.written"


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
    """A row that stood at some time. Those in S3 also have a number and what signs them."""

    seq: int
    hash: str
    number: int = 0
    at: str = ""  # ISO 8601, UTC
    previous: str = GENESIS  # the signature of the anchor before
    unkeyed: int = 0  # rows up to this one are of the first form
    key: str = ""
    signature: str = ""  # hex

    @property
    def signed_part(self) -> bytes:
        content = {name: value for name, value in self.__dict__.items() if name != "signature"}
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


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
            {"_id": _HEAD, "seq": {"$lt": newest.seq}},
            {"$set": {**head, "signature": ring.sign(_head_part(head)).hex()}},
            upsert=True,
        )


def _head_part(head: Mapping[str, Any]) -> bytes:
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


def named(identifier: str) -> str:
    """An id as the log takes it; one that it does not take (a trial's may hold blanks) by its hash."""
    return identifier if _ID.fullmatch(identifier) else f"sha256:{sha256(identifier.encode()).hexdigest()}"


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
    """Read the whole chain and name the first bad row. With `objects`, also hold it to its anchors.

    Streams: memory does not grow with the log, but with its anchors.
    """
    ring = process_keys()
    anchors: list[Anchor] = []
    if objects is not None:
        anchors, broken = _whole_anchors(objects, ring)
        if broken:
            first = anchors[-1].seq + 1 if anchors else 1
            return Verdict(False, 0, first, f"row {first}: {broken}")
    head, unfit = _head(database, ring)
    marks: dict[int, str] = {anchor.seq: anchor.hash for anchor in anchors}
    unkeyed = anchors[0].unkeyed if anchors else None
    expected, previous, keyed = 1, GENESIS, False
    for row in _rows(database):
        problem = _problem(row, expected, previous, ring, keyed, unkeyed)
        if problem is None and marks.get(expected, row["hash"]) != row["hash"]:
            problem = "the anchor has another hash"
        if problem is None and head is not None and head.seq == expected and head.hash != row["hash"]:
            problem = "the head has another hash"
        if problem is not None:
            return Verdict(False, expected - 1, expected, f"row {expected}: {problem}")
        keyed = keyed or "key" in row
        expected, previous = expected + 1, row["hash"]
    known = max([*marks, head.seq if head else 0])
    if known >= expected:
        reason = f"row {expected}: the tail is cut off; there were rows up to {known} at least"
        return Verdict(False, expected - 1, expected, reason)
    if unfit and (keyed or known):
        return Verdict(False, expected - 1, expected, f"row {expected}: {unfit}")
    return Verdict(True, expected - 1)


def write_anchor(database: Database, objects: ObjectStore, now: datetime) -> Anchor:
    """Anchor the newest row, once. Raises AuditBroken when the log does not hold what was anchored before."""
    ring = process_keys()
    standing = read_anchor(objects)
    if standing is not None and standing.seq:
        row = database.audit.find_one({"seq": standing.seq}, {"hash": 1})
        if row is None or row["hash"] != standing.hash:
            raise AuditBroken(f"row {standing.seq} is not the one that was anchored; `audit verify` says why")
    tail = chain_tail(database)
    first = standing is None or not standing.number
    fresh = Anchor(
        seq=tail.seq,
        hash=tail.hash,
        number=1 if standing is None else standing.number + 1,
        at=_milliseconds(now).isoformat(),
        previous=GENESIS if standing is None or not standing.number else standing.signature,
        unkeyed=_newest_unkeyed(database) if first or standing is None else standing.unkeyed,
        key=ring.current,
    )
    fresh = replace(fresh, signature=ring.sign(fresh.signed_part).hex())
    body = json.dumps(fresh.__dict__).encode()
    objects.put_once(_anchor_key(fresh.number), body, "application/json", now + ANCHORS_KEPT)
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


def row_hash(row: Mapping[str, Any], ring: Keyring | None = None) -> str:
    """HMAC-SHA256 (hex) over the canonical JSON of a row without its own hash, with the key it names.

    A row that names none is of the first form: SHA-256. KeyError for a key that is not known here.
    """
    content = {field: row[field] for field in _FIELDS if field in row}
    content["at"] = row["at"].astimezone(UTC).isoformat(timespec="milliseconds")
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    if "key" not in row:
        return sha256(text).hexdigest()
    return (ring or process_keys()).sign(text, row["key"]).hex()


# --- keys and anchors --------------------------------------------------------------------------

_RING: list[Keyring] = []
_NUMBERS: dict[str, int] = {}  # bucket -> the newest anchor that this process knows


def use_keys(ring: Keyring) -> None:
    """Chain with these keys from now on, instead of those of the process's settings."""
    _RING[:] = [ring]


def process_keys() -> Keyring:
    """The keys this process chains with; others are derived from them."""
    return _RING[0] if _RING else _keys_of_process()


@lru_cache(maxsize=1)
def _keys_of_process() -> Keyring:
    return audit_keys(current_settings())


def audit_keys(settings: Settings) -> Keyring:
    """The keys of a deployment's log: its own, or derived from those of its links."""
    if settings.audit_secret is not None:
        return Keyring.read(settings.audit_secret.get_secret_value())
    return Keyring.read(settings.link_secret.get_secret_value()).derived("audit")


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
        anchor = Anchor(**json.loads(objects.get(key, max_bytes=10_000)))
        good = ring.verifies(anchor.signed_part, bytes.fromhex(anchor.signature), anchor.key)
        right = anchor.number == _number(key) and isinstance(anchor.seq, int)
    except (ObjectMissing, ValueError, KeyError, TypeError):
        raise AuditBroken(f"the anchor at {key} is missing or not readable") from None
    if not good or not right:
        raise AuditBroken(f"the anchor at {key} is not one of ours, or its key is not known here")
    return anchor


def _whole_anchors(objects: ObjectStore, ring: Keyring) -> tuple[list[Anchor], str]:
    """The anchors from the first as far as they are good, and what is wrong behind them."""
    found: list[Anchor] = []
    newest = max((_number(key) for key in objects.keys(ANCHORS)), default=0)
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
        if before is not None and anchor.seq < before.seq:
            return found, f"the anchor at {_anchor_key(number)} lies before the one before"
        found.append(anchor)
    return found, ""


def _head(database: Database, ring: Keyring) -> tuple[Anchor | None, str]:
    """The head, and why it is not fit."""
    head = database.audit_heads.find_one({"_id": _HEAD})
    if head is None:
        return None, "the head of the log is missing"
    try:
        good = ring.verifies(_head_part(head), bytes.fromhex(head["signature"]), head["key"])
    except (ValueError, KeyError, TypeError):
        good = False
    if not good:
        return None, "the head of the log is not one of ours, or its key is not known here"
    return Anchor(head["seq"], head["hash"]), ""


def _newest_unkeyed(database: Database) -> int:
    first = database.audit.find_one({"key": {"$exists": True}}, {"seq": 1}, sort=[("seq", ASCENDING)])
    return int(first["seq"]) - 1 if first else chain_tail(database).seq


def _rows(database: Database) -> Iterator[Record]:
    with database.audit.find({}).sort("seq", ASCENDING).batch_size(BATCH) as cursor:
        yield from cursor


def _problem(
    row: Record, expected: int, previous: str, ring: Keyring, keyed: bool, unkeyed: int | None
) -> str | None:
    """What is wrong with a row. `keyed`: one before it had a key; `unkeyed`: the last that may have none."""
    if row.get("seq") != expected:
        return "it is missing"
    fields = {*_FIELDS, "hash", "_id"}
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
