"""Deliveries whose record somebody broke by hand or by another program: dead letters, with that reason.

Nobody can send one, and whoever draws it beside others must not lose those over it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from reporting_pipeline.domain.deliveries import DeliveryRecord, why_unreadable
from reporting_pipeline.domain.jobs import DeliveryState
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.stores.mongo import Database, Record

_log = logging.getLogger(__name__)


def end_unreadable(
    database: Database, deliveries: Iterable[DeliveryRecord], now: datetime
) -> list[DeliveryRecord]:
    """End those of `deliveries`, which wait, that cannot be read. Returns the others, in their order."""
    readable = []
    for delivery in deliveries:
        wrong = why_unreadable(delivery)
        if wrong is None:
            readable.append(delivery)
        else:
            end_broken(database, delivery["_id"], wrong, now)
    return readable


#: What waits; where a worker looks for it is its cadence and the time of its next attempt.
_WAITING = [DeliveryState.PENDING.value, DeliveryState.SENDING.value]
_CADENCES = [cadence.value for cadence in Cadence]


def end_never_drawn(database: Database, now: datetime) -> list[str]:
    """End deliveries that wait and that no worker would ever find. Returns their jobs: settle those."""
    lost: list[tuple[Record, str]] = [
        ({"cadence": {"$nin": _CADENCES}}, "cadence is none that there is"),
        ({"next_attempt_at": {"$not": {"$type": "date"}}}, "next_attempt_at is not a time"),
    ]
    jobs = set()
    for query, wrong in lost:
        for delivery in database.deliveries.find({"state": {"$in": _WAITING}, **query}, {"job": 1}):
            end_broken(database, delivery["_id"], wrong, now)
            jobs.add(delivery.get("job"))
    return sorted(job for job in jobs if isinstance(job, str))


def end_broken(database: Database, delivery: object, wrong: str, now: datetime) -> None:
    """Make a dead letter of the delivery with this id, which need not be text."""
    _log.error("delivery %s was broken by hand and is ended: %s", delivery, wrong)
    ended = {
        "state": DeliveryState.FAILED.value,
        "error": f"its record was broken by hand: {wrong}",
        "next_attempt_at": None,
        "lease_token": None,
        "lease_until": None,
        "settled_at": now,
    }
    database.deliveries.update_one({"_id": delivery}, {"$set": ended})
