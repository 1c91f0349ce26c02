"""When a report is sent: a schedule in local time, and its occurrences as UTC instants.

One function, `occurrences`, says what happens; the preview (`next_occurrences`) and the planning of
jobs both stand on it, so what a person is shown is what is executed. What a report is about is in
`subscriptions`; which occurrences of a period become jobs is in `planning`.

The rules, in the order they are applied to a nominal local date:

1. A day of month that a month does not have is that month's last day.
2. A weekend or holiday is kept, skipped, or moved to the next or previous working day.
3. A local time in a gap (clocks go forward) is the instant the gap ends; a local time that comes
   twice (clocks go back) is the first of the two.

An occurrence always belongs to its *nominal* local date, however far it was moved: that date is
part of the unique key of its job, and must not change when a holiday calendar is updated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

import holidays as holiday_calendars
from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from reporting_pipeline.domain.periods import Cadence, local_midnight

# The longest range one call answers for; a wider one is a mistake or an attack.
MAX_RANGE_DAYS = 3_700
# No calendar of the `holidays` library has this many days off in a row.
MAX_MOVE_DAYS = 31
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_WINDOWS = {"day": Cadence.DAILY, "week": Cadence.WEEKLY, "month": Cadence.MONTHLY}
_CADENCE_WINDOWS = {"daily": "day", "weekly": "week", "monthly": "month"}
# Where rules that must hold "ever" are tried out; any long stretch with leap years does.
_TRIAL_START, _TRIAL_END = date(2024, 1, 1), date(2034, 1, 1)


@lru_cache(maxsize=1)
def known_timezones() -> frozenset[str]:
    """Every IANA timezone name. Kept, because listing them reads the disk (10 ms)."""
    return frozenset(available_timezones() - {"localtime", "Factory"})


@lru_cache(maxsize=1)
def _holiday_countries() -> dict[str, frozenset[str]]:
    supported = holiday_calendars.list_supported_countries(include_aliases=True)
    return {code: frozenset(parts) for code, parts in supported.items() if len(code) == 2}


_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([+-])\s*(\d{1,2})(?::?(\d{2}))?", re.ASCII | re.IGNORECASE)


def checked_timezone(value: str) -> str:
    """`value` when it is an IANA timezone; otherwise ValueError with the name probably meant."""
    if value not in known_timezones():
        meant = _zone_meant(value)
        hint = f"; did you mean {meant!r}?" if meant else "; write it like 'Europe/Zurich'"
        raise ValueError(f"timezone {value[:64]!r} is no IANA timezone{hint}")
    return value


def _zone_meant(value: str) -> str | None:
    """An offset has a zone whose sign is turned round: two hours ahead of UTC is `Etc/GMT-2`."""
    offset = _OFFSET.fullmatch(value.strip())
    if offset is not None:
        sign, hours, minutes = offset[1], int(offset[2]), offset[3] or "00"
        name = f"Etc/GMT{'-' if sign == '+' else '+'}{hours}" if hours else "Etc/UTC"
        return name if minutes == "00" and name in known_timezones() else None
    folded = {name.casefold(): name for name in known_timezones()}
    near = get_close_matches(value.casefold().replace(" ", "_")[:64], folded, n=1)
    return folded[near[0]] if near else None


class Schedule(BaseModel):
    """A rule in local time. Frozen and comparable; invalid combinations cannot be made.

    With cadence "cron" the expression says the time and `time` is not used; `window` says which
    closed data window each occurrence reports on (default: the week).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    # The order matters: a field's check may look at the fields before it.
    cadence: Literal["daily", "weekly", "monthly", "cron"] = "weekly"
    time: str = Field(
        "07:00",
        description="Local time, HH:MM, 00:00 to 23:59.",
        json_schema_extra={"pattern": f"^{_TIME.pattern}$"},
    )
    timezone: str = Field("UTC", description="IANA name such as Europe/Zurich.")
    day_of_week: int | None = Field(None, ge=1, le=7, strict=True, description="1 is Monday; for weekly.")
    day_of_month: int | None = Field(
        None,
        ge=1,
        le=31,
        strict=True,
        description="For monthly; a shorter month's last day stands for 29 to 31.",
    )
    cron_expression: str | None = Field(None, description="Five fields, at most hourly; for cron.")
    every_weeks: int | None = Field(
        None,
        ge=1,
        le=52,
        strict=True,
        description="For weekly: every n-th week, counted from starts_on; default each.",
    )
    starts_on: date | None = Field(None, description="First local date that counts, before any move.")
    ends_on: date | None = Field(None, description="Last local date that counts, before any move.")
    window: Literal["day", "week", "month"] | None = Field(
        None, description="For cron: the data window a report covers; default week."
    )
    holidays: str | None = Field(
        None, description="ISO 3166 country, or country and part (DE-BY), whose holidays are no working days."
    )
    business_days: Literal["none", "skip", "next", "previous"] = "none"

    @field_validator("time")
    @classmethod
    def _time_of_day(cls, value: str) -> str:
        if not _TIME.fullmatch(value):
            raise ValueError(f"time {value[:20]!r} is no local time; write HH:MM from 00:00 to 23:59")
        return value

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        return checked_timezone(value)

    @field_validator("day_of_week")
    @classmethod
    def _day_of_week(cls, value: int | None, info: ValidationInfo) -> int | None:
        return _only_for("weekly", "day_of_week", value, 1, info)

    @field_validator("day_of_month")
    @classmethod
    def _day_of_month(cls, value: int | None, info: ValidationInfo) -> int | None:
        return _only_for("monthly", "day_of_month", value, 1, info)

    @field_validator("every_weeks")
    @classmethod
    def _every_weeks(cls, value: int | None, info: ValidationInfo) -> int | None:
        cadence = info.data.get("cadence")
        if value is not None and cadence not in ("weekly", None):
            raise ValueError(f"every_weeks is for cadence weekly; leave it out for {cadence}")
        return value

    @field_validator("starts_on")
    @classmethod
    def _starts_on(cls, value: date | None, info: ValidationInfo) -> date | None:
        if value is None and (info.data.get("every_weeks") or 1) > 1:
            raise ValueError("starts_on is needed with every_weeks: the weeks are counted from it")
        return _in_reach(value)

    @field_validator("ends_on")
    @classmethod
    def _ends_on(cls, value: date | None, info: ValidationInfo) -> date | None:
        start = info.data.get("starts_on")
        if value is not None and start is not None and value < start:
            raise ValueError(f"ends_on {value} lies before starts_on {start}")
        return _in_reach(value)

    @field_validator("cron_expression")
    @classmethod
    def _cron(cls, value: str | None, info: ValidationInfo) -> str | None:
        cadence = info.data.get("cadence")
        if value is None:
            if cadence == "cron":
                raise ValueError(
                    "cron_expression is needed when cadence is cron: five fields such as '0 7 * * MON-FRI'"
                )
            return None
        if cadence not in ("cron", None):
            raise ValueError(f"cron_expression is for cadence cron; leave it out for {cadence}")
        return _checked_cron(value)

    @field_validator("window")
    @classmethod
    def _window(cls, value: str | None, info: ValidationInfo) -> str | None:
        own = _CADENCE_WINDOWS.get(info.data.get("cadence", ""))
        if value is not None and own is not None and value != own:
            raise ValueError(
                f"window is for cadence cron; a {info.data['cadence']} report covers the {own}. Leave it out"
            )
        return value

    @field_validator("holidays")
    @classmethod
    def _holiday_calendar(cls, value: str | None) -> str | None:
        return None if value is None else _checked_holidays(value)

    @field_validator("business_days")
    @classmethod
    def _business_days(cls, value: str, info: ValidationInfo) -> str:
        if value == "none" and info.data.get("holidays"):
            raise ValueError(
                "business_days is none, so holidays has no effect; choose skip, next or previous, "
                "or leave holidays out"
            )
        complete = len(info.data) == len(cls.model_fields) - 1  # no other field was refused
        skipping = value == "skip" and complete
        # A schedule of weekends only would be saved and never send anything.
        if skipping and not _ever_happens(
            cls.model_construct(
                **{**info.data, "starts_on": None, "ends_on": None, "every_weeks": None}, business_days="skip"
            )
        ):
            raise ValueError(
                "business_days skip leaves no occurrence, because the schedule falls on days off only; "
                "choose next or previous, or another day"
            )
        return value


