"""The `console_sessions` collection: who is signed in to the console, so that a session can be ended.

A session is named by the hash of a random token that only the browser holds: who reads the database
cannot take one over. Two limits end it without anybody's doing: time without a request (IDLE), and
time since signing in (LONGEST).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from reporting_pipeline.stores.mongo import Database, Record, find_any

IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=12)
#: The last use is written at most so often: a page is one read, and now and then one write.
TOUCHED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class ConsoleSession:
    """One sign-in of one person in one browser."""

    id: str  # the hash of its token
    user: str
    csrf: str  # what every form of this session has to send back
    signed_in_at: datetime  # when the session began
    authenticated_at: datetime | None  # when the person proved who they are; None where nobody knows
    seen_at: datetime

    def ends_at(self) -> datetime:
        """When it ends if nothing more is asked for."""
        return min(self.seen_at + IDLE, self.signed_in_at + LONGEST)


def begin_session(
    database: Database, user: str, now: datetime, authenticated_at: datetime | None = None
) -> str:
    """Record a sign-in, and when its person proved who they are.

    Returns the token for the browser; it is kept nowhere else.
    """
    token = secrets.token_urlsafe(32)
    database.console_sessions.insert_one(
        {
            "_id": _hashed(token),
            "user": user,
            "csrf": secrets.token_urlsafe(24),
            "signed_in_at": now,
            "authenticated_at": authenticated_at,
            "seen_at": now,
            "expires_at": now + LONGEST,
        }
    )
    return token


def session_of(database: Database, token: str, now: datetime, *, used: bool = True) -> ConsoleSession | None:
    """The session of a token while it is good; that it is `used` is noted."""
    record = database.console_sessions.find_one({"_id": _hashed(token)})
    if record is None:
        return None
    session = _from_record(record)
    if now >= session.ends_at():
        database.console_sessions.delete_one({"_id": session.id})
        return None
    if used and now - session.seen_at >= TOUCHED_EVERY:
        database.console_sessions.update_one({"_id": session.id}, {"$set": {"seen_at": now}})
    return session


def open_among(database: Database, ids: Iterable[str], now: datetime) -> set[str]:
    """Those of some sessions, by id, that have not ended."""
    found = (_from_record(record) for record in find_any(database.console_sessions, "_id", sorted(set(ids))))
    return {one.id for one in found if now < one.ends_at()}


def end_session(database: Database, session_id: str) -> None:
    database.console_sessions.delete_one({"_id": session_id})


def end_sessions_of(database: Database, user: str) -> int:
    """Sign a person out everywhere. Returns how many sessions ended."""
    return database.console_sessions.delete_many({"user": user}).deleted_count


def _hashed(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _from_record(record: Record) -> ConsoleSession:
    return ConsoleSession(
        id=record["_id"],
        user=record["user"],
        csrf=record["csrf"],
        signed_in_at=record["signed_in_at"],
        authenticated_at=record.get("authenticated_at"),
        seen_at=record["seen_at"],
    )


# --- sign-ins under way ------------------------------------------------------------------------

SIGN_IN_WITHIN = timedelta(minutes=10)


def begin_sign_in(database: Database, attempt: Record, now: datetime) -> str:
    """Keep what a sign-in has to prove. Returns the token for the browser."""
    token = secrets.token_urlsafe(32)
    database.console_sign_ins.insert_one(
        {"_id": _hashed(token), "attempt": attempt, "expires_at": now + SIGN_IN_WITHIN}
    )
    return token


def take_sign_in(database: Database, token: str, now: datetime) -> Record | None:
    """What was kept, once: a second use finds nothing."""
    record = database.console_sign_ins.find_one_and_delete({"_id": _hashed(token)})
    if record is None or now >= record["expires_at"]:
        return None
    attempt: Record = record["attempt"]
    return attempt
