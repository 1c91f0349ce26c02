"""Whether a report would be an empty one: documents count in the period in which they arrive."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reporting_pipeline.console.sessions import Visitor
from reporting_pipeline.domain.access import Action, ResourceKind, reach_of
from reporting_pipeline.domain.periods import Period
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.usecases.callers.context import Context, scoped
from reporting_pipeline.usecases.report_types import report_types

#: Chosen trials that are looked at; of more, nothing is said.
MOST_TRIALS = 20


@dataclass(frozen=True)
class Later:
    """Nothing arrived in `period`, but something after it: when, and the period that has it."""

    period: Period
    arrived_at: datetime
    stands_in: Period


def later_arrival(
    parts: Context, visitor: Visitor, period: Period, filters: Filters, report_type: str
) -> Later | None:
    """What arrived after `period` of the chosen trials (none: all), where nothing of theirs did in it.

    None for who may read no document; for types that tell of the trial so far, which are not empty; and
    where sites or kinds are chosen, for what arrived may be none of theirs.
    """
    kind, trials = report_types().get(report_type), filters.trials
    if kind is None or kind.needs_status or filters.sites or filters.kinds:
        return None
    reads = reach_of(visitor.user, Action.READ, ResourceKind.DOCUMENT) is not None
    if not reads or len(trials) > MOST_TRIALS:
        return None
    handle = scoped(parts, visitor.user)
    window = (period.start_at, period.end_at)
    if any(handle.documents(trial=one, window=window, limit=1) for one in trials or (None,)):
        return None
    newest = [
        one["received_at"] for trial in trials or (None,) for one in handle.documents(trial=trial, limit=1)
    ]
    if not newest or max(newest) < period.end_at:
        return None
    stands_in = Period.containing(period.cadence, max(newest), parts.settings.timezone)
    return Later(period, max(newest), stands_in)