@dataclass(frozen=True, order=True)
class Occurrence:
    """One due time of a schedule."""

    local_date: date  # the nominal date it belongs to, before any move
    due_at: datetime  # UTC
    note: str = ""  # what was moved and why: a clock change, a short month, a holiday
    local_time: str = ""  # nominal "HH:MM" for cron, where a date can have several; otherwise ""

    @property
    def key(self) -> str:
        """Unique among a schedule's occurrences and stable: "2026-11-16", for cron "2026-11-16T07:00"."""
        return f"{self.local_date.isoformat()}{'T' + self.local_time if self.local_time else ''}"


def occurrences(schedule: Schedule, first: date, end: date) -> list[Occurrence]:
    """The occurrences whose nominal local date lies in `[first, end)`, ordered by that date.

    Raises ValueError when the range is longer than MAX_RANGE_DAYS.
    """
    if (end - first).days > MAX_RANGE_DAYS:
        raise ValueError(
            f"a range of {(end - first).days} days is too long; ask for {MAX_RANGE_DAYS} at most"
        )
    return list(_occurrences(schedule, first, end))


def next_occurrences(schedule: Schedule, after: datetime, count: int = 5) -> list[Occurrence]:
    """The `count` occurrences due next after the instant `after`, ordered by due time.

    Fewer only when the schedule has no more within ten years.
    """
    start = after.astimezone(ZoneInfo(schedule.timezone)).date()
    slack = timedelta(days=_slack_days(schedule))
    first, horizon = start - slack, start + timedelta(days=MAX_RANGE_DAYS)
    step = slack + timedelta(days=_days_for(schedule, count))
    found: list[Occurrence] = []
    if schedule.starts_on is not None and first < schedule.starts_on:
        first = schedule.starts_on
        horizon = first + timedelta(days=MAX_RANGE_DAYS)
    if schedule.ends_on is not None:
        horizon = min(horizon, schedule.ends_on + timedelta(days=1))
    while first < horizon:
        end = first + step
        found += [
            occurrence for occurrence in _occurrences(schedule, first, end) if occurrence.due_at > after
        ]
        found.sort(key=_by_due_time)
        # Nothing with a nominal date from `end` on can be due before `settled`.
        settled = local_midnight(end - slack, ZoneInfo(schedule.timezone))
        if len(found) >= count and found[count - 1].due_at < settled:
            break
        first, step = end, step * 2
    return found[:count]


