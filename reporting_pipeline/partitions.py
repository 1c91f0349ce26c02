"""Partition dimensions and the one place where partition keys are written and read.

A key has two dimensions, `period` and either `trial` or `subscription`. Dagster joins them with "|"
in the alphabetical order of the dimensions' names, so the period always comes first:
`2026-11-16|CDISCPILOT01`. Subscriptions are keyed by their ids, which are ours. Trials have the ids that
their sponsors gave them, in any script and with any sign: what a key cannot hold is written as `~` and
two hexadecimal digits for each byte of its UTF-8, so "TRIAL 01" is the key `TRIAL~2001`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from dagster import (
    DailyPartitionsDefinition,
    DynamicPartitionsDefinition,
    MonthlyPartitionsDefinition,
    MultiPartitionKey,
    MultiPartitionsDefinition,
    TimeWindowPartitionsDefinition,
    WeeklyPartitionsDefinition,
)

from reporting_pipeline.domain.periods import Cadence, Period, oldest_start
from reporting_pipeline.domain.trial_keys import trial_key, trial_of
from reporting_pipeline.settings import Settings

PERIOD, TRIAL, SUBSCRIPTION = "period", "trial", "subscription"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}")


#: Every trial, for all cadences.
trials = DynamicPartitionsDefinition(name="trials")


def subscriptions(cadence: Cadence) -> DynamicPartitionsDefinition:
    """The active subscriptions of one cadence; apart, so that the ranges of an edition stay contiguous."""
    return DynamicPartitionsDefinition(name=f"{cadence}_subscriptions")


def periods(cadence: Cadence, settings: Settings, now: datetime) -> TimeWindowPartitionsDefinition:
    """The windows of `cadence` that the retention period still holds."""
    start = oldest_start(cadence, settings.retention_days, now, settings.timezone).isoformat()
    match cadence:
        case Cadence.DAILY:
            return DailyPartitionsDefinition(start_date=start, timezone=settings.timezone)
        case Cadence.WEEKLY:
            return WeeklyPartitionsDefinition(start_date=start, timezone=settings.timezone, day_offset=1)
        case Cadence.MONTHLY:
            return MonthlyPartitionsDefinition(start_date=start, timezone=settings.timezone)


def holds(cadence: Cadence, settings: Settings, now: datetime, period: Period) -> bool:
    """Whether the retention period still holds `period`: an older one has no partition any more."""
    return period.start >= oldest_start(cadence, settings.retention_days, now, settings.timezone)


def by_trial(cadence: Cadence, settings: Settings, now: datetime) -> MultiPartitionsDefinition:
    """period x trial"""
    return MultiPartitionsDefinition({PERIOD: periods(cadence, settings, now), TRIAL: trials})


def by_subscription(cadence: Cadence, settings: Settings, now: datetime) -> MultiPartitionsDefinition:
    """period x subscription"""
    return MultiPartitionsDefinition(
        {PERIOD: periods(cadence, settings, now), SUBSCRIPTION: subscriptions(cadence)}
    )


def checked_id(value: str, what: str) -> str:
    """`value` if it can be a dimension key; ValueError that says `what` it is and what is allowed."""
    if not _ID.fullmatch(value):
        raise ValueError(
            f"{what} id {value[:120]!r} cannot be a partition key: "
            "use 1 to 100 letters, digits, '_', '-' or '.', and begin with a letter or digit"
        )
    return value


@dataclass(frozen=True, order=True)
class TrialPartition:
    """One trial in one period."""

    period: Period
    trial: str  # its id, in any spelling

    @property
    def key(self) -> MultiPartitionKey:
        return MultiPartitionKey({PERIOD: self.period.key, TRIAL: trial_key(self.trial)})

    @classmethod
    def parse(cls, key: str, cadence: Cadence, timezone: str) -> Self:
        period, trial = _split(key)
        return cls(Period.from_key(cadence, period, timezone), trial_of(trial))


@dataclass(frozen=True, order=True)
class SubscriptionPartition:
    """One subscription in one period."""

    period: Period
    subscription: str

    @property
    def key(self) -> MultiPartitionKey:
        return MultiPartitionKey(
            {PERIOD: self.period.key, SUBSCRIPTION: checked_id(self.subscription, "subscription")}
        )

    @classmethod
    def parse(cls, key: str, cadence: Cadence, timezone: str) -> Self:
        period, subscription = _split(key)
        return cls(Period.from_key(cadence, period, timezone), checked_id(subscription, "subscription"))


def _split(key: str) -> tuple[str, str]:
    parts = key.split("|")
    if len(parts) != 2:
        raise ValueError(f"partition key {key[:120]!r} does not have the form period|id")
    return parts[0], parts[1]


@dataclass(frozen=True)
class KeyRange:
    """A contiguous run of dimension keys, both ends included."""

    first: str
    last: str
    size: int


def contiguous_ranges(
    ordered_keys: Sequence[str],
    wanted: Iterable[str],
    limit: int,
    passable: Iterable[str] = (),
) -> list[KeyRange]:
    """The fewest ranges of at most `limit` keys over `ordered_keys` that cover `wanted`.

    A range may pass over keys of `passable` (work that is already done and merely confirmed), never over
    others: a range names its two ends only, and everything between them runs.
    """
    wanted_keys, passable_keys = set(wanted), set(passable)
    found: list[KeyRange] = []
    run: list[str] = []

    def close() -> None:
        while run and run[-1] not in wanted_keys:
            run.pop()
        if run:
            found.append(KeyRange(run[0], run[-1], len(run)))
        run.clear()

    for key in ordered_keys:
        if key in wanted_keys or (run and key in passable_keys):
            run.append(key)
            if len(run) == limit:
                close()
        else:
            close()
    close()
    return found
