"""Dates as collected: what is read, what is told, and that nothing is completed."""

from __future__ import annotations

import pytest

from reporting_pipeline.domain.clinical.dates import before, is_before, iso, parse_iso

PARTIAL, IMPOSSIBLE = "partial_date", "impossible_date"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-11-17 08:30", "2026-11-17T08:30"),
        ("2026-11-17T", "2026-11-17"),
        ("20261117", "2026-11-17"),
        ("20261117T083015", "2026-11-17T08:30:15"),
        ("20261117T0830", "2026-11-17T08:30"),
        ("2026/11/7", "2026-11-07"),
        ("2026.1.7 08:30", "2026-01-07T08:30"),
        ("17/11/2026", "2026-11-17"),
        ("11/17/2026", "2026-11-17"),
        ("12/13/2026", "2026-12-13"),
        ("13/12/2026", "2026-12-13"),
        ("12/12/2026", "2026-12-12"),
        ("17NOV2026:08:30", "2026-11-17T08:30"),
        ("01JAN2026", "2026-01-01"),
        ("17 December 2026", "2026-12-17"),
        ("UN-Nov-2026", "2026-11"),
        ("Nov 2026", "2026-11"),
        ("Nov 17, 2026", "2026-11-17"),
        ("Jan 5th, 2026", "2026-01-05"),
        ("Dec 31 2026", "2026-12-31"),
        ("UN-UNK-2026", "2026"),
        (" 2026 ", "2026"),
        ("11/2026", "2026-11"),
        ("2026/11", "2026-11"),
        ("3.2026", "2026-03"),
        ("2026-11-17 9:05", "2026-11-17T09:05"),
        ("17/11/2026 9:05:30", "2026-11-17T09:05:30"),
        ("11/17/2026 2:30 PM", "2026-11-17T14:30"),
        ("11/17/2026 12:05 a.m.", "2026-11-17T00:05"),
        ("17NOV2026 2:30PM", "2026-11-17T14:30"),
        ("2026-11-17 09:30 UTC", "2026-11-17T09:30Z"),
        ("17-DEZ-2026", "2026-12-17"),
        ("17 févr. 2026", "2026-02-17"),
        ("17 juil. 2026", "2026-07-17"),
        ("17-Mär-2026", "2026-03-17"),
        ("UN-AGO-2026", "2026-08"),
        ("17-mei-2026", "2026-05-17"),
    ],
)
def test_another_spelling_that_leaves_no_doubt_is_read(written: str, read: str) -> None:
    assert iso(written) == read


@pytest.mark.parametrize(
    "written",
    [
        *("10/11/2026", "12/11/2026", "13/14/2026", "next Tuesday", "Nov 17", "17.11", "13/2026", "2026/0"),
        *("2026-11-17T14:30 PM", "2026-11-17T0:30 AM", "17 NOV 26", "17/11/26"),
    ],
)
def test_what_could_be_two_days_or_none_stays_as_it_is(written: str) -> None:
    assert iso(written) == written


