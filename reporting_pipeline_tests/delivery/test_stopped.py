"""A delivery run that is told to end finishes what it is sending: nothing in doubt, lost or twice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline_tests.delivery.killing import environment_of
from reporting_pipeline_tests.delivery.provider import provider
from reporting_pipeline_tests.delivery.seeds import seed
from reporting_pipeline_tests.waiting import PATIENCE

MAILS = 24


def run(environment: dict[str, str], place: str, hits: int) -> int:
    command = [sys.executable, "-m", "reporting_pipeline_tests.delivery.stopped_worker", place, str(hits)]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, timeout=PATIENCE, check=False
    ).returncode


@pytest.mark.slow
@pytest.mark.parametrize("place", ["worker.drawn", "sendgrid.request_out", "worker.settled"])
def test_sigterm_in_the_middle_of_a_batch_leaves_nothing_in_doubt(
    database: Database, settings: Settings, place: str
) -> None:
    seed(database, None, MAILS)
    for position in range(MAILS):  # a request each
        mine = {"_id": f"sub_{position:05d}"}
        database.subscriptions.update_one(mine, {"$set": {"name": f"Report {position}"}})
    with provider() as server:
        environment = environment_of(
            settings,
            REPORTING_EMAIL_BACKEND="sendgrid",
            SENDGRID_API_KEY="SG.key",
            SENDGRID_URL=server.url,
            REPORTING_SEND_TIMEOUT_SECONDS="60",
            REPORTING_SEND_DEADLINE_SECONDS="60",
        )
        assert run(environment, place, 1 if place == "worker.drawn" else 5) != 0
        states = Counter(row["state"] for row in database.deliveries.find())
        assert set(states) <= {"sent", "pending"}, "nothing is in doubt"
        assert states["sent"] == len(server.accepted) < MAILS
        assert run(environment, "none", 0) == 0
        assert Counter(server.accepted).most_common(1)[0][1] == 1
        assert len(server.accepted) == MAILS
    assert database.jobs.count_documents({"state": "completed"}) == MAILS
