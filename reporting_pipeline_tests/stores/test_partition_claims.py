"""A partition is held by one run at a time, whoever asks when; what a dead run held is told as unfinished."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reporting_pipeline.stores.heartbeats import longest_silence
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.partition_claims import Claimed, PartitionClaims

ASSET = "weekly/subscriber_reports"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SILENCE = longest_silence(5)
KEYS = ("2026-11-16|a", "2026-11-16|b", "2026-11-16|c")


def beat(database: Database, run: str, at: datetime = NOW) -> None:
    database.heartbeats.update_one({"_id": run}, {"$set": {"at": at}}, upsert=True)


def claims(database: Database, run: str, asset: str = ASSET) -> PartitionClaims:
    return PartitionClaims(database, asset, run, SILENCE)


def test_what_one_run_holds_no_other_gets_until_it_lets_go(database: Database) -> None:
    for run in ("first", "second"):
        beat(database, run)
    first, second = claims(database, "first"), claims(database, "second")
    assert first.take(KEYS[:2], (), NOW).keys == set(KEYS[:2])
    assert second.take(KEYS, (), NOW).keys == {KEYS[2]}
    assert claims(database, "second", "weekly/documents").take(KEYS, (), NOW).keys == set(KEYS)
    assert first.take((), KEYS[:1], NOW).keys == set(), "it goes on to hold the first, and lets the second go"
    assert second.take(KEYS, (), NOW).keys == set(KEYS[1:])
    first.release(NOW)
    taken = second.take(KEYS, (), NOW)
    assert taken == Claimed(frozenset(KEYS), frozenset())


@pytest.mark.parametrize("has_beat", [True, False], ids=["silent", "found dead"])
def test_what_a_dead_run_held_is_taken_over_and_told_as_unfinished_once(
    database: Database, has_beat: bool
) -> None:
    beat(database, "second")
    beat(database, "first")
    claims(database, "first").take(KEYS[:2], (), NOW)
    if has_beat:
        late = NOW + SILENCE
        beat(database, "second", late)
        assert not claims(database, "second").take(KEYS[:1], (), late).keys, "its last beat is recent enough"
        later = late + timedelta(milliseconds=1)
    else:
        database.heartbeats.delete_one({"_id": "first"})
        later = NOW
    taken = claims(database, "second").take([KEYS[0], KEYS[2]], (), later)
    assert taken.keys == {KEYS[0], KEYS[2]}
    assert taken.unfinished == {KEYS[0]}
    claims(database, "second").release(later)
    beat(database, "third", later)
    again = claims(database, "third").take(KEYS, (), later)
    assert again == Claimed(frozenset(KEYS), frozenset({KEYS[1]}))


def test_of_racers_each_partition_goes_to_one(database: Database) -> None:
    wanted = [f"2026-11-16|{number}" for number in range(40)]
    runs = [f"run-{number}" for number in range(6)]
    for run in runs:
        beat(database, run)

    def race(run: str) -> list[str]:
        own, mine = claims(database, run), list[str]()
        for start in range(0, len(wanted), 8):
            mine += own.take(wanted[start : start + 8], mine, NOW).keys
        return mine

    with ThreadPoolExecutor(len(runs)) as pool:
        found = [one for mine in pool.map(race, runs) for one in mine]
    assert sorted(found) == sorted(wanted)


RUNS = ("first", "second", "third", "fourth")
_STEP = st.tuples(
    st.sampled_from(["take", "take", "take", "release", "die"]),
    st.sampled_from(RUNS),
    st.sets(st.sampled_from(KEYS)),
    st.booleans(),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(steps=st.lists(_STEP, max_size=14))
def test_in_any_order_of_wishes_and_deaths_nothing_is_held_twice_or_lost(
    database: Database, steps: list[tuple[str, str, set[str], bool]]
) -> None:
    database.partition_claims.delete_many({})
    for run in (*RUNS, "last"):
        beat(database, run)
    living, unfinished = set(RUNS), set[str]()
    held: dict[str, set[str]] = {run: set() for run in RUNS}
    for deed, run, keys, keeps in steps:
        if run not in living:
            continue
        if deed == "die":
            living.remove(run)
            database.heartbeats.delete_one({"_id": run})
            unfinished |= held.pop(run)
        elif deed == "release":
            claims(database, run).release(NOW)
            held[run] = set()
        else:
            keep = held.pop(run) if keeps else set[str]()
            free = keys.difference(*(held[one] for one in living - {run}))
            taken = claims(database, run).take(keys, keep, NOW)
            assert taken == Claimed(frozenset(free), frozenset(free & unfinished))
            held[run] = keep | free
            unfinished -= free
    for run in living:
        claims(database, run).release(NOW)
    taken = claims(database, "last").take(KEYS, (), NOW)
    assert taken == Claimed(frozenset(KEYS), frozenset(unfinished))
