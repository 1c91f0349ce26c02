"""The `subscriptions` collection: changed under a version, always read within an organisation.

`next_due_at` (UTC) is when the planner must look at a subscription next: at once for a new one, then at
each occurrence; for a paused one when its pause ends by itself, if it does; otherwise None. It is kept with
every write, so that what is due is one query on the index (status, next_due_at). What a person is shown is
`schedules.next_occurrences`.

`version` counts every change. A change names the version it was made against; when another came
first it is refused (VersionConflict), never merged in silence.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any
from uuid import uuid4

from pymongo import ASCENDING, InsertOne, UpdateMany
from pymongo.errors import DuplicateKeyError

from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.domain.schedules import Schedule, next_occurrences, window_of
from reporting_pipeline.domain.subscriptions import Subscription, goes_on_at, name_key
from reporting_pipeline.stores.index_pages import IndexPages
from reporting_pipeline.stores.mongo import Database, Record, find_any, narrowed, parts, update_any

_log = logging.getLogger(__name__)

BATCH = 1_000
LIVE = ("active", "paused")
# Set by the store alone, or never changed.
_FIXED = frozenset(
    {
        *("id", "organisation", "created_at", "updated_at", "version", "window"),
        *("resumed_at", "rescheduled_at"),
    }
)
_INSTANT = timedelta(milliseconds=1)  # the finest that MongoDB keeps


class SubscriptionExists(ValueError):
    """The id is taken."""


class SubscriptionMissing(KeyError):
    """No such subscription in this organisation."""


class SubscriptionEnded(ValueError):
    """An ended subscription is not changed or started again."""


class VersionConflict(ValueError):
    """Somebody else changed the subscription first; `current` is what stands now."""

    def __init__(self, current: Subscription) -> None:
        super().__init__(f"subscription {current.id} is at version {current.version}; read it again")
        self.current = current


def new_subscription_id() -> str:
    return f"sub_{uuid4().hex[:24]}"


def create_subscription(database: Database, subscription: Subscription, now: datetime) -> Subscription:
    """Store a new one at version 1, created at `now`. Its window follows from its schedule.

    Raises SubscriptionExists.
    """
    fresh = _dated(subscription, now)
    try:
        database.subscriptions.insert_one(_new_record(fresh))
    except DuplicateKeyError:
        raise SubscriptionExists(fresh.id) from None
    return fresh


def create_subscriptions(database: Database, subscriptions: Iterable[Subscription], now: datetime) -> int:
    """Store many in bounded batches (imports, samples). Returns how many.

    Raises pymongo's BulkWriteError when an id is taken.
    """
    writes: list[InsertOne[Record]] = []
    stored = 0
    for subscription in subscriptions:
        writes.append(InsertOne(_new_record(_dated(subscription, now))))
        if len(writes) == BATCH:
            stored += database.subscriptions.bulk_write(writes, ordered=False).inserted_count
            writes.clear()
    if writes:
        stored += database.subscriptions.bulk_write(writes, ordered=False).inserted_count
    return stored


def get_subscription(
    database: Database, organisation: str, subscription_id: str, within: Record | None = None
) -> Subscription | None:
    """The subscription, also an ended one; None when the organisation has none of this id.

    `within` is a further condition (`stores.scope`), here and in the lists.
    """
    record = database.subscriptions.find_one(
        narrowed({"_id": subscription_id, "organisation": organisation}, within)
    )
    return from_record(record) if record else None


def subscriptions_by_id(database: Database, ids: Iterable[str]) -> dict[str, Subscription]:
    """Those of `ids` that exist, of any organisation: for the pipeline, never for a caller from outside."""
    found = database.subscriptions.find({"_id": {"$in": sorted(set(ids))}})
    return {record["_id"]: from_record(record) for record in found}


def list_subscriptions(
    database: Database,
    organisation: str,
    *,
    owner: str | None = None,
    status: str | None = None,
    after: str | None = None,
    skip: int = 0,
    limit: int = 50,
    within: Record | None = None,
) -> list[Subscription]:
    """One page by id: those behind the id `after` (the last one already read).

    Without `status` the ended ones are left out. `skip` is for numbered pages and costs by its size;
    without it a page looks at about as many records as it holds, however many there are.
    """
    found = page_of_records(
        database,
        organisation,
        owner=owner,
        status=status,
        after=after,
        skip=skip,
        limit=limit,
        within=within,
    )
    return [from_record(record) for record in found]


def page_of_records(
    database: Database,
    organisation: str,
    *,
    owner: str | None = None,
    status: str | None = None,
    after: str | None = None,
    skip: int = 0,
    limit: int = 50,
    within: Record | None = None,
    fields: Record | None = None,
) -> list[Record]:
    """`list_subscriptions` as they are stored; of each only `fields`, a projection, where some are named."""
    statuses = (status,) if status else LIVE
    if skip or within:
        query = _list_query(organisation, owner, status)
        if after is not None:
            query["_id"] = {"$gt": after}
        query = narrowed(query, within)
        found_within = database.subscriptions.find(query, fields).sort("_id", ASCENDING)
        return list(found_within.skip(skip).limit(limit).batch_size(limit))
    # A list for each status: two conditions on one index, $in and a range, are not looked up everywhere.
    lists = [
        _page_of(database, _list_query(organisation, owner, one), after, limit, fields) for one in statuses
    ]
    # By id, because one that is paused between two looks is in both.
    found = {record["_id"]: record for records in lists for record in records}
    return sorted(found.values(), key=itemgetter("_id"))[:limit]


def count_subscriptions(
    database: Database,
    organisation: str,
    *,
    owner: str | None = None,
    status: str | None = None,
    within: Record | None = None,
) -> int:
    """How many `list_subscriptions` would go through."""
    return database.subscriptions.count_documents(narrowed(_list_query(organisation, owner, status), within))


def live_ids(database: Database, organisation: str, owner: str, most: int) -> set[str]:
    """The ids of a user's subscriptions that have not ended, at most `most`; from the index alone."""
    found = database.subscriptions.find(_list_query(organisation, owner, None), {"_id": 1}).limit(most)
    return {record["_id"] for record in found}


