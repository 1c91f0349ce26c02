"""The `editions` collection: opening one exactly once, and moving it from state to state.

What an edition is and which changes are legal is in `domain.editions`; jobs are another store's.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from pymongo import DESCENDING, ReturnDocument
from pymongo.errors import DuplicateKeyError

from reporting_pipeline.domain.editions import Edition, edition_id, may_precede
from reporting_pipeline.domain.jobs import EditionState
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.stores.mongo import Database, Record, find_any
from reporting_pipeline.tracing import begun

_log = logging.getLogger(__name__)

#: So many jobs are counted while somebody waits for a page: the embedded server takes 50 µs a job.
COUNTED_NOW = 2_000


class EditionExists(Exception):
    """The edition is open or was opened before; `edition` is the one that stands."""

    def __init__(self, edition: Edition) -> None:
        super().__init__(f"edition {edition.id} exists and is {edition.state.value}")
        self.edition = edition


class EditionMissing(KeyError):
    """No such edition."""


class IllegalTransition(ValueError):
    """The edition is in a state that the wanted one may not follow."""

    def __init__(self, edition: Edition, wanted: EditionState) -> None:
        super().__init__(f"edition {edition.id} is {edition.state.value} and cannot become {wanted.value}")
        self.edition = edition
        self.wanted = wanted


def open_edition(
    database: Database,
    cadence: Cadence,
    period: str,
    opened_by: str,
    now: datetime,
    force: bool = False,
) -> Edition:
    """Open the edition of `cadence` and `period` (a period key), once.

    Where it stands already: EditionExists with it; with `force` it is opened again and `forced`
    counts up, which tells the sensors to make it anew. Of two callers at once one opens.
    """
    record: Record = {
        "_id": edition_id(cadence, period),
        "cadence": cadence.value,
        "period": period,
        "state": EditionState.OPEN.value,
        "opened_at": now,
        "opened_by": opened_by,
        "state_at": now,
        "forced": 0,
        "counts": {},
    }
    try:
        database.editions.insert_one(begun(record, "open edition", edition=record["_id"]))
    except DuplicateKeyError:
        if not force:
            raise EditionExists(get_edition(database, record["_id"])) from None
        return _open_again(database, record["_id"], opened_by, now)
    return _edition(record)


def get_edition(database: Database, edition: str) -> Edition:
    """The edition, or EditionMissing."""
    record = database.editions.find_one({"_id": edition})
    if record is None:
        raise EditionMissing(edition)
    return _edition(record)


def list_editions(
    database: Database,
    cadence: Cadence | None = None,
    state: EditionState | None = None,
    after: tuple[str, str] | None = None,
    limit: int = 50,
) -> list[Edition]:
    """Newest period first, then by id. `after` is (period, id) of the last edition already read."""
    query: Record = {}
    if cadence is not None:
        query["cadence"] = cadence.value
    if state is not None:
        query["state"] = state.value
    if after is not None:
        period, last = after
        query["$or"] = [{"period": {"$lt": period}}, {"period": period, "_id": {"$lt": last}}]
    newest = [("period", DESCENDING), ("_id", DESCENDING)]
    found = database.editions.find(query).sort(newest).batch_size(limit)
    with found:
        return list(islice(_readable(found), limit))


def open_editions(database: Database) -> list[Edition]:
    """Every edition that is open, oldest first: what the edition sensor works on."""
    records = database.editions.find({"state": EditionState.OPEN.value}).sort([("period", 1), ("_id", 1)])
    return list(_readable(records))


def _readable(records: Iterable[Record]) -> Iterator[Edition]:
    """Without those that somebody broke by hand, which are said: they must not hold up the others."""
    for record in records:
        try:
            edition = _edition(record)
        except ValueError:
            _log.error("edition %s is not valid and is passed over", record["_id"], exc_info=True)
            continue
        yield edition


def set_state(
    database: Database,
    edition: str,
    state: EditionState,
    now: datetime,
    reason: str = "",
    counts: Mapping[str, int] | None = None,
) -> Edition:
    """Move the edition to `state`; to the state it is in already changes nothing but `counts`.

    Raises EditionMissing, or IllegalTransition when the state it is in does not allow it. Atomic: of
    two callers that want different states one gets IllegalTransition.
    """
    change: Record = {"state": state.value, "state_at": now, "reason": reason}
    if counts is not None:
        change["counts"] = dict(counts)
    record = database.editions.find_one_and_update(
        {"_id": edition, "state": {"$in": [one.value for one in may_precede(state)]}},
        {"$set": change},
        return_document=ReturnDocument.AFTER,
    )
    if record is not None:
        return _edition(record)
    current = get_edition(database, edition)
    if current.state is not state:
        raise IllegalTransition(current, state)
    return set_counts(database, edition, counts, now) if counts is not None else current


def set_counts(database: Database, edition: str, counts: Mapping[str, int], now: datetime) -> Edition:
    """Keep how many jobs are in which state at `now`. Raises EditionMissing."""
    return _changed(database, edition, {"counts": dict(counts), "counted_at": now})


def keep_counts(database: Database, edition: str, now: datetime) -> dict[str, int]:
    """Count the jobs by state and keep that, of all and of each organisation. Returns it of all.

    What is kept for each organisation is for `progress_of`. Raises EditionMissing.
    """
    groups = database.jobs.aggregate(
        [
            {"$match": {"edition": edition}},
            {"$group": {"_id": {"organisation": "$organisation", "state": "$state"}, "jobs": {"$sum": 1}}},
        ]
    )
    counts: Counter[str] = Counter()
    each: dict[str, dict[str, int]] = {}
    for group in groups:
        state, jobs = str(group["_id"].get("state")), int(group["jobs"])
        counts[state] += jobs
        each.setdefault(str(group["_id"].get("organisation")), {})[state] = jobs
    kept = [{"organisation": one, "counts": each[one]} for one in sorted(each)]
    _changed(database, edition, {"counts": dict(counts), "counted_at": now, "counts_of": kept})
    return dict(counts)


def note_reports_stand(database: Database, edition: str, now: datetime) -> None:
    """Every report of the edition stands; the first time since its last opening is kept."""
    database.editions.update_one(
        {"_id": edition, "reports_stand_at": None}, {"$set": {"reports_stand_at": now}}
    )


def set_started(database: Database, edition: str, now: datetime) -> Edition:
    """An outside worker has begun: a failed edition is open again. Saying it again changes nothing.

    Raises EditionMissing, IllegalTransition.
    """
    opened = set_state(database, edition, EditionState.OPEN, now)
    if opened.started_at is not None and opened.state_at != now:
        return opened
    return _changed(database, edition, {"started_at": now})


def note_sending(database: Database, edition: str, now: datetime) -> None:
    """A result has started the sending; the first time stands."""
    database.editions.update_one({"_id": edition, "sending_at": None}, {"$set": {"sending_at": now}})


def set_result(
    database: Database, edition: str, result: Mapping[str, Any], path: str | None = None
) -> Edition:
    """Keep what an outside worker reported of an edition. A failed edition takes no result.

    `path` is the key of the file it made, if it says so.

    Raises EditionMissing, IllegalTransition.
    """
    record = database.editions.find_one_and_update(
        {"_id": edition, "state": {"$in": [EditionState.OPEN.value, EditionState.COMPLETED.value]}},
        {"$set": {"result": dict(result), **({"path": path} if path else {})}},
        return_document=ReturnDocument.AFTER,
    )
    if record is not None:
        return _edition(record)
    current = get_edition(database, edition)
    raise IllegalTransition(current, EditionState.COMPLETED)


def open_ids(database: Database, ids: Iterable[str]) -> set[str]:
    """Those of `ids` that are open."""
    query = {"state": EditionState.OPEN.value}
    return {row["_id"] for row in find_any(database.editions, "_id", ids, query, {"_id": 1})}


def job_counts(database: Database, edition: str, organisation: str | None = None) -> dict[str, int]:
    """How many jobs of the edition are in which state; of one organisation when it is given."""
    match: Record = {"edition": edition}
    if organisation is not None:
        match["organisation"] = organisation
    groups = database.jobs.aggregate([{"$match": match}, {"$group": {"_id": "$state", "jobs": {"$sum": 1}}}])
    return {str(group["_id"]): int(group["jobs"]) for group in groups}


@dataclass(frozen=True)
class EditionProgress:
    """How many jobs of an organisation are in which state: now, or when they were counted last."""

    counts: Mapping[str, int]
    counted_at: datetime | None = None  # None: now


def progress_of(
    database: Database, found: Sequence[Edition], organisation: str, now: datetime, at_most: int = COUNTED_NOW
) -> dict[str, EditionProgress]:
    """{edition: its progress for an organisation}, in bounded time.

    Open editions are counted first, and at most about `at_most` jobs in all; of the others the edition
    sensor's last count is taken. One that nobody has counted for each organisation yet is counted once.
    """
    progress: dict[str, EditionProgress] = {}
    left = at_most
    kept_ones = []
    for edition in sorted(found, key=lambda one: one.state is not EditionState.OPEN):
        jobs = sum(edition.counts.values())
        if jobs > left:
            kept_ones.append(edition.id)
            continue
        left -= jobs
        progress[edition.id] = EditionProgress(job_counts(database, edition.id, organisation))
    of_own = {"counts_of": {"$elemMatch": {"organisation": organisation}}, "counted_at": 1}
    is_kept = {"_id": {"$in": kept_ones}, "counts_of": {"$exists": True}}
    kept = {row["_id"]: row for row in database.editions.find(is_kept, of_own)} if kept_ones else {}
    for wanted in kept_ones:
        row = kept.get(wanted)
        if row is None:
            keep_counts(database, wanted, now)
            row = database.editions.find_one({"_id": wanted}, of_own) or {}
        own = row.get("counts_of") or [{"counts": {}}]
        progress[wanted] = EditionProgress(own[0]["counts"], row.get("counted_at"))
    return progress


def _open_again(database: Database, edition: str, opened_by: str, now: datetime) -> Edition:
    record = database.editions.find_one_and_update(
        {"_id": edition},
        {
            "$set": {
                "state": EditionState.OPEN.value,
                "state_at": now,
                "reopened_at": now,
                "reopened_by": opened_by,
                "reason": "",
                "reports_stand_at": None,
                "started_at": None,
                "sending_at": None,
            },
            "$inc": {"forced": 1},
        },
        return_document=ReturnDocument.AFTER,
    )
    if record is None:
        raise EditionMissing(edition)
    return _edition(record)


def _changed(database: Database, edition: str, change: Record) -> Edition:
    record = database.editions.find_one_and_update(
        {"_id": edition}, {"$set": change}, return_document=ReturnDocument.AFTER
    )
    if record is None:
        raise EditionMissing(edition)
    return _edition(record)


def _edition(record: Record) -> Edition:
    return Edition.model_validate({**record, "id": record["_id"]})
