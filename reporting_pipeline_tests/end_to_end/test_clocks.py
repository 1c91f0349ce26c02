"""Machines whose clocks are an hour apart: the edition completes, and nobody is mailed twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.automation.crank import (
    SENSORS,
    Crank,
    dagster_instance,
    open_crank,
    usual_documents,
)

READERS = ("one", "two")


def turn(crank: Crank, hours: int) -> int:
    """Every sensor once, and its runs by the clock of a worker `hours` ahead of the server."""
    count = 0
    for name in SENSORS:
        for asked in crank.sensor(name):
            crank.clock.machines_ahead = timedelta(hours=hours)
            crank.execute(asked)
            crank.clock.machines_ahead = timedelta(0)
            count += 1
    return count


@pytest.mark.parametrize("hours", [1, -1], ids=["ahead", "behind"])
def test_workers_an_hour_off_make_one_edition(
    hours: int, settings: Settings, database: Database, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dagster_instance() as instance:
        crank = open_crank(settings, database, objects, instance, monkeypatch)
        crank.add_trial("T-ALPHA")
        crank.arrive(*usual_documents("T-ALPHA", crank.period()))
        for name in READERS:
            crank.subscribe(name, Filters(trials=("T-ALPHA",)))
        crank.open()
        for _ in range(30):
            turn(crank, hours)
            if crank.edition_state() == "completed":
                break
            crank.clock.forward(minutes=10)
        assert crank.edition_state() == "completed"
        for _ in range(2):  # and by a clock that is right again
            turn(crank, 0)
            crank.clock.forward(hours=2)
        assert turn(crank, hours) == 0, "nothing is asked for again"
        assert sorted(crank.mailed()) == [f"{name}@example.org" for name in READERS]
        assert {job["state"] for job in crank.jobs().values()} == {"completed"}
