"""What the readers of one body have in common: the content that every format writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

import pandas as pd

from reporting_pipeline.domain.branding import UNBRANDED, Branding
from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.disclosure import POLICIES, DisclosurePolicy
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.figures import Figure, TrialFigures, Value
from reporting_pipeline.domain.omissions import Omission
from reporting_pipeline.domain.parameters import Parameters
from reporting_pipeline.domain.participation import TrialProgress
from reporting_pipeline.domain.periods import Period
from reporting_pipeline.domain.restatements import FigureChange, Restated
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.domain.thumbnails import Thumbnail
from reporting_pipeline.languages import ENGLISH
from reporting_pipeline.reports.rows import RowTable

#: Whom a report was written for, as it says itself.
AUDIENCE_NAMES: Mapping[Audience, str] = {
    Audience.PARTICIPANT: "the participant (own record)",
    Audience.SITE: "the site (blinded)",
    Audience.MONITOR: "monitors (blinded)",
    Audience.SPONSOR: "the sponsor (blinded)",
    Audience.SAFETY_BOARD: "the safety board (unblinded: who gets which treatment is shown)",
}


@dataclass(frozen=True)
class ReportContent:
    """What all readers of one body read: nothing personal in it."""

    title: str  # of the report type, with the cadence: "Weekly trial activity"
    organisation: str
    period: Period
    filters: Filters
    trials: tuple[TrialFigures, ...]  # those the filters select, empty ones included
    totals: Mapping[Figure, Value | None]
    versions: Mapping[str, str]  # trial -> dataset version
    data_as_of: datetime
    code_version: str
    thumbnail_path: Callable[[Thumbnail], str]
    omissions: tuple[Omission, ...] = ()  # whole trials first, then parts of the trials shown
    audience: Audience = Audience.MONITOR
    report_type: str = "trial_activity"
    parameters: Parameters = field(default_factory=Parameters)
    statuses: Mapping[str, TrialDataset] = field(default_factory=dict)  # the trials so far, by trial
    #: The median over all sites by trial and measure: all that is said of sites that are not the reader's.
    medians: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    #: The tables of CSV, XLSX and JSON where the type has its own; None: those of the period.
    own_tables: Mapping[str, pd.DataFrame] | None = None
    #: The same in batches of rows, where the format is written so: `own_tables` are not made then.
    own_rows: tuple[RowTable, ...] | None = None
    #: Tables of CSV, XLSX and JSON beside those: what the report says of the trials so far.
    more_tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    progress: Mapping[str, TrialProgress] = field(default_factory=dict)  # totals for participants, by trial
    new_documents: Mapping[str, frozenset[str]] = field(default_factory=dict)  # ids of the period's, by trial
    language: str = ENGLISH
    plain: bool = False  # written for people who are no professionals
    restates: Restated | None = None  # what was sent and whose place this takes
    changes: tuple[FigureChange, ...] = ()  # against that
    preliminary_at: datetime | None = None  # the period is still open: what stood at this moment
    traced: bool = False  # figures lead to their documents
    branding: Branding = UNBRANDED

    @property
    def policy(self) -> DisclosurePolicy:
        return POLICIES[self.audience]

    @property
    def unblinded(self) -> bool:
        """Whether the columns of `domain.datasets.RESTRICTED` are shown."""
        return self.policy.arm

    @property
    def is_empty(self) -> bool:
        return all(trial.is_empty for trial in self.trials)

    @property
    def with_documents(self) -> tuple[TrialFigures, ...]:
        return tuple(trial for trial in self.trials if not trial.is_empty)

    @property
    def with_part(self) -> tuple[TrialFigures, ...]:
        """The trials that get a part of their own: those with documents, or of which so far is known."""
        return tuple(trial for trial in self.trials if not trial.is_empty or trial.trial in self.statuses)

    @property
    def last_day(self) -> date:
        """The last day that times of observation and rates count."""
        return self.period.last_day_by(self.preliminary_at)

    @property
    def noun(self) -> str:
        return self.period.cadence.noun
