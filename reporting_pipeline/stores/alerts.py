"""What a person must look at: one open alert per key, counted rather than repeated."""

from __future__ import annotations

import logging
from datetime import datetime

from reporting_pipeline.domain.deliveries import short_error
from reporting_pipeline.stores.mongo import Database, Record

log = logging.getLogger(__name__)


def raise_alert(database: Database, key: str, text: str, now: datetime) -> bool:
    """Open the alert `key`, or count it if it is open. True when it is new: it is logged then."""
    changed = database.alerts.update_one(
        {"_id": key, "open": True},
        {"$set": {"last_at": now, "text": short_error(text)}, "$inc": {"count": 1}},
    )
    if changed.matched_count:
        return False
    database.alerts.update_one(
        {"_id": key},
        {
            "$set": {
                "open": True,
                "first_at": now,
                "last_at": now,
                "text": short_error(text),
                "count": 1,
            }
        },
        upsert=True,
    )
    log.error("alert %s: %s", key, short_error(text))
    return True


def close_alert(database: Database, key: str, actor: str, now: datetime) -> bool:
    changed = database.alerts.update_one(
        {"_id": key, "open": True}, {"$set": {"open": False, "closed_at": now, "closed_by": actor}}
    )
    return changed.modified_count == 1


def open_alerts(database: Database) -> list[Record]:
    return list(database.alerts.find({"open": True}).sort("first_at", 1))
