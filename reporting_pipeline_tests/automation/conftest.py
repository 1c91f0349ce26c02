"""A deployment for the tests of automation: small, on real servers, turned by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dagster import DagsterInstance

from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.automation.crank import (
    Crank,
    dagster_instance,
    open_crank,
    usual_documents,
)

TRIALS = ("T-ALPHA", "T-BETA", "T-GAMMA")


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with dagster_instance() as opened:
        yield opened


@pytest.fixture
def empty(
    settings: Settings,
    database: Database,
    objects: ObjectStore,
    instance: DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> Crank:
    """A deployment without trials and subscriptions."""
    return open_crank(settings, database, objects, instance, monkeypatch)


@pytest.fixture
def crank(empty: Crank) -> Crank:
    """Three trials with a few documents, and six weekly subscriptions due as soon as the week closed."""
    for trial in TRIALS:
        empty.add_trial(trial)
        empty.arrive(*usual_documents(trial, empty.period()))
    empty.subscribe("all")
    for name, trial in (
        ("alpha", "T-ALPHA"),
        ("alpha2", "T-ALPHA"),
        ("beta", "T-BETA"),
        ("gamma", "T-GAMMA"),
    ):
        empty.subscribe(name, Filters(trials=(trial,)))
    empty.subscribe("events", Filters(trials=("T-GAMMA",), kinds=("adverse_event",)))
    return empty