def due_between(schedule: Schedule, since: datetime, until: datetime) -> list[Occurrence]:
    """The occurrences due in `[since, until]`, both ends included, ordered by due time."""
    zone = ZoneInfo(schedule.timezone)
    slack = timedelta(days=_slack_days(schedule))
    first, end = since.astimezone(zone).date() - slack, until.astimezone(zone).date() + slack
    found = _occurrences(schedule, first, end)
    return sorted((each for each in found if since <= each.due_at <= until), key=_by_due_time)


def window_of(schedule: Schedule) -> Cadence:
    """The cadence whose periods the schedule's reports cover; a cron schedule's default is the week."""
    return _WINDOWS[_CADENCE_WINDOWS.get(schedule.cadence) or schedule.window or "week"]


def _occurrences(schedule: Schedule, first: date, end: date) -> Iterator[Occurrence]:
    zone = ZoneInfo(schedule.timezone)
    last: tuple[date, datetime] | None = None
    if schedule.ends_on is not None:
        end = min(end, schedule.ends_on + timedelta(days=1))
    if schedule.starts_on is not None:
        first = max(first, schedule.starts_on)
    for nominal, short_month in _nominal_times(schedule, first, end):
        if not _in_its_week(schedule, nominal.date()):
            continue
        moved, move_note = _on_business_day(schedule, nominal)
        if moved is None:
            continue
        due_at, clock_note = _instant(moved, zone)
        # Hourly cron over a gap: 02:00 becomes 03:00 and must not run beside the real 03:00.
        if last == (nominal.date(), due_at):
            continue
        last = (nominal.date(), due_at)
        note = "; ".join(part for part in (short_month, move_note, clock_note) if part)
        local_time = f"{nominal:%H:%M}" if schedule.cadence == "cron" else ""
        yield Occurrence(nominal.date(), due_at, note, local_time)


def _in_its_week(schedule: Schedule, nominal: date) -> bool:
    """Whether every n-th week, counted from the week of `starts_on`, is the one of this date."""
    if schedule.every_weeks in (None, 1) or schedule.starts_on is None:
        return True
    weeks = (_monday(nominal) - _monday(schedule.starts_on)).days // 7
    return weeks % schedule.every_weeks == 0


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _slack_days(schedule: Schedule) -> int:
    """How far from its nominal date an occurrence can be due: moved, or on a date a timezone left out."""
    return 2 if schedule.business_days == "none" else MAX_MOVE_DAYS + 2


