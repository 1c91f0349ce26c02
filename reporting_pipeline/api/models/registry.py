"""Trials, their sites, and organisations."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from reporting_pipeline.api.models.base import Identifier, Line, Shape, one_line
from reporting_pipeline.domain.omissions import DEFAULT_ON_OMISSION, OnOmission
from reporting_pipeline.stores.organisations import OrganisationFields, policies_of

Title = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(one_line)]
Attachments = Literal["always", "on_request", "never"]
MaybeEmpty = Annotated[
    str, Field(max_length=200), AfterValidator(lambda text: one_line(text) if text else "")
]

_TRIAL: dict[str, Any] = {
    "title": "Safety and efficacy of xanomeline in Alzheimer's disease",
    "sponsor": "Example Pharma",
    "phase": "Phase II",
    "therapeutic_area": "Neurology",
    "sites": [{"id": "701", "name": "Site 701, USA"}],
}
_ORGANISATION: dict[str, Any] = {
    "name": "Example Pharma",
    "allowed_domains": ["example.org"],
    "allowed_hosts": ["hooks.example.org"],
    "attachments": "on_request",
    "on_omission": "send_and_follow_up",
}


class Site(Shape):
    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "701", "name": "Site 701, USA"}]})

    id: Identifier
    name: Title


class TrialChange(Shape):
    """A trial's fields, all of them: what is not given becomes empty."""

    model_config = ConfigDict(json_schema_extra={"examples": [_TRIAL]})

    title: Title
    sponsor: MaybeEmpty = ""
    phase: MaybeEmpty = ""
    therapeutic_area: MaybeEmpty = ""
    sites: list[Site] = Field(default_factory=list, max_length=10_000)


class TrialRequest(TrialChange):
    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "T-2026-1", **_TRIAL}]})

    id: Identifier


class TrialAnswer(Shape):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": "T-2026-1", **_TRIAL, "synthetic": False, "closed_at": None}]}
    )

    id: str
    title: str
    sponsor: str
    phase: str
    therapeutic_area: str
    sites: list[Site]
    synthetic: bool
    closed_at: datetime | None = Field(description="Since then nothing is taken in any more.")

    @classmethod
    def of(cls, record: dict[str, Any], sites: tuple[str, ...] | None = None) -> TrialAnswer:
        """`sites`: those that the caller may see; None for all."""
        return cls(
            id=record["_id"],
            title=record.get("title", record["_id"]),
            sponsor=record.get("sponsor", ""),
            phase=record.get("phase", ""),
            therapeutic_area=record.get("therapeutic_area", ""),
            sites=[
                Site.model_construct(id=one["id"], name=one["name"])
                for one in record.get("sites", [])
                if sites is None or one["id"] in sites
            ],
            synthetic=record.get("synthetic", False),
            closed_at=record.get("closed_at"),
        )


class TrialPage(Shape):
    items: list[TrialAnswer]
    next_cursor: str | None = None


class SiteList(Shape):
    items: list[Site]


class OrganisationRequest(Shape):
    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "example", **_ORGANISATION}]})

    id: Identifier
    name: Line
    allowed_domains: list[str] = Field(default_factory=list, max_length=1000)
    allowed_hosts: list[str] = Field(default_factory=list, max_length=1000)
    attachments: Attachments = "on_request"
    on_omission: OnOmission = DEFAULT_ON_OMISSION


class OrganisationChange(OrganisationFields):
    """An organisation's fields, all of them."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_ORGANISATION]})


class OrganisationAnswer(Shape):
    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "example", **_ORGANISATION}]})

    id: str
    name: str
    allowed_domains: list[str]
    allowed_hosts: list[str]
    attachments: Attachments = Field(description="Whether reports under 10 MB go with their mails.")
    on_omission: OnOmission
    closed_at: datetime | None = Field(None, description="Since then nothing is made for it any more.")

    @classmethod
    def of(cls, record: dict[str, Any]) -> OrganisationAnswer:
        attachments, on_omission = policies_of(record)
        return cls(
            attachments=attachments,
            on_omission=on_omission,
            closed_at=record.get("closed_at"),
            id=record["_id"],
            name=str(record.get("name", record["_id"])),
            allowed_domains=list(record.get("allowed_domains") or ()),
            allowed_hosts=list(record.get("allowed_hosts") or ()),
        )


class OrganisationPage(Shape):
    items: list[OrganisationAnswer]
    next_cursor: str | None = None


class TracedTrial(Shape):
    """The documents of one trial behind a figure."""

    trial: str
    dataset_version: str
    value: float | None = Field(description="In the report; null for a share of nothing.")
    documents: list[str]


class Trace(Shape):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "report": "rep_3f9c1a7d5e2b48c0a6d4",
                    "figure": "serious_adverse_events",
                    "label": "Serious adverse events",
                    "definition": "Those adverse events that are stated to be serious.",
                    "trials": [
                        {
                            "trial": "CDISCPILOT01",
                            "dataset_version": "0a1b2c3d4e5f6071",
                            "value": 1,
                            "documents": ["doc_0a1b2c3d4e5f60718293a4b5"],
                        }
                    ],
                }
            ]
        }
    )

    report: str
    figure: str
    label: str
    definition: str
    trials: list[TracedTrial]


class Rendering(Shape):
    """A file of a report whose place another has taken."""

    sha256: str
    rendered_at: datetime


class ChangedFigure(Shape):
    """A figure before and after; null where a rendering does not have it, or for a share of nothing."""

    trial: str
    figure: str
    label: str
    before: float | None
    after: float | None
    documents_added: list[str]
    documents_gone: list[str] = Field(description="Withdrawn, or counted no longer.")


class Restatement(Shape):
    """What the rendering that stands says otherwise than an earlier one of the same report."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "report": "rep_3f9c1a7d5e2b48c0a6d4",
                    "sha256": "9f" * 32,
                    "rendered_at": "2026-11-25T09:12:03Z",
                    "superseded": [{"sha256": "3c" * 32, "rendered_at": "2026-11-23T06:01:40Z"}],
                    "compared_with": "3c" * 32,
                    "changes": [
                        {
                            "trial": "CDISCPILOT01",
                            "figure": "serious_adverse_events",
                            "label": "Serious adverse events",
                            "before": 1,
                            "after": 2,
                            "documents_added": ["doc_0a1b2c3d4e5f60718293a4b5"],
                            "documents_gone": [],
                        }
                    ],
                }
            ]
        }
    )

    report: str
    sha256: str = Field(description="Of the file that stands.")
    rendered_at: datetime
    superseded: list[Rendering] = Field(description="Earlier files of this report, the oldest first.")
    compared_with: str | None = Field(description="SHA-256 of the earlier file; null when there is none.")
    changes: list[ChangedFigure]
