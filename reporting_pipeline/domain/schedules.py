"""When a report is sent: a schedule in local time, and its occurrences as UTC instants."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from reporting_pipeline.domain.periods import local_midnight


class Schedule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    cadence: Literal["daily", "weekly", "monthly", "cron"] = "weekly"
    time: str = "07:00"
    timezone: str = "UTC"
    day_of_week: int | None = None
    day_of_month: int | None = None
    cron_expression: str | None = None
    business_days: Literal["none", "skip", "next", "previous"] = "none"
    holidays: str | None = None


@dataclass(frozen=True, order=True)
class Occurrence:
    """One due time of a schedule."""

    local_date: date  # the date it belongs to; at most one occurrence of a job per instant
    due_at: datetime  # UTC
    note: str = ""  # what was moved and why: a clock change, a short month, a holiday


def occurrences(schedule: Schedule, first: date, end: date) -> list[Occurrence]:
    """The occurrences whose local date lies in `[first, end)`, in order."""
    zone = ZoneInfo(schedule.timezone)
    hour, minute = (int(part) for part in schedule.time.split(":"))
    found = []
    for offset in range((end - first).days):
        day = first + timedelta(days=offset)
        if schedule.cadence == "weekly" and day.isoweekday() != (schedule.day_of_week or 1):
            continue
        local = datetime.combine(day, time(hour, minute), tzinfo=zone)
        found.append(
            Occurrence(
                day, max(local.astimezone(local_midnight(day, zone).tzinfo), local_midnight(day, zone))
            )
        )
    return found
