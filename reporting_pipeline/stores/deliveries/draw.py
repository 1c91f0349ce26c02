"""Beginning: what is due is drawn, and taken for a lease by one atomic update.

Looking at what is due and writing its mails takes nothing, so a worker that dies there leaves no doubt,
and of two that wrote the same mail one begins it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from random import Random
from threading import Lock
from typing import cast
from uuid import uuid4
from zlib import crc32

from reporting_pipeline.domain.deliveries import DeliveryRecord
from reporting_pipeline.domain.jobs import DeliveryState
from reporting_pipeline.stores.deliveries.broken import end_broken, end_unreadable
from reporting_pipeline.stores.deliveries.channels import closed_channels
from reporting_pipeline.stores.mongo import Database, Record, delivery_records, find_any, update_any

LOOKED_UP_AT_ONCE = 5_000  # ids of due deliveries
DUE_STATES = [DeliveryState.PENDING.value, DeliveryState.SENDING.value, DeliveryState.UNKNOWN.value]


def due_filter(now: datetime, cadence: str | None = None, closed: Sequence[str] = ()) -> Record:
    """Everything a worker has to look at: due, expired, or unknown for long enough."""
    query: Record = {"state": {"$in": DUE_STATES}, "next_attempt_at": {"$lte": now}}
    if cadence is not None:
        query["cadence"] = cadence
    if closed:
        query["channel"] = {"$nin": list(closed)}
    return query


def due_cadences(database: Database, now: datetime) -> set[str]:
    """The cadences a worker would find something of now; what a closed channel holds does not count.

    What is no text was written by hand: no worker asks for it, and the others are found.
    """
    due = due_filter(now, None, closed_channels(database, now))
    return {one for one in delivery_records(database).distinct("cadence", due) if isinstance(one, str)}


def count_due(database: Database, now: datetime, cadence: str, most: int) -> int:
    """How many deliveries of a cadence can go out now; counted to `most` only."""
    query = due_filter(now, cadence, closed_channels(database, now))
    return delivery_records(database).count_documents(
        query | {"state": DeliveryState.PENDING.value}, limit=most
    )


class Due:
    """What the workers of one run draw from: ids that were due at the last look, a few thousand at a time.

    Looking at all that waits for each draw would cost the square of an edition. Nothing is taken by
    drawing; `begin` takes. The workers of a run share one of these and never draw the same delivery.
    `part` is (number, of how many): runs at the same time each begin with a part of their own, and help
    with the others' when theirs is done. `jobs` are the only ones whose deliveries are drawn; None: all.
    """

    def __init__(
        self,
        database: Database,
        rng: Random,
        cadence: str | None = None,
        part: tuple[int, int] = (0, 1),
        jobs: Sequence[str] | None = None,
    ) -> None:
        self._database = database
        self._rng = rng
        self._cadence = cadence
        self._part = part
        self.jobs = jobs
        self._closed: list[str] = []
        self._ids: list[str] = []
        self._drawn: set[str] = set()
        self._turn = Lock()

    def draw(self, now: datetime, limit: int) -> list[DeliveryRecord]:
        """Up to `limit` deliveries that are due and were not drawn before; empty when there are none.

        Runs that draw the same write mails for nothing, so each draws from several times as many.
        """
        while True:
            with self._turn:
                if not self._look(now):
                    return []
                first = self._ids[: limit * 4]
                chosen = set(self._rng.sample(first, min(limit, len(first))))
                self._ids = [one for one in first if one not in chosen] + self._ids[limit * 4 :]
                self._drawn |= chosen
            # As they are now: a look can be minutes old.
            query = {"state": DeliveryState.PENDING.value, "next_attempt_at": {"$lte": now}}
            drawn = find_any(delivery_records(self._database), "_id", chosen, query)
            found = end_unreadable(self._database, list(drawn), now)
            if found:
                return found

    def _look(self, now: datetime) -> bool:
        """Whether there are ids to draw from; looks again when they are used up or a channel closed."""
        closed = sorted(closed_channels(self._database, now))
        if not self._ids or closed != self._closed:
            query = due_filter(now, self._cadence, closed) | {"state": DeliveryState.PENDING.value}
            ids = list(self._named(self._due(query), now))
            self._ids = sorted((one for one in ids if one not in self._drawn), key=self._is_others)
            self._closed = closed
        return bool(self._ids)

    def _named(self, due: Iterable[DeliveryRecord], now: datetime) -> Iterator[str]:
        """Their ids; one that is no text was written by hand, and is ended."""
        for row in due:
            if isinstance(row["_id"], str):
                yield row["_id"]
            else:
                end_broken(self._database, row["_id"], "_id is not text", now)

    def _due(self, query: Record) -> Iterable[DeliveryRecord]:
        deliveries = delivery_records(self._database)
        if self.jobs is not None:
            return find_any(deliveries, "job", self.jobs, query, {"_id": 1})
        # As many more as were drawn: those are due until they are begun, and come first.
        most = LOOKED_UP_AT_ONCE + len(self._drawn)
        return deliveries.find(query, {"_id": 1}).sort("next_attempt_at", 1).limit(most)

    def _is_others(self, delivery: str) -> bool:
        number, parts_in_all = self._part
        return crc32(delivery.encode()) % parts_in_all != number


def postpone(database: Database, records: Iterable[DeliveryRecord], due_at: datetime) -> None:
    """Let deliveries that were drawn and not begun wait until `due_at`."""
    for (attempt, mail), ids in _by_attempt(records).items():
        waiting = {"attempt": attempt, "mail": mail, "state": DeliveryState.PENDING.value}
        update_any(delivery_records(database), "_id", ids, waiting, {"$set": {"next_attempt_at": due_at}})


def begin(
    database: Database,
    drawn: Sequence[DeliveryRecord],
    now: datetime,
    lease: timedelta,
    *,
    alone: bool | None = None,
) -> list[DeliveryRecord]:
    """Take these for `lease` and note durably that they go out now.

    Returns those that are ours, as they stand now: only they may be sent. What somebody else began,
    suppressed, postponed or put in another mail since it was drawn is not among them. `alone`: nothing goes
    out beside them, but what is in the same mail; None: where there is one.
    """
    token, until = uuid4().hex, now + lease
    taken = {
        "state": DeliveryState.SENDING.value,
        "sending_at": now,
        "lease_token": token,
        "lease_until": until,
        "next_attempt_at": until,
        # Whoever ends with it, ends by it: what was taken with others may only have stood beside the cause.
        "alone": len(drawn) == 1 if alone is None else alone,
    }
    begun = 0
    for (attempt, mail), ids in _by_attempt(drawn).items():
        due = {
            "attempt": attempt,
            "mail": mail,
            "state": DeliveryState.PENDING.value,
            "next_attempt_at": {"$lte": now},
        }
        begun += update_any(
            delivery_records(database), "_id", ids, due, {"$set": taken, "$inc": {"attempt": 1}}
        )
    ours = [cast("DeliveryRecord", {**record, **taken, "attempt": record["attempt"] + 1}) for record in drawn]
    if begun == len(drawn):
        return ours
    ids = [record["_id"] for record in drawn]
    mine = {
        row["_id"]
        for row in find_any(delivery_records(database), "_id", ids, {"lease_token": token}, {"_id": 1})
    }
    return [record for record in ours if record["_id"] in mine]


def _by_attempt(records: Iterable[DeliveryRecord]) -> dict[tuple[int, str | None], list[str]]:
    """Ids by attempts so far and mail: an update that asks for both changes nothing that moved on."""
    found: dict[tuple[int, str | None], list[str]] = {}
    for record in records:
        found.setdefault((record["attempt"], record.get("mail")), []).append(record["_id"])
    return found
