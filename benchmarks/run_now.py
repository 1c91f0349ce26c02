"""From a POST to the mail: python -m benchmarks.run_now, and python -m benchmarks.run_now --at-once 1000

One report at a time on a quiet deployment, or many asked for within four seconds, through the API, Dagster's
daemon, its run queue and the outbox, all of them as `dev` starts them. Prints one JSON object:

    median_s, worst_s   from the POST to the mail in the outbox (one at a time)
    parts_s             medians: until a run was asked for, left the queue, was started, and had mailed
    asked_s             in which all were accepted (--at-once)
    settled_s           from the first POST to the last mail
    runs                Dagster runs that this took
    cpu_per_report_s    CPU seconds of all processes, servers included, per report
    lost, twice         asked for and not mailed; mailed more than once
    api_p99_ms          of reads beside it
"""

from __future__ import annotations

import argparse
import re
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from statistics import median, quantiles
from typing import Any
from uuid import uuid4

import requests
from dagster import DagsterEventType, DagsterInstance, RunsFilter

from benchmarks import measuring, synthetic
from benchmarks.deployment import api, dagster, embedded_deployment
from reporting_pipeline.cli.local.home import Deployment
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.usecases.callers.tokens import local_user, mint_token

WITHIN_SECONDS = 4.0
WORKERS = 2
POSTERS = 16
ATTEMPTS = 3
#: Nothing of this benchmark's may be kept out by a limit that is there for people.
NO_LIMITS = {"REPORTING_RUN_NOW_PER_HOUR": "1000000", "REPORTING_REQUESTS_PER_MINUTE": "1000000"}


def measure(at_once: int, repeats: int, trials: int, patience: float) -> dict[str, Any]:
    """The figures of one way; see the module."""
    with embedded_deployment() as (_, deployment):
        period = Period.last_closed(Cadence.WEEKLY, datetime.now(UTC), deployment.settings.timezone)
        synthetic.load_trials(deployment.database, deployment.objects, period, trials)
        count = (at_once or repeats) + trials  # one of each trial warms it
        synthetic.load_subscriptions(deployment.database, count, datetime.now(UTC), trials)
        _leave_to_people(deployment.database)
        with (
            dagster(deployment, sensor_seconds=None, REPORTING_WEEKLY_OPENS="0 0 1 1 *") as (code, daemon),
            api(deployment, WORKERS, **NO_LIMITS) as (base, server),
            measuring.watching(code.pid, daemon.pid, server.pid) as uses,
        ):
            people = People(deployment, base)
            ids = _warmed(deployment, people, patience)[: at_once or repeats]
            if at_once:
                return _many(deployment, people, ids, uses, patience)
            waited, parts = [], []
            for one in ids:
                asked_at = time.time()
                waited.append(people.run(one, patience))
                parts.append(_parts(deployment, asked_at, asked_at + waited[-1]))
        return {
            "reports": len(waited),
            "median_s": median(waited),
            "worst_s": max(waited),
            "parts_s": {name: round(median(one[name] for one in parts), 2) for name in parts[0]},
        }


def _warmed(deployment: Deployment, people: People, patience: float) -> list[str]:
    """Ask for a report of each trial, so that all datasets are made; the ids of the other subscriptions."""
    first: dict[str, str] = {}
    ids = []
    for row in deployment.database.subscriptions.find({}, {"filters.trials": 1}).sort("_id", 1):
        new = set(row["filters"]["trials"]).difference(first)
        first |= dict.fromkeys(new, row["_id"])
        if not new:
            ids.append(row["_id"])
    for one in dict.fromkeys(first.values()):
        people.run(one, patience)
    return ids


def _leave_to_people(database: Database) -> None:
    """Nothing is due by itself: what is mailed is what was asked for."""
    later = datetime.now(UTC) + timedelta(days=3)
    database.subscriptions.update_many({}, {"$set": {"next_due_at": later}})


