"""What became of deliveries, and of the jobs all of whose deliveries are settled.

Only the holder of an attempt's number may write what became of it; what the other side has seen holds
for any attempt, and only ever moves up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo import UpdateMany, UpdateOne

from reporting_pipeline.domain.deliveries import (
    SETTLED,
    Change,
    DeliveryRecord,
    SendResult,
    job_state,
    short_error,
    states_below,
)
from reporting_pipeline.domain.jobs import DeliveryState, JobState
from reporting_pipeline.stores.deliveries.broken import end_broken
from reporting_pipeline.stores.jobs.settle import finish_jobs
from reporting_pipeline.stores.mongo import Database, Record, find_any, parts

SETTLED_AT_ONCE = 500  # jobs
ATTEMPTS_KEPT = 50  # per delivery; `attempt` and `failures` keep counting


@dataclass(frozen=True)
class Settlement:
    """What one attempt did to one delivery: begun, or given up while its mail was written."""

    record: DeliveryRecord
    result: SendResult
    change: Change
    begun: bool = True

    @property
    def attempt(self) -> int:
        """The number of this attempt; one that was not begun is counted by being settled."""
        return int(self.record["attempt"]) + (0 if self.begun else 1)


def settle(database: Database, settlements: Sequence[Settlement], now: datetime) -> set[str]:
    """Write what became of deliveries. Returns the ids whose state was written.

    An attempt that has been overtaken writes nothing: its number is not the record's any more.
    An event that arrived before the answer has already moved the state; then only the attempt is kept.
    """
    if not settlements:
        return set()
    collection = database.deliveries
    written = collection.bulk_write(_settling(settlements, now), ordered=False).modified_count
    ids = [each.record["_id"] for each in settlements]
    if written == len(settlements):
        return set(ids)
    wrote = {row["_id"]: row for row in find_any(collection, "_id", ids, None, {"attempt": 1, "written": 1})}
    done = {
        each.record["_id"]
        for each in settlements
        if wrote.get(each.record["_id"], {}).get("written") == each.attempt
    }
    late = [each for each in settlements if each.record["_id"] not in done]
    if late:
        collection.bulk_write([_noting(each, now) for each in late], ordered=False)
    return done


def _settling(settlements: Sequence[Settlement], now: datetime) -> list[UpdateMany]:
    """One update for all that went alike: a provider's answer is one for its thousand recipients."""
    alike: dict[tuple[int, str], list[tuple[str, Record]]] = {}
    for each in settlements:
        update = {"$set": _settled(each, now), "$push": {"attempts": _attempt(each, now)}}
        group = alike.setdefault((each.record["attempt"], repr(update)), [])
        group.append((each.record["_id"], update))
    states = [DeliveryState.SENDING.value, DeliveryState.PENDING.value, DeliveryState.UNKNOWN.value]
    return [
        UpdateMany({"_id": {"$in": ids}, "attempt": attempt, "state": {"$in": states}}, group[0][1])
        for (attempt, _), group in alike.items()
        for ids in parts(identifier for identifier, _ in group)
    ]


def _settled(each: Settlement, now: datetime) -> Record:
    change = each.change
    fields: Record = {
        "state": change.state.value,
        "failures": change.failures,
        "next_attempt_at": change.next_attempt_at,
        "error": short_error(each.result.error) if each.result.error else None,
        "lease_token": None,
        "lease_until": None,
        "attempt": each.attempt,
        "written": each.attempt,
        "settled_at": now if change.state in SETTLED else None,
    }
    if each.result.provider_id:
        fields["provider_id"] = each.result.provider_id
    if change.state is DeliveryState.UNKNOWN:
        fields["was_unknown"] = True
    if change.state is DeliveryState.SENT:
        fields["sent_at"] = now
    return fields


def _noting(each: Settlement, now: datetime) -> UpdateOne:
    fields: Record = {"lease_token": None}
    if each.result.provider_id:
        fields["provider_id"] = each.result.provider_id
    return UpdateOne(
        {"_id": each.record["_id"], "attempt": each.record["attempt"]},
        {"$set": fields, "$push": {"attempts": _attempt(each, now)}},
    )


def _attempt(each: Settlement, now: datetime) -> Record:
    entry = {
        "at": now,
        "attempt": each.attempt,
        "outcome": each.result.outcome.value,
        "error": short_error(each.result.error) if each.result.error else None,
        "provider_id": each.result.provider_id,
    }
    return {"$each": [entry], "$slice": -ATTEMPTS_KEPT}


