"""One whole edition through the real daemon: python -m benchmarks.edition --subscriptions 10000

Fills embedded servers in a temporary home with synthetic trials and subscriptions, starts Dagster's
daemon, and waits until the schedule, the sensors and the run queue have completed the edition, mails
included. Prints one JSON object:

    wall_s            from the opening of the edition to its completion, the last mail included
    reports_wall_s    from the opening to the last stored report
    limit_wall_s      the same bytes rendered and stored again in one process, without orchestration;
                      compared byte by byte (SHA-256)
    vs_limit          wall_s / limit_wall_s
    limit_parallel    the same by as many processes as the edition rendered in
    vs_limit_parallel wall_s / that
    vs_run_per_report how much faster than one Dagster run per report, extrapolated from real runs
    vs_celery         how much faster than a queue, three workers and plain platypus documents,
                      extrapolated from a real run over a sample of the same subscriptions
    events_share      seconds in writing Dagster's events / seconds of all runs
    startup_share     seconds of run start-up / seconds of all runs
    peak_mb           highest VmHWM of a run's process
    cost_per_report_s CPU seconds of all processes of the edition, servers included, per report
    breakdown         seconds summed over runs; stages may overlap

With --queue celery it is one edition by the launcher of one machine and then the same by standing Celery
workers (`benchmarks.celery_queue`), without what else it is compared with:

    default, celery   the figures of each; the CPU of Celery's is without Postgres and Redis
    vs_default        wall_s of Celery's / wall_s of the other
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dagster import DagsterEventType, DagsterInstance, RunsFilter
from dagster._core.storage.dagster_run import RunRecord

from benchmarks import celery_design, measuring, synthetic
from benchmarks.celery_queue import WORKER_PROCESS, celery_queue
from benchmarks.deployment import SENSOR_SECONDS, dagster, embedded_deployment
from benchmarks.unorchestrated import render_part
from reporting_pipeline.assets.batch import STAGE_TIMES
from reporting_pipeline.automation.tags import STAGE
from reporting_pipeline.cli.local.home import Deployment
from reporting_pipeline.cli.local.processes import Child
from reporting_pipeline.domain.editions import edition_id
from reporting_pipeline.domain.jobs import EditionState, JobState
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.embedded import servers
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.editions import job_counts
from reporting_pipeline.stores.lifecycle import run_now
from reporting_pipeline.stores.mongo import Database, mongo_client
from reporting_pipeline.stores.objects import open_object_store
from reporting_pipeline.stores.subscriptions import subscriptions_by_id

CELERY_SAMPLE = 90
#: In the command lines of runs: they are forks of this server (`dagster_instance.warm_runs`).
RUN_PROCESS = "multiprocessing.forkserver"
ENDED = {state.value for state in (JobState.COMPLETED, JobState.FAILED, JobState.SKIPPED)}


@dataclass(frozen=True)
class Edition:
    """What is measured: its deployment and its period. `local`: the settings its servers started with."""

    local: Settings
    deployment: Deployment
    period: Period

    @property
    def id(self) -> str:
        return edition_id(Cadence.WEEKLY, self.period.key)

    @property
    def record(self) -> dict[str, Any]:
        return self.deployment.database.editions.find_one({"_id": self.id}) or {}


def measure(
    subscriptions: int, trials: int, single_runs: int, plain_reports: int, patience: float
) -> dict[str, Any]:
    """The figures of one edition; see the module."""
    with embedded_deployment() as (local, deployment):
        edition, documents = _filled(local, deployment, subscriptions, trials)
        with (
            dagster(deployment, REPORTING_WEEKLY_OPENS="* * * * *") as (code, daemon),
            measuring.watching(code.pid, daemon.pid) as uses,
        ):
            figures = _made(edition, daemon, uses, RUN_PROCESS, patience)
            # What is compared with takes its time, too; should it run out, this much is known.
            print(json.dumps(measuring.rounded(figures)), file=sys.stderr, flush=True)
            single = _run_per_report(edition, daemon, max(single_runs, 1), patience)
        limit = _limit(edition, 1)
        parallel = _limit(edition, figures["render_processes"])
        plain = celery_design.seconds_per_report(
            deployment, edition.period, _sample(edition, plain_reports), patience
        )
    per_report = single["seconds_per_run"]
    wall = figures["wall_s"]
    return {
        "subscriptions": subscriptions,
        "trials": trials,
        "documents": documents,
        **figures,
        "limit_wall_s": limit["wall_s"],
        "vs_limit": wall / limit["wall_s"],
        "reports_vs_limit": figures["reports_wall_s"] / limit["wall_s"],
        "limit": limit,
        "vs_limit_parallel": wall / parallel["wall_s"],
        "reports_vs_limit_parallel": figures["reports_wall_s"] / parallel["wall_s"],
        "limit_parallel": parallel,
        "vs_run_per_report": per_report * subscriptions / wall,
        "run_per_report": single,
        "vs_celery": plain * subscriptions / wall,
        "celery": {
            "seconds_per_report": plain,
            "workers": celery_design.WORKERS,
            "reports": plain_reports,
        },
    }


def measure_queue(subscriptions: int, trials: int, patience: float) -> dict[str, Any]:
    """One edition by each of two launchers, in turn; see the module."""
    default = _by_one_machine(subscriptions, trials, patience)
    print(json.dumps(measuring.rounded({"default": default})), file=sys.stderr, flush=True)
    celery = _by_celery(subscriptions, trials, patience)
    return {
        "subscriptions": subscriptions,
        "trials": trials,
        "default": default,
        "celery": celery,
        "vs_default": celery["wall_s"] / default["wall_s"],
    }


def _by_one_machine(subscriptions: int, trials: int, patience: float) -> dict[str, Any]:
    with embedded_deployment() as (local, deployment):
        edition, _ = _filled(local, deployment, subscriptions, trials)
        with (
            dagster(deployment, REPORTING_WEEKLY_OPENS="* * * * *") as (code, daemon),
            measuring.watching(code.pid, daemon.pid) as uses,
        ):
            return _made(edition, daemon, uses, RUN_PROCESS, patience)


def _by_celery(subscriptions: int, trials: int, patience: float) -> dict[str, Any]:
    with embedded_deployment() as (local, deployment):
        edition, _ = _filled(local, deployment, subscriptions, trials)
        with (
            celery_queue(deployment) as queue,
            dagster(deployment, SENSOR_SECONDS, REPORTING_WEEKLY_OPENS="* * * * *", **queue.environment) as (
                code,
                daemon,
            ),
            measuring.watching(code.pid, daemon.pid, *(worker.pid for worker in queue.workers)) as uses,
        ):
            return _made(edition, daemon, uses, WORKER_PROCESS, patience)


def _made(
    edition: Edition, daemon: Child, uses: measuring.Uses, run_process: str, patience: float
) -> dict[str, Any]:
    before = _cpu_of_servers(edition.local)
    _until_complete(edition, daemon, patience)
    return _figures(edition, uses, _cpu_of_servers(edition.local) - before, run_process)


def _filled(local: Settings, deployment: Deployment, subscriptions: int, trials: int) -> tuple[Edition, int]:
    """The edition of the week that closed last, with its trials and subscriptions; its documents."""
    period = Period.last_closed(Cadence.WEEKLY, datetime.now(UTC), deployment.settings.timezone)
    documents = synthetic.load_trials(deployment.database, deployment.objects, period, trials)
    synthetic.load_subscriptions(deployment.database, subscriptions, datetime.now(UTC), trials)
    return Edition(local, deployment, period), documents


def _until_complete(edition: Edition, daemon: Child, patience: float) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        daemon.check()
        if edition.record.get("state") == EditionState.COMPLETED.value:
            return
        time.sleep(1.0)
    counts = job_counts(edition.deployment.database, edition.id)
    tail = "\n".join(daemon.log.read_text(errors="replace").splitlines()[-30:])
    raise TimeoutError(f"edition {edition.id} is not complete after {patience:.0f} s: {counts}\n{tail}")


# --- what the edition cost -----------------------------------------------------------------------


def _figures(edition: Edition, uses: measuring.Uses, servers_cpu: float, run_process: str) -> dict[str, Any]:
    """`run_process`: in the command lines of the processes in which runs are."""
    database, record = edition.deployment.database, edition.record
    opened, closed = record["opened_at"], record["state_at"]
    newest = database.asset_results.find_one(
        {"asset": "weekly/subscriber_reports", "period": edition.period.key}, sort=[("at", -1)]
    )
    reports = list(database.reports.find({"period": edition.period.key}, {"size": 1, "pages": 1}))
    with DagsterInstance.from_config(str(edition.deployment.dagster_home)) as instance:
        runs = [_run_figures(instance, one) for one in instance.get_run_records(RunsFilter())]
    total = sum(run["seconds"] for run in runs)
    breakdown = _breakdown(runs)
    rendering = [run for run in runs if run["stage"] == "render"]
    cpu = uses.cpu() + servers_cpu
    pages = [report["pages"] for report in reports]
    return {
        "reports": len(reports),
        "pages": {"least": min(pages), "most": max(pages), "mean": sum(pages) / len(pages)},
        "mb": sum(report["size"] for report in reports) / 1e6,
        "mails": len(list(edition.deployment.settings.outbox.glob("*.eml"))),
        "jobs": job_counts(database, edition.id),
        "wall_s": (closed - opened).total_seconds(),
        "reports_wall_s": (newest["at"] - opened).total_seconds() if newest else 0.0,
        "runs": len(runs),
        "render_processes": _most_at_once(rendering),
        "events_share": breakdown["events"] / total,
        "startup_share": breakdown["startup"] / total,
        "render_share": breakdown["render"] / total,
        "breakdown": breakdown,
        "timeline": [
            {
                "stage": run["stage"],
                "launched": run["launched"] - opened.timestamp(),
                "begins": run["launched"] + run["startup"] - opened.timestamp(),
                "ends": run["finished"] - opened.timestamp(),
            }
            for run in sorted(runs, key=lambda run: run["launched"])
        ],
        "render_runs": [
            {k: run[k] for k in ("partitions", "seconds", "startup", "spent")} for run in rendering
        ],
        "cpu_s": cpu,
        "cpu": {
            "runs": uses.cpu(run_process),
            "daemon_and_code_servers": uses.cpu() - uses.cpu(run_process),
            "servers": servers_cpu,
        },
        "cost_per_report_s": cpu / max(len(reports), 1),
        "peak_mb": uses.peak_mb(run_process),
        "daemon_peak_mb": uses.peak_mb("dagster-daemon"),
        "code_server_peak_mb": uses.peak_mb("api grpc"),
    }


def _run_figures(instance: DagsterInstance, record: RunRecord) -> dict[str, Any]:
    """One run: its start-up until its step starts, and what the step says it spent."""
    run = record.dagster_run
    started = finished = step = record.start_time or 0.0
    finished = record.end_time or started
    spent: dict[str, Any] = {}
    for entry in instance.all_logs(run.run_id):
        if entry.is_dagster_event and entry.get_dagster_event().event_type is DagsterEventType.STEP_START:
            step = entry.timestamp
        elif entry.user_message.startswith(STAGE_TIMES):
            spent = json.loads(entry.user_message.removeprefix(STAGE_TIMES))
    launched = _launched(instance, run.run_id) or started
    return {
        "stage": run.tags.get(STAGE, "other"),
        "asset": run.job_name,
        "partitions": spent.get("partitions", 0),
        "launched": launched,
        "finished": finished,
        "seconds": finished - launched,
        "startup": step - launched,
        "spent": spent.get("seconds", {}),
    }


def _launched(instance: DagsterInstance, run_id: str) -> float | None:
    """When the run left the queue and its process was started."""
    for entry in instance.all_logs(run_id):
        if entry.is_dagster_event and entry.get_dagster_event().event_type is DagsterEventType.RUN_STARTING:
            return entry.timestamp
    return None


def _breakdown(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Seconds of wall time summed over runs, by what they were spent on."""
    seconds = dict.fromkeys(
        ("fetch", "aggregate", "render", "store", "records", "events", "startup", "mail", "other"), 0.0
    )
    for run in runs:
        spent, rest = run["spent"], run["seconds"] - run["startup"]
        seconds["startup"] += run["startup"]
        if run["stage"] == "render":
            parts = {
                "render": spent.get("render", 0.0),
                "store": spent.get("waiting for files", 0.0),
                "records": spent.get("waiting for records", 0.0) + spent.get("inputs", 0.0),
                "events": spent.get("events", 0.0),
            }
        else:
            name = {"notify": "mail"}.get(run["stage"], run["stage"])
            events = spent.get("events", 0.0)
            parts = {"events": events, name if name in seconds else "other": rest - events}
        for name, value in parts.items():
            seconds[name] += value
        seconds["other"] += rest - sum(parts.values())
    return seconds


