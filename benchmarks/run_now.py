"""From a POST to the mail: python -m benchmarks.run_now, and python -m benchmarks.run_now --at-once 1000

One report at a time on a quiet deployment, or many asked for within four seconds, through the API, Dagster's
daemon, its run queue and the outbox, all of them as `dev` starts them. Prints one JSON object:

    median_s, worst_s   from the POST to the mail in the outbox (one at a time)
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

import requests
from dagster import DagsterInstance, RunsFilter

from benchmarks import measuring, synthetic
from benchmarks.deployment import api, dagster, embedded_deployment
from reporting_pipeline.api.tokens import local_user, mint_token
from reporting_pipeline.cli.local.home import Deployment
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.stores.mongo import Database

WITHIN_SECONDS = 4.0
WORKERS = 2
POSTERS = 16
#: Nothing of this benchmark's may be kept out by a limit that is there for people.
NO_LIMITS = {"REPORTING_RUN_NOW_PER_HOUR": "1000000", "REPORTING_REQUESTS_PER_MINUTE": "1000000"}


def measure(at_once: int, repeats: int, trials: int, patience: float) -> dict[str, Any]:
    """The figures of one way; see the module."""
    with embedded_deployment() as (_, deployment):
        period = Period.last_closed(Cadence.WEEKLY, datetime.now(UTC), deployment.settings.timezone)
        synthetic.load_trials(deployment.database, deployment.objects, period, trials)
        count = at_once or repeats + 1
        synthetic.load_subscriptions(deployment.database, count, datetime.now(UTC), trials)
        _leave_to_people(deployment.database)
        with (
            dagster(deployment, sensor_seconds=None, REPORTING_WEEKLY_OPENS="0 0 1 1 *") as (code, daemon),
            api(deployment, WORKERS, **NO_LIMITS) as (base, server),
            measuring.watching(code.pid, daemon.pid, server.pid) as uses,
        ):
            people = People(deployment, base)
            ids = sorted(row["_id"] for row in deployment.database.subscriptions.find({}, {"_id": 1}))
            people.run(ids[0], patience)  # the trials' datasets are made, and everything is warm
            if at_once:
                return _many(deployment, people, ids[1:], uses, patience)
            waited = [people.run(one, patience) for one in ids[1:]]
        return {"reports": len(waited), "median_s": median(waited), "worst_s": max(waited)}


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
        answer = session.post(address, headers=self.headers, timeout=60)
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
    # One more, to be warm.
    at_once = chosen.at_once + 1 if chosen.at_once else 0
    measuring.show("run_now", measure(at_once, chosen.repeats, chosen.trials, chosen.patience))


if __name__ == "__main__":
    main()
