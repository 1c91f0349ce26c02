"""The `releases` collection: what a person decided of a report that waited for one, signed and never changed.

One record for a rendering (report and SHA-256): who, by what name, when, with which meaning and reason, after
which sign-in. The file that was released is the file that is sent; another rendering waits anew.

    _id         "rep_…:SHA-256"
    decision    released | refused
    meaning     what the signature means, of MEANINGS; of a refusal "refusal"
    by, name    the user's id, and the name as it was then
    reasons     why it had awaited its release, as `domain.content_gate` says them
    lease_until until all that follows from it is done: whoever does that has it for itself so long. Who ends
                in it leaves the rest to whoever decides of it then
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from reporting_pipeline.stores.mongo import Database, Record, find_any

Decision = Literal["released", "refused"]
Meaning = Literal["review", "approval", "responsibility"]
#: So long whoever does what follows from a decision has it for itself.
LEASE = timedelta(minutes=1)


class DecidedAlready(ValueError):
    """Somebody has decided of this rendering before; `record` says who and what."""

    def __init__(self, record: Record) -> None:
        super().__init__(f"it was {record['decision']} before")
        self.record = record


def decide(
    database: Database,
    report: str,
    sha256: str,
    decision: Decision,
    *,
    organisation: str,
    job: str,
    by: str,
    name: str,
    meaning: str,
    reason: str,
    reasons: Sequence[Record],
    authenticated_at: datetime,
    now: datetime,
) -> Record:
    """Keep one decision, once; what follows from it is ours to do, for LEASE. Raises DecidedAlready."""
    record: Record = {
        "_id": f"{report}:{sha256}",
        "report": report,
        "sha256": sha256,
        "organisation": organisation,
        "job": job,
        "decision": decision,
        "meaning": meaning,
        "by": by,
        "name": name,
        "reason": reason,
        "reasons": [dict(one) for one in reasons],
        "authenticated_at": authenticated_at,
        "at": now,
        "lease_until": now + LEASE,
    }
    try:
        database.releases.insert_one(record)
    except DuplicateKeyError:
        raise DecidedAlready(database.releases.find_one({"_id": record["_id"]}) or record) from None
    return record


def claim(database: Database, report: str, sha256: str, now: datetime) -> Record | None:
    """The decision from which something follows still, ours for LEASE; None where there is none."""
    return database.releases.find_one_and_update(
        {"_id": f"{report}:{sha256}", "lease_until": {"$lte": now}},
        {"$set": {"lease_until": now + LEASE}},
        return_document=ReturnDocument.AFTER,
    )


def finish(database: Database, decision: Record) -> None:
    """Nothing follows from it any more."""
    database.releases.update_one({"_id": decision["_id"]}, {"$unset": {"lease_until": ""}})


def decided_among(
    database: Database, renderings: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Decision]:
    """Of those of (report, SHA-256) that a person has decided of: what."""
    ids = [f"{report}:{sha256}" for report, sha256 in renderings]
    return {
        (one["report"], one["sha256"]): one["decision"] for one in find_any(database.releases, "_id", ids)
    }


def decision_on(database: Database, report: str, sha256: str) -> Record | None:
    return database.releases.find_one({"_id": f"{report}:{sha256}"})
