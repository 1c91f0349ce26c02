"""The delivery ledger: one record per (job, channel, recipient), begun, sent and settled.

The unique index keeps a recipient from getting two deliveries of one job. Beginning one counts
`attempt` up; only the holder of that number may write what became of it. `next_attempt_at` is the one
time that matters: when a pending one is due, when a sending one expires, when an unknown one is sent
again.

    pending --begin--> sending --settle--> sent | pending | failed | unknown

Looking at what is due and writing its mails takes nothing, so a worker that dies there leaves no doubt,
and of two that wrote the same mail one begins it. From `sending` on there is doubt, and an expired one
becomes `unknown` unless its channel can be given the same delivery twice without harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from threading import Lock
from typing import Any
from uuid import uuid4
from zlib import crc32

from pymongo import UpdateMany, UpdateOne

from reporting_pipeline.domain.deliveries import (
    LONGEST_RECIPIENT,
    SETTLED,
    Change,
    Channel,
    SendResult,
    job_state,
    mailbox,
    short_error,
    states_below,
)
from reporting_pipeline.domain.jobs import DeliveryState, JobState
from reporting_pipeline.stores.mongo import Database, Record, find_any, insert_missing, parts, update_any

PLANNED_AT_ONCE = 500  # jobs
LOOKED_UP_AT_ONCE = 5_000  # ids of due deliveries
ATTEMPTS_KEPT = 50  # per delivery; `attempt` and `failures` keep counting
FOR_RIGHTS = "rights"  # what skipped a job or suppressed a delivery; others have other causes
CUT_OFF = "the worker ended while this was being sent"
DUE_STATES = [DeliveryState.PENDING.value, DeliveryState.SENDING.value, DeliveryState.UNKNOWN.value]


def new_delivery_id() -> str:
    """An opaque id: it travels to providers and into file names, so nothing personal is in it."""
    return f"dlv_{uuid4().hex[:24]}"


# --- planning


def plan_deliveries(
    database: Database,
    jobs: Sequence[Record],
    subscriptions: Mapping[str, Record],
    now: datetime,
) -> int:
    """One pending delivery per (job, channel, recipient), due when its job is. Returns how many are new.

    Idempotent, also between workers. A job without recipients goes to its owner's address from
    `users`. A job whose subscription is not in `subscriptions` or that nobody can receive is
    failed with that reason.
    """
    planned = 0
    for start in range(0, len(jobs), PLANNED_AT_ONCE):
        planned += _plan(database, jobs[start : start + PLANNED_AT_ONCE], subscriptions, now)
    return planned


def _plan(
    database: Database, jobs: Sequence[Record], subscriptions: Mapping[str, Record], now: datetime
) -> int:
    users = _users_of(database, jobs, subscriptions)
    fresh = []
    unreachable: list[tuple[str, str]] = []
    for job in jobs:
        subscription = subscriptions.get(job["subscription"])
        if subscription is None:
            unreachable.append((job["_id"], "the subscription does not exist any more"))
            continue
        targets = list(recipients_of(subscription, users))
        if not targets:
            unreachable.append((job["_id"], "no recipient: the owner has no address"))
        fresh += [new_delivery(job, subscription, target, now) for target in targets]
    for job_id, reason in unreachable:
        _finish_jobs(database, [job_id], JobState.FAILED, reason, now)
    # Nothing is looked up before: nearly all are new, and the unique index knows the others.
    return insert_missing(database["deliveries"], fresh)


@dataclass(frozen=True)
class Target:
    """One recipient of a subscription on one channel."""

    channel: str
    recipient: str  # normalised; what the unique index sees
    user: str | None = None


def recipients_of(subscription: Record, users: Mapping[str, Record]) -> Iterator[Target]:
    """The targets of a subscription; `users` by id holds its owner and the users it names."""
    recipients = subscription.get("recipients") or [{"type": "user", "value": subscription["owner"]}]
    seen = set()
    for entry in recipients:
        kind, value = str(entry.get("type", "email")), str(entry.get("value", ""))
        user = value if kind == "user" else None
        if user is not None:
            value = str(users.get(user, {}).get("email") or "")
            kind = "email"
        if not value:
            continue
        channel = Channel(kind).value
        recipient = mailbox(value) if channel == Channel.EMAIL else value.strip()[:LONGEST_RECIPIENT]
        if (channel, recipient) not in seen:
            seen.add((channel, recipient))
            yield Target(channel, recipient, user)


def new_delivery(job: Record, subscription: Record, target: Target, now: datetime) -> Record:
    """A pending record, due when the job is."""
    due_at = job.get("due_at") or now
    edition = str(job.get("edition") or f"{subscription.get('window', 'weekly')}:{job['period']}")
    return {
        "_id": new_delivery_id(),
        "job": job["_id"],
        "edition": edition,
        "cadence": edition.split(":")[0],
        "organisation": job["organisation"],
        "subscription": job["subscription"],
        "owner": subscription["owner"],
        "report": job.get("report"),
        "period": job["period"],
        "occurrence": job["occurrence"],
        "due_at": due_at,
        "channel": target.channel,
        "recipient": target.recipient,
        "user": target.user,
        "state": DeliveryState.PENDING.value,
        "attempt": 0,
        "failures": 0,
        "resends": 0,
        "copy": 1,
        "lease_token": None,
        "lease_until": None,
        "next_attempt_at": due_at,
        "attempts": [],
        "provider_id": None,
        "error": None,
        "created_at": now,
        "settled_at": None,
    }


def _users_of(
    database: Database, jobs: Sequence[Record], subscriptions: Mapping[str, Record]
) -> dict[str, Record]:
    wanted = set()
    for job in jobs:
        subscription = subscriptions.get(job["subscription"])
        if subscription is None:
            continue
        wanted.add(subscription["owner"])
        for entry in subscription.get("recipients") or []:
            if entry.get("type") == "user":
                wanted.add(entry.get("value"))
    return {
        user["_id"]: user for user in find_any(database["users"], "_id", map(str, wanted), None, {"email": 1})
    }


def deliveries_stand(database: Database, jobs: Iterable[Record]) -> None:
    """Note on these jobs that their deliveries are planned: they are not looked after again."""
    update_any(
        database["jobs"], "_id", (job["_id"] for job in jobs), {}, {"$set": {"deliveries_planned": True}}
    )


# --- beginning


def due_filter(now: datetime, cadence: str | None = None, closed: Sequence[str] = ()) -> Record:
    """Everything a worker has to look at: due, expired, or unknown for long enough."""
    query: Record = {"state": {"$in": DUE_STATES}, "next_attempt_at": {"$lte": now}}
    if cadence is not None:
        query["cadence"] = cadence
    if closed:
        query["channel"] = {"$nin": list(closed)}
    return query


def due_cadences(database: Database, now: datetime) -> set[str]:
    """The cadences a worker would find something of now; what a closed channel holds does not count."""
    return set(
        database["deliveries"].distinct("cadence", due_filter(now, None, closed_channels(database, now)))
    )


def count_due(database: Database, now: datetime, cadence: str, most: int) -> int:
    """How many deliveries of a cadence can go out now; counted to `most` only."""
    query = due_filter(now, cadence, closed_channels(database, now))
    return database["deliveries"].count_documents(query | {"state": DeliveryState.PENDING.value}, limit=most)


class Due:
    """What the workers of one run draw from: ids that were due at the last look, a few thousand at a time.

    Looking at all that waits for each draw would cost the square of an edition. Nothing is taken by
    drawing; `begin` takes. The workers of a run share one of these and never draw the same delivery.
    `part` is (number, of how many): runs at the same time each begin with a part of their own, and help
    with the others' when theirs is done.
    """

    def __init__(
        self, database: Database, rng: Random, cadence: str | None = None, part: tuple[int, int] = (0, 1)
    ) -> None:
        self._database = database
        self._rng = rng
        self._cadence = cadence
        self._part = part
        self._closed: list[str] = []
        self._ids: list[str] = []
        self._drawn: set[str] = set()
        self._turn = Lock()

    def draw(self, now: datetime, limit: int) -> list[Record]:
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
            found = list(find_any(self._database["deliveries"], "_id", chosen, query))
            if found:
                return found

    def _look(self, now: datetime) -> bool:
        """Whether there are ids to draw from; looks again when they are used up or a channel closed."""
        closed = sorted(closed_channels(self._database, now))
        if not self._ids or closed != self._closed:
            query = due_filter(now, self._cadence, closed) | {"state": DeliveryState.PENDING.value}
            found = self._database["deliveries"].find(query, {"_id": 1}).sort("next_attempt_at", 1)
            # As many more as were drawn: those are due until they are begun, and come first.
            ids = (row["_id"] for row in found.limit(LOOKED_UP_AT_ONCE + len(self._drawn)))
            self._ids = sorted((one for one in ids if one not in self._drawn), key=self._is_others)
            self._closed = closed
        return bool(self._ids)

    def _is_others(self, delivery: str) -> bool:
        number, parts_in_all = self._part
        return crc32(delivery.encode()) % parts_in_all != number


def postpone(database: Database, records: Iterable[Record], due_at: datetime) -> None:
    """Let deliveries that were drawn and not begun wait until `due_at`."""
    for attempt, ids in _by_attempt(records).items():
        waiting = {"attempt": attempt, "state": DeliveryState.PENDING.value}
        update_any(database["deliveries"], "_id", ids, waiting, {"$set": {"next_attempt_at": due_at}})


def begin(database: Database, drawn: Sequence[Record], now: datetime, lease: timedelta) -> list[Record]:
    """Take these for `lease` and note durably that they go out now.

    Returns those that are ours, as they stand now: only they may be sent. What somebody else began,
    suppressed or postponed since it was drawn is not among them.
    """
    token, until = uuid4().hex, now + lease
    taken = {
        "state": DeliveryState.SENDING.value,
        "sending_at": now,
        "lease_token": token,
        "lease_until": until,
        "next_attempt_at": until,
    }
    begun = 0
    for attempt, ids in _by_attempt(drawn).items():
        due = {
            "attempt": attempt,
            "state": DeliveryState.PENDING.value,
            "next_attempt_at": {"$lte": now},
        }
        begun += update_any(database["deliveries"], "_id", ids, due, {"$set": taken, "$inc": {"attempt": 1}})
    ours = [record | taken | {"attempt": record["attempt"] + 1} for record in drawn]
    if begun == len(drawn):
        return ours
    ids = [record["_id"] for record in drawn]
    mine = {
        row["_id"] for row in find_any(database["deliveries"], "_id", ids, {"lease_token": token}, {"_id": 1})
    }
    return [record for record in ours if record["_id"] in mine]


def jobs_begin(database: Database, jobs: Iterable[Record]) -> None:
    """Note on those of `jobs` that are rendered that they are being delivered."""
    rendered = JobState.RENDERED.value
    update_any(
        database["jobs"],
        "_id",
        (job["_id"] for job in jobs if job["state"] == rendered),
        {"state": rendered},
        {"$set": {"state": JobState.DELIVERING.value}},
    )


def _by_attempt(records: Iterable[Record]) -> dict[int, list[str]]:
    """Ids by attempts so far: an update that asks for that number changes nothing that moved on."""
    found: dict[int, list[str]] = {}
    for record in records:
        found.setdefault(record["attempt"], []).append(record["_id"])
    return found


# --- settling


@dataclass(frozen=True)
class Settlement:
    """What one attempt did to one delivery: begun, or given up while its mail was written."""

    record: Record
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
    collection = database["deliveries"]
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
    database: Database, record: Record, reason: str, now: datetime, cause: str | None = None
) -> bool:
    """Settle a drawn delivery as not to be sent, with the reason. False when it was overtaken.

    `cause` is FOR_RIGHTS where somebody's rights stood against it: their organisation is told.
    """
    changed = database["deliveries"].update_one(
        {"_id": record["_id"], "attempt": record["attempt"], "state": DeliveryState.PENDING.value},
        {"$set": _suppressed(reason, now, cause)},
    )
    return changed.modified_count == 1


def suppress_waiting(database: Database, query: Record, reason: str, now: datetime) -> int:
    """Settle every delivery that waits and matches `query` as not to be sent. Returns how many."""
    waiting = {"$in": [DeliveryState.PENDING.value, DeliveryState.UNKNOWN.value]}
    jobs = database["deliveries"].distinct("job", query | {"state": waiting})
    changed = database["deliveries"].update_many(
        query | {"state": waiting}, {"$set": _suppressed(reason, now)}
    )
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


def rescue(
    database: Database,
    now: datetime,
    *,
    repeatable: Sequence[str],
    unknown_resend: timedelta,
    max_attempts: int,
    cadence: str | None = None,
) -> Record:
    """Bring back what nobody holds any more. Returns counts: recovered, unknown, resent, given_up.

    An expired `sending` of a `repeatable` channel is simply due again; of any other it is unknown.
    An unknown one that no event settled in time is due again, and counted in `resends`; with its
    attempts used up it becomes a dead letter.
    """
    collection = database["deliveries"]
    expired: Record = {"state": DeliveryState.SENDING.value, "next_attempt_at": {"$lte": now}}
    waited: Record = {"state": DeliveryState.UNKNOWN.value, "next_attempt_at": {"$lte": now}}
    if cadence is not None:
        expired["cadence"] = waited["cadence"] = cadence
    freed = {"lease_token": None, "lease_until": None}
    recovered = collection.update_many(
        expired | {"channel": {"$in": list(repeatable)}},
        {"$set": freed | {"state": DeliveryState.PENDING.value, "next_attempt_at": now}},
    )
    unknown = collection.update_many(
        expired | {"channel": {"$nin": list(repeatable)}},
        {
            "$set": freed
            | {
                "state": DeliveryState.UNKNOWN.value,
                "was_unknown": True,
                "next_attempt_at": now + unknown_resend,
                "error": CUT_OFF,
            },
            "$inc": {"failures": 1},
            "$push": {
                "attempts": {
                    "$each": [
                        {
                            "at": now,
                            "outcome": "unknown",
                            "error": CUT_OFF,
                        }
                    ],
                    "$slice": -ATTEMPTS_KEPT,
                }
            },
        },
    )
    hopeless = waited | {"failures": {"$gte": max_attempts}}
    jobs = collection.distinct("job", hopeless)
    given_up = collection.update_many(
        hopeless,
        {
            "$set": freed
            | {
                "state": DeliveryState.FAILED.value,
                "next_attempt_at": None,
                "settled_at": now,
                "error": "sent several times, and never known to have been accepted",
            }
        },
    )
    resent = collection.update_many(
        waited,
        {
            "$set": freed | {"state": DeliveryState.PENDING.value, "next_attempt_at": now},
            "$inc": {"resends": 1},
        },
    )
    settle_jobs(database, jobs, now)
    return {
        "recovered": recovered.modified_count,
        "unknown": unknown.modified_count,
        "resent": resent.modified_count,
        "given_up": given_up.modified_count,
    }


def apply_evidence(
    database: Database, delivery: str, state: DeliveryState, now: datetime, fields: Mapping[str, Any]
) -> bool:
    """Move a delivery up to `state` because the other side said so. False when it already was there.

    Holds for any attempt: what the other side has seen, it has seen. The atomic update only ever
    moves up, so any order of events ends in the same state.
    """
    changed = database["deliveries"].update_one(
        {"_id": delivery, "state": {"$in": states_below(state)}},
        {
            "$set": {
                "state": state.value,
                "next_attempt_at": None,
                "lease_token": None,
                "lease_until": None,
                "settled_at": now,
                **fields,
            }
        },
    )
    return changed.modified_count == 1


# --- jobs


def settle_jobs(database: Database, jobs: Iterable[str], now: datetime) -> int:
    """Complete, fail or skip the jobs all of whose deliveries are settled. Returns how many changed."""
    wanted = sorted(set(jobs))
    states: dict[str, list[DeliveryState]] = {job: [] for job in wanted}
    reasons: dict[str, str] = {}
    shown = {"job": 1, "state": 1, "error": 1}
    for row in find_any(database["deliveries"], "job", wanted, None, shown):
        states[row["job"]].append(DeliveryState(row["state"]))
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
    return sum(_finish_jobs(database, ids, state, reason, now) for (state, reason), ids in alike.items())


def settle_delivering_jobs(database: Database, now: datetime) -> int:
    """Finish the jobs that a worker left `delivering` when it ended between a delivery and its job."""
    changed = 0
    batch: list[str] = []
    for row in database["jobs"].find({"state": JobState.DELIVERING.value}, {"_id": 1}):
        batch.append(row["_id"])
        if len(batch) >= PLANNED_AT_ONCE:
            changed += settle_jobs(database, batch, now)
            batch = []
    return changed + settle_jobs(database, batch, now)


_OPEN_TO_DELIVERY = [
    JobState.RENDERED.value,
    JobState.DELIVERING.value,
    # A requeued dead letter that arrives mends its job; a late bounce breaks it.
    JobState.FAILED.value,
    JobState.COMPLETED.value,
    JobState.SKIPPED.value,
]


def _finish_jobs(
    database: Database, ids: Sequence[str], state: JobState, reason: str | None, now: datetime
) -> int:
    """All jobs that end alike together: an edition's thousands end as completed."""
    return update_any(
        database["jobs"],
        "_id",
        ids,
        {"state": {"$in": [s for s in _OPEN_TO_DELIVERY if s != state.value]}},
        {
            "$set": {
                "state": state.value,
                "error": reason,
                "failed_in": "delivery" if state is JobState.FAILED else None,
                "completed_at": now,
            }
        },
    )


