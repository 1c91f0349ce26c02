"""A body says nothing that is lost: what an address does not take is refused, and in words."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.routing import APIRoute

from reporting_pipeline.api.routes import ROUTERS
from reporting_pipeline_tests.api.conftest import Api

SCHEDULED: dict[str, Any] = {
    "name": "Weekly",
    "schedule_config": {"cadence": "weekly"},
    "recipients": [{"type": "user", "value": "usr_default_manager"}],
}
IDS = {
    "report_id": "sub_world",
    "subscription_id": "sub_world",
    "job_id": "job_" + "0" * 24,
    "letter_id": "dlv_" + "0" * 24,
}
WITHOUT = [
    (method, route.path)
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute) and route.path.startswith("/api/")
    if route.body_field is None and "requestBody" not in (route.openapi_extra or {})
    for method in sorted((route.methods or set()) - {"GET", "HEAD"})
]
WRONG: list[tuple[Any, list[tuple[str, str]]]] = [
    ({**SCHEDULED, "colour": 1}, [("#/colour", "is not known here; leave it out")]),
    ([], [("#", "give an object")]),
    ({**SCHEDULED, "report_parameters": []}, [("#/report_parameters", "give an object")]),
    ({**SCHEDULED, "recipients": []}, [("#/recipients", "give at least 1")]),
    (
        {**SCHEDULED, "recipients": [{"type": "fax", "value": "1"}]},
        [
            (
                "#/recipients/0/type",
                "give one of 'email', 'user', 'slack', 'webhook', 'user_id' or 'slack_channel'",
            )
        ],
    ),
    (
        {**SCHEDULED, "schedule_config": {"cadence": "weekly", "day_of_week": 0}},
        [("#/schedule_config/day_of_week", "give at least 1")],
    ),
    (
        {name: value for name, value in SCHEDULED.items() if name != "schedule_config"},
        [("#/schedule_config", "is missing; give it")],
    ),
]


@pytest.mark.parametrize(("body", "told"), WRONG)
def test_what_is_wrong_is_said_in_words(manager: Api, body: Any, told: list[tuple[str, str]]) -> None:
    refused = manager.post("/api/scheduled-reports", json=body)
    assert refused.status_code == 422
    assert [(one["pointer"], one["detail"]) for one in refused.json()["errors"]] == told


def test_a_body_that_is_missing_is_said_to_be(manager: Api) -> None:
    refused = manager.post("/api/scheduled-reports")
    assert [one["detail"] for one in refused.json()["errors"]] == ["a body is needed"]


def test_members_sent_where_no_body_is_taken_are_refused(api: Api) -> None:
    """Pausing "until" somewhen would pause for good, and nobody would hear of it."""
    admin = api.as_("usr_default_admin")
    told = {
        (method, path): [_told(admin, method, path, body) for body in ({"until": "2026-12-24"}, [1], {})]
        for method, path in WITHOUT
    }
    assert len(told) > 10
    assert {key: each for key, each in told.items() if each != ["#/until", "#", None]} == {}


def _told(admin: Api, method: str, path: str, body: Any) -> str | None:
    """What of the body is refused; None where nothing of it is."""
    answer = admin.call(method, path.format_map(Named(IDS)), json=body)
    errors = answer.json().get("errors", []) if answer.content else []
    return next((one["pointer"] for one in errors if "pointer" in one), None)


def test_a_batch_without_a_document_is_refused(api: Api) -> None:
    for empty in (b"", b"\n \n"):
        refused = api.as_("usr_default_service").post(
            "/api/documents:batch", data=empty, headers={"content-type": "application/x-ndjson"}
        )
        assert refused.status_code == 422
        assert refused.json()["errors"] == [
            {"pointer": "#", "detail": "there is no document; send one a line"}
        ]


class Named(dict[str, str]):
    """What stands for an id that is not given: any."""

    def __missing__(self, name: str) -> str:
        return "any"
