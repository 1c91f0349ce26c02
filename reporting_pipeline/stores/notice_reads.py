"""What notices are about, read from jobs, deliveries and the people concerned. Nothing is written here.

What names nobody or no edition was written by hand: nobody can be told of it, and others are told of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from reporting_pipeline.domain.deliveries import LOST, SETTLED
from reporting_pipeline.domain.jobs import DeliveryState, JobState, names_period
from reporting_pipeline.stores.jobs.states import FOR_RIGHTS
from reporting_pipeline.stores.mongo import Database, Record, find_any

_LOST = [state.value for state in LOST]
_SETTLED = [state.value for state in SETTLED]
_TO_RENDER = [JobState.PENDING.value, JobState.PROCESSING.value]
_TO_SEND = [JobState.RENDERED.value, JobState.DELIVERING.value]
_SKIPPED: Record = {"state": JobState.SKIPPED.value, "skipped_for": FOR_RIGHTS}
_NOT_SENT: Record = {"state": DeliveryState.SUPPRESSED.value, "suppressed_for": FOR_RIGHTS}

#: Whose notice it is: the field of jobs and deliveries that names them.
Whose = Literal["owner", "organisation"]


@dataclass(frozen=True)
class Failure:
    """A report of a subscription that could not be made or delivered."""

    owner: str
    subscription: str
    reason: str
    due_at: datetime


@dataclass(frozen=True)
class Withheld:
    """A report that was not made or not sent because of somebody's rights."""

    subscription: str
    reason: str
    at: datetime
    due_at: datetime


def under_way(database: Database, edition: str, whose: Whose, now: datetime) -> set[str]:
    """The owners or organisations that have something due in `edition` that is not settled.

    What is due later does not count: a report for Friday would keep Monday's notice back for days.
    """
    rows: Record = {"edition": edition, "state": {"$nin": _SETTLED}, "due_at": {"$lte": now}}
    jobs: Record = {
        "edition": edition,
        "$or": [{"state": {"$in": _TO_RENDER}}, {"state": {"$in": _TO_SEND}, "due_at": {"$lte": now}}],
    }
    return {*_texts(database.deliveries.distinct(whose, rows)), *_texts(database.jobs.distinct(whose, jobs))}


def editions_with_failures(database: Database, since: datetime, rested_since: datetime) -> list[str]:
    """The editions that something failed in after `since`.

    A failed rendering counts when it cannot pass, or has not been tried again since `rested_since`.
    """
    lost = {"state": {"$in": _LOST}, "settled_at": {"$gte": since}}
    failed = _failed_for_good(rested_since, since)
    return _editions(
        database.deliveries.distinct("edition", lost),
        *(database.jobs.distinct("edition", some) for some in failed),
    )


def failures_in(database: Database, edition: str, rested_since: datetime) -> Iterator[Failure]:
    """What failed in an edition, rendering and delivery alike."""
    for row in database.deliveries.find({"edition": edition, "state": {"$in": _LOST}}):
        yield from _failure(row, "it could not be delivered")
    for some in _failed_for_good(rested_since):
        for job in database.jobs.find({**some, "edition": edition}):
            yield from _failure(job, "the report could not be made")


def _failure(row: Record, otherwise: str) -> Iterator[Failure]:
    owner, subscription = row.get("owner"), row.get("subscription")
    if owner and isinstance(owner, str) and isinstance(subscription, str):
        yield Failure(owner, subscription, str(row.get("error") or otherwise), _due(row))


def _due(row: Record) -> datetime:
    """When it was due; long ago, where somebody broke that by hand."""
    due_at = row.get("due_at")
    return due_at if isinstance(due_at, datetime) else datetime(1970, 1, 1, tzinfo=UTC)


def editions_held_back(database: Database, since: datetime) -> list[str]:
    """The editions in which rights held something back after `since`."""
    after = {"$gte": since}
    return _editions(
        database.jobs.distinct("edition", {**_SKIPPED, "completed_at": after}),
        database.deliveries.distinct("edition", {**_NOT_SENT, "settled_at": after}),
    )


