"""Cron expressions as people write and read them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reporting_pipeline.domain.cron_fields import CronFields, cron_words, expression_of, fields_of
from reporting_pipeline.domain.schedules import Schedule


@pytest.mark.parametrize(
    ("fields", "expression", "words"),
    [
        (CronFields("07:00", (1, 2, 3, 4, 5)), "0 7 * * MON-FRI", "At 07:00 on Monday through Friday"),
        (CronFields("06:30", (1, 4)), "30 6 * * MON,THU", "At 06:30 on Monday and Thursday"),
        (CronFields("23:05"), "5 23 * * *", "At 23:05 every day"),
        (CronFields("07:00", (), ("15", "1")), "0 7 1,15 * *", "first and the 15th day of month"),
        (CronFields("00:00", (), ("L",)), "0 0 L * *", "last day of every month"),
    ],
)
def test_fields_give_an_expression_and_the_expression_a_sentence(
    fields: CronFields, expression: str, words: str
) -> None:
    assert expression_of(fields) == expression
    assert words in cron_words(expression)


@settings(max_examples=60, deadline=None)
@given(
    st.times(),
    st.sets(st.integers(1, 7), max_size=6),
    st.sets(st.integers(1, 31), max_size=4),
    st.booleans(),
)
def test_an_expression_comes_back_as_the_fields_it_was_made_of(
    at: object, days: set[int], dates: set[int], last: bool
) -> None:
    chosen = tuple(str(one) for one in sorted(dates)) + ("L",) * last
    fields = CronFields(f"{at:%H:%M}", tuple(sorted(days)), chosen)
    expression = expression_of(fields)
    assert fields_of(expression) == fields
    assert Schedule(cadence="cron", cron_expression=expression).cron_expression == expression


@pytest.mark.parametrize(
    "expression", ["", "*/5 * * * *", "0 7 * 1 *", "0 7 * * MON#1", "0 99 * * *", "0 7 1-5 * *", "a b c d e"]
)
def test_what_the_fields_cannot_say_is_left_as_an_expression(expression: str) -> None:
    assert fields_of(expression) is None


def test_sunday_is_0_7_and_sun() -> None:
    assert {fields_of(f"0 7 * * {day}") for day in ("0", "7", "SUN", "sun")} == {CronFields("07:00", (7,))}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (CronFields("25:00"), "no local time"),
        (CronFields("07:00", (), ("32",)), "no day of a month"),
        (CronFields("07:00", (), ("١",)), "no day of a month"),
    ],
)
def test_a_field_that_is_wrong_is_named(fields: CronFields, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        expression_of(fields)


def test_nonsense_has_no_sentence_and_does_not_fail() -> None:
    assert cron_words("nonsense") == "By the cron expression nonsense"
