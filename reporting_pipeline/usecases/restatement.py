"""What a report made again says otherwise than the one that went before it.

A document that came late, was corrected or withdrawn changes the datasets of its closed period. The next
rendering of a report of that period takes the place of the one before, whose record it keeps; both are
counted here from their own datasets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from reporting_pipeline.domain.figures import TrialFigures, figures_for
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.restatements import FigureChange
from reporting_pipeline.domain.restatements import figure_changes as domain_changes
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.reports import StoredReport
from reporting_pipeline.usecases.trace import dataset_shown


def figure_changes(
    objects: ObjectStore,
    report: StoredReport,
    before: Mapping[str, Any],
    filters: Filters,
    timezone: str,
    readable: Callable[[list[str]], set[str]],
    open_whole: Callable[[str], bool],
) -> Iterator[FigureChange]:
    """The figures that `report` has otherwise than `before`, one of its `superseded`; by trial, in order.

    Both are narrowed to what the report shows (sites, a subject) and counted with `filters`. `readable`
    says which documents the caller may read, `open_whole` whether a trial is open to them as a whole: of
    a trial that the report shows no longer they hear nothing else. Raises DatasetGone.
    """
    period = Period.from_key(Cadence(report.cadence), report.period, timezone)
    versions = (before["dataset_versions"], report.dataset_versions)
    for trial in sorted({*versions[0], *versions[1]}):
        old, new = (one.get(trial) for one in versions)
        if old == new or not (trial in report.extent.sites or open_whole(trial)):
            continue
        counted = [_figures(objects, report, period, trial, one, filters) for one in (old, new)]
        for change in domain_changes(trial, counted[0], counted[1]):
            seen = readable([*change.added, *change.gone])
            yield replace(
                change,
                added=tuple(one for one in change.added if one in seen),
                gone=tuple(one for one in change.gone if one in seen),
            )


def _figures(
    objects: ObjectStore,
    report: StoredReport,
    period: Period,
    trial: str,
    version: str | None,
    filters: Filters,
) -> TrialFigures | None:
    if version is None:
        return None
    return figures_for(dataset_shown(objects, report, period, trial, version), filters)
