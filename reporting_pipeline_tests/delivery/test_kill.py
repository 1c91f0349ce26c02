"""Workers killed at every place: all is settled, nothing lost, duplicates only where declared."""

from __future__ import annotations

from collections import Counter

from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline_tests.delivery.killing import (
    OUTBOX_PLACES,
    SENDGRID_PLACES,
    environment_of,
    outbox_trial,
    run_workers,
    sendgrid_trial,
    verdict,
)
from reporting_pipeline_tests.delivery.provider import provider
from reporting_pipeline_tests.delivery.seeds import NOW, seed


def test_without_events_duplicates_are_only_among_the_unknown(database: Database, settings: Settings) -> None:
    trial = sendgrid_trial(database, settings, 80, 7, events=False)
    assert trial.kills == len(SENDGRID_PLACES)
    assert (trial.deliveries, trial.settled, trial.lost, trial.jobs_open) == (80, 80, 0, 0)
    assert trial.unknown > 0
    assert trial.duplicates > 0
    assert trial.duplicates_never_unknown == 0


def test_with_events_fed_back_there_is_no_duplicate(database: Database, settings: Settings) -> None:
    trial = sendgrid_trial(database, settings, 80, 7, events=True)
    assert trial.kills == len(SENDGRID_PLACES)
    assert (trial.deliveries, trial.settled, trial.lost, trial.jobs_open) == (80, 80, 0, 0)
    assert trial.unknown > 0
    assert trial.duplicates == 0


def test_the_outbox_holds_each_delivery_exactly_once(database: Database, settings: Settings) -> None:
    trial = outbox_trial(database, settings, 80, 7)
    assert trial.kills == len(OUTBOX_PLACES)
    assert (trial.deliveries, trial.settled, trial.lost, trial.jobs_open) == (80, 80, 0, 0)
    assert (trial.unknown, trial.duplicates) == (0, 0)


def test_two_worker_processes_at_once_send_each_delivery_once(database: Database, settings: Settings) -> None:
    seed(database, None, 120)
    for position in range(120):
        mine = {"_id": f"sub_{position:05d}"}
        database["subscriptions"].update_one(mine, {"$set": {"name": f"Report {position}"}})
    with provider() as server:
        environment = environment_of(
            settings,
            REPORTING_EMAIL_BACKEND="sendgrid",
            SENDGRID_API_KEY="SG.key",
            SENDGRID_URL=server.url,
            REPORTING_SEND_TIMEOUT_SECONDS="20",
            REPORTING_SEND_DEADLINE_SECONDS="30",
        )
        killed = run_workers(range(2), "none", 0, NOW, environment)
        trial = verdict(database, Counter(server.accepted), sum(killed), 0)
    assert (trial.settled, trial.lost, trial.duplicates, trial.jobs_open) == (120, 0, 0, 0)