def _most_at_once(runs: Sequence[dict[str, Any]]) -> int:
    moments = [(run["launched"] + run["startup"], 1) for run in runs] + [
        (run["finished"], -1) for run in runs
    ]
    most = now = 0
    for _, step in sorted(moments):
        now += step
        most = max(most, now)
    return max(most, 1)


def _cpu_of_servers(settings: Settings) -> float:
    """CPU seconds of the embedded servers so far."""
    pids = [status.pid for status in servers.status(settings) if status.pid]
    return sum(measuring.cpu_seconds(pid) for pid in pids)


# --- what it is compared with --------------------------------------------------------------------


def _run_per_report(edition: Edition, daemon: Child, count: int, patience: float) -> dict[str, Any]:
    """The seconds that one run per report takes, from `count` real ones, each asked for after the one before:
    what is asked for together is made by one run."""
    database = edition.deployment.database
    before = time.time()
    for one in subscriptions_by_id(database, _sample(edition, count)).values():
        run_now(database, one, edition.period, "benchmark", datetime.now(UTC))
        _until_settled(database, daemon, patience)
    with DagsterInstance.from_config(str(edition.deployment.dagster_home)) as instance:
        records = instance.get_run_records(RunsFilter(tags={STAGE: "render"}))
        runs = [_run_figures(instance, one) for one in records if (one.start_time or 0) > before]
    return {"runs": len(runs), "seconds_per_run": sum(run["seconds"] for run in runs) / len(runs)}


