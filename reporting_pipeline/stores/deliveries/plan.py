"""Planning: one pending delivery per (job, channel, recipient), due when its job is.

The unique index keeps a recipient from getting two deliveries of one job.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from reporting_pipeline.domain.deliveries import (
    LONGEST_RECIPIENT,
    Channel,
    DeliveryRecord,
    delivery_id,
    mailbox,
    short_error,
)
from reporting_pipeline.domain.jobs import DeliveryState, JobRecord, JobState
from reporting_pipeline.stores.jobs.settle import deliveries_stand, finish_jobs
from reporting_pipeline.stores.mongo import Database, Record, delivery_records, find_any, insert_missing
from reporting_pipeline.stores.restores import await_release_after_restore
from reporting_pipeline.stores.subscriptions import records_by_id
from reporting_pipeline.stores.users import users_behind

PLANNED_AT_ONCE = 500  # jobs
#: Of what nobody began to send. A move to its user's new address counts an attempt, too.
UNTRIED: Record = {"sending_at": None, "written": None}


def new_delivery_id() -> str:
    """An opaque id for what belongs to no job, such as a notice. A delivery's own: `delivery_id`."""
    return f"dlv_{uuid4().hex[:24]}"


def plan_deliveries(
    database: Database,
    jobs: Sequence[JobRecord],
    subscriptions: Mapping[str, Record],
    now: datetime,
) -> int:
    """One pending delivery per (job, channel, recipient), due when its job is. Returns how many are new.

    Idempotent, also between workers. A job without recipients goes to its owner's address from
    `users`. A job whose subscription is not in `subscriptions` or that nobody can receive is failed with
    that reason; one whose subscription ended or was paused since is skipped with it.
    """
    planned = 0
    for start in range(0, len(jobs), PLANNED_AT_ONCE):
        planned += _plan(database, jobs[start : start + PLANNED_AT_ONCE], subscriptions, now)
    return planned


def plan_for_jobs(database: Database, jobs: Sequence[JobRecord], now: datetime) -> None:
    """`plan_deliveries` of jobs by the subscriptions as they stand, noted on those that wait for their time.

    What is being delivered ends soon and needs no note; what waits would be swept up.
    """
    if not jobs:
        return
    plan_deliveries(database, jobs, records_by_id(database, (job["subscription"] for job in jobs)), now)
    deliveries_stand(database, (job for job in jobs if job["state"] == JobState.RENDERED.value))


def _plan(
    database: Database, jobs: Sequence[JobRecord], subscriptions: Mapping[str, Record], now: datetime
) -> int:
    users = _users_of(database, jobs, subscriptions)
    concerned = {str(job.get("subscription")) for job in jobs} & set(subscriptions)
    behind = users_behind(database, _addresses(subscriptions[one] for one in sorted(concerned)))
    fresh = []
    unreachable: list[tuple[str, str]] = []
    left: dict[str, list[str]] = {}
    for job in jobs:
        subscription = subscriptions.get(str(job.get("subscription")))
        if subscription is None:
            unreachable.append((job["_id"], "the subscription does not exist any more"))
            continue
        stopped = _stopped(job, subscription)
        if stopped is not None:
            left.setdefault(stopped, []).append(job["_id"])
            continue
        try:
            planned = [
                _for_recipient(job, subscription, target, now)
                for target in recipients_of(subscription, users, behind)
            ]
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            # One record that somebody broke by hand takes nobody else's mail away.
            unreachable.append((job["_id"], f"its deliveries cannot be planned: {_what_is_wrong(error)}"))
            continue
        if not planned:
            unreachable.append((job["_id"], "no recipient: the owner has no address"))
        fresh += planned
    for job_id, reason in unreachable:
        finish_jobs(database, [job_id], JobState.FAILED, reason, now)
    for reason, ids in left.items():
        finish_jobs(database, ids, JobState.SKIPPED, reason, now)
    # Hardly anything is looked up before: nearly all are new, and the unique index knows the others.
    fresh = _without_those_sent_before_a_move(database, fresh, users)
    await_release_after_restore(database, fresh)
    return insert_missing(delivery_records(database), fresh)


def _without_those_sent_before_a_move(
    database: Database, fresh: list[DeliveryRecord], users: Mapping[str, Record]
) -> list[DeliveryRecord]:
    """Without what its user has, or was to have, at an address of before: planned anew it would go twice."""
    former = {
        user: [mailbox(str(each)) for each in addresses]
        for user, record in users.items()
        if isinstance(addresses := record.get("former_emails"), list) and addresses
    }
    concerned = [one for one in fresh if one["user"] in former and one["channel"] == Channel.EMAIL]
    if not concerned:
        return fresh
    jobs = {one["job"] for one in concerned}
    mails = {"channel": Channel.EMAIL.value, "user": {"$in": sorted(former)}}
    had = {
        (row["job"], row["user"])
        for row in find_any(delivery_records(database), "job", jobs, mails)
        if row["recipient"] in former[str(row["user"])]
    }
    return [one for one in fresh if one["channel"] != Channel.EMAIL or (one["job"], one["user"]) not in had]


