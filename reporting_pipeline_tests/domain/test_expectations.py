"""By when a report is expected: from its own kind alone, never guessed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from reporting_pipeline.domain.expectations import expected_by
from reporting_pipeline.domain.jobs import JobRecord

DUE = datetime(2026, 11, 23, 6, tzinfo=UTC)


def job(**said: Any) -> JobRecord:
    """A job as far as it says when it was or is to be sent."""
    return cast("JobRecord", said)


WAITING = job(state="pending", due_at=DUE, created_at=DUE - timedelta(days=3))


def sent(minutes: float, **changed: Any) -> JobRecord:
    due = DUE - timedelta(days=7)
    ended = due + timedelta(minutes=minutes)
    made = due - timedelta(hours=3)
    return job(**{"state": "completed", "due_at": due, "created_at": made, "completed_at": ended} | changed)


def test_nine_in_ten_took_no_longer() -> None:
    earlier = [sent(minutes) for minutes in (1, 2, 3, 4, 5, 6, 7, 8, 9, 600)]
    assert expected_by(WAITING, earlier) == DUE + timedelta(minutes=9)
    assert expected_by(WAITING, earlier[:1]) == DUE + timedelta(minutes=1)


@pytest.mark.parametrize(
    "earlier",
    [
        [],
        [sent(1, state="failed")],
        [sent(1, completed_at=None)],
        [sent(1, requested_by="usr_a")],  # one that was asked for is no measure of one of an edition
        [sent(-5)],  # sent before it was due: nobody waited
        [WAITING],
    ],
)
def test_nothing_to_learn_from_is_not_known(earlier: list[JobRecord]) -> None:
    assert expected_by(WAITING, earlier) is None


@pytest.mark.parametrize("state", ["completed", "failed", "skipped"])
def test_what_is_over_is_not_waited_for(state: str) -> None:
    over = job(state=state, due_at=DUE, created_at=DUE - timedelta(days=3))
    assert expected_by(over, [sent(1)]) is None


def test_what_was_asked_for_late_is_waited_for_since_then() -> None:
    asked = job(state="processing", due_at=DUE, created_at=DUE + timedelta(hours=1), requested_by="u")
    assert expected_by(asked, [sent(2, requested_by="v"), sent(50)]) == DUE + timedelta(hours=1, minutes=2)
