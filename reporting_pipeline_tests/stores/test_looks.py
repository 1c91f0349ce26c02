"""What each run and each look of a sensor asks in the midst of a large edition: by what few records have.

The embedded server looks up by the first field of a query that an index begins with (`stores.mongo`), so a
look for the three reports that failed must not begin with the edition that ten thousand have.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from reporting_pipeline.domain.jobs import JobState
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.stores.deliveries.reads import lost_or_unknown
from reporting_pipeline.stores.jobs.reads import short_of_a_whole_report, waiting_in
from reporting_pipeline.stores.mongo import EPOCH, Database, Record
from reporting_pipeline.stores.notice_reads import editions_with_failures, failures_in
from reporting_pipeline_tests.stores.commands import CommandsSeen

EDITION = "weekly:2026-11-16"
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
RESTED, LATELY = NOW - timedelta(hours=1), NOW - timedelta(days=3)
LOOKS: dict[str, Callable[[Database], object]] = {
    "reports that are short": lambda database: short_of_a_whole_report(database, [EDITION]),
    "deliveries that are lost": lambda database: lost_or_unknown(database, [EDITION]),
    "jobs that wait": lambda database: waiting_in(database, EDITION),
    "editions with failures": lambda database: editions_with_failures(database, LATELY, RESTED),
    "failures of an edition": lambda database: list(failures_in(database, EDITION, RESTED)),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_look_in_the_midst_of_an_edition_begins_with_what_few_records_have(
    endpoints: Endpoints, database: Database, look: Callable[[Database], object]
) -> None:
    seen = CommandsSeen()
    with MongoClient[Record](endpoints.mongodb_uri, tz_aware=True, event_listeners=[seen]) as client:
        look(client.get_database(database.name, codec_options=database.codec_options))

    queries = [_query(command) for _, command in seen.seen]
    assert queries
    for query in queries:
        both_are_one_index = set(query) == {"edition", "state"} and isinstance(query["edition"], str)
        assert both_are_one_index or next(iter(query)) in ("state", "has_omissions"), query
        assert "$or" not in query, query


ENDED = {"$gt": EPOCH, "$lte": NOW}
THEIRS = {"organisation": "default", "owner": "ann"}
LISTED = {"organisation": "default", "status": "active"}
#: Collection, query, order -> the index that it is looked up by: of few records, or of one owner's.
LOOKED_UP: list[tuple[str, Record, str, str]] = [
    ("jobs", {"completed_at": ENDED}, "completed_at", "ended_at"),
    ("jobs", {"completed_at": NOW}, "_id", "ended_at"),
    ("deliveries", {"settled_at": ENDED}, "settled_at", "ended_at"),
    ("deliveries", {"settled_at": NOW}, "_id", "ended_at"),
    (
        "subscriptions",
        {**LISTED, "confirmation_asked_at": {"$gt": EPOCH}},
        "confirmation_asked_at",
        "asked_for_a_word",
    ),
    ("subscriptions", THEIRS, "_id", "organisation_1_owner_1_status_1__id_1"),
    (
        "subscriptions",
        {**THEIRS, "status": {"$in": ["active", "paused"]}},
        "_id",
        "organisation_1_owner_1_status_1__id_1",
    ),
    (
        "subscriptions",
        {**LISTED, "_id": {"$gt": "sub_1", "$lte": "sub_2"}},
        "_id",
        "organisation_1_status_1__id_1",
    ),
]


@pytest.mark.parametrize(("collection", "query", "order", "index"), LOOKED_UP)
def test_a_look_is_served_by_its_index_though_it_has_no_other_records(
    database: Database, collection: str, query: Record, order: str, index: str
) -> None:
    plan = database[collection].find(query).sort(order, 1).explain()["queryPlanner"]["winningPlan"]
    stages = []
    while plan:
        stages.append((plan["stage"], plan.get("indexName")))
        plan = plan.get("inputStage")
    assert ("IXSCAN", index) in stages


def test_what_has_not_ended_stands_in_no_index_over_ends(database: Database) -> None:
    """A change of it writes no entry there: the index is partial, whatever is asked for."""
    for collection, index in {(name, index) for name, _, _, index in LOOKED_UP if index == "ended_at"}:
        partial = database[collection].index_information()[index]["partialFilterExpression"]
        (field,) = partial
        database[collection].insert_one({"_id": "open", field: None})
        assert database[collection].count_documents({"_id": "open", **partial}) == 0


def _query(command: dict[str, Any]) -> dict[str, Any]:
    if "aggregate" in command:
        return dict(command["pipeline"][0]["$match"])
    return dict(command.get("filter") or command["query"])


def _failed(number: int, ended: datetime, **fields: object) -> Record:
    return {
        "_id": f"job_{number}",
        "edition": EDITION,
        "subscription": f"sub_{number}",
        "occurrence": "1",
        "period": "2026-11-16",
        "owner": "ann",
        "state": JobState.FAILED.value,
        "failed_in": "rendering",
        "completed_at": ended,
        **fields,
    }


def test_what_failed_for_good_is_told_once_whether_it_cannot_pass_or_rests(database: Database) -> None:
    just_now, hours_ago, long_ago = NOW, NOW - timedelta(hours=5), NOW - timedelta(days=5)
    database["jobs"].insert_many(
        [
            _failed(1, just_now, permanent=True),
            _failed(2, hours_ago, permanent=True),
            _failed(3, hours_ago, permanent=False),
            _failed(4, hours_ago),
            _failed(5, just_now, permanent=False),  # about to be tried again
            _failed(6, hours_ago, permanent=True, failed_in="delivery"),  # its delivery tells of it
            _failed(7, long_ago, permanent=True, edition="weekly:2026-11-09"),
            _failed(8, long_ago, permanent=False, edition="weekly:2026-11-02"),
        ]
    )
    told = [one.subscription for one in failures_in(database, EDITION, RESTED)]
    assert sorted(told) == ["sub_1", "sub_2", "sub_3", "sub_4"]
    assert editions_with_failures(database, LATELY, RESTED) == [EDITION]
