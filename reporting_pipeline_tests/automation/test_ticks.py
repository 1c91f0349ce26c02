"""What a tick does not look at: sensors tick every few seconds, and an edition has tens of thousands."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reporting_pipeline.automation import edition_sensor, subscription_sync
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.stores.editions import get_edition, open_edition
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.subscriptions import end_subscription
from reporting_pipeline_tests.automation.crank import ORGANISATION, Crank


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Cadence]:
    """The windows of which all subscriptions were read."""
    found: list[Cadence] = []
    original = subscription_sync.active_ids

    def counted(database: Database, window: Cadence) -> list[str]:
        found.append(window)
        return original(database, window)

    monkeypatch.setattr(subscription_sync, "active_ids", counted)
    return found


def _partitions(crank: Crank) -> list[str]:
    return list(crank.instance.get_dynamic_partitions("weekly_subscriptions"))


def test_subscriptions_are_compared_when_one_was_changed_and_every_five_minutes(
    crank: Crank, looks: list[Cadence]
) -> None:
    crank.sensor("subscription_sync")
    crank.clock.forward(minutes=4)
    looks.clear()
    crank.sensor("subscription_sync")
    assert looks == [], "nothing was changed"

    end_subscription(crank.database, ORGANISATION, "sub_alpha", crank.clock.at)
    assert "sub_alpha" in _partitions(crank)
    crank.sensor("subscription_sync")
    assert looks
    assert "sub_alpha" not in _partitions(crank)

    crank.clock.forward(minutes=5)
    looks.clear()
    # Written past the door: nothing says that it was changed.
    crank.database.subscriptions.delete_one({"_id": "sub_beta"})
    crank.sensor("subscription_sync")
    assert looks
    assert "sub_beta" not in _partitions(crank)


def test_a_subscription_without_its_partition_gets_one_before_its_report_is_asked_for(crank: Crank) -> None:
    crank.complete()
    crank.clock.forward(minutes=1)
    crank.subscribe("late", made=crank.clock.at)
    crank.instance.delete_dynamic_partition("weekly_subscriptions", "sub_late")
    crank.sensor("on_demand_sensor")
    assert "sub_late" in _partitions(crank)


def test_the_jobs_of_a_large_edition_are_counted_every_few_seconds_and_of_a_small_one_at_each_tick(
    crank: Crank, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = crank.clock.at
    opened = open_edition(crank.database, Cadence.WEEKLY, crank.period().key, "schedule", now)

    def counts(after: timedelta) -> dict[str, int]:
        edition = get_edition(crank.database, opened.id)
        return edition_sensor._counts(crank.database, edition, now + after)

    assert counts(timedelta()) == {}
    crank.database.jobs.insert_one({"_id": "job_1", "edition": opened.id, "state": "pending"})
    assert counts(timedelta(seconds=1)) == {"pending": 1}
    monkeypatch.setattr(edition_sensor, "COUNTED_EACH_TICK", 0)
    crank.database.jobs.update_one({"_id": "job_1"}, {"$set": {"state": "completed"}})
    assert counts(timedelta(seconds=2)) == {"pending": 1}
    assert counts(timedelta(seconds=10)) == {"completed": 1}


def test_a_count_of_a_few_seconds_ago_closes_no_edition_over_a_newer_job(
    crank: Crank, monkeypatch: pytest.MonkeyPatch
) -> None:
    edition = f"weekly:{crank.period().key}"
    crank.complete()
    assert crank.edition_state() == "completed"
    monkeypatch.setattr(edition_sensor, "COUNTED_EACH_TICK", 0)
    done = dict(get_edition(crank.database, edition).counts)
    assert set(done) == {"completed"}
    crank.database.editions.update_one(
        {"_id": edition}, {"$set": {"state": "open", "counts": done, "counted_at": crank.clock.at}}
    )
    crank.database.jobs.update_one({"subscription": "sub_alpha"}, {"$set": {"state": "delivering"}})
    crank.sensor("edition_sensor")
    assert crank.edition_state() == "open"
    crank.database.jobs.update_one({"subscription": "sub_alpha"}, {"$set": {"state": "completed"}})
    crank.sensor("edition_sensor")
    assert crank.edition_state() == "completed"


@pytest.mark.parametrize(
    "cursor", ["nonsense", "2026-11-23", "a b", "2026-11-23T00:00:00 2026-11-23T00:00:00"]
)
def test_a_cursor_that_somebody_set_by_hand_stops_no_sensor(crank: Crank, cursor: str) -> None:
    for name in ("subscription_sync", "edition_sensor"):
        crank.cursors[name] = cursor
        crank.sensor(name)
        assert crank.cursors[name] != cursor
