"""Reference ranges that stand in words or in one text, as SDTM's --STNRC: "NEGATIVE", "NEGATIVE TO TRACE",
"<10", "3-10".

A range of numbers becomes its two limits. Of words only two things are known: a result that the range names
is within it, and on the scale negative, trace, 1+ to 4+ a result beyond all that the range names is outside.
Any other result beside words is not assessed.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache

from reporting_pipeline.domain.clinical.codes import ABNORMAL, NORMAL, folded
from reporting_pipeline.domain.clinical.numbers import censored, plain

#: Places on the scale; POSITIVE has no degree: it is beyond NEGATIVE, and beside 1+ it says nothing.
_NEGATIVE, _TRACE = 0.0, 0.5
_PLACES = {
    **dict.fromkeys(
        [
            *("NEGATIVE", "NEG", "NEG.", "NOT DETECTED", "NONE DETECTED", "UNDETECTED", "NONREACTIVE"),
            *("NON-REACTIVE", "NON REACTIVE", "NOT REACTIVE", "ABSENT", "NONE SEEN", "NOT SEEN", "NO GROWTH"),
        ],
        _NEGATIVE,
    ),
    **dict.fromkeys(["TRACE", "TR", "TRACES", "+/-"], _TRACE),
    **{f"{degree}+": float(degree) for degree in range(1, 5)},
    **{f"+{degree}": float(degree) for degree in range(1, 5)},
    **{"+" * degree: float(degree) for degree in range(1, 5)},
}
#: Of a strip's colour: more than a trace, of no degree that all strips share.
_AMOUNTS = frozenset({"SMALL", "MODERATE", "LARGE"})
_POSITIVE = frozenset({"POSITIVE", "POS", "POS.", "DETECTED", "REACTIVE", "PRESENT"})
_LIST = re.compile(r"\s*(?:[;,|]|/(?!-)|\bOR\b)\s*")
#: What refers elsewhere, or says that there is no range: a result that says the same is not within one.
_NO_RANGE = re.compile(
    r"(?:SEE|REFER|PENDING|TO FOLLOW|TBD|NOT (?:ESTABLISHED|DONE|AVAILABLE|REPORTED)|VARIES|COMMENT)\b"
)
_TO = re.compile(r"\s+(?:TO|-|–)\s+")
_NUMBERS = re.compile(
    r"\s*([+-]?[\d.,]*\d)\s*(?:[-–~～〜]|\.{2,3}|…|\bTO\b|\bBIS\b)\s*(\d[\d.,]*)\s*", re.IGNORECASE
)
_IN_BRACKETS = re.compile(r"\s*[\[(]([^\[\]()]*)[\])]\s*")


@dataclass(frozen=True)
class RangeLimits:
    """Of a range in one text; NaN is "none". A limit that is excluded is itself outside."""

    low: float = math.nan
    high: float = math.nan
    low_excluded: bool = False
    high_excluded: bool = False


@lru_cache(maxsize=4_096)
def limits_in(text: str) -> RangeLimits | None:
    """The limits that a range in one text has: "3-10", "3.5 to 5", "[3~10]", "<10", ">= 4", "up to 40"; None
    for any other."""
    if bracketed := _IN_BRACKETS.fullmatch(text):
        text = bracketed[1]
    if (told := censored(text)) is not None and told.limit == told.limit:
        excluded = len(told.comparator) == 1
        if told.comparator[0] == "<":
            return RangeLimits(high=told.limit, high_excluded=excluded)
        return RangeLimits(low=told.limit, low_excluded=excluded)
    if match := _NUMBERS.fullmatch(text):
        low, high = plain(match[1]), plain(match[2])
        if low is not None and high is not None:
            return RangeLimits(low, high)
    return None


def is_of_words(text: str) -> bool:
    """Whether a limit is a word of the scale: "NEGATIVE", "1+"."""
    code = folded(text)
    return code in _PLACES or code in _POSITIVE


@lru_cache(maxsize=4_096)
def side_in_words(result: str, reference: str) -> str:
    """NORMAL or ABNORMAL of a result in words against a range in words; "" where nobody can tell."""
    said, named = folded(result), folded(reference)
    if not said or not named:
        return ""
    listed = set(_LIST.split(named))
    negative = any(_PLACES.get(one) == _NEGATIVE for one in listed)
    if _NO_RANGE.match(named) or (negative and listed & _POSITIVE):
        return ""  # no range, or a list of all the answers that there are
    if said == named or said in listed:
        return NORMAL
    ends = _ends(named)
    parts = ends if len(ends) == 2 else _LIST.split(named)
    places = [_PLACES.get(part) for part in parts]
    if any(place is None for place in places):
        return ""
    known = [place for place in places if place is not None]
    if said in _POSITIVE:
        return ABNORMAL if max(known) == _NEGATIVE else ""
    if said in _AMOUNTS:
        return ABNORMAL if max(known) <= _TRACE else ""
    place = _PLACES.get(said)
    if place is None:
        return ""
    if place > max(known):
        return ABNORMAL
    within = min(known) <= place if len(ends) == 2 else place in known
    return NORMAL if within else ""


def _ends(named: str) -> list[str]:
    """The ends of a range in words, "NEGATIVE TO TRACE" or "NEGATIVE-TRACE"; what is none stays in one."""
    ends = _TO.split(named)
    tight = re.split("[-–]", named)
    return tight if len(ends) == 1 and len(tight) == 2 and all(one in _PLACES for one in tight) else ends
