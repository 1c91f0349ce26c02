"""Workers killed at every place: all is settled, nothing lost, duplicates only where declared."""

from __future__ import annotations

from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline_tests.delivery.killing import (
    OUTBOX_PLACES,
    SENDGRID_PLACES,
    outbox_trial,
    sendgrid_trial,
)


def test_without_events_duplicates_are_only_among_the_unknown(database: Database, settings: Settings) -> None:
    trial = sendgrid_trial(database, settings, 200, 7, events=False)
    assert trial.kills == len(SENDGRID_PLACES)
    assert (trial.deliveries, trial.settled, trial.lost, trial.jobs_open) == (200, 200, 0, 0)
    assert trial.unknown > 0
    assert trial.duplicates > 0
    assert trial.duplicates_never_unknown == 0


def test_with_events_fed_back_there_is_no_duplicate(database: Database, settings: Settings) -> None:
    trial = sendgrid_trial(database, settings, 200, 7, events=True)
    assert trial.kills == len(SENDGRID_PLACES)
    assert (trial.deliveries, trial.settled, trial.lost, trial.jobs_open) == (200, 200, 0, 0)
    assert trial.unknown > 0
    assert trial.duplicates == 0


def test_the_outbox_holds_each_delivery_exactly_once(database: Database, settings: Settings) -> None:
    trial = outbox_trial(database, settings, 200, 7)
    assert trial.kills == len(OUTBOX_PLACES)
    assert (trial.deliveries, trial.settled, trial.lost, trial.jobs_open) == (200, 200, 0, 0)
    assert (trial.unknown, trial.duplicates) == (0, 0)
