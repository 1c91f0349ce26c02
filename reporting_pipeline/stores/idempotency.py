"""The `idempotency` collection: which write a key stands for, and the answer it had.

One record per principal and key, held by a unique index, so that of any number of identical requests
on any number of workers one runs and the others get its answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

from bson import Binary, ObjectId
from pymongo.errors import DuplicateKeyError

from reporting_pipeline.stores.mongo import Database, Record

KEPT_FOR = timedelta(hours=24)
#: A first request that has not ended after this is taken for dead (its worker was killed).
LEASE = timedelta(seconds=60)


class KeyReused(Exception):
    """The key was used for another request (another method, path or body)."""


class InProgress(Exception):
    """The first request with this key is still running."""


@dataclass(frozen=True)
class StoredResponse:
    """The answer of the first request, as it went out."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Claim:
    """The right to run a request. `token` fences: a claim that was taken over cannot write any more.

    The record is found by its id: by principal and token, some servers read all records of the principal.
    """

    record: ObjectId
    token: str


def claim(
    database: Database, principal: str, key: str, fingerprint: str, now: datetime
) -> Claim | StoredResponse:
    """The right to run the request, or the answer it had.

    `fingerprint` is a hash of method, path and body. Raises KeyReused, InProgress.
    """
    token = uuid4().hex
    record_id = ObjectId()
    record: Record = {
        "_id": record_id,
        "principal": principal,
        "key": key,
        "fingerprint": fingerprint,
        "token": token,
        "created_at": now,
        "lease_until": now + LEASE,
        "expires_at": now + KEPT_FOR,
    }
    try:
        database.idempotency.insert_one(record)
    except DuplicateKeyError:
        return _second(database, principal, key, fingerprint, token, now)
    return Claim(record_id, token)


def keep_answer(database: Database, claim: Claim, answer: StoredResponse) -> bool:
    """Keep the answer for the key's lifetime. False when the claim had been taken over."""
    kept = database.idempotency.update_one(
        _mine(claim),
        {
            "$set": {
                "status": answer.status,
                "headers": dict(answer.headers),
                "body": Binary(answer.body),
                "lease_until": None,
            }
        },
    )
    return kept.matched_count == 1


def release(database: Database, claim: Claim) -> None:
    """Forget the claim: the request failed on our side and may be tried again."""
    database.idempotency.delete_one(_mine(claim))


def forget_principal(database: Database, principal: str) -> int:
    """Remove the kept answers of somebody whose data is erased."""
    return database.idempotency.delete_many({"principal": principal}).deleted_count


def _second(
    database: Database, principal: str, key: str, fingerprint: str, token: str, now: datetime
) -> Claim | StoredResponse:
    record = database.idempotency.find_one({"principal": principal, "key": key})
    if record is None:  # released between the insert and this look
        raise InProgress(key)
    if record["expires_at"] <= now:  # the server's sweep for old records runs once a minute
        database.idempotency.delete_one({"_id": record["_id"], "token": record["token"]})
        return claim(database, principal, key, fingerprint, now)
    if record["fingerprint"] != fingerprint:
        raise KeyReused(key)
    if "status" in record:
        return StoredResponse(record["status"], record["headers"], bytes(record["body"]))
    taken = database.idempotency.update_one(
        {"_id": record["_id"], "token": record["token"], "lease_until": {"$lte": now}},
        {"$set": {"token": token, "lease_until": now + LEASE}},
    )
    if taken.modified_count:
        return Claim(record["_id"], token)
    raise InProgress(key)


def _mine(claim: Claim) -> Record:
    return {"_id": claim.record, "token": claim.token}
