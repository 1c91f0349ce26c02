"""A report straight from documents in memory: no server, no store, no Dagster.

The same functions as in the pipeline, in the same order: arrival decides the period, documents become
tidy tables (`domain.tidying`), these figures (`domain.figures`), these a file (`reports.renderer`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

from reporting_pipeline import __version__
from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.disclosure import restricted
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.omissions import Omission
from reporting_pipeline.domain.participation import progress_of
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Format, Subscription
from reporting_pipeline.domain.tidying import tidy_documents
from reporting_pipeline.domain.trial_so_far import site_measures, site_medians
from reporting_pipeline.intake.dates import collected_at
from reporting_pipeline.intake.documents import SourceDocument
from reporting_pipeline.intake.understanding import Understanding, tell_older
from reporting_pipeline.reports.renderer import ReportRenderer
from reporting_pipeline.reports.request import ReportRequest
from reporting_pipeline.usecases.report_types import checked_parameters

Record = dict[str, Any]


@dataclass
class Arrivals:
    """Documents by trial, as far as they lie in a period or the one before, and where the others lie."""

    period: Period
    records: dict[str, dict[str, Record]] = field(default_factory=dict)  # trial -> source id -> record
    by_period: Counter[Period] = field(default_factory=Counter)
    so_far: bool = False  # earlier documents than those of two periods are kept, too
    newest: datetime | None = None

    def drop(self, trial: str, source_id: str, placed: Period | None) -> None:
        """Take out what a document of this id said before; `placed`: the period in which it was counted."""
        self.records.setdefault(trial, {}).pop(source_id, None)
        if placed is not None:
            self.by_period[placed] -= 1

    def of_period(self) -> int:
        return self.by_period[self.period]


@dataclass(frozen=True)
class TriedReport:
    """One finished file, and what it was made from."""

    content: bytes
    file_name: str
    period: Period
    omissions: tuple[Omission, ...]
    findings: Mapping[str, int]  # code -> times, those of the period's documents


def arrivals_of(
    documents: Iterable[SourceDocument],
    period: Period,
    understanding: Understanding,
    *,
    so_far: bool = False,
    trials: Iterable[str] = (),
    until: datetime | None = None,
) -> Arrivals:
    """`documents` placed by their arrival; of two with one id the later version stands, else the
    later in the source.

    `trials` are in the report whether they have a document or not. `until`: the report holds what had
    arrived by then; None: all of the period.
    """
    arrivals = Arrivals(period, {trial: {} for trial in trials}, so_far=so_far)
    zone = ZoneInfo(period.timezone)
    first = datetime.min.replace(tzinfo=UTC)
    start_at = first if so_far else period.previous().start_at
    end_at = min(until, period.end_at) if until else period.end_at
    given: dict[tuple[str, str], Period | None] = {}
    versions: dict[tuple[str, str], int | None] = {}
    for document in documents:
        key = (document.trial, document.source_id)
        if document.is_older_than(versions.get(key)):
            tell_older(document, understanding)
            continue
        versions[key] = document.version
        if document.withdrawn:
            arrivals.drop(document.trial, document.source_id, given.pop(key, None))
            continue
        received_at = _arrival(document, zone, understanding)
        record = document.record(document.source_id, received_at, "")
        understanding.saw(record)
        of_trial = arrivals.records.setdefault(document.trial, {})
        if key in given:
            _tell_duplicate(record, of_trial.pop(document.source_id, None), understanding)
            before = given[key]
            if before is not None:
                arrivals.by_period[before] -= 1
        given[key] = None
        if received_at is None:
            continue
        given[key] = placed = Period.containing(period.cadence, received_at, period.timezone)
        arrivals.by_period[placed] += 1
        arrivals.newest = max(received_at, arrivals.newest or received_at)
        if start_at <= received_at < end_at:
            of_trial[document.source_id] = record
    return arrivals


def make_report(
    arrivals: Arrivals,
    titles: Mapping[str, str],
    form: Format,
    understanding: Understanding,
    report_type: str = "trial_activity",
    parameters: Mapping[str, Any] | None = None,
    audience: Audience = Audience.MONITOR,
    preliminary_at: datetime | None = None,
    subject: str = "",
    sites: Sequence[str] | None = None,
) -> TriedReport:
    """The report on `arrivals`' period over all trials. `titles` are by trial; its id stands for one.

    `preliminary_at`: the period is still open, and the report says what stood at that moment.
    `subject`: whose record alone it is made from; "" for everybody's. `sites`: likewise; None for all.
    """
    datasets = tuple(restricted(one, sites, subject) for one in _datasets(arrivals, titles))
    request = _request(datasets, arrivals.period, form, understanding)
    asked = {"report_type": report_type, "parameters": checked_parameters(report_type, parameters or {})}
    subscription = request.subscription.model_copy(update=asked)
    request = replace(request, subscription=subscription, audience=audience, preliminary_at=preliminary_at)
    if arrivals.so_far:
        statuses = _datasets(arrivals, titles, so_far=True)
        until = arrivals.period.last_day_by(preliminary_at)
        medians = {one.trial: site_medians(site_measures(one, until), sites) for one in statuses}
        progress = {one.trial: progress_of(one) for one in statuses} if subject else {}
        own = tuple(restricted(one, sites, subject) for one in statuses)
        request = replace(request, statuses=own, medians=medians, progress=progress)
    with TemporaryDirectory() as cache:
        rendered = ReportRenderer(_no_object, Path(cache)).render(request)
    found = [dataset.tables["findings"] for dataset in datasets]
    counts = Counter(code for table in found for code in table["code"][table["window"] == "current"])
    return TriedReport(rendered.content, rendered.file_name, arrivals.period, rendered.omissions, counts)


def _arrival(document: SourceDocument, zone: ZoneInfo, understanding: Understanding) -> datetime | None:
    if document.received_at is not None:
        return document.received_at
    assumed = collected_at(document.collected, zone)
    if assumed is None:
        detail = "Says neither when it arrived nor when collected."
        if document.collected.strip():
            detail = (
                f"The date {document.collected[:40]!r} is not read, so it is in no period. Give dates as "
                "2026-11-17 or 17NOV2026."
            )
        understanding.finding(document.source_id, "no_arrival", "received_at", detail)
    return assumed


def _tell_duplicate(record: Record, before: Record | None, understanding: Understanding) -> None:
    same = before is not None and before == record
    detail = "Stands twice, with the same content." if same else "Stands twice; the later one counts."
    understanding.finding(record["_id"], "duplicate_id", "id", detail)


def _datasets(
    arrivals: Arrivals, titles: Mapping[str, str], *, so_far: bool = False
) -> tuple[TrialDataset, ...]:
    datasets = []
    for trial, by_id in sorted(arrivals.records.items()):
        records = sorted(by_id.values(), key=lambda one: (one["received_at"], one["_id"]))
        tables = tidy_documents(records, {}, arrivals.period, so_far=so_far)
        version = sha256(json.dumps(records, sort_keys=True, default=str).encode()).hexdigest()[:16]
        as_of = max((one["received_at"] for one in records), default=arrivals.period.end_at)
        datasets.append(
            TrialDataset(trial, titles.get(trial, trial), arrivals.period, tables, version, as_of)
        )
    return tuple(datasets)


def _request(
    datasets: tuple[TrialDataset, ...], period: Period, form: Format, understanding: Understanding
) -> ReportRequest:
    inputs = sha256("\x1f".join([period.key, *(one.version for one in datasets)]).encode()).hexdigest()
    epoch = datetime(2000, 1, 1, tzinfo=UTC)
    subscription = Subscription(
        id="sub_tried",
        organisation="local",
        owner="usr_local",
        name="Report",
        schedule=Schedule(),
        window=period.cadence,
        format=form,
        created_at=epoch,
        updated_at=epoch,
    )
    return ReportRequest(
        subscription=subscription,
        owner_name="Whoever tried it",
        organisation_name="Local files",
        period=period,
        datasets=datasets,
        document_id=f"rep_{inputs[:24]}",
        code_version=__version__,
        source_findings=tuple(understanding.findings),
    )


def _no_object(key: str) -> bytes:
    raise FileNotFoundError(key)  # documents in memory have no files


def period_of(cadence: Cadence, as_of: datetime, timezone: str) -> Period:
    """The newest period that had closed by `as_of`."""
    return Period.last_closed(cadence, as_of, timezone)
