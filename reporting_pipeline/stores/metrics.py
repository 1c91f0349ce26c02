"""How much waits and how much was done, kept as running counts: nobody counts when metrics are asked for.

`refresh` brings the counts up to date and is cheap whatever the database holds: what is open is counted by
index (there is as much of it as there is work), what has ended is added once, from a mark on. Collection
`figures`: `now` (what is open, with `at`, its time), `jobs`, `deliveries` and `stored` (a mark and counts).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pymongo.errors import DuplicateKeyError

from reporting_pipeline.domain.jobs import DeliveryState, EditionState, JobState
from reporting_pipeline.stores.alerts import open_alerts
from reporting_pipeline.stores.dead_letters import gauge
from reporting_pipeline.stores.mongo import EPOCH, Database, Record, find_any

#: Counted anew after so long.
FRESH_FOR = timedelta(seconds=10)
STORED_FRESH_FOR = timedelta(hours=1)
#: Records end in bulk with one instant, a little before it is written: younger ones are left for later.
SETTLED_AFTER = timedelta(seconds=30)
#: So many ended records are added in one go.
ADDED_AT_ONCE = 5_000
#: Delivered within this time of being due: the promise that `reporting_deliveries_on_time` counts.
PROMISED = timedelta(minutes=30)
#: Runs without a heartbeat for so long count for no worker.
SILENT_AFTER = timedelta(seconds=60)
OPEN_JOBS = (
    JobState.PENDING,
    JobState.PROCESSING,
    JobState.RENDERED,
    JobState.AWAITING_RELEASE,
    JobState.DELIVERING,
    JobState.FAILED,
)
OPEN_DELIVERIES = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.UNKNOWN, DeliveryState.FAILED)
STAGES = ("fetch", "aggregate", "render", "notify")


@dataclass(frozen=True)
class Figures:
    """What is known, and of when."""

    at: datetime | None  # None: nothing was counted yet
    now: Mapping[str, float]  # "jobs|pending": 3
    ended: Mapping[str, float]  # "jobs|completed|safety_summary|pdf|": 120, only ever more
    stored: Mapping[str, float]  # "reports": bytes
    measures: Iterable[Record]


def read(database: Database) -> Figures:
    """The figures as they were counted last; a few small records whatever the database holds."""
    records = {record["_id"]: record for record in database.figures.find({})}
    ended = {**_counts(records.get("jobs")), **_counts(records.get("deliveries"))}
    current = records.get("now", {})
    return Figures(
        current.get("at"),
        _counts(current),
        ended,
        _counts(records.get("stored")),
        list(database.measures.find({})),
    )


def refresh(database: Database, now: datetime) -> bool:
    """Count what is open and add what has ended, unless another process has just done so. True: done.

    May be called by any process at any time: each record is added once, whoever adds it.
    """
    if not _claim(database, "now", now, FRESH_FOR):
        return False
    _add_ended(database, "jobs", "completed_at", now, _job_series)
    _add_ended(database, "deliveries", "settled_at", now, _delivery_series)
    counts = _as_fields(_open(database, now))
    database.figures.update_one({"_id": "now"}, {"$set": {"counts": counts, "at": now}})
    if _claim(database, "stored", now, STORED_FRESH_FOR):
        database.figures.update_one({"_id": "stored"}, {"$set": {"counts": _as_fields(_stored(database))}})
    return True


def error_kind(error: str | None) -> str:
    """A short word for what an error text is about, so that failures can be counted by it."""
    text = (error or "").lower()
    for word, needles in _KINDS:
        if any(needle in text for needle in needles):
            return word
    return "other" if text else "none"


_KINDS = (
    ("timeout", ("timeout", "timed out", "deadline")),
    ("database", ("mongo", "serverselection", "autoreconnect")),
    ("storage", ("s3", "bucket", "object ", "enospc", "no space")),
    ("dataset", ("dataset", "trial", "malformed", "standard unit")),
    ("rights", ("right", "may not", "entitle", "audience")),
    ("mail", ("smtp", "sendgrid", "relay", "mail", "recipient", "bounce", "slack", "webhook", "http")),
    ("memory", ("memory",)),
)


def _claim(database: Database, name: str, now: datetime, fresh_for: timedelta) -> bool:
    """Whether this process is to count `name` now. A time in the future (a clock ahead) is no time."""
    due: Record = {
        "_id": name,
        "$or": [{"claimed_at": {"$lte": now - fresh_for}}, {"claimed_at": {"$gt": now + fresh_for}}],
    }
    try:
        answer = database.figures.update_one(due, {"$set": {"claimed_at": now}}, upsert=True)
    except DuplicateKeyError:
        return False
    return bool(answer.modified_count or answer.upserted_id)


def _add_ended(
    database: Database,
    collection: str,
    field: str,
    now: datetime,
    series: Callable[[Database, list[Record]], dict[str, float]],
) -> None:
    """Add the records that ended since the mark, in portions of whole instants."""
    until = now - SETTLED_AFTER
    while True:
        standing = database.figures.find_one({"_id": collection}) or {}
        since = standing.get("mark", EPOCH)
        query = {field: {"$gt": since, "$lte": until}}
        some = list(database[collection].find(query).sort(field, 1).limit(ADDED_AT_ONCE))
        if not some:
            return
        mark = some[-1][field]
        if len(some) == ADDED_AT_ONCE:  # the last instant may have more
            some = [one for one in some if one[field] < mark]
            some += list(database[collection].find({field: mark}))
        added = {f"counts.{key}": number for key, number in _as_fields(series(database, some)).items()}
        try:
            database.figures.update_one(
                {"_id": collection, "mark": standing.get("mark")},
                {"$inc": added, "$set": {"mark": mark}},
                upsert=not standing,
            )
        except DuplicateKeyError:
            return  # another process has begun; it goes on


def _job_series(database: Database, jobs: list[Record]) -> dict[str, float]:
    """Ended jobs by state, report type, format and kind of error; restatements among them by state."""
    ids = {str(job.get("subscription")) for job in jobs}
    kept = {"report_type": 1, "format": 1}
    of = {row["_id"]: row for row in find_any(database.subscriptions, "_id", ids, None, kept)}
    counts: dict[str, float] = {}
    for job in jobs:
        subscription = of.get(str(job.get("subscription")), {})
        state = _word(job, "state")
        kind = error_kind(str(job.get("error") or "")) if state == JobState.FAILED.value else ""
        parts = (state, _word(subscription, "report_type"), _word(subscription, "format"), kind)
        _one_more(counts, "jobs", *parts)
        if job.get("restates"):
            _one_more(counts, "restatements", state)
    return counts


def _delivery_series(_database: Database, deliveries: list[Record]) -> dict[str, float]:
    """Settled deliveries by channel and state; and those of the promise, kept or not."""
    counts: dict[str, float] = {}
    for one in deliveries:
        state = _word(one, "state")
        _one_more(counts, "deliveries", _word(one, "channel"), state)
        if state in (DeliveryState.SENT.value, DeliveryState.DELIVERED.value, DeliveryState.FAILED.value):
            due_at = one.get("due_at")  # where a hand took it, nobody knows that the promise was kept
            on_time = isinstance(due_at, datetime) and one["settled_at"] - due_at <= PROMISED
            kept = on_time and state != DeliveryState.FAILED.value
            _one_more(counts, "promised", "kept" if kept else "broken")
    return counts


def _open(database: Database, now: datetime) -> dict[str, float]:
    """What is open at `now`."""
    letters = gauge(database)
    lost_jobs = {"state": JobState.FAILED.value, "failed_in": "rendering"}
    counts: dict[str, float] = {
        **{f"jobs|{state}": _number(database, "jobs", state=state) for state in OPEN_JOBS},
        **{f"deliveries|{state}": _number(database, "deliveries", state=state) for state in OPEN_DELIVERIES},
        **{f"editions|{state}": _number(database, "editions", state=state) for state in EditionState},
        **{
            f"subscriptions|{status}": _number(database, "subscriptions", status=status)
            for status in ("active", "paused", "ended")
        },
        "dead_letters|delivery": letters.count,
        "dead_letters|report": database.jobs.count_documents(lost_jobs),
        "dead_letters_oldest": (now - letters.oldest).total_seconds() if letters.oldest else 0.0,
        "alerts": len(open_alerts(database)),
    }
    return {**counts, **_queues(database, now), **_workers(database, now)}


def _queues(database: Database, now: datetime) -> dict[str, float]:
    """How much waits in each stage, and for how long the oldest does, in seconds."""
    pending: Record = {"state": JobState.PENDING.value}
    due: Record = {
        "state": {"$in": [DeliveryState.PENDING.value, DeliveryState.UNKNOWN.value]},
        "next_attempt_at": {"$lte": now},
    }
    waiting = {
        "render": (database.jobs.count_documents(pending), _oldest(database, "jobs", pending, "due_at")),
        "notify": (
            database.deliveries.count_documents(due),
            _oldest(database, "deliveries", due, "next_attempt_at"),
        ),
        **_edition_queues(database),
    }
    counts: dict[str, float] = {}
    for stage, (number, since) in waiting.items():
        counts[f"queue|{stage}"] = number
        counts[f"queue_oldest|{stage}"] = max(0.0, (now - since).total_seconds()) if since and number else 0.0
    return counts


def _edition_queues(database: Database) -> dict[str, tuple[int, datetime | None]]:
    """Trials of open editions that have no documents, or no dataset, of the period yet."""
    found: dict[str, tuple[int, datetime | None]] = {"fetch": (0, None), "aggregate": (0, None)}
    trials = database.trials.estimated_document_count()
    for edition in database.editions.find({"state": EditionState.OPEN.value}).sort("opened_at", -1):
        if not {"cadence", "period"} <= edition.keys():  # somebody broke it by hand; the others are told
            continue
        for stage, asset in (("fetch", "documents"), ("aggregate", "trial_dataset")):
            name = f"{edition['cadence']}/{asset}"
            done = database.asset_results.count_documents({"asset": name, "period": edition["period"]})
            missing = max(0, trials - done)
            if missing:
                found[stage] = (found[stage][0] + missing, _time(edition, "opened_at"))
    return found


def _workers(database: Database, now: datetime) -> dict[str, float]:
    """Runs at work by stage, and how long ago the last sign of life of each stage was."""
    counts: dict[str, float] = {f"workers|{stage}": 0 for stage in STAGES}
    beats = [(at, _word(beat, "stage")) for beat in database.heartbeats.find({}) if (at := _time(beat, "at"))]
    for at, stage in beats:
        if now - at <= SILENT_AFTER:
            _one_more(counts, "workers", stage)
    if beats:
        counts["heartbeat_age"] = max(0.0, (now - max(at for at, _ in beats)).total_seconds())
    return counts


def _stored(database: Database) -> dict[str, float]:
    """Bytes of reports and of uploaded files; looks at every record, so only now and then."""
    reports = database.reports.aggregate([{"$group": {"_id": None, "bytes": {"$sum": "$size"}}}])
    with_file: Record = {"$match": {"file.key": {"$exists": True}}}
    total: Record = {"$group": {"_id": None, "bytes": {"$sum": "$file.size"}}}
    files = database.documents.aggregate([with_file, total])
    return {
        "reports": sum(float(row["bytes"]) for row in reports),
        "files": sum(float(row["bytes"]) for row in files),
    }


def _oldest(database: Database, collection: str, query: Record, field: str) -> datetime | None:
    """The least time of a field; what is no time was written by a hand, and is the looks' to end."""
    timed = {**query, field: {"$gt": EPOCH, **query.get(field, {})}}
    record = database[collection].find_one(timed, {field: 1}, sort=[(field, 1)])
    return record[field] if record else None


def _time(record: Record, field: str) -> datetime | None:
    value = record.get(field)
    return value if isinstance(value, datetime) else None


def _word(record: Record, field: str) -> str:
    """A short text of a record as a label's value; "?" for what a hand took or put there."""
    value = record.get(field)
    return value if isinstance(value, str) and "|" not in value else "?"


def _number(database: Database, collection: str, **query: str) -> int:
    return database[collection].count_documents({name: str(value) for name, value in query.items()})


def _one_more(counts: dict[str, float], *parts: str) -> None:
    key = "|".join(parts)
    counts[key] = counts.get(key, 0) + 1


def _as_fields(counts: Mapping[str, float]) -> dict[str, float]:
    """Keys that may be fields of a record."""
    return {key.replace(".", "_").replace("$", "_"): number for key, number in counts.items()}


def _counts(record: Record | None) -> dict[str, float]:
    return dict((record or {}).get("counts", {}))
