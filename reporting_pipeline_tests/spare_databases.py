"""Databases that tests use one after another: emptying one takes the server 10 ms, making one half a second.

A test gets a database as a new one is: every index, this version's schema, nothing else. Collections and
indexes that a test added go, and those that it dropped are made again; one that is still not as it was is
dropped. One request asks for all collections which hold anything, and indexes are read only where somebody
may have changed them: a request for each collection took half of the time of a test of the API.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from pymongo import monitoring

from reporting_pipeline.stores.mongo import INDEXES, Database, Record

#: Collections of the product that no index makes. They stand from the start: of a database that a test added
#: a collection to, every index is read.
WITHOUT_INDEX = frozenset(
    {"alerts", "audit_heads", "channel_states", "media", "organisations", "releases", "subscription_counts"}
    | {"suppressions", "token_buckets", "upkeep"}
)
#: The most that `expireAfterSeconds` may be: 68 years.
LONGEST = 2**31 - 1

#: Commands that change what collections and indexes there are, or what an index is.
_OF_SHAPE = frozenset({"create", "createIndexes", "collMod", "drop", "dropIndexes", "renameCollection"})


class Reshaped(monitoring.CommandListener):
    """The names of the databases whose collections or indexes somebody in this process changed."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name in _OF_SHAPE:
            self.names.add(event.database_name)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """What has begun counts."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """What has begun counts."""


#: Before the first client of the process is made: those that stand hear nothing of it.
RESHAPED = Reshaped()
monitoring.register(RESHAPED)


@dataclass(frozen=True)
class New:
    """A database as it was before its first test."""

    indexes: dict[str, Any]
    records: dict[str, list[Record]]


@dataclass
class SpareDatabases:
    """The spare ones of one session, by name."""

    _names: list[str] = field(default_factory=list)
    _new: dict[str, New] = field(default_factory=dict)

    def take(self) -> str:
        """The name of a spare database, or of one that does not stand yet."""
        return self._names.pop() if self._names else f"test_{secrets.token_hex(6)}"

    def note(self, database: Database) -> None:
        """Remember how a database was before its first test, in which nothing goes by the server's clock."""
        if database.name not in self._new:
            keep_what_expires(database)
            for each in WITHOUT_INDEX - {*database.list_collection_names()}:
                database.create_collection(each)
            records = {name: list(database[name].find()) for name in database.list_collection_names()}
            self._new[database.name] = New(
                _indexes(database), {name: found for name, found in records.items() if found}
            )
            RESHAPED.names.discard(database.name)

    def give_back(self, database: Database) -> None:
        """Keep it for the next test as it was before its first, or drop it."""
        new = self._new[database.name]
        _empty(database)
        if _is_reshaped(database, new):
            _mend(database, _indexes(database), new.indexes)
            if _indexes(database) != new.indexes:
                del self._new[database.name]
                drop(database)
                return
            RESHAPED.names.discard(database.name)
        for name, records in new.records.items():
            database[name].insert_many(records)
        self._names.append(database.name)


def keep_what_expires(database: Database) -> None:
    """The server removes once a minute what is over by its own clock: by that all of a test's clock is."""
    for name, indexes in INDEXES.items():
        for index in indexes:
            if "expireAfterSeconds" in index.document:
                kept = {"name": index.document["name"], "expireAfterSeconds": LONGEST}
                database.command("collMod", name, index=kept)


def _is_reshaped(database: Database, new: New) -> bool:
    """Whether collections or indexes may be others: this process changed some, or another their number."""
    if database.name in RESHAPED.names:
        return True
    numbers = database.command("dbStats")
    indexes = sum(len(each) for each in new.indexes.values())
    return (numbers["collections"], numbers["indexes"]) != (len(new.indexes), indexes)


def drop(database: Database) -> None:
    """Away with it. Emptied first: a full one takes the embedded server thirty times as long."""
    _empty(database)
    database.client.drop_database(database.name)


def _empty(database: Database) -> None:
    for name in _filled(database):
        database[name].delete_many({})


def _filled(database: Database) -> list[str]:
    """The collections that hold anything, by one request."""
    names = database.list_collection_names()
    if not names:
        return []
    asked: list[list[dict[str, Any]]] = [
        [{"$limit": 1}, {"$project": {"_id": 0, "name": {"$literal": name}}}] for name in names
    ]
    others = [
        {"$unionWith": {"coll": name, "pipeline": stages}}
        for name, stages in zip(names[1:], asked[1:], strict=True)
    ]
    return [str(found["name"]) for found in database[names[0]].aggregate([*asked[0], *others])]


def _mend(database: Database, found: dict[str, Any], indexes: dict[str, Any]) -> None:
    """Put back what differs alone: all of a new database's indexes take the server half a second."""
    for name in found.keys() - indexes.keys():
        database.drop_collection(name)
    for name, wanted in indexes.items():
        standing = found.get(name, {})
        if standing == wanted:
            continue
        for index in standing:
            if index != "_id_" and standing[index] != wanted.get(index):
                database[name].drop_index(index)
        for index, told in wanted.items():
            if index != "_id_" and standing.get(index) != told:
                options = {key: value for key, value in told.items() if key not in ("key", "v", "ns")}
                database[name].create_index(told["key"], name=index, **options)


def _indexes(database: Database) -> dict[str, Any]:
    return {name: database[name].index_information() for name in database.list_collection_names()}