class People:
    """Whoever asks, over HTTP, and looks into the outbox."""

    def __init__(self, deployment: Deployment, base: str) -> None:
        self._deployment = deployment
        self.base = base
        now = datetime.now(UTC)
        user = local_user(deployment.database, deployment.settings, "manager", now)
        token = mint_token(deployment.settings, user, now, timedelta(hours=4))
        self.headers = {"Authorization": f"Bearer {token}"}

    def ask(self, subscription: str, session: requests.Session) -> str:
        """The id of the job that runs now."""
        address = f"{self.base}/api/scheduled-reports/{subscription}/run"
        headers = self.headers | {"Idempotency-Key": uuid4().hex}
        for attempt in range(ATTEMPTS):
            try:
                answer = session.post(address, headers=headers, timeout=60)
                break
            except requests.ConnectionError:  # the server closed an idle connection as it was used again
                if attempt == ATTEMPTS - 1:
                    raise
        answer.raise_for_status()
        return str(answer.json()["id"])

    def run(self, subscription: str, patience: float) -> float:
        """Seconds from asking to the mail."""
        before = len(self.mails())
        began = time.monotonic()
        with requests.Session() as session:
            self.ask(subscription, session)
        while len(self.mails()) <= before:
            if time.monotonic() - began > patience:
                raise TimeoutError(f"no mail of {subscription} after {patience:.0f} s")
            time.sleep(0.05)
        return time.monotonic() - began

    def mails(self) -> list[str]:
        """The names of the mails in the outbox."""
        return [path.name for path in self._deployment.settings.outbox.glob("*.eml")]

    def message_ids(self) -> Counter[str]:
        """Recipients of the mails, counted: each has one subscription here."""
        found: Counter[str] = Counter()
        for path in self._deployment.settings.outbox.glob("*.eml"):
            to = re.search(rb"^To: .*?([^\s<]+@[^\s>]+)", path.read_bytes(), re.MULTILINE)
            found[to.group(1).decode() if to else path.name] += 1
        return found


def _many(
    deployment: Deployment, people: People, ids: Sequence[str], uses: measuring.Uses, patience: float
) -> dict[str, Any]:
    before, runs_before, cpu_before = people.message_ids(), _runs(deployment), uses.cpu()
    reads: list[float] = []
    ended = threading.Event()
    reader = threading.Thread(target=_read_beside, args=(people, ended, reads), daemon=True)
    reader.start()
    began = time.monotonic()
    _ask_for_all(people, ids)
    asked = time.monotonic() - began
    deadline = began + patience
    wanted = sum(before.values()) + len(ids)
    while len(people.mails()) < wanted and time.monotonic() < deadline:
        time.sleep(0.2)
    settled = time.monotonic() - began
    ended.set()
    reader.join()
    arrived = people.message_ids() - before
    return {
        "reports": len(ids),
        "asked_s": asked,
        "settled_s": settled,
        "runs": _runs(deployment) - runs_before,
        "cpu_per_report_s": (uses.cpu() - cpu_before) / len(ids),
        "lost": len(ids) - len(arrived),
        "twice": sum(1 for times in arrived.values() if times > 1),
        "api_p99_ms": 1000 * quantiles(reads, n=100)[-1] if len(reads) > 1 else None,
    }


def _ask_for_all(people: People, ids: Sequence[str]) -> None:
    """Spread over WITHIN_SECONDS; what the API cannot keep up with comes as soon as it can."""
    local = threading.local()
    began = time.monotonic()

    def ask(place: int) -> None:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        time.sleep(max(0.0, began + WITHIN_SECONDS * place / len(ids) - time.monotonic()))
        people.ask(ids[place], local.session)

    with ThreadPoolExecutor(POSTERS) as pool:
        list(pool.map(ask, range(len(ids))))


def _read_beside(people: People, ended: threading.Event, reads: list[float]) -> None:
    with requests.Session() as session:
        while not ended.wait(0.1):
            began = time.monotonic()
            session.get(
                f"{people.base}/api/scheduled-reports?limit=20", headers=people.headers, timeout=60
            ).raise_for_status()
            reads.append(time.monotonic() - began)


def _parts(deployment: Deployment, asked_at: float, mailed_at: float) -> dict[str, float]:
    """Seconds from each step of the newest run to the next; both ends are seconds since the epoch."""
    with DagsterInstance.from_config(str(deployment.dagster_home)) as instance:
        record = instance.get_run_records(RunsFilter(), limit=1)[0]
        starting = instance.get_records_for_run(
            record.dagster_run.run_id, of_type=DagsterEventType.PIPELINE_STARTING, limit=1
        ).records
    created = record.create_timestamp.replace(tzinfo=UTC).timestamp()
    left = starting[0].timestamp if starting else created
    started = record.start_time or left
    return {
        "asked for": created - asked_at,
        "queued": left - created,
        "started": started - left,
        "made and mailed": mailed_at - started,
    }


def _runs(deployment: Deployment) -> int:
    with DagsterInstance.from_config(str(deployment.dagster_home)) as instance:
        return int(instance.get_runs_count(RunsFilter()))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--at-once", type=int, default=0, help="so many within four seconds")
    parser.add_argument("--repeats", type=int, default=20, help="one at a time, so often")
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--patience", type=float, default=900, help="seconds")
    chosen = parser.parse_args()
    measuring.end_cleanly()
    measuring.show("run_now", measure(chosen.at_once, chosen.repeats, chosen.trials, chosen.patience))


if __name__ == "__main__":
    main()
