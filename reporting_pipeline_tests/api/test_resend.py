"""A job's report once more to one recipient: never twice by mistake, never to whoever wants none."""

from __future__ import annotations

import pytest

from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.api.conftest import Api
from reporting_pipeline_tests.api.world import populate


@pytest.fixture
def ids(database: Database, objects: ObjectStore) -> dict[str, str]:
    return populate(database, objects)


@pytest.mark.parametrize(
    ("recipient", "delivery"), [("A@default.example", "delivery"), ("b@default.example", "letter")]
)
def test_one_more_copy_goes_to_one_recipient(
    manager: Api, database: Database, ids: dict[str, str], recipient: str, delivery: str
) -> None:
    path = f"/api/jobs/{ids['job']}/resend"
    answer = manager.post(path, json={"recipient": recipient}, headers={"Idempotency-Key": "once"})
    assert answer.status_code == 202, answer.text
    assert (answer.json()["deliveryId"], answer.json()["status"]) == (ids[delivery], "pending")
    again = manager.post(path, json={"recipient": recipient}, headers={"Idempotency-Key": "once"})
    assert (again.json(), again.headers["idempotency-replayed"]) == (answer.json(), "true")
    stored = database.deliveries.find_one({"_id": ids[delivery]}) or {}
    assert stored["copy"] == 2, "a copy of its own on the wire"
    others = database.deliveries.count_documents({"job": ids["job"], "state": "pending"})
    assert others == 1, "nobody else is sent it"
    assert manager.get(f"/api/jobs/{ids['job']}").json()["status"] == "processing"
    under_way = manager.post(path, json={"recipient": recipient})
    assert (under_way.status_code, "pending" in under_way.json()["detail"]) == (409, True)


@pytest.mark.parametrize("state", ["sending", "unknown", "suppressed"])
def test_what_may_have_arrived_or_is_unwanted_is_not_repeated(
    manager: Api, database: Database, ids: dict[str, str], state: str
) -> None:
    database.deliveries.update_one({"_id": ids["delivery"]}, {"$set": {"state": state}})
    answer = manager.post(f"/api/jobs/{ids['job']}/resend", json={"recipient": "a@default.example"})
    assert answer.status_code == 409
    assert state in answer.json()["detail"]


def test_a_recipient_who_has_none_is_named(manager: Api, ids: dict[str, str]) -> None:
    answer = manager.post(f"/api/jobs/{ids['job']}/resend", json={"recipient": "z@default.example"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "#/recipient"
    awaiting = manager.post(f"/api/jobs/{ids['awaiting']}/resend", json={"recipient": "a@default.example"})
    assert awaiting.status_code == 409, "nothing of it was sent"


def test_a_job_of_others_is_not_there(api: Api, ids: dict[str, str]) -> None:
    foreign = api.as_("usr_other_manager")
    answer = foreign.post(f"/api/jobs/{ids['job']}/resend", json={"recipient": "a@default.example"})
    assert answer.status_code == 404
