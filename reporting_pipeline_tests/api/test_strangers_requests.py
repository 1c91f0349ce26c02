"""What a stranger sends who has the OpenAPI document alone: nothing odd is passed over in silence."""

from __future__ import annotations

from http.client import HTTPConnection
from typing import Any

import pytest

from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.api.conftest import Api
from reporting_pipeline_tests.api.world import populate
from reporting_pipeline_tests.waiting import PATIENCE

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "body",
    [
        '{"userId": "usr_default_subscriber", "reportType": "daily", "reportType": "weekly"}',
        '{"userId": "usr_default_subscriber", "reportType": "daily", "schedule": {"a": 1, "a": 2}}',
        '{"userId": "usr_default_subscriber", "reportType": "weekly", "latenessHours": NaN}',
    ],
)
def test_a_body_that_readers_read_differently_is_refused(
    subscriber: Api, database: Database, body: str
) -> None:
    answer = subscriber.post("/api/subscriptions", data=body, headers=JSON)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "#"
    assert database.subscriptions.count_documents({}) == 0


def test_a_body_with_a_byte_order_mark_is_read(subscriber: Api) -> None:
    body = '{"userId": "usr_default_subscriber", "reportType": "weekly"}'.encode("utf-8-sig")
    assert subscriber.post("/api/subscriptions", data=body, headers=JSON).status_code == 201


@pytest.mark.parametrize("query", ["limit=1&limit=2", "status=active&status=paused", "limit=1&limit=1"])
def test_a_parameter_that_stands_twice_is_refused(subscriber: Api, query: str) -> None:
    answer = subscriber.get(f"/api/subscriptions?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == query.partition("=")[0]


@pytest.mark.parametrize("body", [{}, {"channel": None}, {"kind": None, "stage": None, "limit": 5}])
def test_nobody_requeues_everything_by_naming_nothing(
    manager: Api, database: Database, objects: ObjectStore, body: dict[str, object]
) -> None:
    names = populate(database, objects)
    answer = manager.post("/api/dead-letters/requeue", json=body)
    assert answer.status_code == 422
    assert (database.deliveries.find_one({"_id": names["letter"]}) or {})["state"] == "failed"


@pytest.mark.parametrize("value", [True, "1", "one"])
@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        (
            "scheduled-reports/preview",
            {"schedule_config": {"cadence": "weekly"}},
            "schedule_config/day_of_week",
        ),
        (
            "scheduled-reports/preview",
            {"schedule_config": {"cadence": "monthly"}},
            "schedule_config/day_of_month",
        ),
        (
            "scheduled-reports/preview",
            {"schedule_config": {"cadence": "weekly"}},
            "schedule_config/every_weeks",
        ),
        (
            "subscriptions",
            {"userId": "usr_default_admin", "reportType": "weekly", "schedule": {}},
            "schedule/dayOfWeek",
        ),
        ("organisations", {"id": "acme", "name": "Acme"}, "confirm_after_days"),
        (
            "users/usr_n",
            {"name": "N", "email": "n@default.example", "roles": ["subscriber"]},
            "combine_minutes",
        ),
    ],
)
def test_a_number_is_a_number_and_neither_a_text_nor_a_truth(
    api: Api, path: str, body: dict[str, Any], pointer: str, value: object
) -> None:
    """`true` was Monday, and every week."""
    *outer, name = pointer.split("/")
    given = {**body, outer[0]: {**body[outer[0]], name: value}} if outer else {**body, name: value}
    method = "PUT" if path.startswith("users") else "POST"
    answer = api.as_("usr_default_admin").call(method, f"/api/{path}", json=given)
    assert answer.status_code == 422, answer.text
    assert [one["pointer"] for one in answer.json()["errors"]] == [f"#/{pointer}"]


def test_one_request_has_one_idempotency_key(api: Api) -> None:
    connection = HTTPConnection(api.base.removeprefix("http://"), timeout=PATIENCE)
    connection.putrequest("POST", "/api/subscriptions")
    connection.putheader("Authorization", f"Bearer {api.as_('usr_default_subscriber').token}")
    for key in ("a", "b"):
        connection.putheader("Idempotency-Key", key)
    connection.putheader("Content-Length", "0")
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 422
    assert b"one key" in answer.read()
    connection.close()
