"""What a request asks of the database: a command more at every request is noticed here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pymongo import MongoClient

from reporting_pipeline.api.app import create_app
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Recipient, Subscription
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import subscriptions
from reporting_pipeline.stores.index_pages import IndexPages
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.subscriptions import create_subscriptions, new_subscription_id
from reporting_pipeline_tests.api.conftest import Api, Server, weekly
from reporting_pipeline_tests.stores.commands import CommandsSeen

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
#: The request before has taken a portion of the limit.
COMING_IN = ["find users"]


@pytest.fixture
def commands() -> CommandsSeen:
    return CommandsSeen()


@pytest.fixture
def api(
    endpoints: Endpoints,
    database: Database,
    objects: ObjectStore,
    settings: Settings,
    organisations: None,
    commands: CommandsSeen,
) -> Iterator[Api]:
    """The API on a connection whose commands are noted."""
    with MongoClient[Record](endpoints.mongodb_uri, tz_aware=True, event_listeners=[commands]) as client:
        watched = client.get_database(database.name, codec_options=database.codec_options)
        with Server(create_app(settings, watched, objects)) as server:
            yield Api(server.base, settings)


def many(database: Database, count: int) -> None:
    """Subscriptions of an organisation, as many again of another, and ended ones between them."""
    create_subscriptions(
        database,
        (
            Subscription(
                id=new_subscription_id(),
                organisation=organisation,
                owner=f"usr_{number % 50}",
                name="Many",
                status="ended" if number % 4 == 0 else "active",
                schedule=Schedule(),
                recipients=(Recipient(type="user", value=f"usr_{number % 50}"),),
                created_at=NOW,
                updated_at=NOW,
            )
            for organisation in ("default", "other")
            for number in range(count)
        ),
        NOW,
    )


def test_a_read_takes_two_commands(api: Api, commands: CommandsSeen) -> None:
    subscriber = api.as_("usr_default_subscriber")
    made = subscriber.post("/api/subscriptions", json=weekly()).json()["subscriptionId"]
    commands.seen.clear()

    assert subscriber.get(f"/api/subscriptions/{made}").status_code == 200

    assert commands.described() == [*COMING_IN, "find subscriptions"]


def test_a_creation_takes_thirteen_commands(api: Api, commands: CommandsSeen) -> None:
    subscriber = api.as_("usr_default_subscriber")
    assert subscriber.post("/api/subscriptions", json=weekly()).status_code == 201
    commands.seen.clear()

    assert subscriber.post("/api/subscriptions", json=weekly()).status_code == 201

    assert commands.described() == [
        *COMING_IN,
        "find trials",
        "find users",  # whether whoever it goes to may have it
        "findAndModify subscription_counts",
        "find subscriptions",
        "insert subscriptions",
        # Its first job is planned at once.
        "find editions",
        "find jobs",
        "insert jobs",
        "update subscriptions",
        "find audit",
        "insert audit",
        "update audit_heads",
    ]


def test_the_answer_of_a_key_is_kept_by_the_records_id(api: Api, commands: CommandsSeen) -> None:
    subscriber = api.as_("usr_default_subscriber")
    commands.seen.clear()

    answer = subscriber.post("/api/subscriptions", json=weekly(), headers={"Idempotency-Key": "one"})

    assert answer.status_code == 201
    kept = [
        command["updates"][0]["q"]
        for name, command in commands.seen
        if (name, command[name]) == ("update", "idempotency")
    ]
    assert [set(query) for query in kept] == [{"_id", "token"}]


def test_a_page_is_found_by_ranges_that_hold_little_more_than_it(
    api: Api, commands: CommandsSeen, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "_PAGES", IndexPages())  # nothing is known of the list yet
    many(database, 2_000)
    ids = sorted(
        row["_id"] for row in database.subscriptions.find({"organisation": "default", "status": "active"})
    )
    analyst = api.as_("usr_default_analyst")
    found: list[str] = []
    path: str | None = "/api/subscriptions?limit=50"
    looked_at = []
    while path is not None:
        commands.seen.clear()
        page = analyst.get(path).json()
        found += [one["subscriptionId"] for one in page["items"]]
        looked_at.append(sum(held(ids, command) for name, command in commands.seen if name == "find"))
        path = f"/api/subscriptions?limit=50&cursor={page['nextCursor']}" if page["nextCursor"] else None

    assert found == ids
    assert len(looked_at) == 30
    assert max(looked_at) <= 200
    assert sum(looked_at) / len(looked_at) <= 100


def held(ids: list[str], command: Record) -> int:
    """How many of `ids` lie in the range that a `find` of active subscriptions has on the index."""
    if command["find"] != "subscriptions" or command["filter"]["status"] != "active":
        return 0
    assert set(command["filter"]) <= {"organisation", "status", "_id"}  # the fields of one index, in order
    bounds = command["filter"].get("_id", {})
    return sum(bounds.get("$gt", "") < one <= bounds.get("$lte", "~") for one in ids)
