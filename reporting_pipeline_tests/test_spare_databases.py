"""A database comes back as a new one, whatever a test did to it, without being made anew."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pymongo import MongoClient

from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.stores.mongo import Database, Record, open_database
from reporting_pipeline_tests.spare_databases import RESHAPED, SpareDatabases, drop
from reporting_pipeline_tests.stores.commands import CommandsSeen


def added_and_dropped(database: Database) -> None:
    database.console_sessions.drop_indexes()
    database.subscriptions.create_index([("organisation", 1)], unique=True, name="fault")
    database.of_this_test.insert_one({"_id": "one"})
    database.subscriptions.insert_one({"_id": "two"})


def another_of_one_name(database: Database) -> None:
    """As many as before."""
    name, told = next(
        (name, told)
        for name, told in database.subscriptions.index_information().items()
        if name != "_id_" and not told.get("unique")
    )
    database.subscriptions.drop_index(name)
    database.subscriptions.create_index([*told["key"], ("of_this_test", 1)], name=name)


def by_another_process(database: Database) -> None:
    """This one has heard of no command."""
    database.console_sessions.drop_indexes()
    RESHAPED.names.discard(database.name)


@pytest.mark.parametrize("change", [added_and_dropped, another_of_one_name, by_another_process])
def test_what_a_test_adds_goes_and_what_it_drops_is_made_again(
    endpoints: Endpoints, change: Callable[[Database], None]
) -> None:
    spare = SpareDatabases()
    name = spare.take()
    database = open_database(endpoints.mongodb_uri, name)
    spare.note(database)
    new = {one: database[one].index_information() for one in database.list_collection_names()}
    schema = list(database.schema.find())
    change(database)
    assert {one: database[one].index_information() for one in database.list_collection_names()} != new

    spare.give_back(database)

    assert spare.take() == name
    assert {one: database[one].index_information() for one in database.list_collection_names()} == new
    assert database.subscriptions.count_documents({}) == 0
    assert list(database.schema.find()) == schema
    drop(database)


def test_giving_one_back_asks_for_no_collection_by_itself_that_holds_nothing(endpoints: Endpoints) -> None:
    """A request for each would be half of the time of a test."""
    spare = SpareDatabases()
    opened = open_database(endpoints.mongodb_uri, spare.take())
    spare.note(opened)
    opened.subscriptions.insert_one({"_id": "two"})
    commands = CommandsSeen()
    with MongoClient[Record](endpoints.mongodb_uri, event_listeners=[commands]) as client:
        spare.give_back(client[opened.name])
    assert commands.described().count("delete subscriptions") == 1
    assert len(commands.seen) <= 8, commands.described()
    drop(opened)