def _by_due_time(occurrence: Occurrence) -> tuple[datetime, date]:
    return occurrence.due_at, occurrence.local_date


def _days_for(schedule: Schedule, count: int) -> int:
    """About how many days hold `count` occurrences; a cron's density is not known, so a week."""
    weekly = 7 * (schedule.every_weeks or 1)
    per_occurrence = {"daily": 1, "weekly": weekly, "monthly": 31}.get(schedule.cadence)
    return 7 if per_occurrence is None else per_occurrence * count + 1


# --- nominal local times -----------------------------------------------------------------------


def _nominal_times(schedule: Schedule, first: date, end: date) -> Iterator[tuple[datetime, str]]:
    """(wall-clock time without a zone, note on a short month) for each nominal date, in order."""
    if schedule.cadence == "cron":
        yield from ((wall, "") for wall in _cron_times(str(schedule.cron_expression), first, end))
        return
    at = time.fromisoformat(schedule.time)
    if schedule.cadence == "monthly":
        days = _monthly_dates(schedule.day_of_month or 1, first, end)
    elif schedule.cadence == "weekly":
        offset = ((schedule.day_of_week or 1) - first.isoweekday()) % 7
        days = _every(7, first + timedelta(days=offset), end)
    else:
        days = _every(1, first, end)
    for day, note in days:
        yield datetime.combine(day, at), note


def _every(step: int, first: date, end: date) -> Iterator[tuple[date, str]]:
    for offset in range(0, (end - first).days, step):
        yield first + timedelta(days=offset), ""


def _monthly_dates(day_of_month: int, first: date, end: date) -> Iterator[tuple[date, str]]:
    month = first.replace(day=1)
    while month < end:
        following = (month.replace(day=28) + timedelta(days=4)).replace(day=1)
        length = (following - month).days
        day = month.replace(day=min(day_of_month, length))
        if first <= day < end:
            short = f"{day:%B} {day.year} has {length} days: its last day stands for day {day_of_month}"
            yield day, short if day_of_month > length else ""
        month = following


def _cron_times(expression: str, first: date, end: date) -> Iterator[datetime]:
    """Wall-clock times of `expression`; zones are applied afterwards, by the same rule for all cadences."""
    stop = datetime.combine(end, time.min)
    start = datetime.combine(first, time.min) - timedelta(seconds=1)
    for wall in CronSim(expression, start):
        if wall >= stop:
            return
        yield wall


# --- working days ------------------------------------------------------------------------------


def _on_business_day(schedule: Schedule, nominal: datetime) -> tuple[datetime | None, str]:
    """Where `nominal` moves to (None: skipped) and why."""
    if schedule.business_days == "none" or _is_working_day(nominal.date(), schedule.holidays):
        return nominal, ""
    if schedule.business_days == "skip":
        return None, ""
    step = timedelta(days=1 if schedule.business_days == "next" else -1)
    for distance in range(1, MAX_MOVE_DAYS + 1):
        moved = nominal + distance * step
        if _is_working_day(moved.date(), schedule.holidays):
            reason = _day_off_name(nominal.date(), schedule.holidays)
            return moved, f"{nominal:%Y-%m-%d} is {reason}: moved to {moved:%A %Y-%m-%d}"
    return nominal, f"no working day within {MAX_MOVE_DAYS} days of {nominal:%Y-%m-%d}: not moved"


def _is_working_day(day: date, code: str | None) -> bool:
    return day.weekday() < 5 if code is None else day not in _days_off(code, day.year)


def _day_off_name(day: date, code: str | None) -> str:
    name = _days_off(code, day.year).get(day, "") if code else ""
    return f"{name} ({code})" if name else f"a {day:%A}"


@lru_cache(maxsize=512)
def _days_off(code: str, year: int) -> dict[date, str]:
    """Each day off of a year by the calendar `code`, with the holiday's name ("" for a weekend).

    A calendar of its own per year: the library's objects grow on reading and are not safe to share
    between threads.
    """
    country, _, part = code.partition("-")
    calendar = holiday_calendars.country_holidays(country, subdiv=part or None, years=year)
    days = (date(year, 1, 1) + timedelta(days=offset) for offset in range(366))
    return {
        day: calendar.get(day) or "" for day in days if day.year == year and not calendar.is_working_day(day)
    }


# --- clocks ------------------------------------------------------------------------------------


