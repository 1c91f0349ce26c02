"""A database comes back as a new one, whatever a test did to it, without being made anew."""

from __future__ import annotations

from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.stores.mongo import open_database
from reporting_pipeline_tests.spare_databases import SpareDatabases, drop


def test_what_a_test_adds_goes_and_what_it_drops_is_made_again(endpoints: Endpoints) -> None:
    spare = SpareDatabases()
    name = spare.take()
    database = open_database(endpoints.mongodb_uri, name)
    new = {one: database[one].index_information() for one in database.list_collection_names()}
    schema = list(database.schema.find())
    spare.note(database)
    database.console_sessions.drop_indexes()
    database.subscriptions.create_index([("organisation", 1)], unique=True, name="fault")
    database.of_this_test.insert_one({"_id": "one"})
    database.subscriptions.insert_one({"_id": "two"})

    spare.give_back(database)

    assert spare.take() == name
    assert {one: database[one].index_information() for one in database.list_collection_names()} == new
    assert database.subscriptions.count_documents({}) == 0
    assert list(database.schema.find()) == schema
    drop(database)
