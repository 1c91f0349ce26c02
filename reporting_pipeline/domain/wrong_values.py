"""What is wrong with a value that pydantic refused, in words for whoever gave it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from string import Formatter
from typing import Any

from pydantic_core import ErrorDetails

_OBJECT = "give an object"
_LIST = "give a list"
_WHOLE = "give a whole number"
_NUMBER = "give a number"
_YES_OR_NO = "give true or false"
_DATE = "give a date such as 2026-11-23"
_INSTANT = "give an instant such as 2026-11-23T07:00:00Z"
_ONE_OF = "give one of {expected}"

#: Kind of pydantic's finding -> what to do; {names} are of its context. What is not here says it itself.
_WORDS: Mapping[str, str] = {
    "missing": "is missing; give it",
    "extra_forbidden": "is not known here; leave it out",
    "string_type": "give a text",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "bool_type": _YES_OR_NO,
    "bool_parsing": _YES_OR_NO,
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": _DATE,
    "datetime_type": _INSTANT,
    "datetime_parsing": _INSTANT,
    "datetime_from_date_parsing": _INSTANT,
    "timezone_aware": "has no timezone; give an offset, as in 2026-11-23T07:00:00Z",
    "literal_error": _ONE_OF,
    "enum": _ONE_OF,
    "greater_than": "give more than {gt}",
    "greater_than_equal": "give at least {ge}",
    "less_than": "give less than {lt}",
    "less_than_equal": "give at most {le}",
    "too_short": "give at least {min_length}",
    "too_long": "give at most {max_length}",
    "string_too_short": "is too short; the least is {min_length}",
    "string_too_long": "is too long; the most is {max_length} characters",
    "string_pattern_mismatch": "is not written as {pattern} asks",
}


def words_of(finding: Mapping[str, Any] | ErrorDetails, own: Mapping[str, str] | None = None) -> str:
    """What a finding says and what to do. `own` are better words for some kinds, where they are known."""
    kind, context = str(finding["type"]), finding.get("ctx") or {}
    said = (own or {}).get(kind) or _WORDS.get(kind)
    if said is None or not _named(said) <= set(context):
        return str(finding["msg"]).removeprefix("Value error, ")
    return said.format_map(context) if _named(said) else said


def told_once(findings: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The findings without those of a list that is too short because its entries were refused."""
    found = list(findings)
    inside = {tuple(one["loc"])[:depth] for one in found for depth in range(len(one["loc"]))}
    return [one for one in found if one["type"] != "too_short" or tuple(one["loc"]) not in inside]


def _named(said: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(said) if name}
