"""Pages of subscriptions that no single range of an index holds: of several owners, of some ids."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator
from operator import itemgetter

from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.stores.mongo import Database, Record, find_any, narrowed
from reporting_pipeline.stores.subscriptions import BATCH, LIVE, readable


def of_owners(
    database: Database,
    organisation: str,
    owners: Collection[str],
    *,
    status: str | None = None,
    after: str | None = None,
    limit: int = 50,
    within: Record | None = None,
    holding: str = "",
) -> list[Subscription]:
    """`list_subscriptions` of several owners at once; `holding` stands in the folded name. Costs by what
    these owners have.

    Nothing is asked for but organisation and owner: with a state or an id beside several owners some servers
    read the whole organisation.
    """
    matching = _ids_of_owners(database, organisation, owners, status, within, holding)
    ids = (one for one in matching if after is None or one > after)
    return in_order(database, heapq.nsmallest(limit, ids))


def count_of_owners(
    database: Database,
    organisation: str,
    owners: Collection[str],
    status: str | None = None,
    within: Record | None = None,
) -> int:
    """How many `of_owners` would go through."""
    return sum(1 for _ in _ids_of_owners(database, organisation, owners, status, within, ""))


def _ids_of_owners(
    database: Database,
    organisation: str,
    owners: Collection[str],
    status: str | None,
    within: Record | None,
    holding: str,
) -> Iterator[str]:
    if not owners:
        return  # a condition that nothing fits is looked for in every record by some servers
    query: Record = {"organisation": organisation, "owner": {"$in": sorted(owners)}}
    statuses = (status,) if status else LIVE
    rows = database.subscriptions.find(narrowed(query, within), {"status": 1, "name_key": 1}).batch_size(
        BATCH
    )
    for row in rows:
        name, id_ = row.get("name_key") or "", row["_id"]
        if row.get("status") in statuses and holding in str(name) and isinstance(id_, str):
            yield id_


def in_order(database: Database, ids: Collection[str]) -> list[Subscription]:
    """Those of `ids`, which the caller may have, by id; one that cannot be read is passed over."""
    if not ids:
        return []
    return list(readable(sorted(find_any(database.subscriptions, "_id", ids), key=itemgetter("_id"))))


def last_owner_of_type(database: Database, organisation: str, report_type: str) -> str | None:
    """Whose the last active subscription by id to a report of this type is; None where there is none."""
    query = {"organisation": organisation, "report_type": report_type, "status": "active"}
    found = database.subscriptions.find_one(query, {"owner": 1}, sort=[("_id", -1)])
    return str(found["owner"]) if found else None