def suppress(
    database: Database, record: DeliveryRecord, reason: str, now: datetime, cause: str | None = None
) -> bool:
    """Settle a drawn delivery as not to be sent, with the reason. False when it was overtaken.

    `cause` is FOR_RIGHTS where somebody's rights stood against it: their organisation is told.
    """
    changed = database.deliveries.update_one(
        {"_id": record["_id"], "attempt": record["attempt"], "state": DeliveryState.PENDING.value},
        {"$set": _suppressed(reason, now, cause)},
    )
    return changed.modified_count == 1


def suppress_waiting(database: Database, query: Record, reason: str, now: datetime) -> int:
    """Settle every delivery that waits and matches `query` as not to be sent. Returns how many."""
    waiting = {"$in": [DeliveryState.PENDING.value, DeliveryState.UNKNOWN.value]}
    jobs = database.deliveries.distinct("job", query | {"state": waiting})
    changed = database.deliveries.update_many(query | {"state": waiting}, {"$set": _suppressed(reason, now)})
    settle_jobs(database, jobs, now)
    return changed.modified_count


def _suppressed(reason: str, now: datetime, cause: str | None = None) -> Record:
    return {
        "state": DeliveryState.SUPPRESSED.value,
        "error": short_error(reason),
        "suppressed_for": cause,
        "next_attempt_at": None,
        "lease_token": None,
        "lease_until": None,
        "settled_at": now,
    }


def apply_evidence(
    database: Database, delivery: str, state: DeliveryState, now: datetime, fields: Mapping[str, Any]
) -> bool:
    """Move a delivery up to `state` because the other side said so. False when it already was there.

    Holds for any attempt: what the other side has seen, it has seen. The atomic update only ever
    moves up, so any order of events ends in the same state.
    """
    changed = database.deliveries.update_one(
        {"_id": delivery, "state": {"$in": states_below(state)}},
        {
            "$set": {
                "state": state.value,
                "next_attempt_at": None,
                "lease_token": None,
                "lease_until": None,
                "settled_at": now,
                **_seen_at(state, now),
                **fields,
            }
        },
    )
    return changed.modified_count == 1


def _seen_at(state: DeliveryState, now: datetime) -> Record:
    """When evidence of `state` came; that of an arrival is kept apart, whatever comes after it."""
    return {"delivered_at": now} if state is DeliveryState.DELIVERED else {}


def settle_jobs(database: Database, jobs: Iterable[str], now: datetime) -> int:
    """Complete, fail or skip the jobs all of whose deliveries are settled. Returns how many changed."""
    wanted = sorted({job for job in jobs if isinstance(job, str)})
    states: dict[str, list[DeliveryState]] = {job: [] for job in wanted}
    reasons: dict[str, str] = {}
    shown = {"job": 1, "state": 1, "error": 1}
    for row in find_any(database.deliveries, "job", wanted, None, shown):
        states[row["job"]].append(_known_state(database, row, now))
        if row.get("error"):
            reasons[row["job"]] = row["error"]
    alike: dict[tuple[JobState, str | None], list[str]] = {}
    for job, found in states.items():
        verdict = job_state(found)
        if verdict is None:
            continue
        state, reason = verdict
        if reason and reasons.get(job):
            reason = f"{reason} ({reasons[job]})"
        alike.setdefault((state, reason), []).append(job)
    return sum(finish_jobs(database, ids, state, reason, now) for (state, reason), ids in alike.items())


def _known_state(database: Database, row: Record, now: datetime) -> DeliveryState:
    """A delivery's state. One that is none was written by hand: it would keep its job from ever ending."""
    try:
        return DeliveryState(str(row.get("state")))
    except ValueError:
        end_broken(database, row["_id"], "state is none that is known", now)
        return DeliveryState.FAILED


def settle_delivering_jobs(database: Database, now: datetime, among: Sequence[str] | None = None) -> int:
    """Finish the jobs that a worker left `delivering` when it ended between a delivery and its job.

    `among`: of these alone, by a run that delivers no others: in the midst of an edition thousands are being
    delivered, and whoever goes through them holds up who waits for the next such run. None: of all.
    """
    delivering: Record = {"state": JobState.DELIVERING.value}
    if among is None:
        rows: Iterable[Record] = database.jobs.find(delivering, {"_id": 1})
    else:
        rows = find_any(database.jobs, "_id", among, delivering, {"_id": 1})
    changed = 0
    batch: list[str] = []
    for row in rows:
        batch.append(row["_id"])
        if len(batch) >= SETTLED_AT_ONCE:
            changed += settle_jobs(database, batch, now)
            batch = []
    return changed + settle_jobs(database, batch, now)
