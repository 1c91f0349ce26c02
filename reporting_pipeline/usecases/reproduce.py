"""A stored report made once more, from what its record names, and held against the file that stands.

Nothing is asked of today's subscription, rights or documents: what a report was made from is in its record,
and the datasets and pictures in S3. What changed since is the product itself, and that is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reporting_pipeline.domain.branding import Branding
from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.disclosure import restricted
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.keyring import Keyring
from reporting_pipeline.domain.omissions import WHOLE_TRIAL, Omission
from reporting_pipeline.domain.participation import progress_of
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.restatements import Restated
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Filters, Format, Subscription
from reporting_pipeline.domain.trial_so_far import site_measures, site_medians
from reporting_pipeline.reports.renderer import LAYOUT_VERSION, ReportRenderer, deferrable_tables
from reporting_pipeline.reports.request import ReportRequest
from reporting_pipeline.stores.dataset_keys import dataset_prefix
from reporting_pipeline.stores.datasets import load_dataset
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectMissing, ObjectStore
from reporting_pipeline.stores.report_files import ReportFiles
from reporting_pipeline.stores.reports import StoredReport, reports_by_id


class NotReproducible(ValueError):
    """What the report was made from is not there any more, or was never noted; the message says what."""


@dataclass(frozen=True)
class Reproduced:
    """What came of it; SHA-256 in hexadecimal. `differences` are what is known of why it is not equal."""

    report: str
    recorded: str  # as the record has it
    stored: str | None  # of the file in S3; None where it is gone
    again: str  # of the file that was made now
    differences: tuple[str, ...]

    @property
    def equal(self) -> bool:
        return self.recorded == self.stored == self.again


def reproduce(
    database: Database,
    objects: ObjectStore,
    identifier: str,
    code_version: str,
    cache: Path,
    ring: Keyring | None = None,
) -> Reproduced:
    """Make a report again from its snapshots. `code_version` is what the product notes on reports today;
    `ring` opens what is sealed.

    Raises NotReproducible, also where no report has the id.
    """
    report = reports_by_id(database, [identifier]).get(identifier)
    if report is None:
        raise NotReproducible(f"no report has the id {identifier!r}; it is printed on every page: rep_…")
    try:
        again = ReportRenderer(objects.get, cache, bodies=1).render(request_of(objects, report)).sha256
    except ObjectMissing as gone:
        raise NotReproducible(f"{gone.args[0]} is kept no longer, and the report was made from it") from None
    stored = _stored(ReportFiles(database, objects, ring), report.key)
    return Reproduced(
        report.id, report.sha256, stored, again, tuple(_differences(report, stored, again, code_version))
    )


def _differences(report: StoredReport, stored: str | None, again: str, code_version: str) -> Iterator[str]:
    if stored is None:
        yield "the stored file is gone"
    elif stored != report.sha256:
        yield "the stored file is not the one that its record names"
    if again == report.sha256:
        return
    layout = (report.envelope.manifest if report.envelope else {}).get("layout")
    if report.code_version != code_version:
        yield f"it was made by version {report.code_version}, and this is {code_version}"
    if layout != LAYOUT_VERSION:
        yield f"it has the layout {layout}, and this version makes {LAYOUT_VERSION}"
    if report.code_version == code_version and layout == LAYOUT_VERSION:
        yield "the same version makes another file of the same inputs: the record or a snapshot was changed"


def _stored(files: ReportFiles, key: str) -> str | None:
    try:
        return files.digest(key)
    except ObjectMissing:
        return None


def request_of(objects: ObjectStore, report: StoredReport) -> ReportRequest:
    """The request of its rendering, from the record alone. Raises NotReproducible, or ObjectMissing."""
    worded = report.worded
    if not report.inputs or not worded:
        raise NotReproducible(f"{report.id} was made before reports noted all that they are made from")
    period = Period.from_key(Cadence(report.cadence), report.period, worded["timezone"])
    whole = {one["trial"]: one for one in report.inputs}
    subscription = _subscription(report)
    deferrable = deferrable_tables(subscription)
    datasets = tuple(
        _shown(
            report,
            load_dataset(
                objects, dataset_prefix(period, trial, one["dataset"]), one["media_key"], deferrable
            ),
        )
        for trial, one in whole.items()
    )
    so_far = {
        trial: load_dataset(objects, one["status_prefix"])
        for trial, one in whole.items()
        if one.get("status_prefix")
    }
    return ReportRequest(
        subscription=subscription,
        owner_name=worded["owner_name"],
        organisation_name=worded["organisation_name"],
        period=period,
        datasets=datasets,
        omissions=tuple(
            Omission(one["trial"], one["part"], one["reason"])
            for one in report.omissions
            if one["part"] == WHOLE_TRIAL and one["trial"] not in whole
        ),
        statuses=tuple(_shown(report, one) for one in so_far.values()),
        medians={
            trial: site_medians(site_measures(one, period.last_day), _sites_seen(report, whole[trial]))
            for trial, one in so_far.items()
        },
        progress={trial: progress_of(one) for trial, one in so_far.items()} if report.subject else {},
        audience=Audience(report.audience),
        document_id=report.id,
        code_version=report.code_version,
        restates=_restated(objects, report, period),
        verify_at=(worded["verify_prefix"], report.code) if report.code else None,
        console_url=worded.get("console_url", ""),
        branding=Branding.of(worded.get("branding") or {}),
    )


def _subscription(report: StoredReport) -> Subscription:
    """As far as a report looks at it."""
    return Subscription(
        id=report.subscription,
        owner="",
        organisation=report.organisation,
        name=report.worded["name"],
        report_type=report.report_type,
        filters=Filters.model_validate(report.filters),
        schedule=Schedule(),
        format=Format(report.format),
        parameters=dict(report.worded["parameters"]),
        created_at=report.rendered_at,
        updated_at=report.rendered_at,
    )


def _shown(report: StoredReport, dataset: TrialDataset) -> TrialDataset:
    return restricted(dataset, report.extent.sites.get(dataset.trial), report.subject)


def _sites_seen(report: StoredReport, made_from: Mapping[str, Any]) -> Sequence[str] | None:
    """Of which its reader knew; of a report that did not note them, those that it shows."""
    seen: Sequence[str] | None = made_from.get("sites_seen", report.extent.sites.get(made_from["trial"]))
    return seen


def _restated(objects: ObjectStore, report: StoredReport, period: Period) -> Restated | None:
    basis: Any = report.restates
    if not basis:
        return None
    shown = {one["trial"] for one in report.shown}
    datasets, complete = [], True
    for trial, version in sorted(basis["dataset_versions"].items()):
        if trial not in shown:
            continue
        try:
            prefix = dataset_prefix(period, trial, version)
            dataset = load_dataset(objects, prefix, None, deferrable_tables(_subscription(report)))
        except ObjectMissing:
            complete = False
        else:
            datasets.append(_shown(report, dataset))
    return Restated(
        basis["sha256"], basis["rendered_at"], basis["dataset_versions"], tuple(datasets), complete
    )
