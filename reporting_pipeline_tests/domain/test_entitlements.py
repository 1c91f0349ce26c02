"""Closed by default, and nobody gives or has more than they see: entitlements, extents, small cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporting_pipeline.domain.disclosure import (
    POLICIES,
    SMALLEST_CELL,
    DisclosurePolicy,
    suppressed,
)
from reporting_pipeline.domain.entitlements import (
    ALL,
    Audience,
    Entitlements,
    Extent,
    problem_of,
    refusal,
)

EVERYTHING = Entitlements(ALL)
ONE_TRIAL = Entitlements(("T1",))
ONE_SITE = Entitlements(("T1", "T2"), {"T1": ("701",)}, audience=Audience.SITE)
BOARD = Entitlements(ALL, audience=Audience.SAFETY_BOARD)
PARTICIPANT = Entitlements(("T1",), subject="S1", audience=Audience.PARTICIPANT)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"trials": []},
        {"trials": None},
        {"trials": "T1"},
        {"trials": "ALL"},
        {"trials": {"T1": True}},
        {"trials": ["T1", 7]},
        {"trials": "all", "audience": "emperor"},
        {"trials": "all", "sites": {"T1": ["701"]}},
        {"trials": "all", "sites": ["T1"]},
    ],
)
def test_what_is_not_said_or_not_readable_opens_nothing(record: Mapping[str, Any]) -> None:
    assert not Entitlements.from_record(record).covers_trial("T1")


def test_unreadable_sites_open_none_of_a_trial() -> None:
    found = Entitlements.from_record({"trials": ["T1"], "sites": [{"trial": "T1", "sites": "701"}]})
    assert found.sites_of("T1") == ()


@pytest.mark.parametrize("each", [EVERYTHING, ONE_TRIAL, ONE_SITE, BOARD, PARTICIPANT, Entitlements()])
def test_a_record_gives_back_what_was_put_in(each: Entitlements) -> None:
    assert Entitlements.from_record(each.as_record()) == each


# who -> (a T1 report of all sites, of site 701, of T2, of T1 and T2, S1's own, S2's own, the board's)
@pytest.mark.parametrize(
    ("who", "may"),
    [
        (EVERYTHING, (True, True, True, True, True, True, False)),
        (BOARD, (True,) * 7),
        (ONE_TRIAL, (True, True, False, False, True, True, False)),
        (ONE_SITE, (False, True, True, False, False, False, False)),
        (PARTICIPANT, (False, False, False, False, True, False, False)),
        (Entitlements(), (False,) * 7),
        (Entitlements(("T1",), audience=Audience.PARTICIPANT), (False,) * 7),
    ],
)
def test_a_report_is_had_by_what_it_was_made_from(who: Entitlements, may: tuple[bool, ...]) -> None:
    reports = (
        Extent({"T1": None}),
        Extent({"T1": ("701",)}),
        Extent({"T2": None}),
        Extent({"T1": ("701", "702"), "T2": None}),
        Extent({"T1": None}, "S1"),
        Extent({"T1": None}, "S2"),
        Extent({"T1": None}, audience=Audience.SAFETY_BOARD),
    )
    assert tuple(refusal(who, each) is None for each in reports) == may


@pytest.mark.parametrize("reader", [one for one in Audience if one is not Audience.PARTICIPANT])
@pytest.mark.parametrize("audience", Audience)
def test_nobody_has_a_report_that_shows_what_is_closed_to_their_audience(
    reader: Audience, audience: Audience
) -> None:
    """Nor gives away an audience that sees more than their own."""
    own, shown = POLICIES[reader], POLICIES[audience]
    open_to_them = all(
        getattr(own, each.name) >= getattr(shown, each.name) for each in fields(DisclosurePolicy)
    )
    who = Entitlements(("T1",), audience=reader)
    assert (refusal(who, Extent({"T1": None}, audience=audience)) is None) is open_to_them
    assert refusal(who, Extent({"T1": None}, audience=audience, rows_alone=True)) is None
    if who.includes(Entitlements(("T1",), audience=audience)):
        assert open_to_them


def test_a_report_that_does_not_say_its_sites_shows_all_of_them() -> None:
    assert Extent.of_report({"dataset_versions": {"T1": "abc"}}) == Extent({"T1": None})
    assert refusal(ONE_SITE, Extent.of_report({"dataset_versions": {"T1": "abc"}})) is not None


@pytest.mark.parametrize(
    ("who", "gives", "may"),
    [
        (EVERYTHING, ONE_SITE, True),
        (EVERYTHING, BOARD, False),
        (BOARD, EVERYTHING, True),
        (ONE_TRIAL, EVERYTHING, False),
        (ONE_TRIAL, ONE_TRIAL, True),
        (ONE_TRIAL, ONE_SITE, False),  # T2
        (ONE_SITE, ONE_SITE, True),
        (ONE_SITE, Entitlements(("T1",), audience=Audience.SITE), False),  # all sites of T1
        (ONE_SITE, Entitlements(("T1",), {"T1": ("702",)}, audience=Audience.SITE), False),
        (PARTICIPANT, ONE_TRIAL, False),
        (PARTICIPANT, Entitlements(("T1",), subject="S2", audience=Audience.PARTICIPANT), False),
        (Entitlements(ALL, {"T1": ("701",)}), EVERYTHING, False),
        (ONE_TRIAL, Entitlements(), True),
    ],
)
def test_nobody_gives_what_they_do_not_see(who: Entitlements, gives: Entitlements, may: bool) -> None:
    assert who.includes(gives) is may


@pytest.mark.parametrize(
    ("each", "field"),
    [
        (Entitlements(ALL, subject="S1", audience=Audience.PARTICIPANT), "trials"),
        (Entitlements(("T1",), audience=Audience.PARTICIPANT), "subject"),
        (Entitlements(("T1",), subject="S1"), "subject"),
        (Entitlements(("T1",), {"T2": ("1",)}), "sites"),
    ],
)
def test_entitlements_that_nobody_may_have_name_their_field(each: Entitlements, field: str) -> None:
    assert (problem_of(each) or ("",))[0] == field


def test_a_report_shows_what_is_wanted_and_open() -> None:
    assert EVERYTHING.effective_sites("T1", ()) is None
    assert EVERYTHING.effective_sites("T1", ("702",)) == ("702",)
    assert ONE_SITE.effective_sites("T1", ()) == ("701",)
    assert ONE_SITE.effective_sites("T1", ("702",)) == ()
    assert ONE_SITE.effective_sites("T3", ()) == ()


COUNTS = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=2), st.integers(0, 60), max_size=6)


@given(COUNTS)
def test_no_small_cell_is_told_or_had_back_from_the_sum(counts: dict[str, int]) -> None:
    told = suppressed(counts)
    assert set(told) == set(counts)
    assert all(value is None or value == 0 or value >= SMALLEST_CELL for value in told.values())
    assert all(value in (None, counts[name]) for name, value in told.items())
    hidden = [name for name, value in told.items() if value is None]
    if hidden and any(value is not None for value in told.values()):
        assert len(hidden) >= 2
        assert sum(counts[name] for name in hidden) >= SMALLEST_CELL


def test_large_counts_are_all_told() -> None:
    assert suppressed({"MILD": 40, "SEVERE": 11, "NONE": 0}) == {"MILD": 40, "SEVERE": 11, "NONE": 0}


def test_one_small_cell_takes_the_next_smallest_with_it() -> None:
    assert suppressed({"a": 3, "b": 12, "c": 50}) == {"a": None, "b": None, "c": 50}


@pytest.mark.parametrize(
    ("each", "unlimited"),
    [
        (EVERYTHING, True),
        (BOARD, True),
        (ONE_TRIAL, False),
        (Entitlements(ALL, {"T1": ("701",)}), False),
        (Entitlements(ALL, audience=Audience.PARTICIPANT), False),
        (Entitlements(), False),
    ],
)
def test_only_who_sees_every_trial_whole_is_unlimited(each: Entitlements, unlimited: bool) -> None:
    assert each.unlimited is unlimited


@pytest.mark.parametrize(
    ("trials", "left"),
    [
        ([], ONE_SITE),
        (["T1"], Entitlements(("T1",), {"T1": ("701",)}, audience=Audience.SITE)),
        (["T2", "T1"], ONE_SITE),
        (["T2"], Entitlements(("T2",), audience=Audience.SITE)),
        (["T3"], Entitlements(audience=Audience.SITE)),
    ],
)
def test_what_concerns_some_trials_keeps_their_limits_and_opens_no_other(
    trials: list[str], left: Entitlements
) -> None:
    assert ONE_SITE.limited_to(trials) == left
    assert ONE_SITE.includes(ONE_SITE.limited_to(trials))


def test_a_participant_of_two_trials_or_of_all_is_none() -> None:
    for trials in (("T1", "T2"), ALL):
        two = Entitlements(trials, subject="S1", audience=Audience.PARTICIPANT)
        assert problem_of(two) == ("trials", "a participant is of one trial; name it")


@pytest.mark.parametrize("sites", [None, []])
def test_sites_that_are_not_said_are_all_of_them(sites: list[str] | None) -> None:
    assert Entitlements.from_record({"trials": ["T1"], "sites": sites}).sites_of("T1") is None
