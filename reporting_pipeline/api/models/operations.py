"""Dead letters, the audit log, users, and the state of the service."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from reporting_pipeline.api.models.editions import EDITION_PATTERN
from reporting_pipeline.domain.deliveries import Channel
from reporting_pipeline.usecases.callers.shapes.base import Identifier, Shape

#: Of a trial something is fetched and aggregated; a job is rendered; a delivery notifies.
Stage = Literal["fetch", "aggregate", "render", "notify"]


class DeadLetter(Shape):
    """What used up its attempts: a trial's documents or dataset, a job, or a delivery."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "dlv_3f9c1a7d5e2b48c0a6d4f012",
                    "kind": "delivery",
                    "stage": "notify",
                    "edition": "weekly:2026-11-16",
                    "trial": None,
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
    kind: Literal["trial", "job", "delivery"]
    stage: Stage
    edition: str
    trial: str | None = Field(None, description="Of the stages fetch and aggregate.")
    subscription: str | None = Field(description="Of the stages render and notify.")
    job: str | None
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

    kind: Literal["trial", "job", "delivery"] | None = None
    stage: Stage | None = None
    edition: Annotated[str, Field(pattern=EDITION_PATTERN)] | None = None
    subscription: Identifier | None = None
    channel: Channel | None = None
    limit: Annotated[int, Field(ge=1, le=1000, strict=True)] = 100


class Requeued(Shape):
    model_config = ConfigDict(json_schema_extra={"examples": [{"requeued": 3, "waiting": 0}]})

    requeued: int
    waiting: int = Field(
        0,
        description="How many of these are of an edition that is over: the next report of its period that "
        "somebody asks for makes them.",
    )


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
