"""From a POST to the mail: python -m benchmarks.run_now, with --at-once 1000, or with --during 10000

One report at a time on a quiet deployment, many asked for within four seconds, or one every few seconds while
an edition runs: through the API, Dagster's daemon, its run queue and the outbox, all of them as `dev` starts
them. Each report is asked for by its owner, so that the limits there are for people stay as they are. One at
a time, each is asked for after a pause drawn anew of up to the time between two looks of the daemon at its
sensors: people do not ask just as the mail before comes in. Prints one JSON object:

    median_s, worst_s   from the POST to the mail in the outbox (one at a time, or beside an edition)
    p95_s               the same for 19 of 20 of them (--during)
    edition_s           how long the edition took that they were asked for beside (--during)
    each_s              of each: when it was asked for, and its parts (--during)
    parts_s             medians: until a run was asked for, left the queue, was started, and had mailed; with
                        --during: until a run worked on it, until it was rendered, until it was mailed
    asked_s             in which all were accepted (--at-once)
    settled_s           from the first POST to the last mail
    runs                Dagster runs that this took
    cpu_per_report_s    CPU seconds of all processes, database and file store included, per report
    lost, twice         asked for and not mailed; mailed more than once
    api_p99_ms          of reads beside it
"""

from __future__ import annotations

import argparse
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median, quantiles
from typing import Any
from uuid import uuid4

import requests
from dagster import DagsterEventType, DagsterInstance, RunsFilter

from benchmarks import measuring, synthetic
from benchmarks.deployment import api, dagster, embedded_deployment
from reporting_pipeline.cli.local.home import Deployment
from reporting_pipeline.domain.editions import edition_id
from reporting_pipeline.domain.jobs import EditionState, JobRecord, JobState
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.embedded import servers
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database, job_records
from reporting_pipeline.usecases.callers.tokens import mint_token

WITHIN_SECONDS = 4.0
WORKERS = 2
POSTERS = 16
ATTEMPTS = 3
#: Beside an edition one is asked for so often; whether they have come is looked at twice a second.
ASKED_EVERY_SECONDS, LOOKED_EVERY_SECONDS = 5.0, 0.5
#: Dagster's daemon looks at its sensors so often.
BETWEEN_LOOKS_SECONDS = 5.0
#: Less often than the 600 a minute that one person may ask.
READ_EVERY_SECONDS = 0.12
NEVER = "0 0 1 1 *"  # as good as: no edition opens while this measures


def measure(at_once: int, during: int, repeats: int, trials: int, patience: float) -> dict[str, Any]:
    """The figures of one way; see the module."""
    with embedded_deployment() as (local, deployment):
        period = Period.last_closed(Cadence.WEEKLY, datetime.now(UTC), deployment.settings.timezone)
        synthetic.load_trials(deployment.database, deployment.objects, period, trials)
        count = (at_once or repeats) + trials  # one of each trial warms it
        synthetic.load_subscriptions(deployment.database, during + count, datetime.now(UTC), trials)
        people = People(deployment)
        asked_for = _leave_to_people(deployment.database, count)
        if during:  # else the edition has them, too, and makes most of them before they are asked for
            _set_status(deployment.database, asked_for, "paused")
        with (
            dagster(
                deployment, sensor_seconds=None, REPORTING_WEEKLY_OPENS="* * * * *" if during else NEVER
            ) as (code, daemon),
            api(deployment, WORKERS) as (people.base, server),
            measuring.watching(code.pid, daemon.pid, server.pid, *_servers(local)) as uses,
        ):
            if during:
                return _beside_an_edition(deployment, people, asked_for, period, patience)
            ids = _warmed(deployment, people, asked_for, patience)
            if at_once:
                return _many(deployment, people, ids, uses, patience)
            return _one_at_a_time(deployment, people, ids, patience)


def _one_at_a_time(
    deployment: Deployment, people: People, ids: Sequence[str], patience: float
) -> dict[str, Any]:
    waited, parts, pauses = [], [], random.Random(1)
    for one in ids:
        time.sleep(pauses.uniform(0, BETWEEN_LOOKS_SECONDS))
        asked_at = time.time()
        waited.append(people.run(one, patience))
        parts.append(_parts(deployment, asked_at, asked_at + waited[-1]))
    return {
        "reports": len(waited),
        "median_s": median(waited),
        "worst_s": max(waited),
        "parts_s": {name: round(median(one[name] for one in parts), 2) for name in parts[0]},
    }


def _beside_an_edition(
    deployment: Deployment, people: People, ids: Sequence[str], period: Period, patience: float
) -> dict[str, Any]:
    """Ask for one every few seconds, from when the edition's first report stands until it is complete."""
    began = _wait(lambda: deployment.database.reports.find_one({}, {"_id": 1}) is not None, patience)
    waiting = list(ids)
    asked: dict[str, float] = {}
    waited: list[float] = []
    parts: list[dict[str, float]] = []
    each: list[list[float]] = []
    with requests.Session() as session:
        while _is_open(deployment.database, period) or asked:
            now = time.monotonic()
            if now - began > patience:
                raise TimeoutError(f"{len(asked)} reports or the edition have not come in {patience:.0f} s")
            if (
                waiting
                and _is_open(deployment.database, period)
                and now >= _next_asked_at(began, ids, waiting)
            ):
                _set_status(deployment.database, waiting[:1], "active")
                asked[people.ask(waiting.pop(0), session)] = now
            for job in _completed(deployment.database, asked):
                asked_at = asked.pop(job["_id"])
                waited.append(time.monotonic() - asked_at)
                parts.append(_steps(job))
                each.append([asked_at - began, *parts[-1].values()])
            time.sleep(LOOKED_EVERY_SECONDS)
    return {
        "reports": len(waited),
        "median_s": median(waited),
        "p95_s": quantiles(waited, n=20)[-1] if len(waited) > 1 else waited[0],
        "worst_s": max(waited),
        "parts_s": {name: round(median(one[name] for one in parts), 2) for name in parts[0]},
        "edition_s": time.monotonic() - began,
        "each_s": each,
    }


