"""The `person_keys` collection: a data key for each person of an organisation that asks for it, wrapped.

    _id           the key's id, 32 hexadecimal digits; sealed files name it
    organisation, person
    wrapped       nonce (12 bytes) and the data key under AES-256-GCM, bound to id, organisation and person
    by            the name of the wrapping key, of REPORTING_SEAL_SECRET
    made_at
    destroyed_at  with no `wrapped` and no `by`: of a person who was erased, and gets no other one

No store holds the wrapping keys. Destroying the record is what an erasure does: files that it sealed open
nowhere any more, wherever their copies lie. So a backup of the database leaves this collection out, and keeps
it in one place of its own that each backup writes over (`operations.backup.person_keys`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pymongo.errors import DuplicateKeyError

from reporting_pipeline.domain.keyring import Keyring
from reporting_pipeline.domain.sealing import KEY_ID_BYTES
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database, Record

NONCE_BYTES = 12
KEY_BYTES = 32
_NOT_NAMED = "REPORTING_SEAL_SECRET is not set: no report can be sealed or opened"


class KeyUnknown(LookupError):
    """There is no such data key: it was destroyed, or is wrapped by a key that this deployment has not."""


def wrapping_keys(settings: Settings) -> Keyring | None:
    """The keys that wrap; None where the deployment names none."""
    if settings.seal_secret is None:
        return None
    return Keyring.read(settings.seal_secret.get_secret_value()).derived("person-keys")


def key_for(
    database: Database, ring: Keyring | None, organisation: str, person: str, now: datetime
) -> tuple[bytes, bytes]:
    """(id, data key) of a person, made where there is none, wrapped anew where an older key wraps it.

    Raises KeyUnknown.
    """
    ring = _named(ring)
    whose = {"organisation": organisation, "person": person}
    found = database.person_keys.find_one(whose)
    if found is None:
        try:
            database.person_keys.insert_one(found := _fresh(ring, organisation, person, now))
        except DuplicateKeyError:  # another process was faster
            return key_for(database, ring, organisation, person, now)
    elif found.get("by") != ring.current:
        _rewrap(database, ring, found)
    return bytes.fromhex(found["_id"]), _unwrapped(ring, found)


def key_of(database: Database, ring: Keyring | None, key_id: bytes) -> bytes:
    """The data key of this id. Raises KeyUnknown."""
    found = database.person_keys.find_one({"_id": key_id.hex()})
    if found is None:
        raise KeyUnknown("there is no such key")
    return _unwrapped(_named(ring), found)


def destroy(database: Database, organisation: str, person: str, now: datetime) -> None:
    """Destroy a person's key, or see to it that they get none: a run may be making one still."""
    whose = {"organisation": organisation, "person": person}
    gone: Record = {"$unset": {"wrapped": "", "by": ""}, "$set": {"destroyed_at": now}}
    never: Record = {"$setOnInsert": {"_id": os.urandom(KEY_ID_BYTES).hex()}}
    database.person_keys.update_one(whose, gone | never, upsert=True)


def rewrap_all(database: Database, ring: Keyring) -> int:
    """Wrap by the current key what older ones wrap; an older one may leave then. Returns how many were not.

    What does not open is left: its key may come back.
    """
    left = 0
    for record in database.person_keys.find({"by": {"$exists": True, "$ne": ring.current}}):
        try:
            _rewrap(database, ring, record)
        except KeyUnknown:
            left += 1
    return left


@dataclass(frozen=True)
class Wrapping:
    """The keys that one secret wraps, by its name."""

    name: str
    keys: int
    problem: str = ""  # why they do not open


def wrappings(database: Database, ring: Keyring | None) -> list[Wrapping]:
    """What wraps the keys that stand, by name. One key of each is opened: a name may be another secret's."""
    found = []
    for name in sorted(database.person_keys.distinct("by")):
        held: Record = {"by": name}
        record = database.person_keys.find_one(held)
        if record is None:  # destroyed meanwhile
            continue
        problem = ""
        try:
            _unwrapped(_named(ring), record)
        except KeyUnknown as error:
            problem = str(error)
        found.append(Wrapping(name, database.person_keys.count_documents(held), problem))
    return found


def _rewrap(database: Database, ring: Keyring, record: Record) -> None:
    again = _wrapped(ring, record, _unwrapped(ring, record))
    # Only what stands: a key that was destroyed meanwhile is not made again.
    database.person_keys.update_one({"_id": record["_id"], "by": record["by"]}, {"$set": again})


def _named(ring: Keyring | None) -> Keyring:
    if ring is None:
        raise KeyUnknown(_NOT_NAMED)
    return ring


def _fresh(ring: Keyring, organisation: str, person: str, now: datetime) -> Record:
    record: Record = {"_id": os.urandom(KEY_ID_BYTES).hex(), "organisation": organisation, "person": person}
    return {**record, **_wrapped(ring, record, os.urandom(KEY_BYTES)), "made_at": now}


def _wrapped(ring: Keyring, record: Record, data_key: bytes) -> Record:
    nonce = os.urandom(NONCE_BYTES)
    wrapped = AESGCM(ring.keys[ring.current]).encrypt(nonce, data_key, _bound(record))
    return {"wrapped": nonce + wrapped, "by": ring.current}


def _unwrapped(ring: Keyring, record: Record) -> bytes:
    if "wrapped" not in record:
        raise KeyUnknown("its key was destroyed")
    wrapped, name = bytes(record["wrapped"]), str(record["by"])
    if name not in ring.keys:
        raise KeyUnknown(f"it is wrapped by the key {name}, which REPORTING_SEAL_SECRET does not name")
    try:
        return AESGCM(ring.keys[name]).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _bound(record))
    except (InvalidTag, ValueError):
        raise KeyUnknown(f"it does not open with the key {name}: another secret had that name") from None


def _bound(record: Record) -> bytes:
    return "/".join((record["_id"], record["organisation"], record["person"])).encode()
