"""Subscriptions by their name, in bounded time however many there are.

`name_key` of a record is its name, folded (NFKC, case, blanks), and indexed with the organisation: what a
name begins with is found everywhere, up to so many. A part in the middle has no index: the list is looked
through for it, so many records at a time, and the answer says how far.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection
from dataclasses import dataclass

from pymongo import UpdateOne

from reporting_pipeline.domain.subscriptions import Subscription, name_key
from reporting_pipeline.stores.mongo import Database, Record, narrowed
from reporting_pipeline.stores.subscription_lists import in_order, of_owners
from reporting_pipeline.stores.subscriptions import BATCH, LIVE, page_of_records

LOOKED_THROUGH = 1_000
A_LOOK = 500
BEGINNINGS = 1_000  # names that begin like it: no more are told apart
_BEHIND_ALL = "\U0010ffff"
_LOOKED_AT: Record = {"name_key": 1}


@dataclass(frozen=True)
class Found:
    """A page of what was found, by id, and where to go on."""

    subscriptions: list[Subscription]
    #: Behind this id nothing was looked at but how names begin; None when all was looked at.
    looked_to: str | None = None
    #: Whether the look ended because it was long enough, and not because the page was full.
    is_cut: bool = False


def find_by_name(
    database: Database,
    organisation: str,
    typed: str,
    *,
    owner: str | None = None,
    owners: Collection[str] | None = None,
    status: str | None = None,
    after: str | None = None,
    limit: int = 50,
    within: Record | None = None,
) -> Found:
    """Those behind the id `after` in whose name `typed` stands, in either case; and on the first page those
    of the rest whose name begins with it. `owners` are some of whom the owner is one: all of theirs are
    looked at.

    Otherwise LOOKED_THROUGH records are; the next page goes on behind `looked_to`.
    """
    key = name_key(typed)
    if owners is not None:
        return _of_owners(database, organisation, key, owners, status, after, limit, within)
    found: list[str] = []
    looked, behind = 0, after
    while looked < LOOKED_THROUGH:
        page = page_of_records(
            database,
            organisation,
            owner=owner,
            status=status,
            after=behind,
            limit=A_LOOK,
            within=within,
            fields=_LOOKED_AT,
        )
        found += [one["_id"] for one in page if key in str(one.get("name_key") or "")]
        if len(found) > limit:
            shown = found[:limit]
            return Found(in_order(database, shown), looked_to=shown[-1])
        if len(page) < A_LOOK:
            return Found(in_order(database, found))
        looked, behind = looked + len(page), page[-1]["_id"]
    if after is None:
        found += _beginning_with(
            database, organisation, key, behind or "", owner, status, limit - len(found), within
        )
    return Found(in_order(database, found), looked_to=behind, is_cut=True)


def _of_owners(
    database: Database,
    organisation: str,
    key: str,
    owners: Collection[str],
    status: str | None,
    after: str | None,
    limit: int,
    within: Record | None,
) -> Found:
    found = of_owners(
        database,
        organisation,
        owners,
        status=status,
        after=after,
        limit=limit + 1,
        within=within,
        holding=key,
    )
    shown = found[:limit]
    return Found(shown, looked_to=shown[-1].id if len(found) > limit else None)


def _beginning_with(
    database: Database,
    organisation: str,
    key: str,
    behind: str,
    owner: str | None,
    status: str | None,
    limit: int,
    within: Record | None,
) -> list[str]:
    # Nothing but the index's own fields is asked for: with more, some servers choose a longer way.
    query = {"organisation": organisation, "name_key": {"$gte": key, "$lt": key + _BEHIND_ALL}}
    statuses = (status,) if status else LIVE
    rows = database.subscriptions.find(narrowed(query, within), {"status": 1, "owner": 1}).limit(BEGINNINGS)
    matching = (
        one["_id"]
        for one in rows
        if isinstance(one["_id"], str)
        and one["_id"] > behind
        and one.get("status") in statuses
        and owner in (None, one.get("owner"))
    )
    return heapq.nsmallest(limit, matching)


# --- the folded names ----------------------------------------------------------------------------


def set_name_keys(database: Database) -> int:
    """Give the next BATCH subscriptions without `name_key` theirs. Returns how many; 0 when all have it."""
    rows = list(database.subscriptions.find(_WITHOUT_NAME_KEY, {"name": 1}).limit(BATCH))
    writes = [
        UpdateOne({"_id": row["_id"]}, {"$set": {"name_key": name_key(str(row.get("name") or ""))}})
        for row in rows
    ]
    return database.subscriptions.bulk_write(writes, ordered=False).modified_count if writes else 0


def without_name_key(database: Database) -> int:
    return database.subscriptions.count_documents(_WITHOUT_NAME_KEY)


def drop_name_keys(database: Database) -> int:
    """Back to the form without. Returns how many changed."""
    query = {"name_key": {"$exists": True}}
    return database.subscriptions.update_many(query, {"$unset": {"name_key": ""}}).modified_count


_WITHOUT_NAME_KEY: Record = {"name_key": {"$exists": False}}
