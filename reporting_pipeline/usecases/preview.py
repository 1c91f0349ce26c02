"""A report before there is a subscription: what a draft would have given for the newest closed period.

It is rendered by the renderer of the pipeline from the datasets that stand, for the person who asks
alone, and kept nowhere. Of the period that is still open it is made from the documents, and preliminary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from reporting_pipeline import __version__
from reporting_pipeline.domain.access import Action, ResourceKind, User, reach_of, visible_trials
from reporting_pipeline.domain.content_gate import GatePolicy, Release, concerning, stricter
from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.disclosure import restricted
from reporting_pipeline.domain.omissions import WHOLE_TRIAL, Omission
from reporting_pipeline.domain.participation import progress_of
from reporting_pipeline.domain.periods import Period
from reporting_pipeline.domain.planning import report_id
from reporting_pipeline.domain.subscriptions import Format, Subscription
from reporting_pipeline.domain.trial_so_far import site_measures, site_medians
from reporting_pipeline.reports.renderer import ReportRenderer, deferrable_tables
from reporting_pipeline.reports.request import RenderedReport, ReportError, ReportRequest
from reporting_pipeline.reports.types import spoken_to
from reporting_pipeline.reports.types.base import ReportType
from reporting_pipeline.stores import users
from reporting_pipeline.stores.datasets import load_dataset
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.organisations import branding_of, gate_of, report_rows_of
from reporting_pipeline.stores.results import AssetResult, results_of
from reporting_pipeline.usecases.open_period import TooMuchToRead, open_datasets
from reporting_pipeline.usecases.report_types import report_types


class NothingToShow(Exception):
    """There is no report to be shown: no data of the period, or one that is refused as the pipeline would
    refuse it. The message says so for a person."""


@dataclass(frozen=True)
class PreviewedReport:
    """A rendering, and what it could not hold."""

    report: RenderedReport
    period: Period
    omissions: tuple[Omission, ...]
    preliminary: bool = False  # the period is still open


def preview_report(
    database: Database,
    objects: ObjectStore,
    draft: Subscription,
    reader: User,
    now: datetime,
    timezone: str,
    cache: Path,
    *,
    preliminary: bool = False,
    sent_as: Format | None = None,
) -> PreviewedReport:
    """Render `draft` for `reader`, from the newest closed period of its window in `timezone`; `preliminary`:
    from the one that is still open, as it stands now, and marked so. `sent_as`: the format in which it would
    be sent, where it is looked at in another; what would be refused there is not shown here.

    Only trials open to the reader are read, and only rows that are open to them are shown.
    Raises NothingToShow.
    """
    wanted = set(draft.filters.trials)
    visible = visible_trials(reader, users.trials_of(database, reader.organisation))
    trials = [trial for trial in visible if not wanted or trial in wanted]
    own = reader.entitlements
    subject = own.subject if own.own_record_only else ""
    if own.own_record_only and not subject:
        raise NothingToShow("Your own record is not known here; ask whoever manages your reports.")
    if preliminary:
        prepared = _open(database, draft, Period.containing(draft.window, now, timezone), trials, now)
    else:
        prepared = _closed(database, objects, draft, Period.last_closed(draft.window, now, timezone), trials)
    period, so_far = prepared.period, prepared.so_far
    until = period.last_day_by(now if preliminary else None)
    organisation = users.get_organisation(database, reader.organisation)
    waits = _waits_for_release(organisation, draft, prepared)
    if waits and reach_of(reader, Action.RELEASE, ResourceKind.REPORT) is None:
        raise NothingToShow("A report of this time waits until somebody has looked at it and released it.")
    request = ReportRequest(
        subscription=draft.model_copy(
            update={"parameters": spoken_to(draft.report_type, draft.parameters, reader.language)}
        ),
        owner_name=reader.name,
        organisation_name=str(organisation.get("name", "")),
        most_rows=report_rows_of(organisation),
        branding=branding_of(organisation, objects),
        period=period,
        datasets=tuple(
            restricted(dataset, own.effective_sites(trial, draft.filters.sites), subject)
            for trial, dataset in prepared.datasets.items()
        ),
        statuses=tuple(
            restricted(status, own.effective_sites(trial, draft.filters.sites), subject)
            for trial, status in so_far.items()
        ),
        medians={
            trial: site_medians(site_measures(status, until), own.sites_seen(trial, draft.filters.sites))
            for trial, status in so_far.items()
        },
        progress={trial: progress_of(status) for trial, status in so_far.items()} if subject else {},
        audience=own.audience,
        document_id=report_id(period.cadence, period.key, draft.id),
        code_version=__version__,
        omissions=prepared.missing,
        preliminary_at=now if preliminary else None,
    )
    try:
        renderer = ReportRenderer(objects.get, cache)
        if sent_as not in (None, draft.format):
            as_sent = request.subscription.model_copy(update={"format": sent_as})
            renderer.refuse_too_many_rows(replace(request, subscription=as_sent))
        report = renderer.render(request)
    except ReportError as refused:
        raise NothingToShow(f"No such report would be made: {refused}.") from None
    return PreviewedReport(report, period, prepared.missing, preliminary)


@dataclass(frozen=True)
class _Prepared:
    """What a report is made from."""

    period: Period
    datasets: Mapping[str, TrialDataset]
    so_far: Mapping[str, TrialDataset]  # of types that need it
    missing: tuple[Omission, ...] = ()
    unusual: tuple[Mapping[str, Any], ...] | None = None  # None: nobody looked whether anything is


def _closed(
    database: Database, objects: ObjectStore, draft: Subscription, period: Period, trials: list[str]
) -> _Prepared:
    """The datasets that the pipeline made. Raises NothingToShow where none of them stands."""
    cadence = period.cadence.value
    made = results_of(database, f"{cadence}/trial_dataset", period.key, trials)
    media = results_of(database, f"{cadence}/trial_media", period.key, trials)
    standing = [trial for trial in trials if trial in made and made[trial].done]
    if not standing:
        raise NothingToShow(
            f"No data of the {period.cadence.noun} from {period.start} has been prepared yet; "
            "it is there once the first edition of that time has run."
        )
    pictures = {trial: one.detail["key"] for trial, one in media.items() if one.done}
    return _Prepared(
        period,
        {
            trial: load_dataset(
                objects, made[trial].detail["prefix"], pictures.get(trial), deferrable_tables(draft)
            )
            for trial in standing
        },
        {
            trial: load_dataset(objects, status.detail["prefix"])
            for trial, status in _statuses(database, draft, period, standing).items()
        },
        tuple(
            Omission(
                trial, WHOLE_TRIAL, made[trial].reason if trial in made else "its data is not prepared yet"
            )
            for trial in trials
            if trial not in standing
        ),
        tuple(one for trial in standing for one in made[trial].detail.get("unusual", ())),
    )


def _open(
    database: Database, draft: Subscription, period: Period, trials: list[str], now: datetime
) -> _Prepared:
    """What had arrived by now. Raises NothingToShow for more than is read while somebody waits."""
    kind = report_types().get(draft.report_type)
    try:
        so_far = open_datasets(database, trials, period, now, so_far=True) if _needs_status(kind) else {}
        return _Prepared(period, open_datasets(database, trials, period, now), so_far)
    except TooMuchToRead as reason:
        raise NothingToShow(str(reason)) from None


def _waits_for_release(organisation: Record, draft: Subscription, prepared: _Prepared) -> bool:
    """Whether the pipeline would let such a report await a release: what waits is not had this way.

    Where nobody looked whether something is out of the usual, it may be.
    """
    gate, release = gate_of(organisation)
    unusual = prepared.unusual is None or concerning(
        prepared.unusual,
        restates=False,
        omissions=[{"trial": one.trial, "part": one.part} for one in prepared.missing],
    )
    holds = stricter(gate, draft.parameters.get("content_gate")) is GatePolicy.HOLD
    return release is Release.BY_PERSON or (holds and bool(unusual))


def _statuses(
    database: Database, draft: Subscription, period: Period, trials: list[str]
) -> dict[str, AssetResult]:
    """What stands of the trials so far, where the type needs it; the report says what is not known."""
    if not _needs_status(report_types().get(draft.report_type)):
        return {}
    found = results_of(database, f"{period.cadence.value}/trial_status", period.key, trials)
    return {trial: status for trial, status in found.items() if status.done}


def _needs_status(kind: ReportType | None) -> bool:
    return kind is not None and kind.needs_status
