"""Organisations and where their reports may go: mail domains, hosts of webhooks.

`domain.access.may_be_recipient` holds each recipient against the record.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError

from reporting_pipeline.domain.access import normal_domain
from reporting_pipeline.domain.branding import Branding, checked_colour
from reporting_pipeline.domain.content_gate import (
    DEFAULT_POLICY,
    DEFAULT_RELEASE,
    GatePolicy,
    Release,
    policy_of,
    release_of,
)
from reporting_pipeline.domain.mail_words import LONGEST_PREFIX, LONGEST_WORDS, checked_words
from reporting_pipeline.domain.omissions import DEFAULT_ON_OMISSION, OnOmission, on_omission_of
from reporting_pipeline.domain.plain_text import one_line, one_line_or_none
from reporting_pipeline.domain.restatements import DEFAULT_ON_RESTATEMENT, OnRestatement, on_restatement_of
from reporting_pipeline.domain.schedules import checked_timezone
from reporting_pipeline.domain.wrong_values import words_of
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore

log = logging.getLogger(__name__)


class OrganisationExists(ValueError):
    """An organisation with this id is registered already."""


class OrganisationMissing(KeyError):
    """There is no such organisation."""


class OrganisationInvalid(ValueError):
    """A record that cannot be kept. `problems` holds (path of the field, what is wrong)."""

    def __init__(self, problems: list[tuple[tuple[str, ...], str]]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{'.'.join(path)}: {told}" for path, told in problems))


#: Of an organisation that has not said one.
DEFAULT_TIMEZONE = "UTC"
#: Rows that a report in a format of rows may have, where its organisation says nothing else.
REPORT_ROWS = 5_000_000

Sealing = Literal["off", "by_person"]
NOT_SEALED: Sealing = "off"

Domain = Annotated[str, AfterValidator(normal_domain)]
Timezone = Annotated[str, Field(max_length=64), AfterValidator(checked_timezone)]
Line = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(one_line)]
MaybeLine = Annotated[str, Field(max_length=200), AfterValidator(one_line_or_none)]

MailPrefix = Annotated[str, Field(max_length=LONGEST_PREFIX), AfterValidator(checked_words)]
MailLine = Annotated[str, Field(max_length=LONGEST_WORDS), AfterValidator(checked_words)]


class OrganisationFields(BaseModel):
    """What an organisation is and decides."""

    model_config = ConfigDict(extra="forbid")

    name: Line
    allowed_domains: list[Domain] = Field(
        default_factory=list,
        max_length=1000,
        description="Mail domains to which reports may be sent beside the organisation's own users.",
        examples=[["example.org"]],
    )
    allowed_hosts: list[Domain] = Field(
        default_factory=list,
        max_length=1000,
        description="Hosts of webhooks and Slack to which reports may be sent; empty: any public one.",
        examples=[["hooks.example.org"]],
    )
    attachments: Literal["always", "on_request", "never"] = Field(
        "on_request",
        description="Whether a report under 10 MB goes with its mail: always (but where a subscription's "
        "option `attach` is false), on_request (where `attach` is true), never. Else a link is sent.",
    )
    timezone: Timezone | None = Field(
        None,
        description="IANA name: whose clock people go by who are added without a timezone of their own. With "
        "a change, everybody who was in the old one moves, with their schedules. Left out: as it is.",
        examples=["Europe/Zurich"],
    )
    confirm_after_days: int | None = Field(
        None,
        ge=30,
        le=3_650,
        description="After so many days the owner of a subscription is asked whether it is still needed; "
        "what nobody confirms within 30 days is paused, with notice. null: nobody is asked.",
        examples=[365],
    )
    on_omission: OnOmission = Field(
        DEFAULT_ON_OMISSION,
        description="What becomes of a report that could not hold everything: send, hold until the data is "
        "mended, or send_and_follow_up with the whole one then.",
    )
    on_restatement: OnRestatement = Field(
        DEFAULT_ON_RESTATEMENT,
        description="When documents of a closed period came late, were corrected or withdrawn: off, tell "
        "whoever got the report with a link to the one that took its place, or send it as the first was.",
    )
    content_gate: GatePolicy = Field(
        DEFAULT_POLICY,
        description="What becomes of a report about data out of the usual (a total that fell, a jump beyond "
        "the last twelve periods, documents without a row, columns that came or went) or that leaves "
        "something out: off, notice in its mail, or hold until a person releases it.",
    )
    release: Release = Field(
        DEFAULT_RELEASE,
        description="Whether reports are sent by themselves: automatic, or by_person, when somebody else "
        "than their owner has released each.",
    )
    report_rows: int = Field(
        REPORT_ROWS,
        ge=1,
        le=1_000_000_000,
        strict=True,
        description="Rows that one report may have in all its tables, where it is no PDF and no HTML. One "
        "with more is refused: its job says how many it has, this limit and what to select less of.",
    )
    sealing: Sealing = Field(
        NOT_SEALED,
        description="Whether the files of new reports are sealed with a key of the person whom they are made "
        "for, which an erasure destroys: off, or by_person. It needs REPORTING_SEAL_SECRET.",
    )
    report_colour: Annotated[str, Field(max_length=20), AfterValidator(checked_colour)] = Field(
        "",
        description="Of the title of its reports, as #rrggbb, with a contrast of at least 4.5 to 1 against "
        "#f2f6f9 (WCAG 2.2); empty: the product's own.",
        examples=["#5b2a86"],
    )
    report_footer: MaybeLine = Field(
        "",
        description="Words at the foot of each page of its reports, such as “Confidential”.",
        examples=["Example Pharma. Confidential."],
    )
    mail_subject_prefix: MailPrefix = Field(
        "",
        description="Words before the subject of the mails of its reports. Plain text, one line.",
        examples=["[Example Pharma]"],
    )
    mail_greeting: MailLine = Field(
        "",
        description="A line above the report in its mails. Plain text.",
        examples=["Dear colleague,"],
    )
    mail_footer: MailLine = Field(
        "",
        description="A line at the end of its mails. Plain text.",
        examples=["Example Pharma, Basel. Questions: trials@example.org"],
    )


def get(database: Database, organisation: str) -> Record | None:
    return database.organisations.find_one({"_id": organisation})


def list_all(database: Database, after: str | None = None, limit: int = 50) -> list[Record]:
    """Organisations by id; `after` is the last one already read."""
    query: Record = {} if after is None else {"_id": {"$gt": after}}
    return list(database.organisations.find(query).sort("_id", ASCENDING).limit(limit))


def add(database: Database, organisation: str, fields: Mapping[str, Any]) -> Record:
    """Register one. Raises OrganisationExists or OrganisationInvalid."""
    kept = {"_id": organisation, **_checked(fields)}
    try:
        database.organisations.insert_one(kept)
    except DuplicateKeyError:
        raise OrganisationExists(f"The organisation {organisation!r} is registered already") from None
    return kept


def change(database: Database, organisation: str, fields: Mapping[str, Any]) -> Record:
    """Put other fields in the place of all that may be changed. Raises as `add`, or OrganisationMissing."""
    kept = _checked(fields)
    if not database.organisations.update_one({"_id": organisation}, {"$set": kept}).matched_count:
        raise OrganisationMissing(organisation)
    return get(database, organisation) or {"_id": organisation, **kept}


def decided_by(record: Mapping[str, Any] | None) -> Record:
    """What a record says of all that may be changed: for whoever changes a part of it."""
    return {name: value for name, value in (record or {}).items() if name in OrganisationFields.model_fields}


def policies_of(record: Mapping[str, Any]) -> tuple[str, OnOmission]:
    """(attachments, on_omission) of a record; the defaults where it names none that there is."""
    attachments = record.get("attachments")
    known = attachments if attachments in ("always", "on_request", "never") else "on_request"
    return str(known), on_omission_of(record.get("on_omission"))


def wanting_confirmation(database: Database) -> list[Record]:
    """Id and days of the organisations, not closed, that ask whether reports are still needed."""
    query: Record = {"confirm_after_days": {"$gte": 1}, "closed_at": None}
    return list(database.organisations.find(query, {"confirm_after_days": 1}).sort("_id", ASCENDING))


def restatement_policy_of(record: Mapping[str, Any] | None) -> OnRestatement:
    return on_restatement_of((record or {}).get("on_restatement"))


def gate_of(record: Mapping[str, Any] | None) -> tuple[GatePolicy, Release]:
    """(content_gate, release) of a record; the defaults where it names none that there is."""
    return policy_of((record or {}).get("content_gate")), release_of((record or {}).get("release"))


def report_rows_of(record: Mapping[str, Any] | None) -> int:
    """Rows that one report may have; the default where the record names no number of them."""
    rows = (record or {}).get("report_rows")
    return rows if isinstance(rows, int) and not isinstance(rows, bool) and rows > 0 else REPORT_ROWS


def sealing_of(record: Mapping[str, Any] | None) -> Sealing:
    """Whether its reports are sealed. A value that nobody knows is no reason to store one open."""
    return NOT_SEALED if (record or {}).get("sealing", NOT_SEALED) == NOT_SEALED else "by_person"


def timezone_of(record: Mapping[str, Any] | None) -> str:
    """Whose clock an organisation goes by."""
    return str((record or {}).get("timezone") or DEFAULT_TIMEZONE)


def keep_logo(database: Database, organisation: str, logo: Mapping[str, Any] | None) -> Record:
    """Keep {sha256, key, width, height} of the picture on its reports; None for none.

    Raises OrganisationMissing.
    """
    query: Record = {"_id": organisation}
    if not database.organisations.update_one(
        query, {"$set": {"logo": dict(logo) if logo else None}}
    ).matched_count:
        raise OrganisationMissing(organisation)
    return get(database, organisation) or query


def branding_of(record: Mapping[str, Any], objects: ObjectStore) -> Branding:
    """How an organisation's reports look; without a logo whose file is gone, which is told in the log."""
    branding = Branding.of(record)
    if branding.logo is None or objects.exists(branding.logo.key):
        return branding
    log.error("the logo of organisation %s is not in the bucket; its reports have none", record.get("_id"))
    return replace(branding, logo=None)


def close(database: Database, organisation: str, now: datetime) -> Record:
    """Note since when it is closed; the first time stands. Raises OrganisationMissing."""
    open_one: Record = {"_id": organisation, "closed_at": None}
    database.organisations.update_one(open_one, {"$set": {"closed_at": now}})
    found = get(database, organisation)
    if found is None:
        raise OrganisationMissing(organisation)
    return found


def _checked(fields: Mapping[str, Any]) -> Record:
    try:
        valid = OrganisationFields.model_validate(fields)
    except ValidationError as error:
        raise OrganisationInvalid(
            [
                (tuple(str(part) for part in one["loc"]), words_of(one))
                for one in error.errors(include_url=False)
            ]
        ) from None
    kept = valid.model_dump(mode="json")
    if valid.timezone is None:
        kept.pop("timezone")
    kept["allowed_domains"] = sorted(set(valid.allowed_domains))
    kept["allowed_hosts"] = sorted(set(valid.allowed_hosts))
    return kept
