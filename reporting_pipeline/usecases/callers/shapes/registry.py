"""Trials, their sites, and organisations."""

from __future__ import annotations

from base64 import b64decode
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, field_validator

from reporting_pipeline.domain.branding import Branding
from reporting_pipeline.domain.content_gate import DEFAULT_POLICY, DEFAULT_RELEASE, GatePolicy, Release
from reporting_pipeline.domain.mail_words import MailWords
from reporting_pipeline.domain.omissions import DEFAULT_ON_OMISSION, OnOmission
from reporting_pipeline.domain.plain_text import one_line
from reporting_pipeline.domain.restatements import DEFAULT_ON_RESTATEMENT, OnRestatement
from reporting_pipeline.stores.organisations import (
    NOT_SEALED,
    REPORT_ROWS,
    OrganisationFields,
    Sealing,
    gate_of,
    policies_of,
    report_rows_of,
    restatement_policy_of,
    sealing_of,
    timezone_of,
)
from reporting_pipeline.usecases.callers.shapes.base import Identifier, Line, MaybeEmpty, Shape
from reporting_pipeline.usecases.timezones import TimezoneMove

Title = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(one_line)]
Attachments = Literal["always", "on_request", "never"]

#: A picture of one dot.
EXAMPLE_LOGO = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
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
    "on_restatement": "tell",
    "content_gate": "notice",
    "release": "automatic",
    "report_rows": 2_000_000,
    "sealing": "off",
    "report_colour": "#5b2a86",
    "report_footer": "Example Pharma. Confidential.",
    "mail_subject_prefix": "[Example Pharma]",
    "mail_greeting": "Dear colleague,",
    "mail_footer": "Example Pharma, Basel. Questions: trials@example.org",
    "timezone": "Europe/Zurich",
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
    on_restatement: OnRestatement = DEFAULT_ON_RESTATEMENT
    content_gate: GatePolicy = DEFAULT_POLICY
    release: Release = DEFAULT_RELEASE
    report_rows: Annotated[int, Field(ge=1, le=1_000_000_000, strict=True)] = REPORT_ROWS
    sealing: Sealing = NOT_SEALED
    report_colour: Annotated[str, Field(max_length=20)] = ""
    report_footer: MaybeEmpty = ""
    mail_subject_prefix: MaybeEmpty = ""
    mail_greeting: MaybeEmpty = ""
    mail_footer: MaybeEmpty = ""
    timezone: Annotated[str, Field(max_length=64)] | None = None
    confirm_after_days: Annotated[int, Field(ge=30, le=3_650, strict=True)] | None = None


class OrganisationChange(OrganisationFields):
    """An organisation's fields, all of them."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_ORGANISATION]})


class Logo(Shape):
    """The picture on an organisation's reports, as it is kept: a small JPEG."""

    sha256: str
    width: int = Field(description="Pixels.")
    height: int


class LogoRequest(Shape):
    model_config = ConfigDict(json_schema_extra={"examples": [{"image": EXAMPLE_LOGO}]})

    image: Annotated[bytes, Field(max_length=300_000)] = Field(
        description="A PNG or JPEG of at most 200,000 bytes, in base64."
    )

    @field_validator("image")
    @classmethod
    def _decoded(cls, value: bytes) -> bytes:
        try:
            return b64decode(value, validate=True)
        except ValueError:
            raise ValueError("is no base64") from None


class OrganisationAnswer(Shape):
    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "example", **_ORGANISATION}]})

    id: str
    name: str
    allowed_domains: list[str]
    allowed_hosts: list[str]
    attachments: Attachments = Field(description="Whether reports under 10 MB go with their mails.")
    on_omission: OnOmission
    on_restatement: OnRestatement
    content_gate: GatePolicy
    release: Release
    report_rows: int = Field(description="Rows that one of its reports may have; more are refused.")
    sealing: Sealing = Field(description="Whether the files of its new reports are sealed by person.")
    report_colour: str = Field(description="Of the title of its reports; empty: the product's own.")
    report_footer: str
    mail_subject_prefix: str = Field(description="Before the subject of the mails of its reports.")
    mail_greeting: str = Field(description="Above the report in its mails.")
    mail_footer: str = Field(description="At the end of its mails.")
    logo: Logo | None = Field(None, description="On the first page of its reports.")
    timezone: str
    confirm_after_days: int | None = Field(
        None, description="After so many days an owner is asked whether a subscription is still needed."
    )
    people_moved: int | None = Field(None, description="After a change of timezone: who moved along.")
    schedules_moved: int | None = Field(None, description="After a change of timezone: theirs that moved.")
    closed_at: datetime | None = Field(None, description="Since then nothing is made for it any more.")

    @classmethod
    def of(cls, record: dict[str, Any], moved: TimezoneMove | None = None) -> OrganisationAnswer:
        attachments, on_omission = policies_of(record)
        content_gate, release = gate_of(record)
        branding = Branding.of(record)
        logo, words = branding.logo, MailWords.of(record)
        return cls(
            timezone=timezone_of(record),
            confirm_after_days=record.get("confirm_after_days"),
            people_moved=moved.people if moved else None,
            schedules_moved=moved.schedules if moved else None,
            attachments=attachments,
            on_omission=on_omission,
            on_restatement=restatement_policy_of(record),
            content_gate=content_gate,
            release=release,
            report_rows=report_rows_of(record),
            sealing=sealing_of(record),
            report_colour=branding.colour,
            report_footer=branding.footer,
            mail_subject_prefix=words.subject_prefix,
            mail_greeting=words.greeting,
            mail_footer=words.footer,
            logo=Logo(sha256=logo.sha256, width=logo.width, height=logo.height) if logo else None,
            closed_at=record.get("closed_at"),
            id=record["_id"],
            name=str(record.get("name", record["_id"])),
            allowed_domains=list(record.get("allowed_domains") or ()),
            allowed_hosts=list(record.get("allowed_hosts") or ()),
        )


class OrganisationPage(Shape):
    items: list[OrganisationAnswer]
    next_cursor: str | None = None
