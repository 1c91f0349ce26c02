"""Documents and trials in MongoDB, and the documents' files in S3: the one way in, and the reads.

Every document comes in through `ingest_many`: the sample loaders, the API's uploads, any importer.
The record is validated, the file is stored first and the record that names it after it, so that a
crash leaves an unnamed file (which the reconciler finds) and never a record that names nothing.
Rows for statistics are made in `domain.tidying`, verdicts on files in `media`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import groupby, islice
from math import isfinite
from typing import Annotated, Any
from urllib.parse import quote

import bson
from bson.errors import BSONError
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pymongo import ASCENDING, DESCENDING
from pymongo.errors import DuplicateKeyError

from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.wrong_values import words_of
from reporting_pipeline.stores import document_versions
from reporting_pipeline.stores.mongo import Database, Record, find_any, narrowed
from reporting_pipeline.stores.objects import ObjectStore

MAX_NOTE_BYTES = 1_000_000
MAX_DATA_BYTES = 8_000_000  # half of what MongoDB takes in one record
MAX_FILE_BYTES = 100_000_000
MAX_DEPTH = 50  # of a payload; MongoDB takes 100 of the whole record
OLDEST_ARRIVAL = datetime(2000, 1, 1, tzinfo=UTC)
CLOCK_TOLERANCE = timedelta(days=1)  # of the clock of whoever says when a document arrived
BATCH_SIZE = 500
_ATTEMPTS = 5  # to write a document that somebody else writes to at the same time

_ID_LENGTH = 64
_EXTENSION = re.compile(r"[a-z0-9]{1,8}")


class DocumentInvalid(ValueError):
    """A record that cannot be taken in. `problems` holds (field, what is wrong and what to do)."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{name}: {problem}" for name, problem in problems))


class TrialInvalid(ValueError):
    """A trial record that cannot be kept; the message says which field and what to do."""


@dataclass(frozen=True)
class Arrival:
    """A document on its way in: its record and, when it has a file, the file's bytes."""

    record: Mapping[str, Any]
    content: bytes | None = None
    is_valid: bool = False  # the record is as `validated` gave it, for this content


@dataclass
class Ingested:
    """What became of the arrivals: ids of new and of changed documents, and how many stood already."""

    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: int = 0
    withdrawn: int = 0  # arrivals of documents that were withdrawn: they stay withdrawn


def document_id(*parts: str) -> str:
    """The `_id` of the document that `parts` name: the same parts, the same id."""
    return "doc_" + sha256("\x1f".join(parts).encode()).hexdigest()[:24]


def file_key(trial: str, digest: str, name: str) -> str:
    """The S3 key of a document's file: by trial and content, without anything of its name but the type."""
    _, dot, extension = name.lower().rpartition(".")
    known = extension if dot and _EXTENSION.fullmatch(extension) else "bin"
    return f"files/{quote(trial, safe='')}/{digest}.{known}"


# --- what a record must look like ----------------------------------------------------------------


def _identifier(value: str) -> str:
    if not value or len(value) > _ID_LENGTH or value != value.strip():
        raise ValueError(f"give 1 to {_ID_LENGTH} characters without spaces at the ends")
    if any(character in "|," or unicodedata.category(character).startswith("C") for character in value):
        raise ValueError("an id may not contain '|', ',' or control characters; give an opaque id")
    if ".." in value or value == ".":  # ids are parts of S3 keys and of partition keys
        raise ValueError("an id may not be '.' or contain '..'; give an opaque id")
    return value


def _one_line(value: str) -> str:
    """Control characters and line breaks become spaces; what a reader sees stays."""
    return " ".join("".join(" " if unicodedata.category(c) == "Cc" else c for c in value).split())


def _base_name(value: str) -> str:
    name = _one_line(value).replace("\\", "/").rpartition("/")[2]
    if not name.strip("."):
        raise ValueError("give a file name with at least one other character than '.' and '/'")
    return name


def _short_note(value: str) -> str:
    if len(value.encode()) > MAX_NOTE_BYTES:
        raise ValueError(
            f"a note may have {MAX_NOTE_BYTES:,} bytes; this one has {len(value.encode()):,}. "
            "Attach longer texts as a file"
        )
    return value


