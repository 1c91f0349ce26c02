"""Cadences and their closed data windows.

A period is one window of a cadence in the deployment's timezone; its key is the window's first
local date (`2026-11-16`). Weeks start on Monday. Lengths are never assumed: a week across a clock
change has 167 or 169 hours, so only the window's two ends count.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo


class Cadence(StrEnum):
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"

    @property
    def noun(self) -> str:
        """The window in words: day, week, month."""
        return {"daily": "day", "weekly": "week", "monthly": "month"}[self.value]


def window_start(cadence: Cadence, day: date) -> date:
    """The first local date of the window of `cadence` that holds `day`."""
    match cadence:
        case Cadence.DAILY:
            return day
        case Cadence.WEEKLY:
            return day - timedelta(days=day.weekday())
        case Cadence.MONTHLY:
            return day.replace(day=1)


def next_window_start(cadence: Cadence, start: date) -> date:
    """The first local date of the window after the one that starts on `start`."""
    match cadence:
        case Cadence.DAILY:
            return start + timedelta(days=1)
        case Cadence.WEEKLY:
            return start + timedelta(days=7)
        case Cadence.MONTHLY:
            return (start.replace(day=28) + timedelta(days=4)).replace(day=1)


def oldest_start(cadence: Cadence, retention_days: int, now: datetime, timezone: str) -> date:
    """The first local date of the oldest window that a retention period holds at `now`."""
    return window_start(cadence, (now - timedelta(days=retention_days)).astimezone(ZoneInfo(timezone)).date())


def local_midnight(day: date, timezone: ZoneInfo) -> datetime:
    """The first instant of a local date, in UTC. In a gap at midnight: the instant the gap ends."""
    local = datetime.combine(day, time.min, tzinfo=timezone)
    return local.astimezone(UTC)


@dataclass(frozen=True, order=True)
class Period:
    """One closed-open data window `[start_at, end_at)` of a cadence."""

    cadence: Cadence
    start: date
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        if window_start(self.cadence, self.start) != self.start:
            raise ValueError(
                f"{self.start} does not start a {self.cadence.noun}; "
                f"the {self.cadence.noun} it falls in starts on {window_start(self.cadence, self.start)}"
            )

    @classmethod
    def from_key(cls, cadence: Cadence, key: str, timezone: str = "UTC") -> Period:
        """Parse a period key. Raises ValueError that names the key."""
        try:
            start = date.fromisoformat(key)
            if start.isoformat() != key:  # Python also reads "20261116" and "2026-W47"
                raise ValueError(key)
        except ValueError:
            raise ValueError(f"period {key!r} is not a date like 2026-11-16") from None
        return cls(cadence, start, timezone)

    @classmethod
    def containing(cls, cadence: Cadence, instant: datetime, timezone: str = "UTC") -> Period:
        local_day = instant.astimezone(ZoneInfo(timezone)).date()
        return cls(cadence, window_start(cadence, local_day), timezone)

    @classmethod
    def last_closed(cls, cadence: Cadence, now: datetime, timezone: str = "UTC") -> Period:
        """The newest period that has ended at `now`."""
        return cls.containing(cadence, now, timezone).previous()

    @property
    def key(self) -> str:
        return self.start.isoformat()

    @property
    def end(self) -> date:
        """The first local date after the window."""
        return next_window_start(self.cadence, self.start)

    @property
    def start_at(self) -> datetime:
        return local_midnight(self.start, ZoneInfo(self.timezone))

    @property
    def end_at(self) -> datetime:
        return local_midnight(self.end, ZoneInfo(self.timezone))

    @property
    def last_day(self) -> date:
        return self.end - timedelta(days=1)

    def last_day_by(self, moment: datetime | None) -> date:
        """The last local day of the window that had begun before `moment`; None: the window is over.

        At a midnight it is the day that ends there.
        """
        if moment is None:
            return self.last_day
        begun = (moment - timedelta(microseconds=1)).astimezone(ZoneInfo(self.timezone)).date()
        return min(begun, self.last_day)

    def previous(self) -> Period:
        return Period(self.cadence, window_start(self.cadence, self.start - timedelta(days=1)), self.timezone)

    def next(self) -> Period:
        return Period(self.cadence, self.end, self.timezone)

    def is_closed(self, now: datetime) -> bool:
        return self.end_at <= now

    def days(self) -> list[date]:
        """Every local date of the window, in order."""
        return [self.start + timedelta(days=n) for n in range((self.end - self.start).days)]
