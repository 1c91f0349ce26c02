"""Kill delivery workers at every failpoint and count what became of the deliveries.

    python -m benchmarks.kill_delivery --deliveries 200 --seed 7

Starts an embedded MongoDB and a SendGrid-shaped server, and prints one JSON object with three trials:
SendGrid without its event webhook, the same with it, and the outbox.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from typing import Any

from benchmarks import measuring
from reporting_pipeline.embedded import servers
from reporting_pipeline.settings import load_settings
from reporting_pipeline.stores.mongo import open_database
from reporting_pipeline_tests.delivery.killing import outbox_trial, sendgrid_trial


def measure(deliveries: int, seed: int) -> dict[str, Any]:
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="kill-delivery-") as home:
        local = load_settings({"REPORTING_ENVIRONMENT": "test", "REPORTING_HOME": home})
        with servers.running(local) as endpoints:
            settings = endpoints.applied_to(local)
            for name in ("without_events", "with_events", "outbox"):
                mine = settings.model_copy(update={"mongodb_database": f"kill_{name}"})
                database = open_database(endpoints.mongodb_uri, mine.mongodb_database)
                if name == "outbox":
                    results[name] = asdict(outbox_trial(database, mine, deliveries, seed))
                else:
                    events = name == "with_events"
                    results[name] = asdict(sendgrid_trial(database, mine, deliveries, seed, events=events))
    return {"deliveries": deliveries, "seed": seed, **results}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--deliveries", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    measuring.show("kill_delivery", measure(arguments.deliveries, arguments.seed))
