"""The shared fixtures keep their promises: real servers, empty stores, isolation by name."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text

from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import INDEXES, Database
from reporting_pipeline.stores.objects import ObjectStore


@pytest.mark.parametrize("turn", ["first", "second"])
def test_a_test_has_a_database_and_a_bucket_of_its_own(
    turn: str, database: Database, objects: ObjectStore, settings: Settings
) -> None:
    assert database.name == settings.mongodb_database
    assert objects.bucket == settings.s3_bucket
    assert database.trials.count_documents({}) == 0
    assert list(objects.keys("")) == []
    database.trials.insert_one({"_id": turn})
    objects.put(f"files/{turn}", turn.encode())
    assert [record["_id"] for record in database.trials.find()] == [turn]
    assert list(objects.keys("files/")) == [f"files/{turn}"]


def test_the_database_has_every_index(database: Database) -> None:
    for collection, indexes in INDEXES.items():
        assert {index.document["name"] for index in indexes} <= set(database[collection].index_information())


def test_postgres_answers(postgres_url: str) -> None:
    assert postgres_url.startswith("postgresql+psycopg2://")
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        assert connection.execute(text("select 1")).scalar() == 1
    engine.dispose()
