"""Subscriptions by their name, in bounded time however many there are.

`name_key` of a record is its name, folded (NFKC, case, blanks), and indexed with the organisation: what a
name begins with is found everywhere. A part in the middle has no index: the list is looked through for it,
so many records at a time, and the answer says how far.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection
from dataclasses import dataclass
from operator import itemgetter

from pymongo import UpdateOne

from reporting_pipeline.domain.subscriptions import Subscription, name_key
from reporting_pipeline.stores.mongo import Database, Record, narrowed
from reporting_pipeline.stores.subscriptions import BATCH, LIVE, from_record, page_of_records

LOOKED_THROUGH = 2_000
A_LOOK = 500
_BEHIND_ALL = "\U0010ffff"


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
    of the rest whose name begins with it. `owners` are some of whom the owner is one.

    LOOKED_THROUGH records are looked at; the next page goes on behind `looked_to`.
    """
    key = name_key(typed)
    found: list[Record] = []
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
        )
        found += [one for one in page if key in one.get("name_key", "") and _is_of(one, owners)]
        if len(found) > limit:
            shown = [from_record(one) for one in found[:limit]]
            return Found(shown, looked_to=shown[-1].id)
        if len(page) < A_LOOK:
            return Found([from_record(one) for one in found])
        looked, behind = looked + len(page), page[-1]["_id"]
    if after is None:
        found += _beginning_with(
            database, organisation, key, behind or "", owner, owners, status, limit - len(found), within
        )
    return Found([from_record(one) for one in found], looked_to=behind, is_cut=True)


def _beginning_with(
    database: Database,
    organisation: str,
    key: str,
    behind: str,
    owner: str | None,
    owners: Collection[str] | None,
    status: str | None,
    limit: int,
    within: Record | None,
) -> list[Record]:
    # Nothing but the index's own fields is asked for: with more, some servers choose a longer way.
    query = {"organisation": organisation, "name_key": {"$gte": key, "$lt": key + _BEHIND_ALL}}
    statuses = (status,) if status else LIVE
    matching = (
        one
        for one in database.subscriptions.find(narrowed(query, within))
        if one["_id"] > behind
        and one["status"] in statuses
        and owner in (None, one["owner"])
        and _is_of(one, owners)
    )
    return heapq.nsmallest(limit, matching, key=itemgetter("_id"))


def _is_of(record: Record, owners: Collection[str] | None) -> bool:
    return owners is None or record["owner"] in owners


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
