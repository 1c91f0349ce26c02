"""`reporting-pipeline try`: a report from files of this machine, and what was understood of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from reporting_pipeline.cli.understood import say_findings, say_what_was_read
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline.intake.dates import instant_of
from reporting_pipeline.intake.documents import SourceDocument
from reporting_pipeline.intake.mapping import read_mapping
from reporting_pipeline.intake.sources import ImportSource, SourceProblem, open_source
from reporting_pipeline.intake.understanding import Understanding, counted
from reporting_pipeline.reports.types.base import ReportType
from reporting_pipeline.usecases.report_types import checked_parameters, report_types
from reporting_pipeline.usecases.try_report import Arrivals, TriedReport, arrivals_of, make_report

_PROGRESS_EVERY = 500


@dataclass(frozen=True)
class TryOptions:
    """What was asked for; `as_of` and `timezone` as they were typed."""

    path: Path
    trial: str | None
    as_of: str | None
    cadence: Cadence
    form: Format
    timezone: str
    out: Path
    mapping: Path | None = None
    report_type: str = "trial_activity"
    audience: Audience = Audience.MONITOR
    given: tuple[str, ...] = ()  # NAME=VALUE
    preliminary: bool = False  # of the period that is still open
    subject: str = ""  # whose record alone; "": everybody's


def run(options: TryOptions, console: Console, now: datetime) -> Path:
    """Write the report and say what was understood; the path of the file. Raises ValueError for what a
    person can mend."""
    zone = _zone(options.timezone)
    as_of = _as_of(options.as_of, zone, now)
    open_at = as_of if options.preliminary else None
    period = (Period.containing if open_at else Period.last_closed)(options.cadence, as_of, zone.key)
    kind = _kind(options.report_type)
    parameters = checked_parameters(kind.name, _parameters(options.given))
    understanding = Understanding()
    with _progress(console) as progress:
        task = progress.add_task("Reading", total=None)

        def tell(what: str) -> None:
            progress.update(task, description=what)

        mapping = read_mapping(options.mapping) if options.mapping else None
        source = open_source(options.path, understanding, lambda name: tell(f"Reading {name}"), mapping)
        documents = _named(source.documents(understanding, zone, options.trial), source, understanding)
        arrivals = arrivals_of(
            _counted(documents, tell),
            period,
            understanding,
            so_far=kind.needs_status,
            trials=source.trials(options.trial),
            until=open_at,
        )
        if not arrivals.records:
            raise SourceProblem(_nothing_in(options.path, understanding))
        tell(f"Writing the {options.form.value}")
        titles = {trial: source.facts(trial).title for trial in arrivals.records}
        report = make_report(
            arrivals,
            titles,
            options.form,
            understanding,
            kind.name,
            parameters,
            options.audience,
            open_at,
            options.subject,
        )
    path = _written(options.out, report)
    say_what_was_read(console, understanding)
    say_findings(console, understanding, report.findings)
    _say_period(console, arrivals, as_of, options)
    _say_result(console, report, path)
    return path


def _nothing_in(path: Path, understanding: Understanding) -> str:
    reasons = " ".join(finding.detail for finding in understanding.findings[:3])
    return f"there is no document at {path}, and no trial to report on. {reasons}".strip()


def _kind(name: str) -> ReportType:
    try:
        return report_types()[name]
    except KeyError:
        raise ValueError(f"--type: there is no {name!r}; there is {', '.join(report_types())}") from None


def _parameters(given: Sequence[str]) -> dict[str, Any]:
    """`NAME=VALUE` of the command line; a value that is no JSON is a text."""
    found: dict[str, Any] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals:
            raise ValueError(f"--set: {one!r} is no NAME=VALUE")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"--timezone: {name!r} is no timezone; give one like Europe/Zurich") from None


def _as_of(given: str | None, zone: ZoneInfo, now: datetime) -> datetime:
    if given is None:
        return now
    found = instant_of(given, zone)
    if found is None:
        raise ValueError(f"--as-of: {given!r} is no date; give one like 2026-11-23 or 2026-11-23T09:00Z")
    return found[0]


def _named(
    documents: Iterable[SourceDocument], source: ImportSource, understanding: Understanding
) -> Iterator[SourceDocument]:
    """Every document with a trial: where none of the source names one, the file's name stands for it."""
    waiting: list[SourceDocument] = []
    named = False
    for document in documents:
        if document.trial:
            named = True
            yield document
        else:
            waiting.append(document)
    if waiting and named:
        for document in waiting:
            detail = "Names no trial, as others of the source do; it was left out. Give --trial for those."
            understanding.finding(document.source_id, "missing_field", "trial", detail)
    elif waiting:
        stand_in = source.path.resolve().name.split(".")[0] or "trial"
        understanding.note(f"No document names a trial; {stand_in!r} stands for it. Give --trial to name it.")
        yield from (document.of_trial(stand_in) for document in waiting)


def _counted(documents: Iterable[SourceDocument], tell: Callable[[str], None]) -> Iterator[SourceDocument]:
    for done, document in enumerate(documents, 1):
        if done % _PROGRESS_EVERY == 0:
            tell(f"{done:,} documents")
        yield document


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


def _written(out: Path, report: TriedReport) -> Path:
    """The file, which takes its name when it is whole: what is cut off leaves nothing behind."""
    path = out / report.file_name
    try:
        out.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=out, prefix=".", suffix=".part", delete=False) as file:
            try:
                file.write(report.content)
                file.close()
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except FileExistsError:
        raise ValueError(f"--out: {out} is a file; give a folder") from None
    except OSError as error:
        raise ValueError(f"--out: {out} cannot be written to ({error.strerror})") from None
    return path


# --- what is said --------------------------------------------------------------------------------


def _say_period(console: Console, arrivals: Arrivals, as_of: datetime, options: TryOptions) -> None:
    period, noun = arrivals.period, options.cadence.noun
    moment = f"{as_of.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    which = (
        f"the {noun} that was open at {moment}"
        if options.preliminary
        else (f"the newest {noun} that had closed by {moment}")
    )
    console.print(
        f"[bold]Period[/] {period.start} to {period.last_day} ({period.timezone}): {which}; "
        f"{counted(arrivals.of_period(), 'document')} arrived in it",
        highlight=False,
    )
    if arrivals.of_period():
        return
    elsewhere = [one for one, count in arrivals.by_period.items() if count > 0]
    if not elsewhere or arrivals.newest is None:
        console.print("[bold yellow]No document says when it arrived or was collected.[/]")
        return
    earlier = [one for one in elsewhere if one.start < period.start]
    proposed = max(earlier) if earlier else min(elsewhere)
    console.print(
        f"[bold yellow]The report is empty.[/] The newest document arrived on "
        f"{arrivals.newest:%Y-%m-%d}; try [bold]--as-of {proposed.end}[/] for the {noun} of "
        f"{proposed.start} ({arrivals.by_period[proposed]:,} documents).",
        highlight=False,
    )


def _say_result(console: Console, report: TriedReport, path: Path) -> None:
    for omission in report.omissions:
        console.print(
            f"[bold red]Left out[/] {escape(omission.trial)}, {escape(omission.part)}: "
            f"{escape(omission.reason)}",
            highlight=False,
            soft_wrap=True,
        )
    console.print(
        f"[bold green]Report[/] {escape(str(path))} ({len(report.content):,} bytes)",
        highlight=False,
        soft_wrap=True,
    )