def _storable(value: dict[str, Any]) -> dict[str, Any]:
    """`value`, which comes back from MongoDB as it went in."""
    try:
        _check_members(value, 1)
        encoded = bson.encode(value)
        bson.decode(encoded)
    except (BSONError, OverflowError, RecursionError, UnicodeError) as error:
        raise ValueError(f"cannot be kept in MongoDB ({str(error)[:200]}); give plain values") from None
    size = len(encoded)
    if size > MAX_DATA_BYTES:
        raise ValueError(f"has {size:,} bytes, the limit is {MAX_DATA_BYTES:,}; attach it as a file")
    return value


def _check_members(value: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"is nested more than {MAX_DEPTH} levels deep; give a flatter record")
    if isinstance(value, Mapping):
        for name, member in value.items():
            if not isinstance(name, str) or not name or name.startswith("$") or "\0" in name:
                raise ValueError(f"has a member {str(name)[:60]!r}; a name is not empty, nor begins with '$'")
            _check_members(member, depth + 1)
    elif isinstance(value, (list, tuple)):
        for member in value:
            _check_members(member, depth + 1)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("has a whole number of more than 64 bits; give it as text")
    elif isinstance(value, float) and not isfinite(value):
        raise ValueError("has a number that is none or larger than can be kept; give it as text")


Identifier = Annotated[str, AfterValidator(_identifier)]
Line = Annotated[str, Field(max_length=1000), AfterValidator(_one_line)]


class FileRecord(BaseModel):
    """The file of a record. With content, `name` and `content_type` suffice: the rest is computed."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_base_name)]
    content_type: Annotated[
        str, Field(max_length=127, pattern=r"^[a-zA-Z0-9!#$&^_.+-]+/[a-zA-Z0-9!#$&^_.+-]+$")
    ] = "application/octet-stream"
    key: str = ""
    size: Annotated[int, Field(ge=0)] = 0
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""


class DocumentRecord(BaseModel):
    """A document as `domain.documents` describes it, before `updated_at` is known."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: Annotated[str, Field(alias="_id", pattern=r"^doc_[0-9a-f]{24}$")]
    organisation: Identifier
    trial: Identifier
    site: Identifier
    subject: Annotated[str, Field(max_length=200), AfterValidator(_one_line)] = ""
    kind: Annotated[Kind, Field(strict=False)]
    title: Line
    received_at: AwareDatetime
    collected: Annotated[str, Field(max_length=1000), AfterValidator(_one_line)] = ""
    note: Annotated[str, AfterValidator(_short_note)] | None = None
    synthetic: bool = False
    data: Annotated[dict[str, Any], AfterValidator(_storable)] = Field(default_factory=dict)
    file: FileRecord | None = None
    external_id: Annotated[str, Field(max_length=200), AfterValidator(_one_line)] = ""


