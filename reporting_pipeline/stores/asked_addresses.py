"""An address that a user shall have, and that its owner has not confirmed yet: `users.email_asked`.

{address, digest, asked_at, expires_at, by}. `digest` is of the word that the link to the new address holds:
who reads the database confirms nothing. There is one a user; asking for another forgets the one before.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

from pymongo.errors import DuplicateKeyError

from reporting_pipeline.domain.access import User
from reporting_pipeline.stores.mongo import Database, Record


class AddressMeanwhileTaken(ValueError):
    """Another user of the organisation got this address while it waited to be confirmed."""


def ask(
    database: Database, user: User, address: str, word: str, by: str, now: datetime, until: datetime
) -> None:
    """Keep that `user` shall have `address` (normal spelling) once whoever knows `word` says so."""
    asked = {"address": address, "digest": _digest(word), "asked_at": now, "expires_at": until, "by": by}
    database.users.update_one(
        {"_id": user.id, "organisation": user.organisation, "erased_at": {"$exists": False}},
        {"$set": {"email_asked": asked, "updated_at": now}},
    )


def withdraw(database: Database, user: User, now: datetime, word: str | None = None) -> bool:
    """Ask no more; with `word` only what was asked by it. Whether anything was asked."""
    asked: Record = {"email_asked": {"$exists": True}}
    if word is not None:
        asked = {"email_asked.digest": _digest(word)}
    changed = database.users.update_one(
        {"_id": user.id, "organisation": user.organisation, **asked},
        {"$unset": {"email_asked": ""}, "$set": {"updated_at": now}},
    )
    return changed.modified_count == 1


def standing(database: Database, user_id: str, word: str, now: datetime) -> Record | None:
    """The record of the active user of whom `word` would confirm an address; None for everything else."""
    return database.users.find_one({"_id": user_id, **_asked(word, now)})


def confirm(database: Database, record: Record, word: str, now: datetime) -> bool:
    """Give the user of `standing` the address, once. False when it is not asked any more.

    Raises AddressMeanwhileTaken.
    """
    address = record["email_asked"]["address"]
    try:
        changed = database.users.update_one(
            {"_id": record["_id"], "email": record["email"], **_asked(word, now)},
            {
                "$set": {"email": address, "updated_at": now},
                "$addToSet": {"former_emails": record["email"]},
                "$unset": {"email_asked": ""},
            },
        )
    except DuplicateKeyError:
        raise AddressMeanwhileTaken("another user of this organisation has this address") from None
    return changed.modified_count == 1


def _asked(word: str, now: datetime) -> Record:
    return {
        "active": True,
        "erased_at": {"$exists": False},
        "email_asked.digest": _digest(word),
        "email_asked.expires_at": {"$gt": now},
    }


def _digest(word: str) -> str:
    return sha256(word.encode()).hexdigest()
