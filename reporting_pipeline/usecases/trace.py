"""From a figure of a stored report back to the documents it was counted from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.deferred import DEFERRABLE
from reporting_pipeline.domain.disclosure import for_audience, restricted
from reporting_pipeline.domain.figures import Figure, figures_for
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.stores.dataset_keys import dataset_prefix
from reporting_pipeline.stores.datasets import load_dataset
from reporting_pipeline.stores.objects import ObjectMissing, ObjectStore
from reporting_pipeline.stores.reports import StoredReport


def filters_of(report: StoredReport, otherwise: Filters) -> Filters:
    """The filters that the report was made with, whatever its subscription says by now."""
    return Filters.model_validate(report.filters) if report.filters else otherwise


class DatasetGone(LookupError):
    """A dataset that the report was made from is kept no longer; the message says of which trial."""


@dataclass(frozen=True)
class TrialTrace:
    """One trial's part of a figure. `value` is None for a share of nothing."""

    trial: str
    version: str
    value: float | None
    documents: list[str]


def dataset_shown(
    objects: ObjectStore, report: StoredReport, period: Period, trial: str, version: str
) -> TrialDataset:
    """A version of a trial's dataset as the report's readers may see it, to be counted: results that are very
    many stay on disk. Raises DatasetGone."""
    try:
        dataset = load_dataset(objects, dataset_prefix(period, trial, version), None, DEFERRABLE)
    except ObjectMissing:
        raise DatasetGone(f"The dataset of {trial} is kept no longer") from None
    rows = restricted(dataset, report.extent.sites.get(trial), report.subject)
    return for_audience(rows, report.extent.audience)


def trace_figure(
    objects: ObjectStore,
    report: StoredReport,
    figure: Figure,
    filters: Filters,
    timezone: str,
    readable: Callable[[str, list[str]], set[str]],
) -> Iterator[TrialTrace]:
    """The documents behind `figure`, trial by trial, counted again from the datasets of the report.

    `filters` are those of the report; what it shows (sites, a subject) and its audience narrow the dataset.
    `readable(trial, ids)` says which of the documents the caller may read. A trial in which the filters leave
    the figure out is left out. Raises DatasetGone.
    """
    period = Period.from_key(Cadence(report.cadence), report.period, timezone)
    for trial, version in sorted(report.dataset_versions.items()):
        figures = figures_for(dataset_shown(objects, report, period, trial, version), filters)
        value = figures.values.get(figure)
        if value is None:
            continue
        behind = figures.documents_behind(figure)
        seen = readable(trial, behind)
        current = float(value.current)
        yield TrialTrace(
            trial,
            version,
            None if current != current else current,
            [one for one in behind if one in seen],
        )
