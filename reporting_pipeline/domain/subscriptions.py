"""Who gets which report, when and how.

Schedules (when a report is sent) are in `schedules`; this module holds what a report is about
and for whom.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from json import dumps
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from reporting_pipeline.domain.parameters import ParameterValue
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.domain.schedules import Schedule


class Format(StrEnum):
    PDF = "pdf"
    CSV = "csv"
    XLSX = "xlsx"
    JSON = "json"


class CatchUp(StrEnum):
    """What happens to occurrences that were missed while nothing ran (`planning` applies it)."""

    LATEST = "latest"  # the newest is sent, the older ones are recorded as skipped
    ALL = "all"
    SKIP = "skip"  # none is sent


class Filters(BaseModel):
    """What of the trials a report covers. An empty list means everything the owner may see."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    file_types: tuple[str, ...] = ()

    def named(self) -> dict[str, list[str]]:
        """The trials and sites that are named: who may see what comes of a subscription is told by them."""
        return {"trials": list(self.trials), "sites": list(self.sites)}

    def fingerprint(self) -> str:
        """Equal for filters that select the same, whatever their order. 16 hex characters."""
        canonical = {name: sorted(set(values)) for name, values in self.model_dump().items()}
        return sha256(dumps(canonical, sort_keys=True).encode()).hexdigest()[:16]


class Recipient(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["email", "user", "slack", "webhook"] = "email"
    value: str


class Subscription(BaseModel):
    """A subscription as kept in MongoDB's `subscriptions` (`_id` is `id` there)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    organisation: str
    owner: str
    name: str
    description: str = ""
    status: Literal["active", "paused", "ended"] = "active"
    report_type: str = "trial_activity"
    filters: Filters = Filters()
    schedule: Schedule
    window: Cadence = Cadence.WEEKLY
    recipients: tuple[Recipient, ...] = ()
    format: Format = Format.PDF
    parameters: dict[str, ParameterValue] = Field(default_factory=dict)  # `reports.types` has their models
    catch_up: CatchUp = CatchUp.LATEST
    lateness_hours: int | None = Field(None, ge=1, le=8_760)  # later than this is not sent at all
    created_at: datetime
    updated_at: datetime
    resumed_at: datetime | None = None  # what fell into the pause before it is not sent
    version: int = 1