def all_of_owner(database: Database, organisation: str, owner: str) -> list[Subscription]:
    """A user's subscriptions that have not ended and can be read, by id."""
    query = _list_query(organisation, owner, None)
    return list(readable(database.subscriptions.find(query).sort("_id", ASCENDING)))


def asking_the_same(database: Database, fresh: Subscription) -> str | None:
    """The id of another active subscription of the owner that asks for the same as `fresh`, if any."""
    query: Record = _list_query(fresh.organisation, fresh.owner, "active")
    with database.subscriptions.find(query).sort("_id", ASCENDING) as found:
        others = (one for one in readable(found) if one.id != fresh.id)
        return next((one.id for one in others if one.asks_the_same_as(fresh)), None)


def change_subscription(
    database: Database,
    organisation: str,
    subscription_id: str,
    changes: Mapping[str, Any],
    now: datetime,
    version: int | None = None,
) -> Subscription:
    """Set fields of `Subscription` (values as the model takes them). Returns what stands afterwards.

    With `version`, only when that is the version that stands. Raises SubscriptionMissing,
    VersionConflict, SubscriptionEnded, or ValueError (pydantic's names the field).
    """
    fixed = sorted(set(changes) & _FIXED)
    if fixed:
        raise ValueError(f"{fixed[0]} cannot be changed")
    while True:
        current = get_subscription(database, organisation, subscription_id)
        if current is None:
            raise SubscriptionMissing(subscription_id)
        if version is not None and current.version != version:
            raise VersionConflict(current)
        changed = _changed(current, changes, now)
        if _replace(database, current, changed, now):
            return changed
        # Another change came between the look and the write. Without a version the caller wants the
        # last word: look again.


def pause_subscription(
    database: Database,
    organisation: str,
    subscription_id: str,
    now: datetime,
    version: int | None = None,
    until: date | None = None,
) -> Subscription:
    """Nothing is sent until it is resumed, or until the day `until` of its schedule begins.

    Pausing one that is paused likewise changes nothing.
    """
    return _to_status(database, organisation, subscription_id, "paused", now, version, until)


def resume_subscription(
    database: Database, organisation: str, subscription_id: str, now: datetime, version: int | None = None
) -> Subscription:
    """Send again from the next occurrence; what fell into the pause is not made up for."""
    return _to_status(database, organisation, subscription_id, "active", now, version)


def end_subscription(
    database: Database, organisation: str, subscription_id: str, now: datetime, version: int | None = None
) -> Subscription:
    """For good; the record stays for what was sent. Jobs that wait: `jobs.cancel_jobs`."""
    return _to_status(database, organisation, subscription_id, "ended", now, version)


