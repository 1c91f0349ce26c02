"""What a report type is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.figures import Figure, TrialFigures
from reporting_pipeline.domain.parameters import Parameters
from reporting_pipeline.reports.blocks import Flow
from reporting_pipeline.reports.content import ReportContent
from reporting_pipeline.reports.rows import RowTable

Section = Callable[[Flow, TrialFigures, ReportContent], None]


@dataclass(frozen=True)
class ReportType:
    """A choice of key figures for the cover and of sections for each trial, in order.

    Cover, running headers, appendix, "page x of y" and the CSV and XLSX formats come of themselves.
    """

    name: str  # what a subscription's `report_type` says
    title: str  # follows the cadence: "Weekly trial activity"
    description: str
    tiles: tuple[Figure, ...]  # at most 16
    sections: tuple[Section, ...]
    parameters: type[Parameters] = Parameters
    audiences: tuple[Audience, ...] = tuple(Audience)  # who may have it
    #: The tables of CSV, XLSX and JSON, by name, where they are others than those of the period.
    tables: Callable[[ReportContent], Mapping[str, pd.DataFrame]] | None = None
    #: The same in batches of rows, for formats that are written so; None: as `tables` gives them.
    row_tables: Callable[[ReportContent], list[RowTable]] | None = None
    #: Tables of a dataset that `row_tables` reads in batches where they are too large for memory.
    deferrable: Callable[[Parameters], frozenset[str]] | None = None
    #: Tables that come beside those of the period: what the report says of the trial so far.
    more_tables: Callable[[ReportContent], Mapping[str, pd.DataFrame]] | None = None
    #: Whether it stands on the trial so far (`trial_status`) beside the period's dataset.
    needs_status: bool = False
    #: Draws all pages itself, in words for people who are no professionals; None: cover, sections, appendix.
    compose: Callable[[Flow, ReportContent], None] | None = None
    #: Whether it is one person's own: nothing of anybody else may be in its datasets.
    one_person: bool = False
