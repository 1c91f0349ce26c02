"""Jobs whose record somebody broke by hand or by another program: they end with that reason.

No run can serve one; a sensor that only passed it over would look at it for ever and keep its edition open.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from reporting_pipeline.domain.jobs import JobRecord, why_unreadable
from reporting_pipeline.stores.jobs.states import WITH_REPORT, as_unmade
from reporting_pipeline.stores.mongo import Database, Record

_log = logging.getLogger(__name__)


def end_unreadable(database: Database, jobs: Iterable[JobRecord], now: datetime) -> list[JobRecord]:
    """End those of `jobs`, which wait or failed, that cannot be read. Returns the others, in their order."""
    readable = []
    for job in jobs:
        wrong = why_unreadable(job)
        if wrong is None:
            readable.append(job)
            continue
        _end(database, {"_id": job["_id"]}, wrong, now)
    return readable


def end_without_report(database: Database, now: datetime) -> int:
    """End jobs that are to be sent and say no time at which their report stood. Returns how many.

    Whoever looks for what was missed goes by that time, and would never find them.
    """
    query: Record = {"state": {"$in": WITH_REPORT}, "rendered_at": {"$not": {"$type": "date"}}}
    found = [job["_id"] for job in database.jobs.find(query, {"_id": 1})]
    for job in found:
        _end(database, {"_id": job, **query}, "rendered_at is not a time", now)
    return len(found)


def _end(database: Database, query: Record, wrong: str, now: datetime) -> None:
    _log.error("job %s was broken by hand and is ended: %s", query["_id"], wrong)
    change = as_unmade(f"its record was broken by hand: {wrong}", now)
    database.jobs.update_one(query, {"$set": change})
