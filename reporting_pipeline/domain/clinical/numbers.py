"""Numbers as they were written: comparison at their precision, digits for a reader, censored results."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

#: Binary floating point holds 15 decimal digits; what differs beyond them is how it was computed.
_DIGITS = 15
_TOLERANCE = 10.0 ** (1 - _DIGITS)
_SPELLINGS = {"<": "<", ">": ">", "<=": "<=", ">=": ">=", "=<": "<=", "=>": ">=", "≤": "<=", "≥": ">=",
              "＜": "<", "＞": ">", "⩽": "<=", "⩾": ">=", "≦": "<=", "≧": ">=", "</=": "<=", ">/=": ">=",
              "&LT;": "<", "&GT;": ">", "&LT;=": "<=", "&GT;=": ">="}  # fmt: skip
COMPARATORS = ("<", "<=", ">", ">=")
_WORDS = {"LESS THAN": "<", "LOWER THAN": "<", "GREATER THAN": ">", "MORE THAN": ">", "HIGHER THAN": ">",
          "BELOW": "<", "UNDER": "<", "LT": "<", "ABOVE": ">", "OVER": ">", "GT": ">",
          "AT LEAST": ">=", "AT MOST": "<=", "UP TO": "<=",
          "NOT MORE THAN": "<=", "NOT LESS THAN": ">="}  # fmt: skip
_CENSORED = re.compile(
    rf"\s*(</=|>/=|<=|>=|=<|=>|&[lg]t;=?|[<>≤≥⩽⩾＜＞≦≧]|(?:{'|'.join(_WORDS)})\b)\s*"
    r"([+\-\u2212]?(?=[.,]?\d)[.,\d][\d.,'\u2019 \u00a0\u2009\u202f]*?"
    r"(?:[eE][+-]?\d+|\s*[x×*]\s*10\^?[+-]?\d+)?)\s*",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
#: Thousands set apart, where only one reading is left: by blanks or apostrophes, by the sign that is not the
#: decimal one, or more than once by the same sign. "1,234" has two.
_GROUPED = re.compile(
    r"([+-]?\d{1,3})(?:"
    r"((?:[ '\u2019\u00a0\u2009\u202f]\d{3})+)(?:[.,](\d+))?"
    r"|((?:,\d{3})+)\.(\d+)|((?:\.\d{3})+),(\d+)|((?:,\d{3}){2,}|(?:\.\d{3}){2,}))",
    re.ASCII,
)
_POWER = re.compile(r"\s*[x×*]\s*10\^([+-]?\d{1,3})", re.IGNORECASE | re.ASCII)
#: What word processors make of a minus before a number.
_MINUS = re.compile(r"^[\u2010-\u2013\u2212\ufe63\uff0d](?=\s?[\d.,])")
_RAISED = re.compile(r"(.*10)([\u2070\u00b9\u00b2\u00b3\u2074-\u2079\u207a\u207b]+)")
#: Digits and signs of full width, as Japanese and Chinese keyboards write them.
_ASCII = str.maketrans(
    {
        **{0xFF10 + digit: str(digit) for digit in range(10)},
        **{0xFF0E: ".", 0xFF0C: ",", 0xFF0B: "+"},
    }
)
_LOWERED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_DECIMAL_COMMA = re.compile(r"([+-]?0(?=,\d{3}$)|[+-]?\d+(?=,(?:\d{1,2}|\d{4,})$)),(\d+)", re.ASCII)


def same(first: float, second: float) -> bool:
    """Whether two numbers are equal to the digits that a float holds: 0.1 + 0.2 is 0.3."""
    return first == second or abs(first - second) <= _TOLERANCE * max(abs(first), abs(second))


def below(value: float, limit: float) -> bool:
    """Whether `value` is really below `limit`; False when either is NaN."""
    return value < limit and not same(value, limit)


def above(value: float, limit: float) -> bool:
    return value > limit and not same(value, limit)


def plain(text: str) -> float | None:
    """The number that `text` is, in ASCII digits with a point or a decimal comma; None for anything else.

    A comma is a decimal comma only where it cannot separate thousands ("0,2", "12,5", not "1,234").
    Thousands may be set apart ("1,234.5", "1.234,5", "1 234"), a power of ten may be written out ("2x10^3").
    """
    stripped = _MINUS.sub("-", (text if text.isascii() else text.translate(_ASCII)).strip())
    if raised := _RAISED.fullmatch(stripped):
        stripped = f"{raised[1]}^{raised[2].translate(_LOWERED)}"
    if _PLAIN.fullmatch(stripped) is None:  # nearly all are
        if power := _POWER.search(stripped):
            factor = plain(stripped[: power.start()]) if power.end() == len(stripped) else None
            return None if factor is None else _finite(f"{digits(factor)}e{power[1]}")
        if match := _GROUPED.fullmatch(stripped):
            whole, by_blank, _, by_comma, _, by_point, _, twice = match.groups()
            fraction = match[3] or match[5] or match[7] or "0"
            groups = re.sub(r"\D", "", by_blank or by_comma or by_point or twice)
            return _finite(f"{whole}{groups}.{fraction}")
    if comma := _DECIMAL_COMMA.fullmatch(stripped):
        stripped = f"{comma[1]}.{comma[2]}"
    if not _PLAIN.fullmatch(stripped):
        return None
    return _finite(stripped)


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


@dataclass(frozen=True)
class Censored:
    """A result of which only a limit is known."""

    comparator: str  # of COMPARATORS
    limit: float  # NaN when its digits can be read in more than one way


def censored(text: str) -> Censored | None:
    """What "<40", ">= 1.5", "≤0.5" or "<0,2" says; None for a text that is no such result.

    Where the comma may separate thousands ("<1,234") the limit is not known, the direction still is.
    """
    match = _CENSORED.fullmatch(text)
    if match is None:
        return None
    number = plain(match[2])
    sign = match[1].upper()
    return Censored(_SPELLINGS.get(sign) or _WORDS[sign], math.nan if number is None else number)


def is_number(text: str) -> bool:
    """Whether a text is a number, or one with a sign before it ("<0.5"), and nothing but that."""
    return plain(text) is not None or (text.strip()[:1] in _SIGNS and censored(text) is not None)


_SIGNS = frozenset("<>≤≥")


def without_exponent(text: str) -> str:
    """A text that is a number with an exponent, "1.2E3" or "2x10^3", in digits; any other as it is."""
    if not set("eExX×*^") & set(text):
        return text
    number = plain(text)
    return text if number is None else digits(number)


def comparator(text: str) -> str:
    """One of COMPARATORS, or "" for a text that is none."""
    return _SPELLINGS.get(text.strip(), "")


def digits(value: float) -> str:
    """A number for a reader: as many digits as it has, at most 15, and never an exponent."""
    if not math.isfinite(value):
        return ""
    short = f"{value:.{_DIGITS}g}"
    try:
        plain_text = f"{Decimal(short):f}"
    except InvalidOperation:  # cannot be: `short` is a number
        return short
    if "." in plain_text:
        plain_text = plain_text.rstrip("0").rstrip(".")
    return "0" if plain_text in ("-0", "") else plain_text
