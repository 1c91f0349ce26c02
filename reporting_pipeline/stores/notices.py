"""What was told beside reports: one record a notice, claimed before it is sent.

A notice belongs to an edition and to somebody, an owner or an organisation; its id is made of both, so
it is claimed once. A claim can be lost with its worker, it cannot come twice. After the restore of an older
backup, what may have been told before awaits a release by a person, as deliveries do (`stores.restores`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from enum import StrEnum

from pymongo.errors import DuplicateKeyError

from reporting_pipeline.domain.deliveries import Outcome
from reporting_pipeline.stores.mongo import Database, Record, find_any
from reporting_pipeline.stores.restores import restore_after


class Notice(StrEnum):
    """The notices there are; the value is the collection of what was told."""

    FAILURES = "failure_notices"  # to an owner: what could not be made or delivered
    CONFIRMATIONS = "confirmation_notices"  # to an owner: who still needs it, and what is paused
    RIGHTS = "rights_notices"  # to an organisation: what withdrawn rights held back


class Told(StrEnum):
    """How far a claimed notice came."""

    CLAIMED = "claimed"  # and no more is known: its worker ended before it was sent
    SENT = "sent"  # handed to the mail channel; `notices` says what that answered
    NOBODY = "nobody"  # there was no address that it could go to
    AWAITING_RELEASE = "awaiting_release"  # it may have been sent before the database was restored
    RELEASED = "released"  # it was not: whoever claims it next sends it
    BEFORE_RESTORE = "before_restore"  # it was


def notice_id(edition: str, whose: str) -> str:
    """The id of the record of a notice."""
    return f"{edition}|{whose}"


def untold(database: Database, notice: Notice, edition: str, candidates: Collection[str]) -> list[str]:
    """Those of `candidates` that nobody has claimed the notice of, sorted."""
    ids = {notice_id(edition, whose): whose for whose in candidates}
    claimed: Record = {"outcome": {"$ne": Told.RELEASED.value}}
    told = {row["_id"] for row in find_any(database[notice.value], "_id", ids, claimed, {"_id": 1})}
    return sorted(whose for identifier, whose in ids.items() if identifier not in told)


def claim(database: Database, notice: Notice, edition: str, whose: str, count: int, now: datetime) -> bool:
    """True for the one caller that may send this notice of `count` reports."""
    identifier = notice_id(edition, whose)
    record = {"_id": identifier, "reports": count, "at": now, "outcome": Told.CLAIMED.value}
    try:
        database[notice.value].insert_one(record)
    except DuplicateKeyError:
        released = {"_id": identifier, "outcome": Told.RELEASED.value}
        return database[notice.value].update_one(released, {"$set": record}).modified_count == 1
    return True


def held_by_a_restore(
    database: Database,
    notice: Notice,
    edition: str,
    whose: str,
    count: int,
    due_at: datetime,
    now: datetime,
) -> bool:
    """Whether this notice may have been sent before a restore, and awaits a release from here on.

    `due_at`: when the last of what it tells of was due. False, too, once a person has decided over it.
    """
    restore = restore_after(database, due_at)
    if restore is None:
        return False
    identifier = notice_id(edition, whose)
    record = {"_id": identifier, "edition": edition, "whose": whose, "reports": count, "at": now}
    held = {"outcome": Told.AWAITING_RELEASE.value, "awaiting_release_after": restore}
    with suppress(DuplicateKeyError):
        database[notice.value].insert_one(record | held)
    return _outcome(database, notice, identifier) == Told.AWAITING_RELEASE


def was_sent_before_a_restore(database: Database, notice: Notice, edition: str, whose: str) -> bool:
    """Whether a person said so of a notice that awaited a release."""
    return _outcome(database, notice, notice_id(edition, whose)) == Told.BEFORE_RESTORE


def _outcome(database: Database, notice: Notice, identifier: str) -> str | None:
    return (database[notice.value].find_one({"_id": identifier}, {"outcome": 1}) or {}).get("outcome")


def notices_awaiting_release(database: Database) -> Iterator[tuple[Notice, str, str]]:
    """(which notice, its edition, whose) of what awaits a release after a restore."""
    for notice in Notice:
        for row in database[notice.value].find(_AWAITING).sort("_id", 1):
            yield notice, row["edition"], row["whose"]


def release_notices(database: Database, *, send: bool, edition: str | None) -> int:
    """Decide over what awaits a release (of one edition, or all): send it, or take it as sent before.

    Returns how many. What is to be sent goes with the next delivery run or night that would tell it.
    """
    query = _AWAITING if edition is None else _AWAITING | {"edition": edition}
    outcome = Told.RELEASED if send else Told.BEFORE_RESTORE
    change = {"$set": {"outcome": outcome.value}}
    return sum(database[notice.value].update_many(query, change).modified_count for notice in Notice)


_AWAITING: Record = {"outcome": Told.AWAITING_RELEASE.value}


def was_accepted(database: Database, notice: Notice, edition: str, whose: str) -> bool:
    """Whether the mail channel took the notice for one person at least."""
    told = database[notice.value].find_one({"_id": notice_id(edition, whose)}, {"notices": 1}) or {}
    return any(one.get("outcome") == Outcome.ACCEPTED.value for one in told.get("notices") or ())


def note_told(
    database: Database, notice: Notice, edition: str, whose: str, told: Told, answers: Sequence[Record]
) -> None:
    """What became of a claimed notice; `answers` has one record a person it went to."""
    database[notice.value].update_one(
        {"_id": notice_id(edition, whose)}, {"$set": {"outcome": told.value, "notices": list(answers)}}
    )
