"""Schedules and states as pages say them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from reporting_pipeline.console.wording import schedule_words, status_words
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Subscription

STARTS = date(2027, 1, 4)
CASES: list[tuple[dict[str, Any], str]] = [
    ({}, "Every week on Monday at 07:00 (UTC)"),
    ({"every_weeks": 1}, "Every week on Monday at 07:00 (UTC)"),
    ({"every_weeks": 2, "starts_on": STARTS}, "Every second week on Monday at 07:00 (UTC), from 4 Jan 2027"),
    ({"every_weeks": 3, "starts_on": STARTS}, "Every third week on Monday at 07:00 (UTC), from 4 Jan 2027"),
    ({"every_weeks": 12, "starts_on": STARTS}, "Every 12th week on Monday at 07:00 (UTC), from 4 Jan 2027"),
    ({"every_weeks": 22, "starts_on": STARTS}, "Every 22nd week on Monday at 07:00 (UTC), from 4 Jan 2027"),
    ({"cadence": "daily", "ends_on": STARTS}, "Every day at 07:00 (UTC), until 4 Jan 2027"),
    ({"cadence": "daily", "business_days": "skip"}, "Every day at 07:00 (UTC), left out on days off"),
    (
        {"cadence": "monthly", "day_of_month": 31, "business_days": "previous"},
        "Every month on day 31 at 07:00 (UTC), on the working day before",
    ),
]


@pytest.mark.parametrize(("fields", "words"), CASES, ids=[words for _, words in CASES])
def test_a_schedule_is_said_whole(fields: dict[str, Any], words: str) -> None:
    assert schedule_words(Schedule.model_validate(fields)) == words


def test_a_pause_says_when_it_ends() -> None:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    active = Subscription(
        id="s", organisation="o", owner="u", name="n", schedule=Schedule(), created_at=at, updated_at=at
    )
    paused = active.model_copy(update={"status": "paused"})
    until = paused.model_copy(update={"paused_until": date(2027, 1, 7)})
    assert [status_words(one) for one in (active, paused, until)] == [
        "Active",
        "Paused",
        "Paused until 7 Jan 2027",
    ]
