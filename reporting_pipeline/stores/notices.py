"""What was told beside reports: one record a notice, claimed before it is sent.

A notice belongs to an edition and to somebody, an owner or an organisation; its id is made of both, so
it is claimed once. A claim can be lost with its worker, it cannot come twice.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum

from pymongo.errors import DuplicateKeyError

from reporting_pipeline.domain.deliveries import Outcome
from reporting_pipeline.stores.mongo import Database, Record, find_any


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


def notice_id(edition: str, whose: str) -> str:
    """The id of the record of a notice."""
    return f"{edition}|{whose}"


def untold(database: Database, notice: Notice, edition: str, candidates: Collection[str]) -> list[str]:
    """Those of `candidates` that nobody has claimed the notice of, sorted."""
    ids = {notice_id(edition, whose): whose for whose in candidates}
    told = {row["_id"] for row in find_any(database[notice.value], "_id", ids, None, {"_id": 1})}
    return sorted(whose for identifier, whose in ids.items() if identifier not in told)


def claim(database: Database, notice: Notice, edition: str, whose: str, count: int, now: datetime) -> bool:
    """True for the one caller that may send this notice of `count` reports."""
    identifier = notice_id(edition, whose)
    record = {"_id": identifier, "reports": count, "at": now, "outcome": Told.CLAIMED.value}
    try:
        database[notice.value].insert_one(record)
    except DuplicateKeyError:
        return False
    return True


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