@pytest.mark.parametrize(
    ("text", "parts", "finding"),
    [
        ("2026-11-17", (2026, 11, 17), ""),
        ("2026-11", (2026, 11), PARTIAL),
        ("2026", (2026,), PARTIAL),
        ("", (), PARTIAL),
        ("2026---17", (2026,), PARTIAL),
        ("2026-UN-17", (2026,), PARTIAL),
        ("2026-11-UNK", (2026, 11), PARTIAL),
        ("--11-17", (), PARTIAL),
        ("-----T07:15", (), PARTIAL),
        ("-----", (), IMPOSSIBLE),
        ("2024-02-29", (2024, 2, 29), ""),
        ("2026-02-29", (), IMPOSSIBLE),
        ("--02-29", (), PARTIAL),
        ("--02-30", (), IMPOSSIBLE),
        ("2026---31", (2026,), PARTIAL),
        ("2026---32", (), IMPOSSIBLE),
        ("2026-00-10", (), IMPOSSIBLE),
        ("2026-11-00", (), IMPOSSIBLE),
        ("2026-13", (), IMPOSSIBLE),
        ("1889", (), IMPOSSIBLE),
        ("1890", (1890,), PARTIAL),
        ("2200", (2200,), PARTIAL),
        ("2201", (), IMPOSSIBLE),
        ("2026-11-17T23:59:59", (2026, 11, 17), ""),
        ("2026-11-17T24:00", (2026, 11, 17), ""),
        ("2026-11-17T24:00:00", (2026, 11, 17), ""),
        ("2026-11-17T24:01", (), IMPOSSIBLE),
        ("2026-11-17T24:00:01", (), IMPOSSIBLE),
        ("2026-11-17T25", (), IMPOSSIBLE),
        ("2026-11-17T23:60", (), IMPOSSIBLE),
        ("2026-11-17T23:59:60", (), IMPOSSIBLE),
        ("2026-11-17T-:15", (2026, 11, 17), ""),
        ("2026-11-17T-", (), IMPOSSIBLE),
        ("2026-11-17T08:30+01:00", (2026, 11, 17), ""),
        ("2026-11-17x", (), IMPOSSIBLE),
    ],
)
def test_a_date_is_known_as_far_as_it_was_written_and_no_further(
    text: str, parts: tuple[int, ...], finding: str
) -> None:
    read = parse_iso(text)
    assert (read.parts, read.finding) == (parts, finding)


@pytest.mark.parametrize(
    ("text", "parts", "finding"),
    [
        ("2026-11-17/2026-11-17", (2026, 11, 17), ""),
        ("2026-11-17/2026-11-20", (2026, 11), PARTIAL),
        ("2026-11-17/2026-12-17", (2026,), PARTIAL),
        ("2026-11/2027-01", (), PARTIAL),
        ("2026-11-17/P3D", (2026, 11), PARTIAL),
        ("2026-11-20/2026-11-17", (), IMPOSSIBLE),
        ("2026-11-17/2026-13", (), IMPOSSIBLE),
        ("2026-13/2026-11-17", (), IMPOSSIBLE),
    ],
)
def test_an_interval_is_known_as_far_as_its_ends_agree(
    text: str, parts: tuple[int, ...], finding: str
) -> None:
    read = parse_iso(text)
    assert (read.parts, read.finding) == (parts, finding)


@pytest.mark.parametrize(
    ("first", "second", "certainly"),
    [
        ((2026, 11), (2026, 12), True),
        ((2026, 12), (2026, 11), False),
        ((2026, 11, 3), (2026, 12), True),
        ((2026,), (2026, 12), False),
        ((2026, 11, 3), (2026, 11), False),
        ((2026, 11, 3), (2026, 11, 3), False),
        ((), (2026,), False),
    ],
)
def test_before_is_said_only_as_far_as_both_are_known(
    first: tuple[int, ...], second: tuple[int, ...], certainly: bool
) -> None:
    assert before(first, second) is certainly


@pytest.mark.parametrize(
    ("first", "second", "certainly"),
    [
        ("2026-11-17T08:30", "2026-11-17T08:31", True),
        ("2026-11-17T08:31", "2026-11-17T08:30", False),
        ("2026-11-17T08:30", "2026-11-17T08:30", False),
        ("2026-11-17T08:30+01:00", "2026-11-17T08:00Z", True),
        ("2026-11-17T08:30Z", "2026-11-17T09:00+01:00", False),
        ("2026-11-17", "2026-11-18", False),
        ("2026-11-17", "2026-11-18T08:00", False),
        ("2026-11-17T08:00", "2026-11-18", False),
        ("2026-11-17T08:30", "2026-11-18T08:30Z", False),
        ("2026-11-17T08:30Z", "2026-11-18T08:30", False),
        ("soon", "2026-11-18T08:30", False),
    ],
)
def test_an_instant_is_before_another_only_where_both_say_time_and_offset_alike(
    first: str, second: str, certainly: bool
) -> None:
    assert is_before(first, second) is certainly
