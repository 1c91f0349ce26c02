"""A rate that holds whoever asks: over time, for large requests, and between threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from reporting_pipeline.stores import token_buckets
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.token_buckets import take
from reporting_pipeline_tests.delivery.seeds import NOW


def test_the_mean_rate_holds_after_the_burst(database: Database) -> None:
    now, given = NOW, 0
    while now < NOW + timedelta(seconds=20):
        wait = take(database, "x", 1, 5, 5, now)
        given += not wait
        now += max(wait, timedelta(milliseconds=1))
    assert 100 <= given <= 106


def test_a_large_request_leaves_a_debt_that_is_paid_first(database: Database) -> None:
    assert not take(database, "x", 1000, 50, 50, NOW)
    wait = take(database, "x", 1, 50, 50, NOW)
    assert 18.9 <= wait.total_seconds() <= 19.1
    assert take(database, "x", 1, 50, 50, NOW + wait - timedelta(milliseconds=50))
    assert not take(database, "x", 1, 50, 50, NOW + wait + timedelta(milliseconds=1))


def test_threads_cannot_take_the_same_token(database: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: take(database, "x", 1, 0.001, 10, NOW), range(30)))
    assert sum(not wait for wait in answers) == 10


def test_a_time_in_the_future_is_forgotten(database: Database) -> None:
    """One worker's clock an hour ahead stopped all mail for that hour."""
    assert not take(database, "x", 1, 1, 1, NOW + timedelta(hours=1))
    assert take(database, "x", 1, 1, 1, NOW)
    assert not take(database, "x", 1, 1, 1, NOW + timedelta(seconds=1, milliseconds=1))


def test_the_clock_is_the_servers(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's is an hour from this process's here: what was taken by the one is filled by the other."""
    assert not take(database, "x", 1, 1, 1, NOW - timedelta(hours=1))
    monkeypatch.setattr(token_buckets, "server_time", lambda asked: NOW if asked is database else None)
    assert not take(database, "x", 1, 0.001, 1)
    kept = database.token_buckets.find_one({"_id": "x"}) or {}
    assert kept["at"] == NOW
    assert take(database, "x", 1, 0.001, 1) > timedelta(minutes=10)


def test_each_name_has_a_bucket_of_its_own(database: Database) -> None:
    assert not take(database, "x", 1, 1, 1, NOW)
    assert not take(database, "y", 1, 1, 1, NOW)
    assert take(database, "x", 1, 1, 1, NOW)
