"""What a person should look at before it goes out, and what is none of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from reporting_pipeline.domain.content_gate import (
    Concern,
    ContentShape,
    GatePolicy,
    concerning,
    policy_of,
    stricter,
    unusual_in,
)
from reporting_pipeline.domain.content_shape import rowless, shape_of
from reporting_pipeline_tests.reports.conftest import make_dataset

USUAL = ContentShape({"visits": 40.0}, {"visits": 40.0}, {"labs": ["grade", "unit"]}, {"labs": ["unit"]})
BEFORE = [USUAL] * 12


def concerns(now: ContentShape, before: list[ContentShape | None] | None = None) -> list[str]:
    return [one.concern.value for one in unusual_in("T1", now, BEFORE if before is None else before)]


def shape(**changes: Mapping[str, object]) -> ContentShape:
    return replace(USUAL, **changes)  # type: ignore[arg-type]


def test_a_period_like_those_before_is_no_concern() -> None:
    assert concerns(USUAL) == []


@pytest.mark.parametrize(("visits", "alarm"), [(61.0, True), (60.0, False), (51.0, False), (0.0, False)])
def test_a_jump_is_more_than_half_above_the_highest_and_more_than_a_few(visits: float, alarm: bool) -> None:
    assert (concerns(shape(totals={"visits": visits})) == [Concern.JUMPED.value]) is alarm


def test_a_small_number_that_trebles_is_no_jump() -> None:
    few = [shape(totals={"deaths": 1.0})] * 12
    assert concerns(shape(totals={"deaths": 3.0}), [*few]) == []


def test_without_four_periods_before_nobody_can_tell_a_jump() -> None:
    jumped = shape(totals={"visits": 400.0})
    assert concerns(jumped, [USUAL, None, USUAL, USUAL]) == []
    assert concerns(jumped, [USUAL, None, USUAL, USUAL, USUAL]) == [Concern.JUMPED.value]


@pytest.mark.parametrize(("again", "alarm"), [(35.0, True), (36.0, False), (39.0, False), (50.0, False)])
def test_a_total_that_was_reported_falls_by_more_than_a_tenth(again: float, alarm: bool) -> None:
    assert (concerns(shape(before={"visits": again})) == [Concern.FELL.value]) is alarm


def test_what_was_corrected_is_in_the_period_s_own_dataset_by_now_and_is_no_fall() -> None:
    restated = shape(totals={"visits": 12.0})
    assert concerns(shape(before={"visits": 12.0}), [restated, *BEFORE]) == []


def test_columns_that_went_or_came_are_told_and_those_that_come_and_go_are_not() -> None:
    gone = shape(columns={"labs": ["grade"]}, mostly={"labs": []})
    assert concerns(gone) == [Concern.SCHEMA.value]
    assert concerns(shape(columns={"labs": ["unit"]})) == [], "grade was never in most rows"
    new = shape(columns={"labs": ["grade", "unit", "method"]}, mostly={"labs": ["method", "unit"]})
    assert concerns(new) == [Concern.SCHEMA.value]
    assert concerns(shape(columns={}, mostly={})) == [], "too few rows to tell"


def test_a_shape_is_kept_and_read_and_what_is_none_says_nothing() -> None:
    made = shape_of(make_dataset())
    assert ContentShape.of_record(made.record()) == made
    assert made.totals["documents"] == 9
    assert made.before["documents"] == 3
    none: tuple[object, ...] = (None, [], {}, {"totals": 3, "before": {}, "columns": {}, "mostly": {}})
    for broken in none:
        assert ContentShape.of_record(broken) is None
    odd = {"totals": {"visits": "x"}, "before": {}, "columns": {"labs": "unit"}, "mostly": {}}
    assert ContentShape.of_record(odd) == ContentShape({}, {}, {}, {})


def test_documents_that_gave_no_row_are_told() -> None:
    whole = make_dataset()
    assert rowless(whole) == ""
    empty = {name: table if name == "documents" else table.iloc[:0] for name, table in whole.tables.items()}
    told = rowless(replace(whole, tables=empty))
    assert "none of them gave a row" in told
    assert "lab" in told


def test_a_fall_that_the_restatement_explains_is_none_and_an_omission_is_one() -> None:
    fell = {"concern": Concern.FELL.value, "trial": "T1", "said": "visits"}
    assert concerning([fell], restates=True, omissions=[]) == []
    assert concerning([fell], restates=False, omissions=[]) == [fell]
    (left,) = concerning([], restates=True, omissions=[{"trial": "T2", "part": "labs", "reason": "units"}])
    assert (left["concern"], left["trial"]) == (Concern.OMISSION.value, "T2")


def test_a_subscription_asks_for_more_care_never_for_less() -> None:
    assert stricter("notice", "hold") is GatePolicy.HOLD
    assert stricter("hold", "off") is GatePolicy.HOLD
    assert stricter("off", None) is GatePolicy.OFF
    assert policy_of("something") is GatePolicy.NOTICE
