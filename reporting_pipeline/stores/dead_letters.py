"""Deliveries that used up their attempts, or never could arrive: read, explained, requeued by a person.

Jobs whose rendering failed are the other kind of dead letter: `stores.jobs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from reporting_pipeline.domain.deliveries import LOST, DeliveryRecord
from reporting_pipeline.domain.jobs import DeliveryState
from reporting_pipeline.stores import audit
from reporting_pipeline.stores.jobs.settle import deliver_again
from reporting_pipeline.stores.mongo import EPOCH, Database, Record, delivery_records, narrowed
from reporting_pipeline.stores.token_buckets import take

_LOST = [state.value for state in LOST]
REQUEUED_AT_ONCE = 1000
REQUEUED_PER_SECOND = REQUEUED_AT_ONCE / 3600  # by filter, per organisation
_FILTERS = frozenset({"edition", "channel", "subscription", "state", "job", "cadence"})


class RequeueLimited(Exception):
    """The organisation requeued too much lately; `retry_after` says when to come back."""

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__(f"try again in {retry_after.total_seconds():.0f} s")
        self.retry_after = retry_after


@dataclass(frozen=True)
class Gauge:
    """How many there are, and since when the oldest one lies there."""

    count: int
    oldest: datetime | None


def list_dead_letters(
    database: Database,
    organisation: str,
    filters: Mapping[str, str] | None = None,
    limit: int = 50,
    after: str | None = None,
    within: Record | None = None,
) -> list[DeliveryRecord]:
    """Dead letters by id with reason (`error`), `attempts` and the `report` they were to carry.

    `filters` may name edition, channel, subscription, state, job and cadence; ValueError otherwise.
    `after` is the last id already read, `within` a further condition (`stores.scope`).
    """
    query = _query(organisation, filters)
    if after is not None:
        query["_id"] = {"$gt": after}
    return list(delivery_records(database).find(narrowed(query, within)).sort("_id", 1).limit(limit))


def requeue(
    database: Database,
    organisation: str,
    identifier: str,
    actor: str,
    now: datetime,
    within: Record | None = None,
) -> bool:
    """Send one dead letter again, with all its attempts anew. False when it is none."""
    query = narrowed(_query(organisation, None) | {"_id": identifier}, within)
    return _requeue(database, query, actor, now) == 1


def requeue_matching(
    database: Database,
    organisation: str,
    filters: Mapping[str, str],
    actor: str,
    now: datetime,
    limit: int = REQUEUED_AT_ONCE,
    within: Record | None = None,
) -> int:
    """Send up to `limit` dead letters again. Raises RequeueLimited when the organisation did just that."""
    query = narrowed(_query(organisation, filters), within)
    rows = database.deliveries.find(query, {"_id": 1}).sort("_id", 1).limit(min(limit, REQUEUED_AT_ONCE))
    chosen = [row["_id"] for row in rows]
    if not chosen:
        return 0
    name = f"requeue:{organisation}"
    wait = take(database, name, len(chosen), REQUEUED_PER_SECOND, REQUEUED_AT_ONCE, now)
    if wait:
        raise RequeueLimited(wait)
    return _requeue(database, narrowed({"_id": {"$in": chosen}}, query), actor, now)


def gauge(database: Database, organisation: str | None = None) -> Gauge:
    """Count and age, of one organisation or of all."""
    query: Record = {"state": {"$in": _LOST}}
    if organisation is not None:
        query["organisation"] = organisation
    timed = query | {"settled_at": {"$gt": EPOCH}}  # what is no time was written by a hand
    oldest = database.deliveries.find_one(timed, {"settled_at": 1}, sort=[("settled_at", 1)])
    return Gauge(database.deliveries.count_documents(query), oldest["settled_at"] if oldest else None)


def _query(organisation: str, filters: Mapping[str, str] | None) -> Record:
    given: dict[str, Any] = dict(filters or {})
    if set(given) - _FILTERS or not all(isinstance(value, str) for value in given.values()):
        raise ValueError(f"dead letters are filtered by {', '.join(sorted(_FILTERS))}")
    if given.get("state", DeliveryState.FAILED.value) not in _LOST:
        raise ValueError(f"a dead letter's state is one of {', '.join(sorted(_LOST))}")
    return {"state": {"$in": _LOST}, "organisation": organisation, **given}


def _requeue(database: Database, query: Record, actor: str, now: datetime) -> int:
    fields = {"job": 1, "state": 1, "organisation": 1}
    events = []
    for row in list(database.deliveries.find(query, fields)):
        if not _revive(database, row, actor, now):
            continue
        details = {"was": row["state"]}
        events.append(
            audit.Event(audit.AuditAction.REQUEUED, actor, row["_id"], row["organisation"], details)
        )
        deliver_again(database, row["job"])
    audit.record_many(database, events, now)
    return len(events)


def _revive(database: Database, row: Record, actor: str, now: datetime) -> bool:
    # A bounced one was accepted once: the next is another copy, so that its old events leave it alone.
    another = 1 if row["state"] == DeliveryState.BOUNCED.value else 0
    changed = database.deliveries.update_one(
        {"_id": row["_id"], "state": row["state"]},
        {
            "$set": {
                "state": DeliveryState.PENDING.value,
                "failures": 0,
                "error": None,
                "next_attempt_at": now,
                "settled_at": None,
                "requeued_at": now,
                "requeued_by": actor,
            },
            "$inc": {"copy": another},
        },
    )
    return changed.modified_count == 1
