"""Who gets which report, when and how.

Schedules (when a report is sent) are in `schedules`; this module holds what a report is about
and for whom.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from enum import StrEnum
from hashlib import sha256
from json import dumps
from typing import Literal, TypedDict
from unicodedata import normalize
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator

from reporting_pipeline.domain.parameters import ParameterValue
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.domain.schedules import Schedule


class Format(StrEnum):
    PDF = "pdf"
    HTML = "html"
    CSV = "csv"
    XLSX = "xlsx"
    JSON = "json"
    PARQUET = "parquet"
    DATASET_JSON = "dataset_json"


class CatchUp(StrEnum):
    """What happens to occurrences that were missed while nothing ran (`planning` applies it)."""

    LATEST = "latest"  # the newest is sent, the older ones are recorded as skipped
    ALL = "all"
    SKIP = "skip"  # none is sent


class NamedFilters(TypedDict):
    """What a subscription's filters name; an empty list limits nothing."""

    trials: list[str]
    sites: list[str]
    kinds: list[str]
    file_types: list[str]


class Filters(BaseModel):
    """What of the trials a report covers. An empty list means everything the owner may see."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    file_types: tuple[str, ...] = ()

    def named(self) -> NamedFilters:
        """What is named. By trials and sites is told who may see what comes of a subscription."""
        return {
            "trials": list(self.trials),
            "sites": list(self.sites),
            "kinds": list(self.kinds),
            "file_types": list(self.file_types),
        }

    def fingerprint(self) -> str:
        """Equal for filters that select the same, whatever their order. 16 hex characters."""
        canonical = {name: sorted(set(values)) for name, values in self.model_dump().items()}
        return sha256(dumps(canonical, sort_keys=True).encode()).hexdigest()[:16]


#: What a recipient is named by: the address of a channel (`deliveries.Channel`), or a user, who is mailed.
RecipientKind = Literal["email", "user", "slack", "webhook"]
#: Words of other vocabularies for a recipient's type -> ours. Taken in at the edge, never kept.
RECIPIENT_ALIASES: Mapping[str, RecipientKind] = {"user_id": "user", "slack_channel": "slack"}


class Recipient(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    type: RecipientKind = "email"
    value: str

    @field_validator("type", mode="before")
    @classmethod
    def _in_our_words(cls, value: object) -> object:
        return RECIPIENT_ALIASES.get(value, value) if isinstance(value, str) else value


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
    created_by: str = ""  # who made it; "" in records from before this was kept: their owner
    updated_at: datetime
    paused_until: date | None = None  # the local day of its schedule on which it goes on by itself
    rescheduled_at: datetime | None = None  # since when its schedule stands; None: since it was made
    resumed_at: datetime | None = None  # what fell into the pause before it is not sent
    confirmed_at: datetime | None = None  # when somebody last said that it is still needed
    confirmation_asked_at: datetime | None = None  # when somebody was last asked (`confirmation`)
    unconfirmed_at: datetime | None = None  # when it was paused, as nobody had confirmed it in time
    version: int = 1

    def asks_the_same_as(self, other: Subscription) -> bool:
        """Whether both send one owner the same report, by one name, at the same times to the same recipients.

        Two names tell two wishes apart: who gives a name means another one.
        """
        return self._asked() == other._asked()

    def mark_of_asked(self) -> str:
        """Equal for subscriptions that ask for the same (`asks_the_same_as`). 64 hex characters."""
        told = [sorted(part) if isinstance(part, frozenset) else str(part) for part in self._asked()]
        return sha256(dumps(told).encode()).hexdigest()

    def _asked(self) -> tuple[object, ...]:
        return (
            *(self.organisation, self.owner, self.name, self.report_type, self.format, self.schedule),
            self.filters.fingerprint(),
            frozenset((one.type, one.value.strip().casefold()) for one in self.recipients),
            tuple(sorted((name, str(value)) for name, value in self.parameters.items())),
        )


def goes_on_at(subscription: Subscription) -> datetime | None:
    """When a pause ends by itself (UTC): at the beginning of its day; None where it does not."""
    if subscription.status != "paused" or subscription.paused_until is None:
        return None
    zone = ZoneInfo(subscription.schedule.timezone)
    return datetime.combine(subscription.paused_until, time.min, zone).astimezone(UTC)


def name_key(text: str) -> str:
    """A name as it is searched: compatible characters and case made one (NFKC, folded), blanks single."""
    return " ".join(normalize("NFKC", normalize("NFKC", text).casefold()).split())
