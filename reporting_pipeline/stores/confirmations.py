"""Whether a subscription is still needed: whom the owner was asked about, and whose pause has to be told.

Fields of the subscriptions' own records: `confirmation_asked_at`, `unconfirmed_at`, and `untold_pause`, the
version whose pause nobody was told of yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pymongo import ASCENDING

from reporting_pipeline.domain.confirmation import paused_unconfirmed
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.stores.mongo import EPOCH, Database, Record, narrowed, update_any
from reporting_pipeline.stores.subscriptions import readable

LOOKED_THROUGH = 1_000


def waiting_for_a_word(
    database: Database, organisation: str, owner: str | None, limit: int, within: Record | None = None
) -> list[Subscription]:
    """The active ones, of one owner or of all, that somebody was once asked about; the longest ago first.

    `within` is a further condition (`stores.scope`) on those of all. These are looked up by the date of the
    question: it costs by how many wait, not by how many there are.
    """
    if owner is not None:
        return _of_owner(database, organisation, owner, "active")[:limit]
    query = _asked_of(organisation, "active")
    found = database.subscriptions.find(narrowed(query, within)).sort("confirmation_asked_at", ASCENDING)
    return list(readable(found.limit(limit)))


def _asked_of(organisation: str, status: str) -> Record:
    return {
        "organisation": organisation,
        "status": status,
        "confirmation_asked_at": {"$gt": EPOCH},
    }


def _of_owner(database: Database, organisation: str, owner: str, status: str) -> list[Subscription]:
    """The same of one owner, looked for among what is theirs by its index; not among all that are active."""
    theirs = database.subscriptions.find({"organisation": organisation, "owner": owner}).sort(
        "_id", ASCENDING
    )
    asked = [
        row
        for row in theirs
        if row.get("status") == status and isinstance(row.get("confirmation_asked_at"), datetime)
    ]
    return list(readable(sorted(asked, key=lambda row: row["confirmation_asked_at"])))


def note_asked(database: Database, ids: Iterable[str], now: datetime) -> int:
    """Note that somebody was asked whether these are still needed. Changes no version: nobody chose it."""
    return update_any(
        database.subscriptions, "_id", ids, {"status": "active"}, {"$set": {"confirmation_asked_at": now}}
    )


def note_unconfirmed(database: Database, one: Subscription, now: datetime) -> None:
    """Note why this version is paused now, and that it has to be told to somebody.

    Before the pause, so that a process that dies between the two leaves no silence behind.
    """
    database.subscriptions.update_one(
        {"_id": one.id, "version": one.version},
        {"$set": {"untold_pause": one.version + 1, "unconfirmed_at": now}},
    )


def paused_unanswered(
    database: Database, organisation: str, owner: str | None, limit: int, within: Record | None = None
) -> list[Subscription]:
    """Those that are paused because nobody confirmed them, of one owner or of all; the longest ago first.

    Of all among the first LOOKED_THROUGH that were asked about and are paused.
    """
    if owner is not None:
        found = _of_owner(database, organisation, owner, "paused")
    else:
        query = _asked_of(organisation, "paused")
        rows = database.subscriptions.find(narrowed(query, within)).sort("confirmation_asked_at", ASCENDING)
        found = list(readable(rows.limit(LOOKED_THROUGH)))
    return [one for one in found if paused_unconfirmed(one)][:limit]


def paused_untold(database: Database, organisation: str) -> list[Subscription]:
    """The paused ones whose pause has to be told; not those that somebody resumed and paused since."""
    query = {"organisation": organisation, "status": "paused", "untold_pause": {"$gt": 0}}
    found = database.subscriptions.find(query).sort("_id", ASCENDING)
    return list(readable(row for row in found if row["untold_pause"] == row["version"]))


def note_told(database: Database, ids: Iterable[str]) -> int:
    """Note that the pauses of these were told."""
    return update_any(database.subscriptions, "_id", ids, {}, {"$unset": {"untold_pause": ""}})
