"""What one measurement means: out of range or not, by whose word, and how far.

The laboratory's own flag counts first; then the original result against the original range; then the
standard value against the standard range. A converted number never overrules the laboratory. What no
flag and no usable range speaks of is not assessed: neither normal nor abnormal.

Ranking (`tier`, then `ratio`): what the laboratory called critical or toxicity grade 4 and 5 first, then
grade 3 and what the investigator called clinically significant, then by the ratio to the limit on its
own side (the limit by the value below, the value by the limit above), then what has no such number.
Ratios suit quantities with a true zero, as concentrations; pH or temperatures rank low by them, which is
why each test is represented in a list before any fills it (`domain.figures`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from reporting_pipeline.domain.clinical.codes import ABNORMAL, HIGH, LOW, NORMAL, Judgement
from reporting_pipeline.domain.clinical.numbers import above, below, same

#: Tiers of the ranking.
CRITICAL, GRAVE, MEASURED, UNMEASURED, NOT_LISTED = 0, 1, 2, 3, 9


@dataclass(frozen=True)
class Quantity:
    """A number or the limit of a censored one, with the range it was given. NaN is "not known"."""

    value: float
    comparator: str = ""
    low: float = math.nan
    high: float = math.nan
    is_incomplete: bool = False  # a limit was given that is no number: nothing is normal by this range
    low_excluded: bool = False  # the low limit itself is outside, as of ">4"
    high_excluded: bool = False

    @property
    def is_reversed(self) -> bool:
        return above(self.low, self.high)

    @property
    def is_empty(self) -> bool:
        """0 to 0: what many systems write when there is no range."""
        return self.low == 0 == self.high

    @property
    def has_range(self) -> bool:
        return not self.is_reversed and not self.is_empty and (self.low == self.low or self.high == self.high)


@dataclass(frozen=True)
class Assessment:
    """`flag` as shown; `listed`: flagged or out of range; `assessed`: somebody or something judged it."""

    flag: str
    assessed: bool
    listed: bool
    tier: int
    ratio: float  # 1 or more; NaN when there is none
    contradiction: str = ""  # for a finding: what range, grade or investigator say against the flag
    contradicts: str = "flag_contradicts_range"  # the finding's code


NOT_ASSESSED = Assessment("", False, False, NOT_LISTED, math.nan)
_SHOWN = {LOW: "LOW", HIGH: "HIGH", ABNORMAL: "ABNORMAL", NORMAL: "NORMAL"}


def side_of(quantity: Quantity) -> str:
    """LOW, HIGH or NORMAL against the range; "" when the range or the value does not tell."""
    value, low, high = quantity.value, quantity.low, quantity.high
    if value != value or not quantity.has_range:
        return ""
    within = "" if quantity.is_incomplete else NORMAL
    on_low = quantity.low_excluded and same(value, low)
    on_high = quantity.high_excluded and same(value, high)
    if not quantity.comparator:
        return LOW if below(value, low) or on_low else HIGH if above(value, high) or on_high else within
    strictly = len(quantity.comparator) == 1
    if quantity.comparator[0] == "<":
        if below(value, low) or on_low or (strictly and same(value, low)):
            return LOW
        return within if low != low and not above(value, high) and (strictly or not on_high) else ""
    if above(value, high) or on_high or (strictly and same(value, high)):
        return HIGH
    return within if high != high and not below(value, low) and (strictly or not on_low) else ""


def ratio_to_limit(value: float, low: float, high: float, side: str) -> float:
    """How far outside, as the factor between value and limit; 1 at the limit, NaN when there is none.

    Below a positive limit limit/value, without end at 0 and under it; above a positive limit value/limit.
    A negative limit counts by its size. From a limit of 0 no factor leads anywhere: the distance in widths
    of the range takes its place, plus 1; with one limit only there is nothing to compare with.
    """
    limit, other = (low, high) if side == LOW else (high, low)
    if value != value or limit != limit or side not in (LOW, HIGH):
        return math.nan
    if same(limit, 0):
        width = abs(other - limit)
        return 1 + abs(value - limit) / width if width > 0 else math.nan
    outward = (side == LOW) == (limit > 0)  # whether going out of range leads through zero
    if not outward:
        return max(value / limit, 1.0)
    if value * limit <= 0:
        return math.inf if side == LOW else 1 + abs(value - limit) / abs(limit)
    return max(limit / value, 1.0)


def assess(
    judgement: Judgement,
    original: Quantity,
    standard: Quantity,
    grade: int | None = None,
    significant: bool = False,
    in_words: str = "",
) -> Assessment:
    """What is known of a result. Reversed ranges and those from 0 to 0 are not used (the caller tells).

    `in_words`: NORMAL or ABNORMAL by a range in words, where the numbers say nothing; "" for none.
    """
    by_original, by_standard = side_of(original), side_of(standard)
    if by_original == NORMAL and _says_nothing_of(original, by_standard):
        by_original = ""
    by_range = by_original or by_standard or in_words
    word = judgement.text and not judgement.side  # of no codelist: a flag all the same
    side = judgement.side or ("" if word and by_range == NORMAL else by_range)
    flag = judgement.text or _SHOWN.get(by_range, "")
    if not judgement.text and (grade or significant) and side in ("", NORMAL):
        side, flag = ABNORMAL, "ABNORMAL"
    if not flag:
        return NOT_ASSESSED
    by_numbers = original if by_original else standard
    contradiction = _contradiction(judgement, by_original, by_standard or in_words, by_numbers)
    contradicts = "flag_contradicts_range"
    if judgement.side == NORMAL and (significant or (grade or 0) >= 1):
        contradiction = f"with grade {grade}" if (grade or 0) >= 1 else "and called clinically significant"
        contradicts = "flag_contradicts_judgement"
    if side == NORMAL and not significant and (grade or 0) < 1:
        return Assessment(flag, True, False, NOT_LISTED, math.nan, contradiction)
    ratio = _ratio(side, original, standard)
    if by_range in (LOW, HIGH) and by_range != side:
        ratio = _ratio(by_range, original, standard)  # a flag without a side hides not how far the number is
    tier = _tier(judgement, grade, significant, ratio)
    return Assessment(flag, True, True, tier, ratio, contradiction, contradicts)


def _says_nothing_of(quantity: Quantity, side: str) -> bool:
    """Whether a range of one limit leaves open the side on which the other range finds the result."""
    return (side == LOW and quantity.low != quantity.low) or (side == HIGH and quantity.high != quantity.high)


def _ratio(side: str, original: Quantity, standard: Quantity) -> float:
    for quantity in (original, standard):
        if quantity.has_range:
            ratio = ratio_to_limit(quantity.value, quantity.low, quantity.high, side)
            if ratio == ratio:
                return ratio
    return math.nan


def _tier(judgement: Judgement, grade: int | None, significant: bool, ratio: float) -> int:
    if judgement.critical or (grade or 0) >= 4:
        return CRITICAL
    if grade == 3 or significant:
        return GRAVE
    return MEASURED if ratio == ratio else UNMEASURED


def _contradiction(judgement: Judgement, by_original: str, by_standard: str, used: Quantity) -> str:
    """What a data manager should ask about; a value on its limit may be judged either way."""
    if by_original and by_standard and by_original != by_standard:
        if judgement.side not in ("", by_original):
            return f"the range says {_SHOWN[by_original]}"
        return f"the original range says {_SHOWN[by_original]}, the standard one {_SHOWN[by_standard]}"
    by_range = by_original or by_standard
    if not by_range or not judgement.side or judgement.side == by_range:
        return ""
    if ABNORMAL in (judgement.side, by_range) and NORMAL not in (judgement.side, by_range):
        return ""
    if same(used.value, used.low) or same(used.value, used.high):
        return ""
    return f"the range says {_SHOWN[by_range]}"
