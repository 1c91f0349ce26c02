"""Dates as they are collected: ISO 8601 of any precision, as SDTM Implementation Guide 3.4, 4.4.2 has them.

Unknown parts are hyphens ("2003---15", "--12-15", "2003-12-15T-:15", "2003-12-15T13:-:17", and
"-----T07:15" for a time of a day that nobody knows), what is missing at the right end is left away
("2003", "2003-12-15T13"), and two of them with a slash are an interval of uncertainty. 24:00 is the
end of a day, and a fraction of a second follows a point or a comma. A partial date is never completed.
Collection forms write UN, UNK, NK or XX for a part that nobody knows; it means the hyphen.

Other spellings say the same without a doubt and are read as if they were ISO 8601 (`iso`): a blank for the T,
a T without a time, eight digits, the year first with slashes or points ("2026/11/7"), months by their names
in English and six other languages ("17NOV2026:08:30", "UN-Nov-2026", "Nov 17, 2026", "17-DEZ-2026"), a month
before its year ("11/2026"), a day above 12, which is no month ("17/11/2026", "11/17/2026"), and a clock of
one digit or of twelve hours ("9:05", "2:30 PM"). What needs to know where it was written (10/11/2026) is not
read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache

from reporting_pipeline.domain.clinical.codes import is_not_stated
from reporting_pipeline.domain.clinical.translated import without_accents

_DATE = re.compile(
    r"(\d{4}|-)(?:-(\d{2}|-)(?:-(\d{2}|-)(?:T(\d{2}|-)(?::(\d{2}|-)(?::(\d{2})(?:[.,]\d+)?)?)?"
    r"(?:Z|[+-]\d{2}(?::?\d{2})?)?)?)?)?",
    re.ASCII,
)
_DURATION = re.compile(r"P(?=.)(?:\d+Y)?(?:\d+M)?(?:\d+W)?(?:\d+D)?(?:T(?=.)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?")
_NOT_KNOWN = re.compile(r"(?<![A-Z])(?:UNKN?|UN|UK|NK|XX(?:XX)?)(?![A-Z])")
_OLDEST_YEAR = 1890  # nobody in a trial was born before
_NEWEST_YEAR = 2200
_LEAP_YEAR = 2000  # an unknown year may have a 29 February
_IMPOSSIBLE = "impossible_date"


#: How months begin in English, German, French, Spanish, Italian, Portuguese and Dutch, without accents.
_MONTHS = {
    beginning: number
    for number, names in enumerate(
        (
            *("JAN ENE GEN", "FEB FEV", "MAR MAE MRZ MRT MAA", "APR AVR ABR", "MAY MAI MAG MEI"),
            *("JUN JUIN GIU", "JUL JUIL LUG", "AUG AOU AGO", "SEP SET", "OCT OKT OTT OUT", "NOV"),
            "DEC DEZ DIC",
        ),
        1,
    )
    for beginning in names.split()
}
_UNKNOWN_PART = r"UNKN?|UN|UK|NK|XX|--?"
_NAMED_MONTH = re.compile(
    rf"(?:(\d{{1,2}}|{_UNKNOWN_PART})[-/. ]?)??({'|'.join(_MONTHS)})[A-Z]*[-/., ]*(\d{{4}})"
    r"(?:[T: ](\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d+| ?[AP]\.?M\.?)?))?",
    re.ASCII,
)
_UNKNOWN_MONTH = re.compile(rf"(?:{_UNKNOWN_PART})[-/. ]?(?:{_UNKNOWN_PART})[-/. ]?(\d{{4}})", re.ASCII)
_NAMED_MONTH_FIRST = re.compile(
    rf"({'|'.join(_MONTHS)})[A-Z]*[. ]+(\d{{1,2}})(?:ST|ND|RD|TH)?,? +(\d{{4}})", re.ASCII
)
_EIGHT_DIGITS = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T(?:(\d{2})(\d{2})(\d{2})?|(.*)))?", re.ASCII)
_YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?:[T ]+(\d.*))?", re.ASCII)
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})(?:[T ]+(\d.*))?", re.ASCII)
_BLANK_FOR_T = re.compile(r"(\d{4}-\d{2}-\d{2}) +(\d.*)", re.ASCII)
_MONTH_OF_YEAR = re.compile(r"(\d{4})[/.](\d{1,2})|(\d{1,2})[-/.](\d{4})", re.ASCII)
_CLOCK = re.compile(
    r"(.{10}T)(\d{1,2})(:\d{2}(?::\d{2})?)(?: ?([AP])\.?M\.?|( ?(?:UTC|GMT)))?", re.ASCII | re.IGNORECASE
)


@lru_cache(maxsize=65_536)
def iso(text: str) -> str:
    """`text` as ISO 8601 where it is one of the other spellings, else as it is, without outer blanks."""
    return _with_clock_of_24_hours(_of_other_spelling(text.strip().removesuffix("T")))


def _of_other_spelling(stripped: str) -> str:
    if match := _BLANK_FOR_T.fullmatch(stripped):
        return f"{match[1]}T{match[2]}"
    if match := _EIGHT_DIGITS.fullmatch(stripped):
        clock = ":".join(part for part in match.groups()[3:6] if part) or match[7]
        return _joined(match[1], match[2], match[3], clock)
    if match := _YEAR_FIRST.fullmatch(stripped):
        return _joined(match[1], match[3], match[4], match[5])
    if match := _YEAR_LAST.fullmatch(stripped):
        return _of_day_that_is_no_month(match) or stripped
    if match := _MONTH_OF_YEAR.fullmatch(stripped):
        month = int(match[2] or match[3])
        return f"{match[1] or match[4]}-{month:02}" if 1 <= month <= _MONTHS_OF_A_YEAR else stripped
    return _of_named_month(without_accents(stripped).upper()) or stripped


def _with_clock_of_24_hours(written: str) -> str:
    """ "T9:05" as "T09:05", "T2:30 PM" as "T14:30"; any other clock as it is."""
    match = _CLOCK.fullmatch(written)
    if match is None:
        return written
    day, hour, minutes, half, zone = match.groups()
    if half and not 1 <= int(hour) <= _HALF_A_DAY:
        return written
    counted = int(hour) % _HALF_A_DAY + (_HALF_A_DAY if half in "Pp" else 0) if half else int(hour)
    return f"{day}{counted:02}{minutes}{'Z' if zone else ''}"


def _joined(year: str, month: str, day: str, clock: str | None) -> str:
    return f"{year}-{int(month):02}-{int(day):02}{'T' + clock if clock else ''}"


def _of_day_that_is_no_month(match: re.Match[str]) -> str | None:
    """Of "17/11/2026" and "11/17/2026" the one reading; None where there are two, or none."""
    one, other = int(match[1]), int(match[3])
    months = [part for part in (one, other) if part <= _MONTHS_OF_A_YEAR]
    if len(months) != 1 and (not months or one != other):
        return None
    return _joined(match[4], str(min(one, other)), str(max(one, other)), match[5])


_MONTHS_OF_A_YEAR = 12
_HALF_A_DAY = 12  # hours


def _of_named_month(upper: str) -> str | None:
    if match := _NAMED_MONTH.fullmatch(upper):
        day, name, year, time = match.groups()
        month = _MONTHS[name]
        if not (day or "").isdigit():
            return f"{year}-{month:02}"
        return _joined(year, str(month), day, time.replace(",", ".") if time else None)
    if match := _NAMED_MONTH_FIRST.fullmatch(upper):
        return _joined(match[3], str(_MONTHS[match[1]]), match[2], None)
    match = _UNKNOWN_MONTH.fullmatch(upper)
    return match[1] if match else None


@dataclass(frozen=True)
class IsoDate:
    """A date as collected, taken apart. `finding` is "" for a date that is known to the day."""

    parts: tuple[int, ...]  # year, month, day as far as known without a gap; () when unusable
    finding: str  # "", partial_date or impossible_date


@lru_cache(maxsize=65_536)
def parse_iso(text: str) -> IsoDate:
    """`text` as a date, or as an interval of two; of an interval as far as both ends agree."""
    if is_not_stated(text):
        return IsoDate((), "partial_date")
    if not text.isascii() or any(sign in text for sign in "UuNnXx"):
        text = _NOT_KNOWN.sub("-", text.upper())
    first, slash, second = text.partition("/")
    begins = _parse_one(first)
    if not slash or begins.finding == _IMPOSSIBLE:
        return begins
    if _DURATION.fullmatch(second):
        return IsoDate(begins.parts[:2], "partial_date")  # the day on which it ends is not worked out
    ends = _parse_one(second)
    if ends.finding == _IMPOSSIBLE or before(ends.parts, begins.parts):
        return IsoDate((), _IMPOSSIBLE)
    shared = 0
    while shared < min(len(begins.parts), len(ends.parts)) and begins.parts[shared] == ends.parts[shared]:
        shared += 1
    return IsoDate(begins.parts[:shared], "" if shared == 3 else "partial_date")


def before(first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    """Whether `first` is certainly before `second`, compared as far as both are known."""
    length = min(len(first), len(second))
    return first[:length] < second[:length]


def is_before(first: str, second: str) -> bool:
    """Whether the instant `first` is before `second`; False unless both say time and offset alike."""
    try:
        one, other = datetime.fromisoformat(first), datetime.fromisoformat(second)
    except ValueError:
        return False
    if "T" not in first or "T" not in second or (one.tzinfo is None) != (other.tzinfo is None):
        return False
    return one < other


def _parse_one(text: str) -> IsoDate:
    match = _DATE.fullmatch(text)
    if match is None or not _is_date(match[1], match[2], match[3], match[4]):
        return IsoDate((), _IMPOSSIBLE)
    if not _is_time(match[4], match[5], match[6]):
        return IsoDate((), _IMPOSSIBLE)
    known: list[int] = []
    for part in match.groups()[:3]:
        if part is None or part == "-":
            break
        known.append(int(part))
    return IsoDate(tuple(known), "" if len(known) == 3 else "partial_date")


def _is_date(year: str, month: str | None, day: str | None, hour: str | None) -> bool:
    if {year, month or "-", day or "-"} == {"-"}:  # no date at all: a time may stand with "-----"
        return day is not None and hour is not None
    number = _LEAP_YEAR if year == "-" else int(year)
    if not _OLDEST_YEAR <= number <= _NEWEST_YEAR:
        return False
    try:
        # An unknown month may have a 31st: January stands for it.
        date(number, _number(month) or 1 if month != "00" else 0, _number(day) or 1 if day != "00" else 0)
    except ValueError:
        return False
    return True


def _is_time(hour: str | None, minute: str | None, second: str | None) -> bool:
    if hour is None:
        return True
    if {hour, minute or "-", second or "-"} == {"-"}:
        return False  # a time of which nothing is known is left away
    if _number(hour) == 24:
        return _number(minute) == 0 and _number(second) == 0
    return _number(hour) <= 23 and _number(minute) <= 59 and _number(second) <= 59


def _number(part: str | None) -> int:
    return int(part) if part and part != "-" else 0
