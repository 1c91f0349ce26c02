"""What a report made again says otherwise than the one that went before it.

A document that came late, was corrected or withdrawn changes the datasets of its closed period. The next
rendering of a report of that period takes the place of the one before, whose record it keeps; both are
counted here from their own datasets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reporting_pipeline.domain.figures import Figure, TrialFigures, figures_for
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.reports import StoredReport
from reporting_pipeline.usecases.trace import dataset_shown


@dataclass(frozen=True)
class FigureChange:
    """A figure of a trial, before and after; None where a rendering does not have it or it is no number.

    `added` and `gone` are ids of documents behind it in one of the two alone. A document that was
    corrected stands in both, and so in neither list.
    """

    trial: str
    figure: Figure
    before: float | None
    after: float | None
    added: list[str]
    gone: list[str]


def figure_changes(
    objects: ObjectStore,
    report: StoredReport,
    before: Mapping[str, Any],
    filters: Filters,
    timezone: str,
    readable: Callable[[list[str]], set[str]],
) -> Iterator[FigureChange]:
    """The figures that `report` has otherwise than `before`, one of its `superseded`; by trial, in order.

    Both are narrowed to what the report shows (sites, a subject) and counted with `filters`. `readable`
    says which documents the caller may read. Raises DatasetGone.
    """
    period = Period.from_key(Cadence(report.cadence), report.period, timezone)
    versions = (before["dataset_versions"], report.dataset_versions)
    for trial in sorted({*versions[0], *versions[1]}):
        old, new = (one.get(trial) for one in versions)
        if old == new:
            continue
        counted = [_figures(objects, report, period, trial, one, filters) for one in (old, new)]
        for figure in Figure:
            change = _change(trial, figure, counted[0], counted[1], readable)
            if change is not None:
                yield change


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


def _change(
    trial: str,
    figure: Figure,
    old: TrialFigures | None,
    new: TrialFigures | None,
    readable: Callable[[list[str]], set[str]],
) -> FigureChange | None:
    """None where both have the same number of the same documents."""
    before, after = _value(old, figure), _value(new, figure)
    was, now = _behind(old, figure), _behind(new, figure)
    if before == after and was == now:
        return None
    moved = readable(sorted(was ^ now))
    return FigureChange(
        trial, figure, before, after, sorted((now - was) & moved), sorted((was - now) & moved)
    )


def _value(figures: TrialFigures | None, figure: Figure) -> float | None:
    value = figures.values.get(figure) if figures else None
    if value is None or value.current != value.current:  # a share of nothing is NaN
        return None
    return float(value.current)


def _behind(figures: TrialFigures | None, figure: Figure) -> set[str]:
    if figures is None or figures.values.get(figure) is None:
        return set()
    return set(figures.documents_behind(figure))
