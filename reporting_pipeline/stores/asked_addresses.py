"""An address that a user shall have, and that its owner has not confirmed yet: `users.email_asked`.

{address, digest, asked_at, expires_at, by}. `digest` is of the word that the link to the new address holds:
who reads the database confirms nothing. There is one a user; asking for another forgets the one before.

Confirmed, it is the user's address at once, and `users.email_confirmed` stands until all that follows is
done: {before, address, digest, expires_at, by, lease_until}, and `told` once the former address was written
to. One at a time does what follows, for a lease; who ends in it leaves the rest to whoever looks then.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from hashlib import sha256

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from reporting_pipeline.domain.access import User
from reporting_pipeline.stores.mongo import Database, Record

#: So long whoever does what follows from a confirmation has it for itself.
LEASE = timedelta(minutes=5)


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


def record_of(database: Database, user_id: str) -> Record | None:
    """The user's record as it is now."""
    return database.users.find_one({"_id": user_id})


def confirm(database: Database, record: Record, word: str, now: datetime) -> bool:
    """Give the user of `standing` the address, once, and note that all else is to follow: by us, for LEASE.

    False when it is not asked any more, or something follows from the confirmation before this one still.
    Raises AddressMeanwhileTaken.
    """
    asked = record["email_asked"]
    address = asked["address"]
    follows = {name: asked.get(name) for name in ("address", "digest", "expires_at", "by")}
    follows |= {"before": record["email"], "lease_until": now + LEASE}
    try:
        changed = database.users.update_one(
            {
                "_id": record["_id"],
                "email": record["email"],
                "email_confirmed": {"$exists": False},
                **_asked(word, now),
            },
            {
                "$set": {"email": address, "updated_at": now, "email_confirmed": follows},
                "$addToSet": {"former_emails": record["email"]},
                "$unset": {"email_asked": ""},
            },
        )
    except DuplicateKeyError:
        raise AddressMeanwhileTaken("another user of this organisation has this address") from None
    return changed.modified_count == 1


def unfinished(database: Database, now: datetime) -> Iterator[str]:
    """The ids of users from whose confirmed address something follows still, and nobody has it for itself."""
    waiting = {"email_confirmed.lease_until": {"$lte": now}, "email_confirmed.digest": {"$type": "string"}}
    return (row["_id"] for row in database.users.find(waiting, {"_id": 1}))


def confirmed_by(database: Database, user_id: str, word: str, now: datetime) -> str | None:
    """The address that `word` confirmed, while something follows from it still; None for everything else."""
    asked = {
        "email_confirmed.digest": _digest(word),
        "email_confirmed.expires_at": {"$gt": now},
        "active": True,
    }
    record = database.users.find_one({"_id": user_id, **asked}, {"email_confirmed.address": 1})
    return None if record is None else str(record["email_confirmed"]["address"])


def claim(database: Database, user_id: str, now: datetime) -> Record | None:
    """The user's record with `email_confirmed`, ours for LEASE; None where nothing follows or others do."""
    return database.users.find_one_and_update(
        {"_id": user_id, "email_confirmed.lease_until": {"$lte": now}},
        {"$set": {"email_confirmed.lease_until": now + LEASE}},
        return_document=ReturnDocument.AFTER,
    )


def note_told(database: Database, user_id: str, digest: str, told: bool) -> None:
    """The former address was written to (`told`), or could not be: it is not tried again."""
    database.users.update_one(
        {"_id": user_id, "email_confirmed.digest": digest}, {"$set": {"email_confirmed.told": told}}
    )


def finish(database: Database, user_id: str, digest: str) -> None:
    """Nothing follows any more."""
    database.users.update_one(
        {"_id": user_id, "email_confirmed.digest": digest}, {"$unset": {"email_confirmed": ""}}
    )


def _asked(word: str, now: datetime) -> Record:
    return {
        "active": True,
        "erased_at": {"$exists": False},
        "email_asked.digest": _digest(word),
        "email_asked.expires_at": {"$gt": now},
    }


def _digest(word: str) -> str:
    return sha256(word.encode()).hexdigest()
