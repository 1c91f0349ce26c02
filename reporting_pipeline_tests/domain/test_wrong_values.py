"""What is wrong with a value is said in words that help whoever gave it."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any, Literal

import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from reporting_pipeline.domain.wrong_values import told_once, words_of


class Side(StrEnum):
    HIGH = "high"
    LOW = "low"


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["a", "b"] = "a"


class Everything(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str = Field("x", min_length=1, max_length=3, pattern="^[a-z]+$")
    count: int = Field(1, ge=1, le=9)
    share: float = Field(0.5, gt=0, lt=1)
    flag: bool = False
    day: date | None = None
    at: datetime | None = None
    aware: AwareDatetime | None = None
    side: Side = Side.HIGH
    entries: list[Inner] = Field(default_factory=lambda: [Inner()], min_length=1, max_length=2)
    inner: Inner = Inner()


CASES: list[tuple[dict[str, Any], str]] = [
    ({"colour": 1}, "is not known here; leave it out"),
    ({"text": 1}, "give a text"),
    ({"text": ""}, "is too short; the least is 1"),
    ({"text": "abcd"}, "is too long; the most is 3 characters"),
    ({"text": "A"}, "is not written as ^[a-z]+$ asks"),
    ({"count": "many"}, "give a whole number"),
    ({"count": 1.5}, "give a whole number"),
    ({"count": 0}, "give at least 1"),
    ({"count": 10}, "give at most 9"),
    ({"share": "half"}, "give a number"),
    ({"share": 0}, "give more than 0.0"),
    ({"share": 1}, "give less than 1.0"),
    ({"flag": "perhaps"}, "give true or false"),
    ({"day": "soon"}, "give a date such as 2026-11-23"),
    ({"at": "soon"}, "give an instant such as 2026-11-23T07:00:00Z"),
    ({"aware": "2026-11-23T07:00:00"}, "has no timezone; give an offset, as in 2026-11-23T07:00:00Z"),
    ({"side": "left"}, "give one of 'high' or 'low'"),
    ({"inner": {"kind": "c"}}, "give one of 'a' or 'b'"),
    ({"inner": []}, "give an object"),
    ({"entries": {}}, "give a list"),
    ({"entries": []}, "give at least 1"),
    ({"entries": [{}, {}, {}]}, "give at most 2"),
]


@pytest.mark.parametrize(("given", "words"), CASES, ids=[str(given) for given, _ in CASES])
def test_each_kind_is_said_in_words(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Everything.model_validate(given)
    assert [words_of(one) for one in refused.value.errors()] == [words]


def test_better_words_go_first_and_an_unknown_kind_says_it_itself() -> None:
    unknown = {"type": "value_error", "msg": "Value error, no such zone", "loc": ("zone",)}
    assert words_of(unknown) == "no such zone"
    assert (
        words_of({"type": "missing", "msg": "Field required", "loc": ()}, {"missing": "give it"}) == "give it"
    )
    bare = {"type": "enum", "msg": "Input should be 'a'", "loc": ()}
    assert words_of(bare) == "Input should be 'a'"  # it says not which there are


def test_a_list_whose_entry_is_wrong_is_not_called_short_too() -> None:
    entry = {"type": "literal_error", "loc": ("body", "recipients", 0, "type")}
    short = {"type": "too_short", "loc": ("body", "recipients")}
    other = {"type": "too_short", "loc": ("body", "trials")}
    assert told_once([entry, short, other]) == [entry, other]
