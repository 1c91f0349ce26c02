"""The connection to MongoDB, and every collection's indexes.

Unique indexes, not checks, keep duplicates out: a rule that two workers could break between a look
and a write stands here as an index.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, TypeVar, cast

from bson.codec_options import CodecOptions
from pymongo import ASCENDING, DESCENDING, IndexModel, MongoClient, ReplaceOne
from pymongo.collection import Collection
from pymongo.database import Database as PymongoDatabase
from pymongo.errors import BulkWriteError, OperationFailure
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent
from pymongo.read_preferences import SecondaryPreferred

from reporting_pipeline.domain.deliveries import DeliveryRecord
from reporting_pipeline.domain.jobs import JobRecord
from reporting_pipeline.stores import schema
from reporting_pipeline.stores.measures import MEASURES

Record = dict[str, Any]
#: Operators, or the stages of a pipeline that computes from the record itself.
Update = Mapping[str, Any] | list[Record]
Database = PymongoDatabase[Record]
#: A record of one kind.
Kept = TypeVar("Kept", bound=Mapping[str, Any])

DUPLICATE_KEY = 11000
#: An index stands under that name, or over those fields, and is not the same.
INDEX_CONFLICTS = (85, 86)
INDEX_NOT_FOUND = 27
#: A secondary that is further behind is not asked; the driver takes no less.
LONGEST_LAG_SECONDS = 90
# In a query over what stands in several indexes, what the fewest records have is named first: the embedded
# server looks up by the first of its fields that an index begins with, and reads all that has it. Of MongoDB
# the order of fields is no business.

#: So many values stand in one `$in`. The embedded server holds each candidate against every value of
#: the list: a look-up costs it 1.8 ms a record with 2,000 values, 0.12 with 100, 0.08 with 50.
VALUES_AT_ONCE = 50
#: So many records stand in one request that inserts.
INSERTED_AT_ONCE = 1_000

#: Before every time that is one. An index over times alone serves a range that begins here, or later.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# A change of a record costs the embedded server a quarter of a millisecond for each index of its collection,
# whatever was changed, and half of that where the index is partial and does not have the record.
INDEXES: Mapping[str, list[IndexModel]] = {
    "documents": [
        IndexModel([("trial", ASCENDING), ("received_at", ASCENDING)]),
        IndexModel([("organisation", ASCENDING), ("received_at", DESCENDING), ("_id", ASCENDING)]),
        IndexModel([("file.key", ASCENDING)], sparse=True),
    ],
    "document_versions": [
        IndexModel([("document", ASCENDING), ("version", ASCENDING)], unique=True),
        IndexModel(
            [("withdrawn", ASCENDING), ("document", ASCENDING)], partialFilterExpression={"withdrawn": True}
        ),
    ],
    "trials": [IndexModel([("organisation", ASCENDING)])],
    "users": [
        IndexModel([("organisation", ASCENDING), ("_id", ASCENDING)]),
        IndexModel([("organisation", ASCENDING), ("email", ASCENDING)], unique=True),
        IndexModel([("email_confirmed.lease_until", ASCENDING)], sparse=True),  # hardly ever one
    ],
    "subscriptions": [
        IndexModel([("window", ASCENDING), ("status", ASCENDING), ("_id", ASCENDING)]),
        IndexModel(
            [("organisation", ASCENDING), ("owner", ASCENDING), ("status", ASCENDING), ("_id", ASCENDING)]
        ),
        IndexModel([("organisation", ASCENDING), ("status", ASCENDING), ("_id", ASCENDING)]),
        IndexModel([("status", ASCENDING), ("next_due_at", ASCENDING)]),
        IndexModel([("window", ASCENDING), ("status", ASCENDING), ("updated_at", ASCENDING)]),
        IndexModel([("report_type", ASCENDING), ("window", ASCENDING), ("status", ASCENDING)]),
        IndexModel([("organisation", ASCENDING), ("name_key", ASCENDING)]),  # how a name begins
        IndexModel(  # who waits for a word
            [("organisation", ASCENDING), ("status", ASCENDING), ("confirmation_asked_at", ASCENDING)],
            name="asked_for_a_word",
            partialFilterExpression={"confirmation_asked_at": {"$gt": EPOCH}},
        ),
    ],
    "registrations": [
        IndexModel([("organisation", ASCENDING), ("address", ASCENDING), ("cadence", ASCENDING)], unique=True)
    ],
    "editions": [
        IndexModel([("cadence", ASCENDING), ("period", ASCENDING)], unique=True),
        IndexModel([("state", ASCENDING), ("cadence", ASCENDING)]),
    ],
    "jobs": [
        IndexModel(
            [("subscription", ASCENDING), ("period", ASCENDING), ("occurrence", ASCENDING)], unique=True
        ),
        IndexModel([("edition", ASCENDING), ("state", ASCENDING)]),
        IndexModel([("state", ASCENDING), ("due_at", ASCENDING)]),
        IndexModel(  # what has ended since the metrics were counted
            [("completed_at", ASCENDING)],
            name="ended_at",
            partialFilterExpression={"completed_at": {"$gt": EPOCH}},
        ),
        # Few among many; an index over all would cost every write of every job.
        IndexModel(
            [("on_demand", ASCENDING), ("state", ASCENDING), ("due_at", ASCENDING)],
            partialFilterExpression={"on_demand": True},
        ),
        # Few, and looked for at each tick among many that are whole.
        IndexModel(
            [("edition", ASCENDING), ("has_omissions", ASCENDING)],
            partialFilterExpression={"has_omissions": True},
        ),
        # Few, and looked for after each delivery run among many that ended in the same state.
        IndexModel(
            [("skipped_for", ASCENDING), ("completed_at", ASCENDING)],
            partialFilterExpression={"skipped_for": "rights"},
        ),
    ],
    "deliveries": [
        IndexModel([("job", ASCENDING), ("channel", ASCENDING), ("recipient", ASCENDING)], unique=True),
        IndexModel([("state", ASCENDING), ("next_attempt_at", ASCENDING)]),
        IndexModel(
            [("settled_at", ASCENDING)],
            name="ended_at",
            partialFilterExpression={"settled_at": {"$gt": EPOCH}},
        ),
        IndexModel([("edition", ASCENDING), ("state", ASCENDING)]),
        IndexModel([("subscription", ASCENDING), ("due_at", DESCENDING)]),
        # A refusal that comes days later names the address alone.
        IndexModel([("recipient", ASCENDING), ("due_at", DESCENDING)]),
        IndexModel([("mail", ASCENDING)], sparse=True),
        IndexModel(
            [("suppressed_for", ASCENDING), ("settled_at", ASCENDING)],
            partialFilterExpression={"suppressed_for": "rights"},
        ),
    ],
    "delivery_events": [IndexModel([("delivery", ASCENDING), ("at", ASCENDING)])],
    "unsubscribes": [
        IndexModel([("subscription", ASCENDING), ("recipient", ASCENDING)], unique=True),
    ],
    "address_marks": [IndexModel([("organisation", ASCENDING), ("address", ASCENDING)], unique=True)],
    "audit": [
        IndexModel([("seq", ASCENDING)], unique=True),
        IndexModel([("organisation", ASCENDING), ("seq", DESCENDING)]),
        IndexModel([("subject", ASCENDING), ("seq", DESCENDING)]),
    ],
    "reports": [
        IndexModel([("subscription", ASCENDING), ("period", ASCENDING)], unique=True),
        IndexModel([("codes", ASCENDING)]),
    ],
    "person_keys": [IndexModel([("organisation", ASCENDING), ("person", ASCENDING)], unique=True)],
    "holds": [IndexModel([("cadence", ASCENDING), ("period", ASCENDING)])],
    "idempotency": [
        IndexModel([("principal", ASCENDING), ("key", ASCENDING)], unique=True),
        IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0),
    ],
    "console_sign_ins": [IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0)],
    "console_sessions": [
        IndexModel([("user", ASCENDING)]),
        IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0),
    ],
    "rate_counters": [IndexModel([("expireAt", ASCENDING)], expireAfterSeconds=0)],
    "rate_windows": [IndexModel([("expireAt", ASCENDING)], expireAfterSeconds=0)],
    # Whoever notices that a run died, ourselves or Dagster: what it left is gone after a day.
    "heartbeats": [IndexModel([("at", ASCENDING)], expireAfterSeconds=86_400)],
    # What a run that died held, and nobody has claimed since.
    "partition_claims": [IndexModel([("at", ASCENDING)], expireAfterSeconds=86_400)],
    "usage": [IndexModel([("edition", ASCENDING)])],
    "asset_results": [IndexModel([("asset", ASCENDING), ("period", ASCENDING), ("state", ASCENDING)])],
}

#: Names of indexes that earlier versions made, and that nothing is looked up by any more.
RETIRED: Mapping[str, tuple[str, ...]] = {
    "subscriptions": (
        "organisation_1_owner_1__id_1",
        "organisation_1__id_1",
        "organisation_1_status_1_confirmation_asked_at_1",
    ),
    "jobs": ("completed_at_1",),
    "deliveries": ("settled_at_1",),
}


class _Commands(CommandListener):
    """How long each command took, by its name: a short list, never what it says."""

    def started(self, event: CommandStartedEvent) -> None:
        """Nothing is known yet."""

    def succeeded(self, event: CommandSucceededEvent) -> None:
        MEASURES.observe("mongodb", event.duration_micros / 1e6, command=event.command_name, outcome="ok")

    def failed(self, event: CommandFailedEvent) -> None:
        MEASURES.observe("mongodb", event.duration_micros / 1e6, command=event.command_name, outcome="failed")


@lru_cache(maxsize=4)
def mongo_client(uri: str) -> MongoClient[Record]:
    """One client per process and URI; pymongo keeps its own pool of connections.

    Server selection gives up after 10 seconds, so that a wrong URI is an error and not a hang.
    """
    return MongoClient(
        uri,
        tz_aware=True,
        serverSelectionTimeoutMS=10_000,
        connectTimeoutMS=10_000,
        appname="reporting-pipeline",
        event_listeners=[_Commands()],
    )


def open_database(uri: str, name: str) -> Database:
    """The database `name` with timezone-aware UTC instants, every index in place, and this version's schema.

    Raises SchemaMismatch for one that another version of the product made; a new one gets this version's.
    """
    _prepare_once(uri, name)
    return unprepared_database(uri, name)


def unprepared_database(uri: str, name: str) -> Database:
    """The database `name` as it is: for what looks at it, or migrates it."""
    return mongo_client(uri).get_database(name, codec_options=CodecOptions(tz_aware=True))


def read_from(database: Database, member: Literal["primary", "secondary"]) -> Database:
    """`database` for reads that a secondary may answer, where it is to and one is there."""
    if member == "primary":
        return database
    return database.with_options(read_preference=SecondaryPreferred(max_staleness=LONGEST_LAG_SECONDS))


@lru_cache(maxsize=64)
def _prepare_once(uri: str, name: str) -> None:
    """Once per process: sensors open the database at every tick."""
    prepare(unprepared_database(uri, name))


def prepare(database: Database) -> None:
    """Make a new database this version's own, refuse another version's, and make missing indexes."""
    schema.refuse_half_restored(database)
    if schema.is_new(database):
        schema.record_step(
            database, schema.SCHEMA_VERSION, "made new", "first connection", 0, datetime.now(UTC)
        )
    schema.refuse_other_schema(database)
    ensure_indexes(database)


def ensure_indexes(database: Database) -> None:
    """Create what is missing of INDEXES and remove what is RETIRED; harmless when all is so.

    How long after its time a record is removed may have been set otherwise (`collMod`): that stays as it is.
    Raises OperationFailure where an index of ours stands with another meaning.
    """
    for collection, indexes in INDEXES.items():
        try:
            database[collection].create_indexes(indexes)
        except OperationFailure as error:
            if error.code not in INDEX_CONFLICTS:
                raise
            standing = database[collection].index_information()
            others = [index for index in indexes if not _expires_otherwise(index, standing)]
            if len(others) == len(indexes):
                raise
            if others:
                database[collection].create_indexes(others)
    _remove_retired(database)


def _remove_retired(database: Database) -> None:
    """After the others are made: at no time is there none to look by. Another process may do the same."""
    for collection, retired in RETIRED.items():
        for name in database[collection].index_information().keys() & set(retired):
            try:
                database[collection].drop_index(name)
            except OperationFailure as error:
                if error.code != INDEX_NOT_FOUND:
                    raise


def _expires_otherwise(index: IndexModel, standing: Mapping[str, Any]) -> bool:
    """Whether `index` stands, and nothing but the time after which it lets records go may be another."""
    wanted: Record = dict(index.document)
    found = standing.get(wanted.pop("name"), {})
    if wanted.pop("expireAfterSeconds", None) is None or "expireAfterSeconds" not in found:
        return False
    meaning = {*wanted, "unique", "sparse", "partialFilterExpression", "collation"}
    found = found | {"key": dict(found["key"])}
    return all(found.get(option) == wanted.get(option) for option in meaning)


def server_time(database: Database) -> datetime:
    """What time the server says it is: one clock for all machines, whatever their own say.

    Asked for and not `$$NOW`, with which the embedded server does not subtract.
    """
    told: datetime = database.command("hello")["localTime"]
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def server_clock(database: Database) -> Callable[[], datetime]:
    """The server's time from now on: asked for once, then counted on by this process, whose own clock may be
    wrong and may jump."""
    asked_at, told = time.monotonic(), server_time(database)
    return lambda: told + timedelta(seconds=time.monotonic() - asked_at)


def job_records(database: Database) -> Collection[JobRecord]:
    """The collection `jobs`, whose records have a type."""
    return cast("Collection[JobRecord]", database["jobs"])


def delivery_records(database: Database) -> Collection[DeliveryRecord]:
    """The collection `deliveries`, whose records have a type."""
    return cast("Collection[DeliveryRecord]", database["deliveries"])


def find_any(
    collection: Collection[Kept],
    field: str,
    values: Iterable[str],
    query: Mapping[str, Any] | None = None,
    projection: Mapping[str, int] | None = None,
) -> Iterator[Kept]:
    """The records that match `query` and whose `field` is one of `values`, in bounded requests."""
    for some in parts(values):
        yield from collection.find({field: {"$in": some}, **(query or {})}, projection)


def update_any(
    collection: Collection[Kept],
    field: str,
    values: Iterable[str],
    query: Mapping[str, Any],
    update: Update,
) -> int:
    """Update the records that match `query` and whose `field` is one of `values`. Returns how many changed.

    One update for many records costs half of one for each.
    """
    return sum(
        collection.update_many({field: {"$in": some}, **query}, update).modified_count
        for some in parts(values)
    )


def insert_missing(collection: Collection[Kept], records: Sequence[Kept]) -> int:
    """Insert those records that no unique index knows already. Returns how many were inserted."""
    return len(records) - len(_not_inserted(collection, records))


def add_missing(database: Database, collection: str, records: Sequence[Record]) -> int:
    """Add whole records to `collection` where their `_id` does not stand yet. Returns how many were added."""
    ids = (record["_id"] for record in records)
    standing = {row["_id"] for row in find_any(database[collection], "_id", ids, None, {"_id": 1})}
    return insert_missing(database[collection], [one for one in records if one["_id"] not in standing])


def put_records(collection: Collection[Record], records: Sequence[Record]) -> None:
    """Write whole records by `_id`, whether they stand or not. Inserting costs a fifth of replacing."""
    standing = _not_inserted(collection, records)
    if standing:
        collection.bulk_write(
            [ReplaceOne({"_id": r["_id"]}, r, upsert=True) for r in standing], ordered=False
        )


def _not_inserted(collection: Collection[Kept], records: Sequence[Kept]) -> list[Kept]:
    """Insert what can be; returns those that a unique index kept out."""
    kept_out: list[Kept] = []
    for start in range(0, len(records), INSERTED_AT_ONCE):
        some = records[start : start + INSERTED_AT_ONCE]
        try:
            collection.insert_many(some, ordered=False)
        except BulkWriteError as error:
            problems = error.details["writeErrors"]
            if any(problem["code"] != DUPLICATE_KEY for problem in problems):
                raise
            kept_out += [some[problem["index"]] for problem in problems]
    return kept_out


def narrowed(query: Record, within: Record | None) -> Record:
    """Both conditions; side by side where they name different fields, which more servers look up."""
    if not within:
        return query
    if not set(query) & set(within):
        return {**query, **within}
    return {"$and": [query, within]}


def parts(values: Iterable[str]) -> Iterator[list[str]]:
    """The different values in bounded lists, in order; what is no text is no id, and is left out."""
    ordered = sorted({one for one in values if isinstance(one, str)})
    for start in range(0, len(ordered), VALUES_AT_ONCE):
        yield ordered[start : start + VALUES_AT_ONCE]