def end_many(database: Database, ids: Iterable[str], now: datetime) -> int:
    """End these whatever their version, if they have not. Jobs that wait: `lifecycle`. Returns how many."""
    return update_any(
        database.subscriptions,
        "_id",
        ids,
        {"status": {"$in": list(LIVE)}},
        {
            "$set": {"status": "ended", "next_due_at": None, "updated_at": now},
            "$inc": {"version": 1},
        },
    )


def standing_of(database: Database, ids: Iterable[str]) -> dict[str, Record]:
    """{id: {status, window, ...}} of those that exist, of any organisation: for the pipeline alone."""
    shown = {"status": 1, "window": 1, "organisation": 1, "filters": 1}
    return {row["_id"]: row for row in find_any(database.subscriptions, "_id", ids, None, shown)}


def records_by_id(database: Database, ids: Iterable[str]) -> dict[str, Record]:
    """The subscriptions that exist, as they are stored, of any organisation: for the pipeline alone."""
    return {row["_id"]: row for row in find_any(database.subscriptions, "_id", ids)}


def fields_of(database: Database, ids: Iterable[str], fields: Sequence[str]) -> dict[str, Record]:
    """{id: those fields} of the subscriptions that exist, as they are stored."""
    shown = dict.fromkeys(fields, 1)
    return {row["_id"]: row for row in find_any(database.subscriptions, "_id", ids, None, shown)}


def naming_only(database: Database, organisation: str, trials: Sequence[str]) -> Iterator[Subscription]:
    """The live ones of an organisation whose filter names trials, and none but `trials`."""
    query = {
        "organisation": organisation,
        "status": {"$in": list(LIVE)},
        "filters.trials": {"$in": list(trials)},
    }
    for record in database.subscriptions.find(query):
        if set(record["filters"]["trials"]) <= set(trials):
            yield from readable([record])


def all_live_ids(database: Database, organisation: str) -> list[str]:
    """The ids of every subscription of an organisation that has not ended."""
    query = {"organisation": organisation, "status": {"$in": list(LIVE)}}
    found = database.subscriptions.find(query, {"_id": 1})
    return sorted(one for row in found if isinstance(one := row["_id"], str))


def active_of_organisation(database: Database, organisation: str) -> Iterator[Subscription]:
    """Every active subscription of an organisation, streamed by id."""
    query = {"organisation": organisation, "status": "active"}
    with database.subscriptions.find(query).sort("_id", ASCENDING).batch_size(BATCH) as found:
        yield from readable(found)


def every_active(database: Database) -> Iterator[Subscription]:
    """Every active subscription of any organisation, streamed by id: for the pipeline alone."""
    with database.subscriptions.find({"status": "active"}).sort("_id", ASCENDING).batch_size(BATCH) as found:
        yield from readable(found)


# --- for planning ------------------------------------------------------------------------------


def active_of(
    database: Database, window: Cadence, changed_since: datetime | None = None
) -> Iterator[Subscription]:
    """Every active subscription of a window, by id, streamed; or only those changed since an instant."""
    query: Record = {"window": window.value, "status": "active"}
    if changed_since is not None:
        query["updated_at"] = {"$gte": changed_since}
    cursor = database.subscriptions.find(query).sort("_id", ASCENDING).batch_size(BATCH)
    with cursor:
        yield from readable(cursor)


def active_ids(database: Database, window: Cadence) -> list[str]:
    """The ids of `active_of`, in order. One that is no text, as a record inserted by hand has, is no key."""
    found = database.subscriptions.find({"window": window.value, "status": "active"}, {"_id": 1})
    return sorted(one for record in found if isinstance(one := record["_id"], str))


def any_changed_since(database: Database, since: datetime) -> bool:
    """Whether a subscription was made, changed, paused, resumed or ended since; looks at nothing else."""
    lately = {"$gte": since, "$lt": since + timedelta(days=36_500)}  # a range with two ends is looked up
    return any(
        database.subscriptions.find_one(
            {"window": window.value, "status": status, "updated_at": lately}, {"_id": 1}
        )
        for window in Cadence
        for status in ("active", "paused", "ended")
    )