def organisations_held_back(database: Database, edition: str) -> set[str]:
    """The organisations that rights held something back of in an edition."""
    return {
        *_texts(database.jobs.distinct("organisation", {"edition": edition, **_SKIPPED})),
        *_texts(database.deliveries.distinct("organisation", {"edition": edition, **_NOT_SENT})),
    }


def withheld_in(database: Database, edition: str, organisation: str) -> list[Withheld]:
    """What rights held back of an organisation in an edition: once per subscription and reason."""
    place: Record = {"edition": edition, "organisation": organisation}
    first: dict[tuple[str, str], datetime] = {}
    due: dict[tuple[str, str], datetime] = {}
    for collection, ended, query in (
        ("jobs", "completed_at", _SKIPPED),
        ("deliveries", "settled_at", _NOT_SENT),
    ):
        for row in database[collection].find(
            {**place, **query}, {"subscription": 1, "error": 1, "due_at": 1, ended: 1}
        ):
            subscription, at = row.get("subscription"), row.get(ended)
            if isinstance(subscription, str) and isinstance(at, datetime):
                pair = (subscription, str(row.get("error") or "the rights to it were withdrawn"))
                first[pair] = min(at, first.get(pair, at))
                due[pair] = max(_due(row), due.get(pair, _due(row)))
    return [Withheld(*pair, at, due[pair]) for pair, at in first.items()]


def subscriptions_named(database: Database, ids: Iterable[str]) -> dict[str, Record]:
    """id -> name, owner, status and filters of subscriptions."""
    shown = {"name": 1, "owner": 1, "status": 1, "filters": 1}
    return {row["_id"]: row for row in find_any(database.subscriptions, "_id", ids, None, shown)}


def users_named(database: Database, ids: Iterable[str], query: Record | None = None) -> dict[str, Record]:
    """id -> record of the users, those alone that match `query`."""
    return {row["_id"]: row for row in find_any(database.users, "_id", ids, query)}


def active_with_roles(database: Database, organisation: str, roles: Iterable[str], most: int) -> list[Record]:
    """The active people of an organisation who have one of `roles`, by id."""
    query = {"organisation": organisation, "active": True, "roles": {"$in": sorted(roles)}}
    return list(database.users.find(query).sort("_id", 1).limit(most))


def passed_over(database: Database, jobs: Iterable[str]) -> set[str]:
    """Those of these jobs that were ended on purpose: cancelled, refused, paused, without a right."""
    query: Record = {"state": JobState.SKIPPED.value}
    return {row["_id"] for row in find_any(database.jobs, "_id", jobs, query, {"_id": 1})}


def states_by_occurrence(
    database: Database, subscriptions: Sequence[str], since: datetime
) -> dict[tuple[str, str, str], list[str]]:
    """(subscription, period, occurrence) -> the states of its deliveries that were due after `since`."""
    states: dict[tuple[str, str, str], list[str]] = {}
    shown = {"subscription": 1, "period": 1, "occurrence": 1, "state": 1}
    after = {"due_at": {"$gte": since}}
    for row in find_any(database.deliveries, "subscription", subscriptions, after, shown):
        key = (str(row.get("subscription")), str(row.get("period")), str(row.get("occurrence")))
        states.setdefault(key, []).append(str(row.get("state")))
    return states


def _texts(values: Iterable[object]) -> Iterator[str]:
    return (one for one in values if isinstance(one, str))


def _editions(*found: Iterable[object]) -> list[str]:
    return sorted({one for values in found for one in _texts(values) if names_period(one)})


def _failed_for_good(rested_since: datetime, since: datetime | None = None) -> list[Record]:
    """Jobs whose rendering failed (after `since`) and is not about to be tried again.

    Two queries that share no job, and not one with an `$or`, for which the embedded server reads all jobs.
    """
    failed: Record = {"state": JobState.FAILED.value, "failed_in": "rendering"}
    after: Record = {} if since is None else {"$gte": since}
    return [
        failed | {"permanent": True} | ({"completed_at": after} if after else {}),
        failed | {"permanent": {"$ne": True}, "completed_at": {"$lte": rested_since, **after}},
    ]