def _until_settled(database: Database, daemon: Child, patience: float) -> None:
    deadline = time.monotonic() + patience
    query = {"on_demand": True, "state": {"$nin": [*ENDED, JobState.RENDERED.value, "delivering"]}}
    while database.jobs.count_documents(query):
        daemon.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"a run of one report was not done after {patience:.0f} s")
        time.sleep(0.5)


def _sample(edition: Edition, count: int) -> list[str]:
    """The ids of `count` subscriptions from all over the edition."""
    found = edition.deployment.database.subscriptions.find({}, {"_id": 1}).sort("_id", 1)
    everybody = [row["_id"] for row in found]
    return everybody[:: max(len(everybody) // count, 1)][:count]


def _limit(edition: Edition, processes: int) -> dict[str, Any]:
    """The edition's reports rendered and stored again, by plain processes that know no Dagster."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        parts = [(edition.deployment.settings, edition.period, part, processes) for part in range(processes)]
        pool.map(_warm, range(processes), chunksize=1)
        started = time.perf_counter()
        done = pool.map(_render_part, parts, chunksize=1)
        wall = time.perf_counter() - started
        measuring.end_by_itself(pool)
    return {
        "wall_s": wall,
        "processes": processes,
        "cpu_s": sum(part["cpu_s"] for part in done),
        "reports": sum(part["reports"] for part in done),
        "same_bytes": all(part["same_bytes"] for part in done),
        "peak_mb": max(part["peak_mb"] for part in done),
    }


def _warm(_: int) -> None:
    """Imports are not part of the limit: a process has them once it can unpickle this."""
    time.sleep(0.5)


def _render_part(part: tuple[Settings, Period, int, int]) -> dict[str, Any]:
    settings, period, number, of = part
    uri = settings.mongodb_uri
    assert uri is not None
    database = mongo_client(uri.get_secret_value())[settings.mongodb_database]
    with measuring.Watch() as watch:
        reports, same = render_part(database, open_object_store(settings), settings, period, number, of)
    return {
        "reports": reports,
        "same_bytes": same,
        "cpu_s": watch.cpu,
        "peak_mb": measuring.own_peak_mb(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--subscriptions", type=int, default=1_000)
    parser.add_argument("--trials", type=int, default=synthetic.TRIALS)
    parser.add_argument("--single-runs", type=int, default=6, help="sample of one run per report")
    parser.add_argument(
        "--plain-reports", type=int, default=CELERY_SAMPLE, help="sample of the Celery design"
    )
    parser.add_argument("--patience", type=float, default=1_200, help="seconds until it counts as stuck")
    parser.add_argument(
        "--queue", choices=("celery",), help="beside the default launcher: over standing Celery workers"
    )
    chosen = parser.parse_args()
    measuring.end_cleanly()
    if chosen.queue:
        measuring.show("edition", measure_queue(chosen.subscriptions, chosen.trials, chosen.patience))
        return
    measuring.show(
        "edition",
        measure(
            chosen.subscriptions, chosen.trials, chosen.single_runs, chosen.plain_reports, chosen.patience
        ),
    )


if __name__ == "__main__":
    main()