def validated(record: Mapping[str, Any], content: bytes | None, now: datetime) -> Record:
    """`record` as it is kept, without `updated_at`. Raises DocumentInvalid that names every bad field.

    Instants are cut to the millisecond, which is what MongoDB keeps.
    """
    given = {name: value for name, value in record.items() if name not in ("updated_at", "version")}
    try:
        document = DocumentRecord.model_validate(given)
    except ValidationError as error:
        raise DocumentInvalid(
            [
                (".".join(str(part) for part in problem["loc"]) or "record", _advice(problem))
                for problem in error.errors()
            ]
        ) from None
    arrived = document.received_at.astimezone(UTC)
    if not OLDEST_ARRIVAL <= arrived <= now + CLOCK_TOLERANCE:
        raise DocumentInvalid(
            [
                (
                    "received_at",
                    f"{arrived.isoformat()} is not between {OLDEST_ARRIVAL:%Y-%m-%d} and a day from now; "
                    "give the instant at which the document arrived",
                )
            ]
        )
    kept = {"_id": document.id, **document.model_dump(exclude={"id"})}
    kept["kind"] = document.kind.value
    kept["received_at"] = arrived.replace(microsecond=arrived.microsecond // 1000 * 1000)
    kept["file"] = _file_of(document, content)
    return kept


def _advice(problem: Any) -> str:
    hints = {
        "extra_forbidden": "is not a field of a document; remove it",
        "timezone_aware": "has no timezone; give an aware datetime, best in UTC",
        "enum": f"is no kind of document; give one of {', '.join(Kind)}",
    }
    return words_of(problem, hints)


def _file_of(document: DocumentRecord, content: bytes | None) -> dict[str, Any] | None:
    stored = document.file
    if content is None and stored is None:
        return None
    if stored is None:
        raise DocumentInvalid([("file", "is missing; give at least the file's name with its content")])
    if content is None:
        if not stored.sha256 or stored.key != file_key(document.trial, stored.sha256, stored.name):
            raise DocumentInvalid(
                [("file.key", "a file that is not sent along must be named by its trial's key and SHA-256")]
            )
        digest, size = stored.sha256, stored.size
    else:
        if len(content) > MAX_FILE_BYTES:
            raise DocumentInvalid([("file", f"has {len(content):,} bytes, the limit is {MAX_FILE_BYTES:,}")])
        digest, size = sha256(content).hexdigest(), len(content)
    return {
        "key": file_key(document.trial, digest, stored.name),
        "name": stored.name,
        "size": size,
        "sha256": digest,
        "content_type": stored.content_type,
    }


# --- the way in ----------------------------------------------------------------------------------


def ingest_many(
    database: Database,
    objects: ObjectStore,
    arrivals: Iterable[Arrival],
    now: datetime,
    batch_size: int = BATCH_SIZE,
    progress: Callable[[int], None] = lambda done: None,
    *,
    replace: bool = True,
) -> Ingested:
    """Take in many documents in batches; `progress` is called with the number done so far.

    In each batch all files are stored before the first record is written. `updated_at` becomes `now`
    for what is new or differs from what stands, and stays for the rest; what a change replaces is kept as
    an older version. Without `replace` what stands stays, and counts as unchanged. A document that was
    withdrawn is not taken in again; what somebody else writes meanwhile is looked at anew, and never
    overwritten unseen. An invalid record stops the work with DocumentInvalid; the batches before it stand,
    and a second call goes on from there. Raises DocumentChanged when somebody else writes all the time.
    """
    total = Ingested()
    known_trials: dict[str, str | None] = {}
    waiting = iter(arrivals)
    done = 0
    while batch := list(islice(waiting, batch_size)):
        _ingest_batch(database, objects, batch, now, known_trials, total, replace)
        done += len(batch)
        progress(done)
    return total


def _ingest_batch(
    database: Database,
    objects: ObjectStore,
    batch: list[Arrival],
    now: datetime,
    known_trials: dict[str, str | None],
    total: Ingested,
    replace: bool,
) -> None:
    records: dict[str, Record] = {}
    contents: dict[str, tuple[bytes, str]] = {}  # S3 key -> bytes, content type
    for arrival in batch:
        record = dict(arrival.record) if arrival.is_valid else validated(arrival.record, arrival.content, now)
        _require_trial(database, record, known_trials)
        records[record["_id"]] = record  # the last of several with one id is kept
        if arrival.content is not None and record["file"]:
            contents[record["file"]["key"]] = (arrival.content, record["file"]["content_type"])
    standing = _standing(database, records, total)
    for key, (content, content_type) in contents.items():
        objects.put(key, content, content_type)
    for _ in range(_ATTEMPTS):
        _write(database, records, standing, now, total, replace)
        if not records:
            return
        standing = _standing(database, records, total)  # of those that somebody else wrote meanwhile
    raise document_versions.DocumentChanged(
        f"{next(iter(records))} is written to by somebody else all the time; try again later"
    )


def _standing(database: Database, records: dict[str, Record], total: Ingested) -> dict[str, Record]:
    """What stands of `records`, by id; those that were withdrawn leave `records`."""
    standing = documents_by_id(database, records)
    withdrawn = document_versions.withdrawn_of(database, [one for one in records if one not in standing])
    total.withdrawn += len(withdrawn)
    for identifier in withdrawn:
        del records[identifier]
    for identifier, record in records.items():
        _refuse_theft(record, standing.get(identifier))
    return standing


def _write(
    database: Database,
    records: dict[str, Record],
    standing: Mapping[str, Record],
    now: datetime,
    total: Ingested,
    replace: bool,
) -> None:
    """Write `records` in the place of what stands; what stays in `records` was changed by somebody else
    since it was read, and nothing of theirs is overwritten."""
    kept: dict[str, Record] = {}
    for identifier, record in records.items():
        before = standing.get(identifier)
        if before is not None and (not replace or same_document(before, record)):
            total.unchanged += 1
            continue
        version = document_versions.version_of(before) + 1 if before else 1
        kept[identifier] = {**record, "version": version, "updated_at": now}
    replaced = [standing[one] for one in kept if one in standing]
    document_versions.keep(database, replaced, "import", "taken in again with other content", now)
    others = document_versions.put_all(database, kept, standing)
    for identifier in kept.keys() - others:
        (total.changed if identifier in standing else total.created).append(identifier)
    for identifier in records.keys() - others:
        del records[identifier]


def _require_trial(database: Database, record: Record, known: dict[str, str | None]) -> None:
    trial = record["trial"]
    if trial not in known:
        found = database.trials.find_one({"_id": trial}, {"organisation": 1})
        known[trial] = found["organisation"] if found else None
    if known[trial] != record["organisation"]:  # one answer: who else has which trials is not told
        raise DocumentInvalid(
            [("trial", f"{trial!r} is no trial of {record['organisation']!r}; register the trial first")]
        )


def _refuse_theft(record: Record, before: Record | None) -> None:
    """An id is given once: its document stays with its organisation and its trial."""
    if before and (before["organisation"], before["trial"]) != (record["organisation"], record["trial"]):
        raise DocumentInvalid([("_id", f"{record['_id']} is another document; give a new id")])


def same_document(before: Record, record: Record) -> bool:
    """Whether a document says the same, compared as BSON, in which NaN equals itself and 1 is not True."""
    return _said(before) == _said(record)


def _said(record: Record) -> bytes:
    told = {"external_id": "", **record, "updated_at": None, "version": None}
    return bson.encode(dict(sorted(told.items())))


# --- reads ---------------------------------------------------------------------------------------


def documents_of(database: Database, trial: str, start_at: datetime, end_at: datetime) -> Iterator[Record]:
    """The records of `trial` that arrived in `[start_at, end_at)`, by arrival and then by `_id`.

    The index on (trial, received_at) gives the order; ties are settled here, so that the server never
    sorts a large window in memory.
    """
    found = database.documents.find(_window(trial, start_at, end_at)).sort("received_at", ASCENDING)
    for _, tied in groupby(found, key=lambda record: record["received_at"]):
        yield from sorted(tied, key=lambda record: str(record["_id"]))  # by hand it may be no text


def named_trials(database: Database) -> list[Any]:
    """The trials that documents name, whether they have a record or not; by hand they can be anything."""
    return list(database.documents.distinct("trial"))


def trial_record(database: Database, trial: str) -> Record | None:
    return database.trials.find_one({"_id": trial})


def newest_update(
    database: Database, trial: str, start_at: datetime, end_at: datetime
) -> tuple[int, datetime | None]:
    """How many documents of `trial` arrived in the window, and the newest `updated_at` among them.

    A document that was added, changed or removed changes the pair, which is what tells a dataset that
    it is out of date.
    """
    pipeline = [
        {"$match": _window(trial, start_at, end_at)},
        {"$group": {"_id": None, "count": {"$sum": 1}, "newest": {"$max": "$updated_at"}}},
    ]
    found = next(iter(database.documents.aggregate(pipeline)), None)
    return (found["count"], found["newest"]) if found else (0, None)


def newest_updates(
    database: Database, organisation: str, start_at: datetime, end_at: datetime
) -> dict[str, tuple[int, datetime | None]]:
    """`newest_update` of every trial of an organisation that has a document in the window, in one request."""
    window = {"$gte": start_at, "$lt": end_at}
    pipeline = [
        {"$match": {"organisation": organisation, "received_at": window}},
        {"$group": {"_id": "$trial", "count": {"$sum": 1}, "newest": {"$max": "$updated_at"}}},
    ]
    return {one["_id"]: (one["count"], one["newest"]) for one in database.documents.aggregate(pipeline)}


def list_documents(
    database: Database,
    organisation: str,
    *,
    within: Record | None = None,
    trial: str | None = None,
    site: str | None = None,
    kind: str | None = None,
    window: tuple[datetime, datetime] | None = None,
    after: tuple[datetime, str] | None = None,
    limit: int = 50,
) -> list[Record]:
    """The organisation's documents, newest arrival first, then by `_id`.

    `within` is a further condition (`stores.scope`); `window` is `[start_at, end_at)` of the arrival;
    `after` is (received_at, _id) of the last document already read.
    """
    query: Record = {"organisation": organisation}
    if trial is not None:
        query["trial"] = trial
    if site is not None:
        query["site"] = site
    if kind is not None:
        query["kind"] = kind
    clauses: list[Record] = []
    if window is not None:
        clauses.append({"received_at": {"$gte": window[0], "$lt": window[1]}})
    if after is not None:
        received_at, last = after
        clauses.append({"received_at": {"$lte": received_at}})
        clauses.append({"$or": [{"received_at": {"$lt": received_at}}, {"_id": {"$gt": last}}]})
    if clauses:
        query["$and"] = clauses
    chosen = narrowed(query, within)
    found = database.documents.find(chosen).sort([("received_at", DESCENDING), ("_id", ASCENDING)])
    return list(found.limit(limit))


def get_document(
    database: Database, organisation: str, document: str, within: Record | None = None
) -> Record | None:
    """The organisation's document, or None. `within` is a further condition (`stores.scope`)."""
    return database.documents.find_one(narrowed({"_id": document, "organisation": organisation}, within))


def documents_by_id(database: Database, ids: Iterable[str]) -> dict[str, Record]:
    """Those of `ids` that stand, by id."""
    return {record["_id"]: record for record in find_any(database.documents, "_id", ids)}


def _window(trial: str, start_at: datetime, end_at: datetime) -> dict[str, Any]:
    return {"trial": trial, "received_at": {"$gte": start_at, "$lt": end_at}}


# --- trials --------------------------------------------------------------------------------------


class SiteRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: Identifier
    name: Line


class TrialRecord(BaseModel):
    """A trial as kept in MongoDB's `trials`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: Annotated[str, Field(alias="_id"), AfterValidator(_identifier)]
    organisation: Identifier
    title: Line
    sponsor: Line = ""
    phase: Line = ""
    therapeutic_area: Line = ""
    sites: list[SiteRecord] = Field(default_factory=list)
    synthetic: bool = False
    shifted_weeks: int = 0
    closed_at: AwareDatetime | None = None  # nothing is taken in any more


def upsert_trial(database: Database, trial: Mapping[str, Any]) -> Record:
    """Keep `trial` ({_id, organisation, title, sponsor, phase, therapeutic_area, sites: [{id, name}],
    synthetic, shifted_weeks}) and return it as kept. A trial never changes its organisation.

    Raises TrialInvalid that says which field is wrong and what to do.
    """
    kept = checked_trial(trial)
    own = {"_id": kept["_id"], "organisation": kept["organisation"]}
    try:
        database.trials.replace_one(own, kept, upsert=True)
    except DuplicateKeyError:
        raise TrialInvalid(
            f"_id: {kept['_id']!r} is taken by another organisation; give another id"
        ) from None
    return kept


def checked_trial(trial: Mapping[str, Any]) -> Record:
    """A trial as it is kept. Raises TrialInvalid that says which field is wrong and what to do."""
    try:
        valid = TrialRecord.model_validate(trial)
    except ValidationError as error:
        raise TrialInvalid(
            "; ".join(f"{'.'.join(map(str, p['loc']))}: {_advice(p)}" for p in error.errors())
        ) from None
    return {"_id": valid.id, **valid.model_dump(exclude={"id"})}


def trials_of(database: Database, organisation: str | None = None) -> list[Record]:
    """The trials of `organisation`, or of all of them, ordered by id."""
    wanted = {} if organisation is None else {"organisation": organisation}
    return list(database.trials.find(wanted).sort("_id", ASCENDING))
