"""An edition: one cadence's report for one period, for everybody; and which changes of state are legal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from reporting_pipeline.domain.jobs import EditionState
from reporting_pipeline.domain.periods import Cadence, Period, oldest_start

#: state -> the states that may follow it. A completed edition is opened again only by force.
TRANSITIONS: Mapping[EditionState, frozenset[EditionState]] = {
    EditionState.OPEN: frozenset({EditionState.COMPLETED, EditionState.FAILED}),
    EditionState.FAILED: frozenset({EditionState.OPEN, EditionState.COMPLETED}),
    EditionState.COMPLETED: frozenset(),
}


class Edition(BaseModel):
    """An edition as kept in MongoDB's `editions` (`_id` is `id` there)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str  # "weekly:2026-11-16"
    cadence: Cadence
    period: str  # key of the period
    state: EditionState
    opened_at: datetime  # UTC, the first opening
    opened_by: str  # a user id, or "schedule"
    forced: int = 0  # how often it was opened again by force
    reopened_at: datetime | None = None  # UTC, the last opening by force
    reopened_by: str | None = None
    state_at: datetime | None = None  # UTC, the last change of state
    reason: str = ""  # why it failed, for a person
    counts: dict[str, int] = Field(default_factory=dict)  # jobs by state
    counted_at: datetime | None = None  # UTC
    reports_stand_at: datetime | None = None  # UTC, when each first stood or was needed no more
    started_at: datetime | None = None  # UTC, when an outside worker began
    result: dict[str, Any] = Field(default_factory=dict)  # what an outside worker reported
    path: str | None = None  # key of the file that an outside worker made
    sending_at: datetime | None = None  # UTC, when its result started the sending
    trace: str = ""  # W3C traceparent of who opened it; "" where nothing is traced

    def stood_at(self) -> datetime | None:
        """Since when every report of it stands; None while one does not. UTC."""
        if self.reports_stand_at is None and self.state is EditionState.COMPLETED:
            return self.state_at or self.opened_at  # an outside worker's, or from before this was noted
        return self.reports_stand_at


def edition_id(cadence: Cadence, period: str) -> str:
    """The id of an edition: "weekly:2026-11-16"."""
    return f"{cadence.value}:{period}"


def result_prefix(edition: str) -> str:
    """Where an outside worker puts the file of an edition: nothing else can be named as its result."""
    return f"editions/{edition.replace(':', '/')}/"


def result_key(edition: str, path: str, bucket: str) -> str:
    """The key that `path` is, or the `s3://` address of. ValueError where it cannot be a result's."""
    key = path.removeprefix(f"s3://{bucket}/")
    if key.startswith("s3://"):
        raise ValueError(f"is in another bucket; put the file into s3://{bucket}/{result_prefix(edition)}")
    parts = key.split("/")
    if not key.startswith(result_prefix(edition)) or not all(part.strip(".") for part in parts):
        raise ValueError(f"a result of this report is a file below {result_prefix(edition)}")
    return key


def may_precede(wanted: EditionState) -> list[EditionState]:
    """The states that `wanted` may follow."""
    return [state for state, following in TRANSITIONS.items() if wanted in following]


def closed_period(
    cadence: Cadence, key: str | None, now: datetime, timezone: str, retention_days: int
) -> Period:
    """The period `key`, or the newest closed one.

    ValueError when the key is none, is not over yet, or began before the retention period: such a
    period has no partition any more, so no run could make its reports.
    """
    if key is None:
        return Period.last_closed(cadence, now, timezone)
    period = Period.from_key(cadence, key, timezone)
    if not period.is_closed(now):
        raise ValueError(
            f"the {cadence.noun} of {key} ends on {period.last_day}; a report covers what is over"
        )
    oldest = oldest_start(cadence, retention_days, now, timezone)
    if period.start < oldest:
        raise ValueError(
            f"the {cadence.noun} of {key} is older than the {retention_days} days that are kept; the oldest "
            f"that can be opened is {oldest.isoformat()}. Raise REPORTING_RETENTION_DAYS, and restart, "
            "to open older ones"
        )
    return period