def _instant(wall: datetime, zone: ZoneInfo) -> tuple[datetime, str]:
    """The UTC instant of a wall-clock time, and a note when the clocks change there."""
    first = wall.replace(tzinfo=zone, fold=0)
    second = wall.replace(tzinfo=zone, fold=1)
    before, after = first.utcoffset(), second.utcoffset()
    instant = first.astimezone(UTC)
    if before == after or before is None or after is None:
        return instant, ""
    if before > after:
        return instant, f"{wall:%H:%M} comes twice on {wall:%Y-%m-%d} in {zone.key}: the first is used"
    gap_end = _gap_end(second.astimezone(UTC), instant, zone)
    shown = gap_end.astimezone(zone)
    moved_to = f"{shown:%H:%M}" if shown.date() == wall.date() else f"{shown:%Y-%m-%d %H:%M}"
    return gap_end, (
        f"{wall:%H:%M} does not exist on {wall:%Y-%m-%d} in {zone.key}, the clocks go forward: "
        f"moved to {moved_to}"
    )


def _gap_end(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The instant in `(before, after]` at which the zone's offset changes, to the second."""
    old_offset = before.astimezone(zone).utcoffset()
    low, high = 0, round((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if (before + timedelta(seconds=middle)).astimezone(zone).utcoffset() == old_offset:
            low = middle
        else:
            high = middle
    return before + timedelta(seconds=high)


# --- checks ------------------------------------------------------------------------------------


def _in_reach(value: date | None) -> date | None:
    """Dates with room around them: what lies at the calendar's end cannot be moved or put into a zone."""
    if value is not None and not 1970 <= value.year <= 9000:
        raise ValueError(f"{value} is no date of a report; write one from 1970 on")
    return value


def _only_for(cadence: str, field: str, value: int | None, default: int, info: ValidationInfo) -> int | None:
    chosen = info.data.get("cadence")
    if chosen is None:
        return value
    if chosen != cadence and value is not None:
        raise ValueError(f"{field} is for cadence {cadence}; leave it out for {chosen}")
    return default if value is None and chosen == cadence else value


@lru_cache(maxsize=4096)
def _checked_cron(expression: str) -> str:
    if len(expression) > 100:
        raise ValueError("cron_expression is longer than 100 characters; shorten it")
    fields = expression.split()
    if len(fields) != 5:
        seconds = " Seconds cannot be given." if len(fields) == 6 else ""
        raise ValueError(
            f"cron_expression has {len(fields)} fields; write five: minute, hour, day of month, month, "
            f"day of week, such as '0 7 * * MON-FRI'.{seconds}"
        )
    normal = " ".join(fields)
    try:
        cron = CronSim(normal, datetime(2024, 1, 1) - timedelta(seconds=1))  # noqa: DTZ001 - wall clock
    except (CronSimError, ValueError, AssertionError) as error:
        if _days_exist_but_never_together(fields):
            raise ValueError(_never(normal)) from None
        raise ValueError(f"cron_expression {normal!r} is not valid: {error or 'unknown field'}") from None
    if len(cron.minutes) > 1:
        raise ValueError(
            f"cron_expression {normal!r} is due more often than hourly; give one minute, such as '0 * * * *'"
        )
    if next(cron, None) is None:
        raise ValueError(_never(normal))
    return normal


def _never(expression: str) -> str:
    return f"cron_expression {expression!r} never happens: no month it names has such a day; choose another"


def _days_exist_but_never_together(fields: list[str]) -> bool:
    """cronsim refuses "30 February" with the words it has for nonsense; January tells them apart."""
    try:
        CronSim(" ".join([*fields[:3], "1", fields[4]]), datetime(2024, 1, 1))  # noqa: DTZ001
        CronSim(" ".join(["0", "0", "1", fields[3], "*"]), datetime(2024, 1, 1))  # noqa: DTZ001
    except (CronSimError, ValueError, AssertionError):
        return False
    return True


def _checked_holidays(value: str) -> str:
    code = value.strip().upper()
    country, _, part = code.partition("-")
    parts = _holiday_countries().get(country)
    if parts is None:
        raise ValueError(
            f"holidays {value[:20]!r} is no country with a holiday calendar; "
            "write an ISO 3166 code such as US, DE or DE-BY"
        )
    if part and part not in parts:
        raise ValueError(f"holidays {value[:20]!r}: {country} has no calendar for part {part[:10]!r}")
    return code


@lru_cache(maxsize=1024)
def _ever_happens(schedule: Schedule) -> bool:
    return next(_occurrences(schedule, _TRIAL_START, _TRIAL_END), None) is not None
