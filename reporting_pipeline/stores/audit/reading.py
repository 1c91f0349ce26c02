"""Rows as people read them: an organisation's, newest first, by pages."""

from __future__ import annotations

from pymongo import DESCENDING

from reporting_pipeline.stores.audit.chain import chain_tail
from reporting_pipeline.stores.audit.events import AuditAction
from reporting_pipeline.stores.index_pages import IndexPages
from reporting_pipeline.stores.mongo import Database, Record

_PAGES = IndexPages()


def events_of(
    database: Database,
    organisation: str,
    *,
    action: AuditAction | str | None = None,
    actor: str | None = None,
    subject: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Record]:
    """Rows of an organisation, newest first; `before` is the seq of the last one already read."""
    filters: Record = {"organisation": organisation}
    if action is not None:
        filters["action"] = str(AuditAction(action))
    if actor is not None:
        filters["actor"] = actor
    if subject is not None:  # few have the same
        query = {"subject": subject, **filters, **({"seq": {"$lt": before}} if before is not None else {})}
        return list(database.audit.find(query, {"_id": 0}).sort("seq", DESCENDING).limit(limit))
    return _newest(database, filters, chain_tail(database).seq + 1, before, limit)


def _newest(database: Database, filters: Record, end: int, before: int | None, limit: int) -> list[Record]:
    """By pages of `seq`, counted down from `end`."""

    def read(low: int, high: int | None, most: int) -> list[Record]:
        bounds = {"$lt": end - low} | ({"$gte": end - high} if high is not None else {})
        # The range first: some servers look only the first condition up that has an index.
        query = {"seq": bounds, **filters}
        return list(database.audit.find(query, {"_id": 0}).sort("seq", DESCENDING).limit(most))

    start = max(0, end - before) if before is not None else 0
    name = (database.name, *filters.items())
    return _PAGES.page(name, read, lambda row: end - row["seq"], start=start, end=end, limit=limit)
