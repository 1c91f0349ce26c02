"""Which facts of a trial so far the filters of a subscription leave in.

Filters for kinds only: those for sites narrow the period, for a rate by site stands on all sites.
"""

from __future__ import annotations

from dataclasses import replace

from reporting_pipeline.domain.clinical.rows import TABLE_OF
from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.figures import covers
from reporting_pipeline.domain.subscriptions import Filters

_ABOUT_WHO_IS_IN_IT = (Kind.SUBJECT, Kind.DISPOSITION)


def of_kinds(status: TrialDataset, filters: Filters) -> TrialDataset:
    """The trial so far with the facts of the filters' kinds alone.

    Who is in the trial, left it or died stays known, by whatever kind of document: every rate stands on it.
    """
    left_out = [
        table
        for kind, table in TABLE_OF.items()
        if Kind(kind) not in _ABOUT_WHO_IS_IN_IT and not covers(filters, (Kind(kind),))
    ]
    if not left_out:
        return status
    kept = {name: status.tables[name].iloc[:0] for name in left_out}
    if "adverse_events" in kept:
        events = status.tables["adverse_events"]
        kept["adverse_events"] = events[events["fatal"].astype(bool)].reset_index(drop=True)
    return replace(status, tables={**status.tables, **kept})
