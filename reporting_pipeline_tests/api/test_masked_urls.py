"""The address of a webhook is a key: it is in no answer, and can be kept without having been read."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from reporting_pipeline.domain.masked_recipients import is_shortened, restored, shown
from reporting_pipeline.domain.subscriptions import Recipient
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline_tests.api.conftest import Api, weekly

SLACK = "https://hooks.slack.com/services/T0SECRET/B0SECRET/SECRETSLACK"
HOOKS = [f"https://hooks.example.org/SECRETHOOK{number}?key=SECRETKEY" for number in (1, 2)]
RECIPIENTS = [
    {"type": "slack", "value": SLACK},
    *({"type": "webhook", "value": url} for url in HOOKS),
    {"type": "user", "value": "usr_default_manager"},
]


@pytest.mark.parametrize("vocabulary", ["/api/subscriptions", "/api/scheduled-reports"])
def test_what_was_never_read_back_can_be_kept_and_left_out(
    manager: Api, database: Database, vocabulary: str
) -> None:
    snake = vocabulary.endswith("reports")
    asked: dict[str, Any] = (
        {"name": "Hooks", "recipients": RECIPIENTS, "schedule_config": {"cadence": "weekly"}}
        if snake
        else weekly(name="Hooks", userId="usr_default_manager", recipients=RECIPIENTS)
    )
    made = manager.post(vocabulary, json=asked)
    assert made.status_code == 201, made.text
    identifier = made.json()["id" if snake else "subscriptionId"]
    answers = [made, manager.get(f"{vocabulary}/{identifier}"), manager.get(vocabulary)]
    assert not any("SECRET" in answer.text for answer in answers)
    told = answers[1].json()["recipients"]
    assert [one["value"].split("/")[2] for one in told[:3]] == [
        "hooks.slack.com",
        "hooks.example.org",
        "hooks.example.org",
    ]

    def change(recipients: list[dict[str, Any]]) -> Any:
        path = f"{vocabulary}/{identifier}"
        if snake:
            return manager.put(path, json={**asked, "recipients": recipients})
        return manager.patch(path, json={"recipients": recipients})

    changed = change([told[0], told[2], told[3]])
    assert changed.status_code == 200, changed.text
    stored = (database.subscriptions.find_one({"_id": identifier}) or {})["recipients"]
    assert [one["value"] for one in stored] == [SLACK, HOOKS[1], "usr_default_manager"]
    again = change([told[1]])
    assert again.status_code == 422, "it does not stand there any more"
    assert "whole" in again.text

    export = manager.as_("usr_default_admin").get("/api/users/usr_default_manager/export").content
    with zipfile.ZipFile(io.BytesIO(export)) as archive:
        assert not any(b"SECRET" in archive.read(name) for name in archive.namelist())
    events = list(database.audit.find())
    assert "SECRET" not in str(events)


def test_a_shortened_one_is_of_its_own_subscription_alone(manager: Api) -> None:
    told = manager.post(
        "/api/subscriptions",
        json=weekly(name="One", userId="usr_default_manager", recipients=RECIPIENTS),
    ).json()["recipients"]
    other = manager.post(
        "/api/subscriptions", json=weekly(name="Two", userId="usr_default_manager", recipients=told[:1])
    )
    assert other.status_code == 422


@pytest.mark.parametrize(
    "url",
    ["https://a.example/x", "HTTPS://A.example:8443/x?y=z", "http://[::1]:80/t", "https://[broken/secret"],
)
def test_no_path_is_left_and_shortening_twice_changes_nothing(url: str) -> None:
    short = shown(url)
    assert short.count("/") == 3
    assert "secret" not in short
    assert shown(short) == short


def test_what_is_no_url_stays_as_it_is_and_kinds_are_not_mixed() -> None:
    assert [shown(one) for one in ("#reports", "a@example.org", "C0123456789")] == [
        "#reports",
        "a@example.org",
        "C0123456789",
    ]
    standing = Recipient(type="webhook", value=HOOKS[0])
    as_slack = Recipient(type="slack", value=shown(HOOKS[0]))
    assert restored([as_slack], [standing]) == (as_slack,)
    assert is_shortened(as_slack.value)