def _set_status(database: Database, ids: Sequence[str], status: str) -> None:
    for one in ids:
        database.subscriptions.update_one({"_id": one}, {"$set": {"status": status}})


def _next_asked_at(began: float, ids: Sequence[str], waiting: Sequence[str]) -> float:
    return began + ASKED_EVERY_SECONDS * (len(ids) - len(waiting))


def _is_open(database: Database, period: Period) -> bool:
    record = database.editions.find_one({"_id": edition_id(Cadence.WEEKLY, period.key)}, {"state": 1})
    return record is not None and record["state"] != EditionState.COMPLETED.value


def _completed(database: Database, asked: Mapping[str, float]) -> list[JobRecord]:
    """The jobs among those `asked` whose mails have gone out."""
    done = {"_id": {"$in": sorted(asked)}, "state": JobState.COMPLETED.value}
    return list(job_records(database).find(done))


def _steps(job: JobRecord) -> dict[str, float]:
    """Seconds from each step of a job to the next, as its record has them."""
    steps = {"worked on": "started_at", "rendered": "rendered_at", "mailed": "completed_at"}
    times = [job["created_at"], *(job[field] for field in steps.values())]  # type: ignore[literal-required]
    return {
        name: (after - before).total_seconds()
        for name, (before, after) in zip(steps, pairwise(times), strict=True)
    }


def _wait(there: Callable[[], bool], patience: float) -> float:
    """Wait until `there`; the monotonic time then."""
    deadline = time.monotonic() + patience
    while not there():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing came in {patience:.0f} s")
        time.sleep(LOOKED_EVERY_SECONDS)
    return time.monotonic()


def _servers(local: Settings) -> list[int]:
    """The processes of the embedded servers."""
    return [status.pid for status in servers.status(local) if status.pid]


def _warmed(deployment: Deployment, people: People, ids: Sequence[str], patience: float) -> list[str]:
    """Ask for a report of each trial, so that all datasets are made; the ids of the other subscriptions."""
    trials = {
        row["_id"]: row["filters"]["trials"]
        for row in deployment.database.subscriptions.find({}, {"filters.trials": 1})
    }
    first: dict[str, str] = {}
    for one in ids:
        for trial in trials[one]:
            first.setdefault(trial, one)
    for one in dict.fromkeys(first.values()):
        people.run(one, patience)
    return [one for one in ids if one not in first.values()]


def _leave_to_people(database: Database, count: int) -> list[str]:
    """The ids of `count` subscriptions that no edition takes: of them is mailed what was asked for."""
    ids = [row["_id"] for row in database.subscriptions.find({}, {"_id": 1}).sort("_id", 1).limit(count)]
    later = datetime.now(UTC) + timedelta(days=3)
    for one in ids:
        database.subscriptions.update_one({"_id": one}, {"$set": {"next_due_at": later}})
    return ids


class People:
    """Whoever asks, over HTTP, and looks into the outbox."""

    base: str

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._owners = {
            row["_id"]: row["owner"] for row in deployment.database.subscriptions.find({}, {"owner": 1})
        }

    def headers(self, subscription: str) -> dict[str, str]:
        """Those of the subscription's owner."""
        now = datetime.now(UTC)
        token = mint_token(self._deployment.settings, self._owners[subscription], now, timedelta(hours=4))
        return {"Authorization": f"Bearer {token}"}

    def ask(self, subscription: str, session: requests.Session) -> str:
        """The id of the job that runs now."""
        address = f"{self.base}/api/scheduled-reports/{subscription}/run"
        headers = self.headers(subscription) | {"Idempotency-Key": uuid4().hex}
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
    reader = threading.Thread(target=_read_beside, args=(people, ids[0], ended, reads), daemon=True)
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


def _read_beside(people: People, reader: str, ended: threading.Event, reads: list[float]) -> None:
    """The owner of the subscription `reader` looks at their list, again and again, within their limit."""
    headers = people.headers(reader)
    with requests.Session() as session:
        while not ended.wait(READ_EVERY_SECONDS):
            began = time.monotonic()
            session.get(
                f"{people.base}/api/scheduled-reports?limit=20", headers=headers, timeout=60
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
    parser.add_argument("--during", type=int, default=0, help="beside an edition of so many")
    parser.add_argument("--repeats", type=int, default=20, help="one at a time, so often")
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--patience", type=float, default=900, help="seconds")
    chosen = parser.parse_args()
    measuring.end_cleanly()
    measuring.show(
        "run_now", measure(chosen.at_once, chosen.during, chosen.repeats, chosen.trials, chosen.patience)
    )


if __name__ == "__main__":
    main()
