"""When a document was collected, as an instant of arrival: partial dates, times, zones.

What a date means for a reader is decided in `domain`; here only "by when was it there for certain".
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from reporting_pipeline.domain.clinical.dates import iso as as_iso
from reporting_pipeline.domain.clinical.dates import parse_iso

_DATE_ONLY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_BEGINS_A_DATE = re.compile(r"\d{4}|-", re.ASCII)
NOON = time(12)


def last_possible_day(iso: str) -> date | None:
    """The last day that an ISO 8601 date of any precision can mean; of an interval, of its end.

    None for what names no year or a day that no calendar has.
    """
    first, slash, last = as_iso(iso).partition("/")
    if slash and not _BEGINS_A_DATE.match(first):  # "10/11/2026" is no interval
        return None
    written = as_iso(last if slash else first)
    # An hour that no clock has leaves the day as it is.
    known = parse_iso(written).parts or parse_iso(written.partition("T")[0]).parts
    if not known:
        return None
    year, month = known[0], known[1] if len(known) > 1 else 12
    return date(year, month, known[2] if len(known) > 2 else monthrange(year, month)[1])


def collected_at(iso: str, zone: ZoneInfo, otherwise: time = NOON) -> datetime | None:
    """The instant (UTC) by which what was collected on `iso` was there: its own time of day where it
    has one, else `otherwise`, on the last day it can mean. None when it says no date."""
    day = last_possible_day(iso)
    if day is None:
        return None
    instant = _instant(as_iso(iso))
    if instant is None:
        instant = datetime.combine(day, otherwise)
    try:
        return (instant if instant.tzinfo else instant.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        return None


def instant_of(text: str, zone: ZoneInfo) -> tuple[datetime, bool] | None:
    """(`text` as an instant in UTC, whether the text itself said its offset); a date alone is its midnight.

    None when it is no instant.
    """
    given = text.strip()
    if not _DATE_ONLY.match(given):
        return None
    try:
        moment = datetime.fromisoformat(given)
        aware = moment.tzinfo is not None or len(given) == len("2026-11-16")
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC), aware
    except (ValueError, OverflowError):
        return None


def _instant(iso: str) -> datetime | None:
    if len(iso) <= len("2026-11-16T") or "/" in iso:  # of an interval no instant is known
        return None
    try:
        return datetime.fromisoformat(iso)
    except ValueError:
        return None