def _stopped(job: JobRecord, subscription: Record) -> str | None:
    """Why nothing of the job is sent any more; None where it is."""
    if subscription.get("status") == "ended":
        return "the subscription was ended"
    if subscription.get("status") == "paused" and not job.get("on_demand"):
        return "the subscription is paused"
    return None


@dataclass(frozen=True)
class Target:
    """One recipient of a subscription on one channel."""

    channel: str
    recipient: str  # normalised; what the unique index sees
    user: str | None = None


def recipients_of(
    subscription: Record, users: Mapping[str, Record], behind: Mapping[tuple[str, str], str] | None = None
) -> Iterator[Target]:
    """The targets of a subscription; `users` by id holds its owner and the users it names.

    `behind` says whose an address is (`users.users_behind`): it is its user's, however it is written.
    """
    seen = set()
    for kind, value in _named(subscription):
        user = value if kind == "user" else None
        if user is not None:
            value = str(users.get(user, {}).get("email") or "")
            kind = "email"
        if not value:
            continue
        if kind not in {each.value for each in Channel}:
            raise ValueError(f"recipients: there is no type {kind[:40]!r}")
        channel, recipient = Channel(kind).value, _normal(kind, value)
        if (channel, recipient) not in seen:
            seen.add((channel, recipient))
            if user is None and channel == Channel.EMAIL:
                user = (behind or {}).get((str(subscription.get("organisation", "")), recipient))
            yield Target(channel, recipient, user)


def is_recipient(subscription: Record, delivery: DeliveryRecord) -> bool:
    """Whether the subscription, as it stands, names who this goes to. ValueError as `recipients_of`."""
    return any(
        value == delivery.get("user")
        if kind == "user"
        else (kind, _normal(kind, value)) == (delivery["channel"], delivery["recipient"])
        for kind, value in _named(subscription)
    )


def _named(subscription: Record) -> list[tuple[str, str]]:
    """(type, value) of each recipient; of a subscription that names none it is the owner."""
    recipients = subscription.get("recipients") or [{"type": "user", "value": subscription["owner"]}]
    if not isinstance(recipients, list) or not all(isinstance(entry, Mapping) for entry in recipients):
        raise ValueError("recipients: each is a record of type and value")
    return [(str(entry.get("type", "email")), str(entry.get("value", ""))) for entry in recipients]


def _normal(kind: str, value: str) -> str:
    return mailbox(value) if kind == Channel.EMAIL else value.strip()[:LONGEST_RECIPIENT]


def add_delivery(database: Database, record: DeliveryRecord) -> bool:
    """Add one delivery. False when its recipient has one of this job already."""
    return insert_missing(delivery_records(database), [record]) == 1


def new_delivery(job: JobRecord, subscription: Record, target: Target, now: datetime) -> DeliveryRecord:
    """A pending record, due when the job is."""
    due_at = job.get("due_at") or now
    if not isinstance(due_at, datetime):  # it would wait for ever: nothing is ever due at a text
        raise ValueError("due_at is not a time")
    edition = str(job.get("edition") or f"{subscription.get('window', 'weekly')}:{job['period']}")
    record: DeliveryRecord = {
        "_id": delivery_id(job["_id"], target.channel, target.recipient),
        "job": job["_id"],
        "edition": edition,
        "cadence": edition.split(":")[0],
        "organisation": job["organisation"],
        "subscription": job["subscription"],
        "owner": subscription["owner"],
        "trials": list((subscription.get("filters") or {}).get("trials") or ()),
        "sites": list((subscription.get("filters") or {}).get("sites") or ()),
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
    if trace := job.get("trace"):
        record["trace"] = trace
    return record


def _for_recipient(job: JobRecord, subscription: Record, target: Target, now: datetime) -> DeliveryRecord:
    return {**new_delivery(job, subscription, target, now), "of_recipients": True}


def _what_is_wrong(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"the record has no field {str(error.args[0])[:60]!r}"
    return short_error(str(error))


def _entries(subscription: Record) -> list[Mapping[str, object]]:
    """The recipients that are records; what else stands there is refused when its job is planned."""
    found = subscription.get("recipients")
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _addresses(subscriptions: Iterable[Record]) -> Iterator[tuple[str, str]]:
    """(organisation, address) of every recipient that is written as an address."""
    for subscription in subscriptions:
        for entry in _entries(subscription):
            if entry.get("type", "email") == "email":
                yield str(subscription.get("organisation", "")), str(entry.get("value", "")).strip()


def _users_of(
    database: Database, jobs: Sequence[JobRecord], subscriptions: Mapping[str, Record]
) -> dict[str, Record]:
    wanted = set()
    for job in jobs:
        subscription = subscriptions.get(str(job.get("subscription")))
        if subscription is None:
            continue
        wanted.add(subscription.get("owner"))
        for entry in _entries(subscription):
            if entry.get("type") == "user":
                wanted.add(entry.get("value"))
    return {
        user["_id"]: user
        for user in find_any(database.users, "_id", map(str, wanted), None, {"email": 1, "former_emails": 1})
    }