def due_subscriptions(
    database: Database, now: datetime, limit: int | None = None
) -> Iterator[tuple[Subscription, datetime]]:
    """(subscription, its next_due_at) of the active ones that are due at `now`, the longest due first.

    One query on the index (status, next_due_at): what is not due is not looked at.
    """
    cursor = (
        database.subscriptions.find({"status": "active", "next_due_at": {"$lte": now}})
        .sort("next_due_at", ASCENDING)
        .batch_size(BATCH)
        .limit(limit or 0)
    )
    with cursor:
        for record in cursor:
            for subscription in readable([record]):
                yield subscription, record["next_due_at"]


def whose_pause_is_over(database: Database, now: datetime, limit: int) -> list[Subscription]:
    """The paused ones that go on by themselves at `now`, the longest over first. One query on the index."""
    query = {"status": "paused", "next_due_at": {"$lte": now}}
    with database.subscriptions.find(query).sort("next_due_at", ASCENDING).limit(limit) as found:
        return list(readable(found))


def advance(database: Database, planned: Sequence[tuple[Subscription, datetime]], now: datetime) -> int:
    """Move `next_due_at` behind `now` for what was planned: (subscription, the next_due_at it had).

    One update in bounded lists for all that move alike, as those of one schedule do. A subscription whose
    schedule was changed meanwhile is left alone: the change has set its own `next_due_at`. Returns how many
    moved.
    """
    moved = 0
    alike: dict[tuple[int, datetime, datetime | None], list[str]] = defaultdict(list)
    for subscription, was_due_at in planned:
        alike[subscription.version, was_due_at, next_due_at(subscription, now)].append(subscription.id)
    writes = [
        UpdateMany(
            {"_id": {"$in": some}, "version": version, "next_due_at": was_due_at},
            {"$set": {"next_due_at": due_at}},
        )
        for (version, was_due_at, due_at), ids in alike.items()
        for some in parts(ids)
    ]
    for start in range(0, len(writes), BATCH):
        moved += database.subscriptions.bulk_write(
            writes[start : start + BATCH], ordered=False
        ).modified_count
    return moved


def next_due_at(subscription: Subscription, now: datetime) -> datetime | None:
    """When the subscription is due next after `now` (UTC); None when it is not active."""
    if subscription.status != "active":
        return None
    hour = now.replace(minute=0, second=0, microsecond=0)
    first = _first_after(subscription.schedule, hour)
    return first if first is None or first > now else _first_after.__wrapped__(subscription.schedule, now)


@lru_cache(maxsize=10_000)
def _first_after(schedule: Schedule, instant: datetime) -> datetime | None:
    """Asked for full hours, it is worked out once an hour for all who share a schedule."""
    found = next_occurrences(schedule, instant, 1)
    return found[0].due_at if found else None


_INSTANTS = (
    *("created_at", "updated_at", "resumed_at", "rescheduled_at"),
    *("confirmed_at", "confirmation_asked_at"),
)


def to_record(subscription: Subscription, now: datetime) -> Record:
    """The record of a subscription; `next_due_at` is counted from `now`."""
    return _fields(subscription) | {"next_due_at": next_due_at(subscription, now) or goes_on_at(subscription)}


def _fields(subscription: Subscription) -> Record:
    record = subscription.model_dump(mode="json", exclude=set(_INSTANTS))
    record["_id"] = record.pop("id")
    record["name_key"] = name_key(subscription.name)
    for field in _INSTANTS:
        record[field] = getattr(subscription, field)
    return record


def from_record(record: Mapping[str, Any]) -> Subscription:
    return Subscription.model_validate({**record, "id": record["_id"]})


def readable(records: Iterable[Record]) -> Iterator[Subscription]:
    """Those that are as they should be: one that somebody broke by hand must not stop the planning."""
    for record in records:
        try:
            yield from_record(record)
        except ValueError:  # pydantic's is one
            _log.error("subscription %s is not valid and is passed over", record["_id"], exc_info=True)


# --- the steps of a change ---------------------------------------------------------------------


def _dated(subscription: Subscription, created_at: datetime) -> Subscription:
    return subscription.model_copy(
        update={
            "created_at": created_at,
            "updated_at": created_at,
            "version": 1,
            "window": window_of(subscription.schedule),
        }
    )


def _new_record(subscription: Subscription) -> Record:
    # Due at once: the planner looks at it and finds its first occurrence.
    return _fields(subscription) | {
        "next_due_at": subscription.created_at if subscription.status == "active" else None
    }


