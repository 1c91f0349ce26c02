"""What a report is made from, and what comes out: the contract of the renderer with its callers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO
from weakref import finalize

from reporting_pipeline.domain.branding import UNBRANDED, Branding
from reporting_pipeline.domain.clinical.findings import SourceFinding
from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.disclosure import POLICIES, DisclosurePolicy
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.omissions import Omission
from reporting_pipeline.domain.participation import TrialProgress
from reporting_pipeline.domain.periods import Period
from reporting_pipeline.domain.restatements import Restated
from reporting_pipeline.domain.subscriptions import Format, Subscription


class ReportError(ValueError):
    """This report cannot be made from its request, however often it is tried; the message says why."""


@dataclass(frozen=True)
class ReportRequest:
    """One report to make. Names may be in any script and may be hostile."""

    subscription: Subscription
    owner_name: str
    organisation_name: str
    period: Period
    datasets: tuple[TrialDataset, ...]  # whole trials; filtering is the report's work
    document_id: str  # "rep_...", printed on every page
    code_version: str
    omissions: tuple[Omission, ...] = ()  # trials without a usable dataset; datasets name theirs themselves
    source_findings: tuple[SourceFinding, ...] = ()
    audience: Audience = Audience.MONITOR  # what of the datasets is shown (`domain.disclosure`)
    most_rows: int | None = None  # of all tables of CSV, XLSX, Parquet, Dataset-JSON; None: any number
    statuses: tuple[TrialDataset, ...] = ()  # the trials so far, for the types that need them
    medians: Mapping[str, Mapping[str, float | None]] = field(
        default_factory=dict
    )  # over all sites, by trial, as far as its reader may know them
    progress: Mapping[str, TrialProgress] = field(default_factory=dict)  # totals for participants, by trial
    restates: Restated | None = None  # the report that was sent and whose place this one takes
    preliminary_at: datetime | None = None  # the period is still open: what stood at this moment
    verify_at: tuple[str, str] | None = None  # (address up to the code, code) that opens what is known of it
    console_url: str = ""  # where figures of this report lead to their documents; "": they lead nowhere
    branding: Branding = UNBRANDED  # the organisation's own

    @property
    def policy(self) -> DisclosurePolicy:
        return POLICIES[self.audience]


@dataclass(frozen=True)
class RenderedReport:
    """A finished file. `pages` is 0 for formats that have none.

    `body` is its bytes, or, where they are many, an open file without a name that is closed with this object.
    """

    body: bytes | IO[bytes]
    size: int  # bytes
    sha256: str
    pages: int
    format: Format
    content_type: str
    file_name: str
    data_as_of: datetime
    body_id: str
    omissions: tuple[Omission, ...] = ()  # all that the report leaves out, as it says itself

    def __post_init__(self) -> None:
        if not isinstance(self.body, bytes):
            finalize(self, self.body.close)

    @property
    def content(self) -> bytes:
        """All bytes at once; large files are better read from `body`."""
        if isinstance(self.body, bytes):
            return self.body
        self.body.seek(0)
        return self.body.read()
