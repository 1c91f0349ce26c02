"""Documents by the batch route: python -m benchmarks.batch --documents 10000

Posts a trial's documents as newline-delimited JSON to the real API (one worker) over embedded servers, once
new and once again as they stand. Prints one JSON object:

    new_s, again_s            from the POST to the last answer
    new_cpu_s, again_cpu_s    CPU seconds of the API's process, without the database
    stored, unchanged, refused  what the answers said
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from benchmarks import measuring
from benchmarks.deployment import api, embedded_deployment
from reporting_pipeline.stores import trials
from reporting_pipeline.usecases.callers.tokens import local_user, mint_token

TRIAL = "BATCH-1"
RESULTS = 8  # of a laboratory document
UNLIMITED = {"REPORTING_REQUESTS_PER_MINUTE": "1000000"}


def lines(documents: int) -> Iterator[dict[str, Any]]:
    """Documents as a site sends them: laboratory panels, every fifth an adverse event."""
    arrived = datetime(2026, 11, 17, tzinfo=UTC)
    for number in range(documents):
        subject = f"701-{number % 300:03}"
        one = {
            "id": f"doc-{number}",
            "trial": TRIAL,
            "site": "701",
            "subject": subject,
            "kind": "adverse_event" if number % 5 == 0 else "lab",
            "title": "As collected",
            "received_at": (arrived + timedelta(seconds=number)).isoformat(),
            "collected": "2026-11-16",
        }
        if number % 5 == 0:
            yield {**one, "data": {"term": "HEADACHE", "serious": "N", "severity": "MILD"}}
            continue
        results = [
            {
                "test_code": f"T{place}", "specimen": "SERUM", "value": 4 + place / 10, "unit": "mmol/L",
                "low": 3.9, "high": 5.6, "indicator": "NORMAL",
            }
            for place in range(RESULTS)
        ]  # fmt: skip
        yield {**one, "data": {"results": results}}


def measure(documents: int) -> dict[str, Any]:
    """The figures; see the module."""
    body = "\n".join(map(json.dumps, lines(documents))).encode()
    with embedded_deployment() as (_, deployment), api(deployment, 1, **UNLIMITED) as (base, server):
        now = datetime.now(UTC)
        user = local_user(deployment.database, deployment.settings, "service", now)
        trial = {"_id": TRIAL, "organisation": deployment.settings.organisation, "title": TRIAL}
        trials.add_trial(deployment.database, {**trial, "sites": [{"id": "701", "name": "Site 701"}]})
        headers = {
            "Authorization": f"Bearer {mint_token(deployment.settings, user, now)}",
            "Content-Type": "application/x-ndjson",
        }
        figures: dict[str, Any] = {"documents": documents, "bytes": len(body)}
        said: Counter[str] = Counter()
        for turn in ("new", "again"):
            cpu, start = measuring.cpu_seconds(server.pid), time.perf_counter()
            answer = requests.post(f"{base}/api/documents:batch", body, headers=headers, timeout=600)
            answer.raise_for_status()
            said.update(json.loads(line)["state"] for line in answer.iter_lines())
            figures[f"{turn}_s"] = time.perf_counter() - start
            figures[f"{turn}_cpu_s"] = measuring.cpu_seconds(server.pid) - cpu
        return {**figures, **said}


def main(arguments: Sequence[str] | None = None) -> None:
    measuring.end_cleanly()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=int, default=10_000)
    measuring.show("batch", measure(parser.parse_args(arguments).documents))


if __name__ == "__main__":
    main()