# --- channels


def closed_channels(database: Database, now: datetime) -> list[str]:
    """The channels that send nothing now: halted until a person resumes them, or paused by a 429."""
    return [
        row["_id"]
        for row in database["channel_states"].find(
            {"$or": [{"halted": True}, {"paused_until": {"$gt": now}}]}, {"_id": 1}
        )
    ]


def halt_channel(database: Database, channel: str, reason: str, now: datetime) -> bool:
    """Stop a channel whose credentials are refused. True for the one caller that stopped it: it alerts."""
    changed = database["channel_states"].find_one_and_update(
        {"_id": channel},
        {"$set": {"halted": True, "reason": short_error(reason), "halted_at": now}},
        upsert=True,
    )
    return not (changed or {}).get("halted", False)


def resume_channel(database: Database, channel: str, now: datetime) -> bool:
    """Let a halted channel send again. False when it was not halted."""
    changed = database["channel_states"].update_one(
        {"_id": channel, "halted": True}, {"$set": {"halted": False, "resumed_at": now}}
    )
    return changed.modified_count == 1


def pause_channel(database: Database, channel: str, until: datetime) -> None:
    """Send nothing over a channel before `until`; a longer pause stays."""
    database["channel_states"].update_one({"_id": channel}, {"$max": {"paused_until": until}}, upsert=True)
