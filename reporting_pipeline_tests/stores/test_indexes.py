"""Every index that the product needs stands; what an operator set otherwise stays."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.errors import OperationFailure

from reporting_pipeline.stores.mongo import INDEXES, RETIRED, Database, ensure_indexes

DAY = 86_400


def test_a_time_of_expiry_that_was_set_otherwise_stays_and_what_is_missing_is_made(
    database: Database,
) -> None:
    database.command("collMod", "console_sessions", index={"name": "expires_at_1", "expireAfterSeconds": DAY})
    others = {index.document["name"] for index in INDEXES["console_sessions"]} - {"expires_at_1"}
    for name in others:
        database.console_sessions.drop_index(name)

    ensure_indexes(database)

    standing = database.console_sessions.index_information()
    assert standing["expires_at_1"]["expireAfterSeconds"] == DAY
    assert others
    assert others <= set(standing)


def test_what_an_earlier_version_looked_up_by_is_removed_and_what_an_operator_made_stays(
    database: Database,
) -> None:
    database.jobs.create_index([("completed_at", 1)])
    database.subscriptions.create_index([("organisation", 1), ("_id", 1)])
    database.jobs.create_index([("owner", 1)], name="an_operators")

    ensure_indexes(database)
    ensure_indexes(database)

    wanted = {index.document["name"] for index in INDEXES["jobs"]}
    assert set(database.jobs.index_information()) == wanted | {"_id_", "an_operators"}
    assert "organisation_1__id_1" not in database.subscriptions.index_information()
    for collection, retired in RETIRED.items():
        assert not {index.document["name"] for index in INDEXES[collection]} & set(retired)


@pytest.mark.parametrize("changed", [{"unique": True}, {"partialFilterExpression": {"user": "usr_1"}}, {}])
def test_an_index_of_our_name_with_another_meaning_is_told(
    database: Database, changed: dict[str, Any]
) -> None:
    database.console_sessions.drop_index("expires_at_1")
    options = {"expireAfterSeconds": DAY, **changed} if changed else {}
    database.console_sessions.create_index([("expires_at", 1)], name="expires_at_1", **options)
    with pytest.raises(OperationFailure, match="expires_at_1"):
        ensure_indexes(database)


def test_nothing_that_a_test_writes_goes_by_the_clock_of_the_server(database: Database) -> None:
    """A test's clock is passed in: by the server's, all that it wrote may be past."""
    expiring = [
        (name, index.document["name"])
        for name, indexes in INDEXES.items()
        for index in indexes
        if "expireAfterSeconds" in index.document
    ]
    assert len(expiring) >= 7
    for name, index in expiring:
        assert database[name].index_information()[index]["expireAfterSeconds"] > 60 * 365 * DAY, name
