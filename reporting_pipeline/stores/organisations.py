"""Organisations and where their reports may go: mail domains, hosts of webhooks.

`domain.access.may_be_recipient` holds each recipient against the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError

from reporting_pipeline.domain.access import normal_domain
from reporting_pipeline.domain.omissions import DEFAULT_ON_OMISSION, OnOmission, on_omission_of
from reporting_pipeline.stores.mongo import Database, Record


class OrganisationExists(ValueError):
    """An organisation with this id is registered already."""


class OrganisationMissing(KeyError):
    """There is no such organisation."""


class OrganisationInvalid(ValueError):
    """A record that cannot be kept. `problems` holds (path of the field, what is wrong)."""

    def __init__(self, problems: list[tuple[tuple[str, ...], str]]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{'.'.join(path)}: {told}" for path, told in problems))


Domain = Annotated[str, AfterValidator(normal_domain)]
Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")]


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
    on_omission: OnOmission = Field(
        DEFAULT_ON_OMISSION,
        description="What becomes of a report that could not hold everything: send, hold until the data is "
        "mended, or send_and_follow_up with the whole one then.",
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


def policies_of(record: Mapping[str, Any]) -> tuple[str, OnOmission]:
    """(attachments, on_omission) of a record; the defaults where it names none that there is."""
    attachments = record.get("attachments")
    known = attachments if attachments in ("always", "on_request", "never") else "on_request"
    return str(known), on_omission_of(record.get("on_omission"))


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
                (tuple(str(part) for part in one["loc"]), str(one["msg"]).removeprefix("Value error, "))
                for one in error.errors(include_url=False)
            ]
        ) from None
    kept = valid.model_dump(mode="json")
    kept["allowed_domains"] = sorted(set(valid.allowed_domains))
    kept["allowed_hosts"] = sorted(set(valid.allowed_hosts))
    return kept
