"""A cron expression from the fields a person fills in, back into those fields, and in words.

What an expression's dates are is in `schedules`; here is only how people write and read one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

_NAMES = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_SIMPLE = re.compile(r"(\d{1,2}) (\d{1,2}) (\S+) \* (\S+)", re.ASCII)
LAST_DAY = "L"


@dataclass(frozen=True)
class CronFields:
    """A time of day, and the days it is for; with neither kind of day, every day.

    With both kinds a day of either counts, as cron has it.
    """

    time: str  # "HH:MM"
    days_of_week: tuple[int, ...] = ()  # 1 is Monday
    days_of_month: tuple[str, ...] = ()  # "1" to "31", or LAST_DAY


def expression_of(fields: CronFields) -> str:
    """`fields` as a cron expression. Raises ValueError that says which field is wrong."""
    at = _TIME.fullmatch(fields.time)
    if at is None:
        raise ValueError(f"time {fields.time[:20]!r} is no local time; write HH:MM from 00:00 to 23:59")
    for day in fields.days_of_month:
        if day != LAST_DAY and not (day.isascii() and day.isdecimal() and 1 <= int(day[:3]) <= 31):
            raise ValueError(f"{day[:20]!r} is no day of a month; write 1 to 31, or L for the last day")
    numbers = sorted({int(day) for day in fields.days_of_month if day != LAST_DAY})
    dates = [str(number) for number in numbers] + [LAST_DAY] * (LAST_DAY in fields.days_of_month)
    return f"{int(at[2])} {int(at[1])} {','.join(dates) or '*'} * {_week(fields.days_of_week)}"


def fields_of(expression: str) -> CronFields | None:
    """The fields that give `expression`; None when it says more than they can."""
    parts = _SIMPLE.fullmatch(" ".join(expression.split()))
    if parts is None:
        return None
    days = _weekdays(parts[4])
    dates = () if parts[3] == "*" else tuple(parts[3].upper().split(","))
    if days is None or int(parts[2]) > 23 or int(parts[1]) > 59:
        return None
    fields = CronFields(f"{int(parts[2]):02}:{int(parts[1]):02}", days, dates)
    try:
        expression_of(fields)
    except ValueError:
        return None
    return fields


def cron_words(expression: str) -> str:
    """`expression` as a sentence: "At 07:00 on Monday through Friday"; itself when it is none."""
    try:
        return str(CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC)).explain())
    except (CronSimError, ValueError, AssertionError, LookupError):
        return f"By the cron expression {expression}"


def _week(days: Collection[int]) -> str:
    """Days that follow each other as a range, from three on."""
    chosen = sorted({day for day in days if 1 <= day <= len(_NAMES)})
    if not chosen or len(chosen) == len(_NAMES):
        return "*"
    # Cron counts Sunday as 0: no range ends with it.
    if len(chosen) > 2 and chosen[-1] - chosen[0] == len(chosen) - 1 and chosen[-1] < len(_NAMES):
        return f"{_NAMES[chosen[0] - 1]}-{_NAMES[chosen[-1] - 1]}"
    return ",".join(_NAMES[day - 1] for day in chosen)


def _weekdays(text: str) -> tuple[int, ...] | None:
    if text == "*":
        return ()
    found: list[int] = []
    for part in text.upper().split(","):
        first, _, last = part.partition("-")
        ends = _number(first), _number(last or first)
        if ends[0] is None or ends[1] is None or ends[0] > ends[1]:
            return None
        found += range(ends[0], ends[1] + 1)
    return tuple(dict.fromkeys(found))


def _number(name: str, names: Sequence[str] = _NAMES) -> int | None:
    """1 for Monday; by name or, as cron counts, 0 or 7 for Sunday."""
    if name in names:
        return names.index(name) + 1
    if name in tuple("01234567"):
        return int(name) or len(names)
    return None
