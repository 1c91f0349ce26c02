"""What reports were made from: snapshots, datasets, media, and the results that name them."""

from __future__ import annotations

from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.operations.retention.kinds import Removed, Retention, delete_ids, pages
from reporting_pipeline.operations.retention.reports import closed_folders, period_end
from reporting_pipeline.stores.objects import ORPHAN, RETENTION_TAG, STANDARD

#: Where the inputs of a period lie, each followed by cadence and period.
FOLDERS = ("snapshots/", "datasets/", "media/manifests/")


def inputs(retention: Retention) -> Removed:
    """The results of periods past their time, then the files that they named."""
    removed = Removed("inputs")
    _results(retention, removed)
    for prefix in FOLDERS:
        for cadence, period, folder in closed_folders(retention, prefix, retention.rules.inputs):
            if (cadence, period) in retention.held_periods:
                removed.keep("a report of the period is held")
                continue
            entries = list(retention.objects.listing(folder))
            removed.objects += len(entries)
            removed.bytes += sum(entry.size for entry in entries)
            if not retention.dry_run:
                retention.objects.delete_many([entry.key for entry in entries])
    return removed


def _results(retention: Retention, removed: Removed) -> None:
    collection = retention.database.asset_results
    for asset in sorted(collection.distinct("asset")):
        cadence = str(asset).partition("/")[0]
        for period in sorted(collection.distinct("period", {"asset": asset})):
            if not _past(retention, cadence, str(period)):
                continue
            if (cadence, period) in retention.held_periods:
                removed.keep("a report of the period is held")
                continue
            query = {"asset": asset, "period": period}
            if retention.dry_run:
                removed.records += collection.count_documents(query)
                continue
            for some in pages(collection, query, {"_id": 1}):
                removed.records += delete_ids(collection, [one["_id"] for one in some])


def _past(retention: Retention, cadence: str, period: str) -> bool:
    if cadence not in set(Cadence):
        return False
    ended = period_end(Cadence(cadence), period, retention.settings.timezone)
    return ended is not None and ended < retention.now - retention.rules.inputs


def pictures(retention: Retention) -> Removed:
    """Thumbnails by their age: one that is needed again is made again."""
    removed = Removed("pictures")
    oldest = retention.rules.before(retention.rules.pictures, retention.now)
    query = {"$or": [{"remembered_at": {"$lt": oldest}}, {"remembered_at": None}]}
    for some in pages(retention.database.media, query, {"key": 1}):
        removed.records += len(some)
        removed.objects += len(some)
        if not retention.dry_run:
            delete_ids(retention.database.media, [one["_id"] for one in some])
            retention.objects.delete_many([one["key"] for one in some])
    return removed


def orphans(retention: Retention) -> Removed:
    """Objects that the reconciliation found unnamed and tagged, once they stayed so for their time.

    The tag is looked at again: who named the object meanwhile has taken the tag away.
    """
    removed = Removed("orphans")
    query = {"tagged_at": {"$lt": retention.rules.before(retention.rules.orphans, retention.now)}}
    for some in pages(retention.database.orphans, query, {"size": 1}):
        keys = [one["_id"] for one in some]
        gone = retention.objects.missing(keys)
        tagged = [
            key
            for key in keys
            if key not in gone and retention.objects.tags(key).get(RETENTION_TAG, STANDARD) == ORPHAN
        ]
        removed.objects += len(tagged)
        removed.bytes += sum(one["size"] for one in some if one["_id"] in set(tagged))
        removed.keep("named again", len(keys) - len(gone) - len(tagged))
        if not retention.dry_run:
            retention.objects.delete_many(tagged)
            removed.records += delete_ids(retention.database.orphans, keys)
    return removed
