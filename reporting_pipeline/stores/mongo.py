"""The connection to MongoDB, and every collection's indexes.

Unique indexes, not checks, keep duplicates out: a rule that two workers could break between a look
and a write stands here as an index.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from bson.codec_options import CodecOptions
from pymongo import ASCENDING, DESCENDING, IndexModel, MongoClient
from pymongo.database import Database as PymongoDatabase

Record = dict[str, Any]
Database = PymongoDatabase[Record]

INDEXES: Mapping[str, list[IndexModel]] = {
    "documents": [
        IndexModel([("trial", ASCENDING), ("received_at", ASCENDING)]),
        IndexModel([("organisation", ASCENDING), ("received_at", DESCENDING), ("_id", ASCENDING)]),
        IndexModel([("file.key", ASCENDING)], sparse=True),
    ],
    "trials": [IndexModel([("organisation", ASCENDING)])],
    "users": [
        IndexModel([("organisation", ASCENDING), ("_id", ASCENDING)]),
        IndexModel([("organisation", ASCENDING), ("email", ASCENDING)], unique=True),
    ],
    "subscriptions": [
        IndexModel([("window", ASCENDING), ("status", ASCENDING), ("_id", ASCENDING)]),
        IndexModel([("organisation", ASCENDING), ("owner", ASCENDING), ("_id", ASCENDING)]),
        IndexModel(
            [("organisation", ASCENDING), ("owner", ASCENDING), ("status", ASCENDING), ("_id", ASCENDING)]
        ),
        IndexModel([("organisation", ASCENDING), ("_id", ASCENDING)]),
        IndexModel([("status", ASCENDING), ("next_due_at", ASCENDING)]),
        IndexModel([("window", ASCENDING), ("status", ASCENDING), ("updated_at", ASCENDING)]),
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
        IndexModel([("state", ASCENDING), ("priority", DESCENDING), ("due_at", ASCENDING)]),
        IndexModel([("on_demand", ASCENDING), ("state", ASCENDING), ("due_at", ASCENDING)]),
        IndexModel([("subscription", ASCENDING), ("due_at", DESCENDING)]),
    ],
    "deliveries": [
        IndexModel([("job", ASCENDING), ("channel", ASCENDING), ("recipient", ASCENDING)], unique=True),
        IndexModel([("state", ASCENDING), ("next_attempt_at", ASCENDING)]),
        IndexModel([("edition", ASCENDING), ("state", ASCENDING)]),
        IndexModel([("subscription", ASCENDING), ("due_at", DESCENDING)]),
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
    "reports": [IndexModel([("subscription", ASCENDING), ("period", ASCENDING)], unique=True)],
    "idempotency": [
        IndexModel([("principal", ASCENDING), ("key", ASCENDING)], unique=True),
        IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0),
    ],
    "rate_counters": [IndexModel([("expireAt", ASCENDING)], expireAfterSeconds=0)],
    "rate_windows": [IndexModel([("expireAt", ASCENDING)], expireAfterSeconds=0)],
    # Whoever notices that a run died, ourselves or Dagster: what it left is gone after a day.
    "heartbeats": [IndexModel([("at", ASCENDING)], expireAfterSeconds=86_400)],
    "asset_results": [IndexModel([("asset", ASCENDING), ("period", ASCENDING), ("state", ASCENDING)])],
}


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
    )


def open_database(uri: str, name: str) -> Database:
    """The database `name` with timezone-aware UTC instants and every index in place."""
    database = mongo_client(uri).get_database(name, codec_options=CodecOptions(tz_aware=True))
    ensure_indexes(database)
    return database


def ensure_indexes(database: Database) -> None:
    """Create what is missing of INDEXES; harmless when all stand."""
    for collection, indexes in INDEXES.items():
        database[collection].create_indexes(indexes)
