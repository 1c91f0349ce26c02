"""Dead letters, the audit log, users, and the state of the service."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from reporting_pipeline.api.models.base import Identifier, Line, Shape
from reporting_pipeline.domain.entitlements import Audience


class DeadLetter(Shape):
    """A job or delivery that used up its attempts."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "dlv_3f9c1a7d5e2b48c0a6d4f012",
                    "kind": "delivery",
                    "edition": "weekly:2026-11-16",
                    "subscription": "sub_5f0c2a7d9e3b41c8a6d2f014",
                    "job": "job_0d5a3c1e7b9f42a6c8e01357",
                    "channel": "email",
                    "attempts": 4,
                    "error": "550 no such mailbox",
                    "failed_at": "2026-11-23T07:41:00Z",
                }
            ]
        }
    )

    id: str
    kind: Literal["job", "delivery"]
    edition: str
    subscription: str
    job: str
    channel: str | None
    attempts: int
    error: str | None
    failed_at: datetime | None


class DeadLetterPage(Shape):
    items: list[DeadLetter]
    next_cursor: str | None = None


class RequeueRequest(Shape):
    """Which dead letters go back to work. At least one member, so that nobody requeues all by accident."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"edition": "weekly:2026-11-16", "channel": "email"}]}
    )

    kind: Literal["job", "delivery"] | None = None
    edition: Annotated[str, Field(pattern=r"^(daily|weekly|monthly):[0-9]{4}-[0-9]{2}-[0-9]{2}$")] | None = (
        None
    )
    subscription: Identifier | None = None
    channel: Literal["email", "slack", "webhook"] | None = None
    limit: Annotated[int, Field(ge=1, le=1000, strict=True)] = 100


class Requeued(Shape):
    model_config = ConfigDict(json_schema_extra={"examples": [{"requeued": 3}]})

    requeued: int


class AuditEvent(Shape):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "sequence": 41,
                    "at": "2026-11-20T09:30:00Z",
                    "actor": "usr_demo",
                    "action": "subscription.created",
                    "subject": "sub_5f0c2a7d9e3b41c8a6d2f014",
                    "details": {},
                    "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                }
            ]
        }
    )

    sequence: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: dict[str, Any]
    hash: str


class AuditPage(Shape):
    items: list[AuditEvent]
    next_cursor: str | None = None


class UserRequest(Shape):
    """A user, whole."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Ada Example",
                    "email": "ada@example.org",
                    "roles": ["subscriber", "analyst"],
                    "trials": ["CDISCPILOT01"],
                    "sites": {"CDISCPILOT01": ["701"]},
                    "subject": "",
                    "audience": "site",
                    "timezone": "Europe/Zurich",
                    "active": True,
                }
            ]
        }
    )

    name: Line
    email: Annotated[str, Field(min_length=3, max_length=254)]
    roles: tuple[Literal["subscriber", "analyst", "manager", "admin", "service"], ...] = Field(
        min_length=1, max_length=5
    )
    trials: Literal["all"] | Annotated[tuple[Identifier, ...], Field(max_length=500)] = Field(
        (), description='What they may see: "all", or trials by name; none is nothing.'
    )
    sites: dict[Identifier, Annotated[tuple[Identifier, ...], Field(max_length=1000)]] = Field(
        default_factory=dict, max_length=500, description="Per trial, where not all its sites are open."
    )
    subject: Annotated[str, Field(max_length=200)] = Field("", description="Of a participant: their own id.")
    audience: Audience = Field(Audience.MONITOR, description="Whom their reports are written for.")
    timezone: Annotated[str, Field(max_length=64)] = "UTC"
    active: Annotated[bool, Field(strict=True)] = True


class UserAnswer(Shape):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "usr_ada",
                    "organisation": "default",
                    "name": "Ada Example",
                    "email": "ada@example.org",
                    "roles": ["subscriber", "analyst"],
                    "trials": ["CDISCPILOT01"],
                    "sites": {"CDISCPILOT01": ["701"]},
                    "subject": "",
                    "audience": "site",
                    "timezone": "Europe/Zurich",
                    "active": True,
                }
            ]
        }
    )

    id: str
    organisation: str
    name: str
    email: str
    roles: list[str]
    trials: Literal["all"] | list[str]
    sites: dict[str, list[str]] = Field(default_factory=dict)
    subject: str = ""
    audience: Audience
    timezone: str
    active: bool


class Health(Shape):
    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok"}]})

    status: Literal["ok"]


class Readiness(Shape):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"status": "ready", "stores": {"mongodb": "ok", "s3": "ok"}}]}
    )

    status: Literal["ready", "unready"]
    stores: dict[str, Literal["ok", "failing"]]


class Received(Shape):
    model_config = ConfigDict(json_schema_extra={"examples": [{"received": 2}]})

    received: int
