"""`reporting-pipeline demo`: the main job, on sample trials, through the real daemon.

There is no path that only the demo has. It loads data and subscriptions as any deployment would have
them, starts Dagster's daemon, and watches: the schedule opens the edition (its cron is set to every
minute, so that nobody waits for Monday), the sensors and the run queue do the rest.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from reporting_pipeline.cli.local.dagster_processes import CodeServer, starting_code_server
from reporting_pipeline.cli.local.home import Deployment, running_deployment
from reporting_pipeline.cli.local.processes import (
    HOST,
    Child,
    api_command,
    claim_port,
    running,
)
from reporting_pipeline.cli.local.visitor import Opened, open_mail, subscribe, wait_for
from reporting_pipeline.domain.editions import edition_id
from reporting_pipeline.domain.jobs import DeliveryState, EditionState, JobState
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.samples.load import load_samples
from reporting_pipeline.samples.readers import make_readers
from reporting_pipeline.samples.subscribers import make_subscribers
from reporting_pipeline.settings import Settings, SettingsError
from reporting_pipeline.stores.deliveries.reads import delivery_counts
from reporting_pipeline.stores.documents import trials_of
from reporting_pipeline.stores.editions import EditionMissing, get_edition, job_counts
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.report_files import ReportFiles
from reporting_pipeline.stores.reports import reports_of
from reporting_pipeline.stores.results import results_of

API_PORT = 8000
#: Longer than any demo takes; then it is stuck, and says so.
PATIENCE_SECONDS = 15 * 60
#: An edition that was complete before is watched so long: long enough for every schedule and sensor
#: to tick, which must change nothing.
WATCH_SECONDS = 75
LOOK_EVERY_SECONDS = 1.0
ENDED = (JobState.COMPLETED, JobState.FAILED, JobState.SKIPPED)


@dataclass(frozen=True)
class DemoResult:
    """What a demo came to."""

    edition: str
    state: str
    jobs: Mapping[str, int]
    mails_before: int
    mails: int
    reports: int
    opened: Opened | None
    seconds: float


def run(settings: Settings, subscriptions: int, console: Console) -> DemoResult:
    """Run the demo and print what came out. Raises SettingsError when the edition does not finish."""
    started = time.monotonic()
    with ExitStack() as stack:
        console.print("[bold]1/5[/] Embedded servers: MongoDB protocol (SecantusDB), S3 protocol (SeaweedFS)")
        deployment = stack.enter_context(running_deployment(settings))
        base = f"http://{HOST}:{claim_port(stack, API_PORT)}"
        # Both take seconds to start, and nothing from the data: they do it while that is loaded.
        api = _start_api(deployment, base, stack)
        code = _start_code_server(deployment, base, stack)
        _load(deployment, subscriptions, console)
        mails_before = _mails(deployment.settings)
        console.print("[bold]3/5[/] The API, over which one more person subscribes")
        _subscribe_over_http(deployment, base, api, console)
        console.print("[bold]4/5[/] Dagster: schedule, sensors, run queue")
        children = _start_daemon(deployment, base, code, stack)
        edition, state = _watch(deployment, children, console)
        console.print("[bold]5/5[/] What came out")
        opened = _open_newest_mail(deployment.settings, base)
        folder = deployment.settings.home / "demo" / "reports"
        reports = _export(
            ReportFiles.of(deployment.database, deployment.objects, deployment.settings), edition, folder
        )
        outcome = DemoResult(
            edition=edition,
            state=state,
            jobs=job_counts(deployment.database, edition),
            mails_before=mails_before,
            mails=_mails(deployment.settings),
            reports=reports,
            opened=opened,
            seconds=time.monotonic() - started,
        )
    _show(outcome, deployment.settings, folder, console)
    return outcome


def _load(deployment: Deployment, subscriptions: int, console: Console) -> None:
    console.print("[bold]2/5[/] Sample trials: CDISC Pilot 01 (real) and a synthetic one; subscribers")
    now = datetime.now(UTC)
    with _progress(console) as bars:
        tasks: dict[str, TaskID] = {}

        def advance(trial: str, done: int) -> None:
            if trial not in tasks:
                tasks[trial] = bars.add_task(trial, total=None)
            bars.update(tasks[trial], completed=done)

        loaded = load_samples(
            deployment.database,
            deployment.objects,
            now=now,
            timezone=deployment.settings.timezone,
            progress=advance,
        )
    people = make_subscribers(deployment.database, subscriptions, now=now)
    readers = make_readers(deployment.database, now=now)
    standing = sum(trial.unchanged for trial in loaded.trials.values())
    console.print(
        f"      {loaded.created} new documents, {standing} already there; "
        f"{people.subscriptions + readers.subscriptions} new subscriptions"
    )


def _start_api(deployment: Deployment, base: str, stack: ExitStack) -> Child:
    return stack.enter_context(
        running(
            "api",
            api_command(int(base.rpartition(":")[2])),
            deployment.environment(REPORTING_PUBLIC_URL=base),
            deployment.settings.home / "logs" / "api.log",
        )
    )


def _subscribe_over_http(deployment: Deployment, base: str, api: Child, console: Console) -> None:
    wait_for(api, base)
    console.print(f"      POST {base}/api/subscriptions: {subscribe(deployment, base)}")


def _open_newest_mail(settings: Settings, base: str) -> Opened | None:
    """As its recipient would: follow the link, look at the unsubscribe page."""
    mails = sorted(settings.outbox.glob("*.eml"), key=lambda path: path.stat().st_mtime)
    return open_mail(mails[-1], base) if mails else None


def _environment_of_dagster(deployment: Deployment, base: str) -> dict[str, str]:
    return deployment.environment(
        REPORTING_PUBLIC_URL=base,
        REPORTING_WEEKLY_OPENS="* * * * *",
        REPORTING_SENSOR_INTERVAL_SECONDS="3",
    )


def _start_code_server(deployment: Deployment, base: str, stack: ExitStack) -> CodeServer:
    logs = deployment.settings.home / "logs"
    return stack.enter_context(starting_code_server(_environment_of_dagster(deployment, base), logs))


def _start_daemon(deployment: Deployment, base: str, code: CodeServer, stack: ExitStack) -> list[Child]:
    """The daemon opens the edition: with it all data is there."""
    code.wait_until_loaded()
    environment, log = _environment_of_dagster(deployment, base), deployment.settings.home / "logs"
    daemon = running("dagster-daemon", code.daemon_command(), environment, log / "daemon.log")
    return [code.child, stack.enter_context(daemon)]


def _watch(deployment: Deployment, children: list[Child], console: Console) -> tuple[str, str]:
    """Show the edition's progress until it is complete; returns its id and state."""
    database, settings = deployment.database, deployment.settings
    period = Period.last_closed(Cadence.WEEKLY, datetime.now(UTC), settings.timezone)
    edition = edition_id(Cadence.WEEKLY, period.key)
    already = _is_complete(database, edition)
    if already:
        console.print(f"      edition {edition} is complete; watching that nothing is made or sent twice")
    limit = WATCH_SECONDS if already else PATIENCE_SECONDS
    deadline = time.monotonic() + limit
    with _progress(console) as bars:
        tasks: dict[str, TaskID] = {}
        while time.monotonic() < deadline:
            for child in children:
                child.check()
            _update(bars, tasks, database, edition, period)
            if not already and _is_complete(database, edition):
                _update(bars, tasks, database, edition, period)
                return edition, EditionState.COMPLETED.value
            time.sleep(LOOK_EVERY_SECONDS)
    if already:
        return edition, EditionState.COMPLETED.value
    raise SettingsError(
        f"edition {edition} did not complete within {PATIENCE_SECONDS // 60} minutes; "
        f"`reporting-pipeline dev` shows its runs, {children[-1].log} is the daemon's log"
    )


