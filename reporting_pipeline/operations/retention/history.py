"""What happened: jobs, deliveries, their events, editions, alerts; and records that expire by themselves."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from reporting_pipeline.domain.deliveries import SETTLED
from reporting_pipeline.domain.jobs import EditionState, JobState
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.operations.retention.kinds import Removed, Retention, delete_ids, pages
from reporting_pipeline.operations.retention.reports import period_end
from reporting_pipeline.stores.mongo import EPOCH, INDEXES, Record, find_any

_ENDED = [JobState.COMPLETED, JobState.FAILED, JobState.SKIPPED]


def deliveries(retention: Retention) -> Removed:
    """Settled deliveries and their events. Unsubscribe links of older mails end with them."""
    removed = Removed("deliveries")
    query = {
        "state": {"$in": sorted(state.value for state in SETTLED)},
        "settled_at": {"$gt": EPOCH, "$lt": _oldest(retention)},
    }
    shown = {"cadence": 1, "period": 1, "subscription": 1}
    for some in pages(retention.database.deliveries, query, shown):
        going = _not_held(retention, some, removed)
        if retention.dry_run:
            removed.records += len(going)
            continue
        events = retention.database.delivery_events
        for event in list(find_any(events, "delivery", map(str, going), None, {"_id": 1})):
            events.delete_one({"_id": event["_id"]})
            removed.records += 1
        removed.records += delete_ids(retention.database.deliveries, going)
    return removed


def jobs(retention: Retention) -> Removed:
    """Ended jobs none of whose deliveries is left."""
    removed = Removed("jobs")
    query = {
        "state": {"$in": [state.value for state in _ENDED]},
        "completed_at": {"$gt": EPOCH, "$lt": _oldest(retention)},
    }
    shown = {"edition": 1, "period": 1, "subscription": 1}
    for some in pages(retention.database.jobs, query, shown):
        ids = [one["_id"] for one in some]
        with_deliveries = {
            row["job"] for row in find_any(retention.database.deliveries, "job", ids, None, {"job": 1})
        }
        if not retention.dry_run:
            removed.keep("a delivery of it is kept", len(with_deliveries))
            some = [one for one in some if one["_id"] not in with_deliveries]
        going = _not_held(retention, some, removed)
        removed.records += len(going) if retention.dry_run else delete_ids(retention.database.jobs, going)
    return removed


def editions(retention: Retention) -> Removed:
    """Closed editions of periods whose history went."""
    removed = Removed("editions")
    query = {"state": {"$ne": EditionState.OPEN.value}}
    for some in pages(retention.database.editions, query, {"cadence": 1, "period": 1}):
        going = []
        for one in some:
            ended = _ended(one, retention.settings.timezone)
            if ended is None:
                removed.keep("its record names no period")
                continue
            if ended >= _oldest(retention):
                continue
            if (one["cadence"], one["period"]) in retention.held_periods:
                removed.keep("a report of the period is held")
                continue
            going.append(one["_id"])
        removed.records += len(going) if retention.dry_run else delete_ids(retention.database.editions, going)
    return removed


def _ended(edition: Record, timezone: str) -> datetime | None:
    """When its period ended; None for a record that somebody broke by hand, which holds up no other."""
    cadence, period = edition.get("cadence"), edition.get("period")
    if cadence not in set(Cadence) or not isinstance(period, str):
        return None
    return period_end(Cadence(cadence), period, timezone)


def alerts(retention: Retention) -> Removed:
    """Alerts that a person closed."""
    return _by_field(retention, "alerts", {"open": False, "closed_at": {"$lt": _oldest(retention)}})


def expired(retention: Retention) -> Removed:
    """What has an end of its own by an index, usage, signatures under reports whose history went."""
    removed = Removed("expired")
    queries: dict[str, Record] = {
        name: {field: {"$lt": retention.rules.before(age, retention.now)}}
        for name, (field, age) in expiring().items()
    }
    queries["usage"] = {"at": {"$lt": _oldest(retention)}}
    for name, query in queries.items():
        removed.records += _by_field(retention, name, query).records
    _signatures(retention, removed)
    return removed


def expiring() -> dict[str, tuple[str, timedelta]]:
    """Collection -> the time after which a record of it is of no use, and how long after.

    As its index says. MongoDB and the embedded server sweep by that themselves; not every server that speaks
    its protocol does.
    """
    return {
        name: (next(iter(index.document["key"])), timedelta(seconds=index.document["expireAfterSeconds"]))
        for name, indexes in INDEXES.items()
        for index in indexes
        if "expireAfterSeconds" in index.document
    }


def _signatures(retention: Retention, removed: Removed) -> None:
    """Under a report that stands, held or not yet past its time, they stay whatever their age."""
    for some in pages(retention.database.releases, {"at": {"$lt": _oldest(retention)}}, {"report": 1}):
        reports = {str(one.get("report")) for one in some}
        standing = {
            row["_id"] for row in find_any(retention.database.reports, "_id", reports, None, {"_id": 1})
        }
        going = [one["_id"] for one in some if one.get("report") not in standing]
        removed.keep("its report is kept", len(some) - len(going))
        removed.records += len(going) if retention.dry_run else delete_ids(retention.database.releases, going)


def _by_field(retention: Retention, name: str, query: Record) -> Removed:
    removed = Removed(name)
    collection: Any = retention.database[name]
    for some in pages(collection, query, {"_id": 1}):
        ids = [one["_id"] for one in some]
        removed.records += len(ids) if retention.dry_run else delete_ids(collection, ids)
    return removed


def _not_held(retention: Retention, some: list[Record], removed: Removed) -> list[Any]:
    going = []
    for one in some:
        cadence = one.get("cadence") or str(one.get("edition") or "").partition(":")[0]
        if (cadence, one.get("period"), one.get("subscription")) in retention.held_reports:
            removed.keep("its report is held")
        else:
            going.append(one["_id"])
    return going


def _oldest(retention: Retention) -> datetime:
    return retention.rules.before(retention.rules.history, retention.now)