def _changed(current: Subscription, changes: Mapping[str, Any], now: datetime) -> Subscription:
    if current.status == "ended":
        raise SubscriptionEnded("an ended subscription cannot be changed; make a new one")
    values = {**current.model_dump(), **changes, "updated_at": now, "version": current.version + 1}
    if values["status"] != "paused":
        values["paused_until"] = None
    if values["status"] == "active" and current.status != "active":
        values["resumed_at"] = min(goes_on_at(current) or now, now)  # when its pause was over
        values["confirmation_asked_at"] = None  # who resumes it has said that it is needed
    candidate = Subscription.model_validate(values)
    since = current.rescheduled_at if candidate.schedule == current.schedule else now
    return candidate.model_copy(update={"window": window_of(candidate.schedule), "rescheduled_at": since})


def _replace(database: Database, current: Subscription, changed: Subscription, now: datetime) -> bool:
    record = to_record(changed, _counted_from(current, changed, now))
    if _rhythm(changed) == _rhythm(current):
        # What is due now and not planned yet must not be jumped over by a change of the name.
        del record["next_due_at"]
    # Not find_one_and_update: some servers read the whole collection for it.
    replaced = database.subscriptions.update_one(
        {"_id": current.id, "organisation": current.organisation, "version": current.version},
        {"$set": {key: value for key, value in record.items() if key != "_id"}},
    )
    return replaced.matched_count == 1


def _counted_from(current: Subscription, changed: Subscription, now: datetime) -> datetime:
    """What was due between the end of a pause and this look is looked at, too."""
    if changed.resumed_at is None or changed.resumed_at == current.resumed_at:
        return now
    return changed.resumed_at - _INSTANT


def _rhythm(one: Subscription) -> tuple[object, ...]:
    return one.schedule, one.status, one.paused_until


def _to_status(
    database: Database,
    organisation: str,
    subscription_id: str,
    status: str,
    now: datetime,
    version: int | None,
    until: date | None = None,
) -> Subscription:
    current = get_subscription(database, organisation, subscription_id)
    wanted = {"status": status, "paused_until": until}
    if current is not None and version in (None, current.version):
        standing = {name: getattr(current, name) for name in wanted}
        if standing == wanted:
            return current
    return change_subscription(database, organisation, subscription_id, wanted, now, version)


# --- pages -------------------------------------------------------------------------------------

_PAGES = IndexPages()
_PREFIX = "sub_"
_DIGITS = 16
_END = 16**_DIGITS


def _list_query(organisation: str, owner: str | None, status: str | None) -> Record:
    query: Record = {"organisation": organisation, "status": status or {"$in": list(LIVE)}}
    if owner is not None:
        query["owner"] = owner
    return query


def _page_of(
    database: Database, query: Record, after: str | None, limit: int, fields: Record | None
) -> list[Record]:
    """The first `limit` records behind `after` of a list of one status."""

    def read(low: int, high: int | None, most: int) -> list[Record]:
        bounds: Record = {}
        # Where an id is no hexadecimal number, its position may lie before it: `after` is never passed.
        lowest = [one for one in (after, _id_at(low) if low > start else None) if one is not None]
        if lowest:
            bounds["$gt"] = max(lowest)
        if high is not None:
            bounds["$lte"] = _id_at(high)
        chosen = query | ({"_id": bounds} if bounds else {})
        found = database.subscriptions.find(chosen, fields).sort("_id", ASCENDING)
        return list(found.limit(most).batch_size(most))  # in one answer

    start = _position(after) if after is not None else 0
    name = (database.name, *query.values())
    return _PAGES.page(
        name, read, lambda record: _position(record["_id"]), start=start, end=_END, limit=limit
    )


def _position(identifier: str) -> int:
    """Where an id stands among all that `new_subscription_id` gives, from 0 to _END; rises with the id."""
    digits = identifier.removeprefix(_PREFIX)[:_DIGITS].ljust(_DIGITS, "0")
    return int("".join(_digit(character) for character in digits), 16)


def _digit(character: str) -> str:
    """The hexadecimal digit, or for another character the one next to it in the order of strings."""
    if character in "0123456789abcdef":
        return character
    return "0" if character < "0" else "a" if character < "a" else "f"


def _id_at(position: int) -> str:
    return f"{_PREFIX}{position:0{_DIGITS}x}"
