"""Databases that tests use one after another: emptying one takes the server 20 ms, making one half a second.

A test gets a database as a new one is: every index, this version's schema, nothing else. Collections and
indexes that a test added go, and those that it dropped are made again; one that is still not as it was is
dropped.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from reporting_pipeline.stores.mongo import Database, Record


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
        """Remember how a database was before its first test."""
        if database.name not in self._new:
            records = {name: list(database[name].find()) for name in database.list_collection_names()}
            self._new[database.name] = New(
                _indexes(database), {name: found for name, found in records.items() if found}
            )

    def give_back(self, database: Database) -> None:
        """Keep it for the next test as it was before its first, or drop it."""
        new = self._new[database.name]
        _empty(database)
        found = _indexes(database)
        if found != new.indexes:
            _mend(database, found, new.indexes)
            found = _indexes(database)
        if found == new.indexes:
            for name, records in new.records.items():
                database[name].insert_many(records)
            self._names.append(database.name)
        else:
            del self._new[database.name]
            drop(database)


def drop(database: Database) -> None:
    """Away with it. Emptied first: a full one takes the embedded server thirty times as long."""
    _empty(database)
    database.client.drop_database(database.name)


def _empty(database: Database) -> None:
    for name in database.list_collection_names():
        database[name].delete_many({})


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
