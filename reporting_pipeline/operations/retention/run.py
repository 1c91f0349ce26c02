"""One retention of a deployment: every kind on its own, a report of what came of it, and its record."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dagster import DagsterInstance

from reporting_pipeline.operations.retention import history, inputs, machine, reports
from reporting_pipeline.operations.retention.dagster_runs import runs
from reporting_pipeline.operations.retention.kinds import Removed, Retention
from reporting_pipeline.operations.retention.rules import keep_rules
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.holds import holds
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.upkeep import save_upkeep

_log = logging.getLogger(__name__)

#: In the order in which they run: what names something goes before what is named.
KINDS: Mapping[str, Callable[[Retention], Removed]] = {
    "reports": reports.reports,
    "inputs": inputs.inputs,
    "pictures": inputs.pictures,
    "orphans": inputs.orphans,
    "deliveries": history.deliveries,
    "jobs": history.jobs,
    "editions": history.editions,
    "alerts": history.alerts,
    "expired": history.expired,
    "outbox": machine.outbox,
    "cache": machine.cache,
}
RUNS = "runs"


@dataclass(frozen=True)
class RetentionReport:
    """What one retention did, or would do."""

    at: datetime
    dry_run: bool
    removed: Sequence[Removed]

    @property
    def failed(self) -> list[Removed]:
        return [one for one in self.removed if one.error]

    @property
    def deleted(self) -> dict[str, int]:
        """How many records, objects and files of each kind."""
        return {one.kind: one.records + one.objects + one.files for one in self.removed}


def retain(
    database: Database,
    objects: ObjectStore,
    settings: Settings,
    now: datetime,
    *,
    dry_run: bool,
    instance: DagsterInstance | None = None,
    only: Sequence[str] = (),
) -> RetentionReport:
    """Remove what is past its time at `now`, kind by kind; one kind's failure is told and stops no other.

    `only` names kinds (KINDS, and "runs" where `instance` is given); empty means all. A dry run changes
    nothing. Raises ValueError for a kind that there is not.
    """
    known = [*KINDS, RUNS]
    for name in only:
        if name not in known:
            raise ValueError(f"{name!r} is no kind of retention; give one of {', '.join(known)}")
    standing = holds(database)
    retention = Retention(
        database,
        objects,
        settings,
        keep_rules(settings),
        now,
        dry_run,
        frozenset((one["cadence"], one["period"]) for one in standing),
        frozenset((one["cadence"], one["period"], one["subscription"]) for one in standing),
    )
    works: dict[str, Callable[[], Removed]] = {
        name: (lambda kind=kind: kind(retention))  # type: ignore[misc]
        for name, kind in KINDS.items()
    }
    if instance is not None:
        works[RUNS] = lambda: runs(retention, instance)
    removed = [_isolated(name, work) for name, work in works.items() if not only or name in only]
    report = RetentionReport(now, dry_run, removed)
    if not dry_run:
        save_upkeep(database, "retention", _record(report), now)
    return report


def _isolated(name: str, work: Callable[[], Removed]) -> Removed:
    try:
        return work()
    except Exception as error:  # isolation: a store that is away for one kind leaves the others their turn
        _log.error("retention of %s: %s: %s", name, type(error).__name__, error)
        return Removed(name, error=f"{type(error).__name__}: {error}")


def _record(report: RetentionReport) -> Record:
    return {
        "ok": not report.failed,
        "kinds": {one.kind: one.as_record() for one in report.removed},
    }
