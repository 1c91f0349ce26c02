"""The keys that open sealed files: kept apart from the backups, in one place that each backup writes over.

With a backup of its own each key would live as long as the oldest backup, and what an erasure destroyed would
open from there. So only the newest copy is kept: a key destroyed before the last backup is in none.
"""

from __future__ import annotations

import os

import bson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pymongo import ReplaceOne

from reporting_pipeline.operations.backup.vault import NONCE_BYTES, BackupDamaged, Place
from reporting_pipeline.stores.mongo import Database, Record

COLLECTION = "person_keys"
PART = "person-keys"
_BOUND = b"reporting-pipeline person keys 1"


def keep_person_keys(database: Database, place: Place, key: bytes) -> int:
    """Write all of them over those of the backup before. Returns how many."""
    rows = list(database[COLLECTION].find().sort("_id", 1))
    nonce = os.urandom(NONCE_BYTES)
    content = bson.encode({"keys": rows})
    place.write(PART, nonce + AESGCM(key).encrypt(nonce, content, _BOUND))
    return len(rows)


def restore_person_keys(database: Database, place: Place, key: bytes) -> int:
    """Put those of the newest backup into the collection; how many. Raises BackupDamaged."""
    rows = kept_person_keys(place, key)
    if rows:
        database[COLLECTION].bulk_write([ReplaceOne({"_id": row["_id"]}, row, upsert=True) for row in rows])
    return len(rows)


def kept_person_keys(place: Place, key: bytes) -> list[Record]:
    """Those of the newest backup. Raises BackupDamaged."""
    try:
        sealed = place.read(PART)
    except KeyError:  # of a version that had none
        return []
    try:
        content = AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _BOUND)
    except (InvalidTag, ValueError):
        raise BackupDamaged("the keys of sealed files were changed, or sealed with another key") from None
    rows: list[Record] = bson.decode(content)["keys"]
    return rows
