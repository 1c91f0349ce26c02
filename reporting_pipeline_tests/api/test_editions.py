"""Editions, registered users and mails over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from reporting_pipeline.domain.entitlements import ALL, Entitlements
from reporting_pipeline.stores import users
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.api.conftest import Api
from reporting_pipeline_tests.api.world import populate

MONDAY = datetime(2026, 11, 23, 8, tzinfo=UTC)


@pytest.fixture
def monday(serve: Callable[..., Api]) -> Api:
    return serve(clock=lambda: MONDAY)


def test_an_edition_is_opened_once_unless_forced(monday: Api, database: Database) -> None:
    manager = monday.as_("usr_default_manager")
    first = manager.post("/api/reports", json={"reportType": "weekly"})
    assert first.status_code == 201
    assert first.json()["reportId"] == "weekly:2026-11-16"
    assert first.headers["Location"] == "/api/reports/weekly:2026-11-16"
    second = manager.post("/api/reports", json={"reportType": "weekly", "period": "2026-11-16"})
    assert second.status_code == 409
    assert second.json()["type"].endswith(":edition-exists")
    assert second.json()["existing"] == first.json()
    forced = manager.post("/api/reports", json={"reportType": "weekly", "force": True})
    assert (forced.status_code, forced.json()["forced"]) == (201, 1)
    assert database.editions.count_documents({}) == 1


def test_of_many_openers_one_is_heard(monday: Api) -> None:
    manager = monday.as_("usr_default_manager")
    with ThreadPoolExecutor(10) as pool:
        statuses = list(
            pool.map(
                lambda _: manager.post("/api/reports", json={"reportType": "daily"}).status_code, range(20)
            )
        )
    assert sorted(statuses) == [201] + [409] * 19


@pytest.mark.parametrize("period", ["2026-11-23", "2026-11-17", "2026-13-45", "9999-12-27", "x"])
def test_only_a_period_that_is_over_is_opened(monday: Api, period: str) -> None:
    answer = monday.as_("usr_default_manager").post(
        "/api/reports", json={"reportType": "weekly", "period": period}
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "#/period"


def test_progress_is_of_the_own_organisation(api: Api, database: Database, objects: ObjectStore) -> None:
    names = populate(database, objects)
    path = f"/api/reports/{names['edition']}"
    own = api.as_("usr_default_analyst").get(path).json()
    assert (own["counts"], own["jobs"], own["progress"]) == ({"completed": 1, "awaiting_release": 1}, 2, 0.5)
    other = api.as_("usr_other_analyst").get(path).json()
    assert (other["counts"], other["jobs"], other["progress"]) == ({}, 0, 0.0)


def test_a_worker_from_outside_moves_it_through_legal_states_only(
    api: Api, database: Database, objects: ObjectStore
) -> None:
    path = f"/api/reports/{populate(database, objects)['edition']}"
    service = api.as_("usr_default_service")
    assert service.patch(f"{path}/state", json={"state": "failed", "reason": "no disk"}).ok
    assert service.patch(f"{path}/result", json={"reports": 1}).status_code == 409
    assert service.patch(f"{path}/state", json={"state": "open"}).json()["reason"] is None
    assert service.patch(f"{path}/result", json={"reports": 60, "failed": 1}).json()["result"] == {
        "reports": 60,
        "failed": 1,
        "note": "",
    }
    assert service.patch(f"{path}/state", json={"state": "completed"}).ok
    back = service.patch(f"{path}/state", json={"state": "open"})
    assert back.status_code == 409
    assert back.json()["type"].endswith(":illegal-transition")
    assert service.patch("/api/reports/weekly:2020-01-06/state", json={"state": "open"}).status_code == 404


def test_an_address_is_registered_once_and_removed(manager: Api, database: Database) -> None:
    path = "/api/reports/registered-users"
    with ThreadPoolExecutor(6) as pool:
        answers = list(
            pool.map(lambda _: manager.post(path, json={"email": "New@Default.example"}), range(6))
        )
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert len({answer.json()["subscriptionId"] for answer in answers}) == 1
    assert database.subscriptions.count_documents({"status": "active"}) == 1
    listed = manager.get(path).json()["items"]
    assert [(one["email"], one["status"]) for one in listed] == [("new@default.example", "active")]
    assert manager.delete(f"{path}/NEW@default.example").status_code == 204
    assert manager.delete(f"{path}/new@default.example").status_code == 404
    assert manager.get(path).json()["items"] == []
    assert database.subscriptions.count_documents({"status": "active"}) == 0
    assert manager.post(path, json={"email": "new@default.example"}).status_code == 201


@pytest.mark.parametrize(
    "email",
    ["x@elsewhere.example", "not an address", "a@b", "<x@default.example>", "x@default.example,y@z.q"],
)
def test_only_addresses_of_the_organisation_are_registered(manager: Api, email: str) -> None:
    answer = manager.post("/api/reports/registered-users", json={"email": email})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "#/email"


def test_sending_again_sends_nothing_twice_unless_forced(
    api: Api, database: Database, objects: ObjectStore
) -> None:
    names = populate(database, objects)
    manager = api.as_("usr_default_manager")
    path = f"/api/reports/emails/send/{names['edition']}"
    first = manager.post(path).json()
    assert (first["planned"], first["skipped"]) == (1, 2), "the owner had no delivery yet"
    database.deliveries.update_many({"state": "pending"}, {"$set": {"state": "sent", "attempt": 1}})
    again = manager.post(path, json={"force": False}).json()
    assert (again["planned"], again["skipped"]) == (0, 3)
    forced = manager.post(path, json={"force": True}).json()
    assert (forced["planned"], forced["skipped"]) == (3, 0)
    copies = [row["copy"] for row in database.deliveries.find()]
    assert copies == [2, 2, 2], "a repeated message has another id on the wire"


def test_what_nobody_wants_is_not_forced(api: Api, database: Database, objects: ObjectStore) -> None:
    names = populate(database, objects)
    database.deliveries.update_many({}, {"$set": {"state": "suppressed"}})
    database.deliveries.update_one({"_id": names["delivery"]}, {"$set": {"state": "unknown"}})
    api.as_("usr_default_manager").post(f"/api/reports/emails/send/{names['edition']}", json={"force": True})
    states = [row["state"] for row in database.deliveries.find({"recipient": {"$regex": "^[ab]@"}})]
    assert sorted(states) == ["suppressed", "unknown"]


def test_a_delivery_is_recorded_once_and_never_goes_back(
    api: Api, database: Database, objects: ObjectStore
) -> None:
    names = populate(database, objects)
    manager = api.as_("usr_default_manager")
    body = {"jobId": names["job"], "recipient": "c@default.example"}
    made = manager.post("/api/reports/emails", json=body)
    assert made.status_code == 201
    again = manager.post("/api/reports/emails", json=body)
    assert (again.status_code, again.json()["existing"]) == (409, made.json()["deliveryId"])
    outside = {**body, "recipient": "c@elsewhere.example"}
    assert manager.post("/api/reports/emails", json=outside).status_code == 422
    path = f"/api/reports/emails/{made.json()['deliveryId']}"
    service = api.as_("usr_default_service")
    assert service.patch(path, json={"status": "delivered"}).json()["status"] == "delivered"
    assert service.patch(path, json={"status": "delivered"}).status_code == 200
    assert service.patch(path, json={"status": "sent"}).status_code == 409
    listed = manager.get(f"/api/reports/emails/{names['edition']}?limit=1").json()
    assert len(listed["items"]) == 1
    assert listed["nextCursor"]


def test_dead_letters_are_read_and_requeued(api: Api, database: Database, objects: ObjectStore) -> None:
    names = populate(database, objects)
    database.jobs.insert_one(
        {
            **(database.jobs.find_one({"_id": names["job"]}) or {}),
            "_id": "job_lost",
            "occurrence": "lost",
            "state": "failed",
            "failed_in": "rendering",
            "error": "no font",
        }
    )
    analyst, manager = api.as_("usr_default_analyst"), api.as_("usr_default_manager")
    first = analyst.get("/api/dead-letters?limit=1").json()
    second = analyst.get(f"/api/dead-letters?limit=1&cursor={first['next_cursor']}").json()
    found = [*first["items"], *second["items"]]
    assert [(one["id"], one["kind"]) for one in found] == [
        (names["letter"], "delivery"),
        ("job_lost", "job"),
    ]
    assert second["next_cursor"] is None
    assert manager.post("/api/dead-letters/requeue", json={}).status_code == 422
    assert manager.post("/api/dead-letters/job_lost/requeue").json() == {"requeued": 1, "waiting": 0}
    assert manager.post("/api/dead-letters/job_lost/requeue").status_code == 404
    answer = manager.post("/api/dead-letters/requeue", json={"edition": names["edition"]})
    assert answer.json() == {"requeued": 1, "waiting": 0}
    assert analyst.get("/api/dead-letters").json()["items"] == []


def test_requeueing_by_filter_is_limited(serve: Callable[..., Api]) -> None:
    manager = serve(requeues_per_hour=1).as_("usr_default_manager")
    statuses = [
        manager.post("/api/dead-letters/requeue", json={"channel": "email"}).status_code for _ in range(2)
    ]
    assert statuses == [200, 429]


def test_only_somebody_to_whom_everything_is_open_makes_or_sends_an_edition_again(
    api: Api, database: Database, objects: ObjectStore
) -> None:
    names = populate(database, objects)
    before = database.editions.find_one({"_id": names["edition"]})
    for entitled in (Entitlements(), Entitlements(("T1",)), Entitlements(ALL, {"T1": ("701",)})):
        person = f"usr_m{entitled.trials == ALL}{len(entitled.trials)}"
        users.create_user(
            database,
            "default",
            f"{person.lower()}@default.example",
            MONDAY,
            roles=["manager"],
            entitlements=entitled,
            user_id=person,
        )
        limited = api.as_(person)
        opened = limited.post(
            "/api/reports", json={"reportType": "weekly", "period": names["edition"][7:], "force": True}
        )
        sent = limited.post(f"/api/reports/emails/send/{names['edition']}", json={"force": True})
        assert [opened.status_code, sent.status_code] == [403, 403]
    assert database.editions.find_one({"_id": names["edition"]}) == before