def _is_complete(database: Database, edition: str) -> bool:
    try:
        return get_edition(database, edition).state is EditionState.COMPLETED
    except EditionMissing:
        return False  # not opened yet


def _update(
    bars: Progress, tasks: dict[str, TaskID], database: Database, edition: str, period: Period
) -> None:
    trials = len(trials_of(database))
    jobs = job_counts(database, edition)
    total = sum(jobs.values())
    rendered = sum(jobs.get(state, 0) for state in (JobState.RENDERED, JobState.DELIVERING, *ENDED))
    deliveries = delivery_counts(database, edition)
    sent = deliveries.get(DeliveryState.SENT, 0) + deliveries.get(DeliveryState.DELIVERED, 0)
    planned = sum(deliveries.values())
    rows = {
        "documents per trial": (len(results_of(database, "weekly/documents", period.key)), trials),
        "datasets": (len(results_of(database, "weekly/trial_dataset", period.key)), trials),
        "media": (len(results_of(database, "weekly/trial_media", period.key)), trials),
        "reports": (rendered, total or None),
        "mails": (sent, planned or None),
    }
    for name, (done, of) in rows.items():
        if name not in tasks:
            tasks[name] = bars.add_task(name, total=of)
        bars.update(tasks[name], completed=done, total=of)


def _export(files: ReportFiles, edition: str, folder: Path) -> int:
    """Copy the edition's reports out of S3, named by subscription; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    cadence, period = edition.split(":", 1)
    count = 0
    for report in reports_of(files.database, Cadence(cadence), period):
        (folder / f"{report.subscription}.{report.format}").write_bytes(files.get(report.key))
        count += 1
    return count


def _mails(settings: Settings) -> int:
    return len(list(settings.outbox.glob("*.eml")))


def _show(outcome: DemoResult, settings: Settings, folder: Path, console: Console) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_row("edition", f"{outcome.edition}, {outcome.state}")
    jobs = ", ".join(f"{count} {state}" for state, count in sorted(outcome.jobs.items()))
    table.add_row("jobs", jobs)
    table.add_row("reports", f"{outcome.reports} in {folder}")
    table.add_row(
        "mails", f"{outcome.mails} in {settings.outbox} ({outcome.mails - outcome.mails_before} new)"
    )
    if outcome.opened is not None:
        page = "its unsubscribe page answers" if outcome.opened.unsubscribe_page else "no unsubscribe page"
        table.add_row(
            "a link",
            f"opened: {outcome.opened.report_bytes:,} bytes of {outcome.opened.content_type}; {page}",
        )
    table.add_row("time", f"{outcome.seconds:.0f} s")
    console.print(table)
    console.print("Next: [bold]make dev[/] shows the same data in Dagster's UI and starts the API.")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("      {task.description:<20}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
