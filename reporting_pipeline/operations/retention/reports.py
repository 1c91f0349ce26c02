"""Reports past their time, and the files of periods of which none is left."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from reporting_pipeline.domain.jobs import DeliveryState, JobState
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.operations.retention.kinds import Removed, Retention, delete_ids, pages
from reporting_pipeline.stores.holds import report_folder
from reporting_pipeline.stores.mongo import Record, find_any

_SHOWN = {"key": 1, "cadence": 1, "period": 1, "subscription": 1, "size": 1}
#: Without these nobody knows which report a record is: one that somebody broke by hand holds up no other.
_NAMING = ("key", "cadence", "period", "subscription")
_UNDER_WAY = [
    JobState.PENDING,
    JobState.PROCESSING,
    JobState.RENDERED,
    JobState.AWAITING_RELEASE,
    JobState.DELIVERING,
]
_UNSETTLED = [DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.UNKNOWN]


def reports(retention: Retention) -> Removed:
    """Report records and every rendering of them; none that is held, linked to or under way."""
    removed = Removed("reports")
    query = {"rendered_at": {"$lt": retention.rules.before(retention.rules.reports, retention.now)}}
    for found in pages(retention.database.reports, query, _SHOWN):
        some = [one for one in found if all(isinstance(one.get(field), str) for field in _NAMING)]
        removed.keep("its record is broken", len(found) - len(some))
        needed = _needed(retention, some)
        going = []
        for report in some:
            reason = needed.get((report["period"], report["subscription"]))
            if (report["cadence"], report["period"], report["subscription"]) in retention.held_reports:
                removed.keep("held")
            elif reason is not None:
                removed.keep(reason)
            else:
                going.append(report)
        removed.records += len(going)
        if not retention.dry_run:
            delete_ids(retention.database.reports, [report["_id"] for report in going])
        for report in going:
            _remove_folder(retention, removed, report_folder(report))
    _forgotten_renderings(retention, removed)
    return removed


def _needed(retention: Retention, some: Iterable[Record]) -> dict[tuple[str, str], str]:
    """(period, subscription) -> why its report is needed still."""
    subscriptions = sorted({report["subscription"] for report in some})
    recently = retention.rules.before(retention.rules.link, retention.now)
    needed: dict[tuple[str, str], str] = {}
    live = {
        "$or": [
            {"state": {"$in": [state.value for state in _UNSETTLED]}},
            {"sending_at": {"$gte": recently}},
            {"settled_at": {"$gte": recently}},
        ]
    }
    shown = {"period": 1, "subscription": 1}
    for one in find_any(retention.database.deliveries, "subscription", subscriptions, live, shown):
        needed[one.get("period", ""), one["subscription"]] = "a link to it works"
    waiting = {"state": {"$in": [state.value for state in _UNDER_WAY]}}
    for one in find_any(retention.database.jobs, "subscription", subscriptions, waiting, shown):
        needed[one.get("period", ""), one["subscription"]] = "its job is under way"
    return needed


def _forgotten_renderings(retention: Retention, removed: Removed) -> None:
    """Renderings that were superseded lie beside the newest one; with their period they go."""
    for cadence, period, folder in closed_folders(retention, "reports/", retention.rules.reports):
        held = {one for *of, one in retention.held_reports if of == [cadence, period]}
        standing = held | {
            row.get("subscription")
            for row in retention.database.reports.find(
                {"cadence": cadence, "period": period}, {"subscription": 1}
            )
        }
        if standing and retention.dry_run:
            continue  # they were counted with their records
        oldest = retention.rules.before(retention.rules.reports, retention.now)
        gone: list[str] = []
        for entry in retention.objects.listing(folder):
            subscription = entry.key.removeprefix(folder).partition("/")[0]
            if subscription in standing or entry.modified_at >= oldest:
                continue
            gone.append(entry.key)
            removed.objects += 1
            removed.bytes += entry.size
        if not retention.dry_run:
            retention.objects.delete_many(gone)


def _remove_folder(retention: Retention, removed: Removed, folder: str) -> None:
    entries = list(retention.objects.listing(folder))
    removed.objects += len(entries)
    removed.bytes += sum(entry.size for entry in entries)
    if not retention.dry_run:
        retention.objects.delete_many([entry.key for entry in entries])


def closed_folders(retention: Retention, prefix: str, age: timedelta) -> Iterable[tuple[str, str, str]]:
    """(cadence, period, folder) below `prefix` whose period ended longer than `age` ago."""
    for cadence in Cadence:
        for folder in retention.objects.folders(f"{prefix}{cadence.value}/"):
            key = folder.rstrip("/").rpartition("/")[2]
            ended = period_end(cadence, key, retention.settings.timezone)
            if ended is not None and ended < retention.now - age:
                yield cadence.value, key, folder


def period_end(cadence: Cadence, key: str, timezone: str) -> datetime | None:
    """When a period ended; None for a folder that is named as none is."""
    try:
        return Period.from_key(cadence, key, timezone).end_at
    except ValueError:
        return None
