"""Jobs whose record somebody broke by hand or by another program: they end with that reason.

No run can serve one; a sensor that only passed it over would look at it for ever and keep its edition open.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from reporting_pipeline.domain.jobs import JobRecord, why_unreadable
from reporting_pipeline.stores.jobs.states import as_unmade
from reporting_pipeline.stores.mongo import Database

_log = logging.getLogger(__name__)


def end_unreadable(database: Database, jobs: Iterable[JobRecord], now: datetime) -> list[JobRecord]:
    """End those of `jobs`, which wait or failed, that cannot be read. Returns the others, in their order."""
    readable = []
    for job in jobs:
        wrong = why_unreadable(job)
        if wrong is None:
            readable.append(job)
            continue
        _log.error("job %s was broken by hand and is ended: %s", job["_id"], wrong)
        change = as_unmade(f"its record was broken by hand: {wrong}", now)
        database.jobs.update_one({"_id": job["_id"]}, {"$set": change})
    return readable
