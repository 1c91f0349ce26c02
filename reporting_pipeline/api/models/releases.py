"""Reports that wait for a person, and what was decided of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from reporting_pipeline.domain.jobs import AwaitingRelease, JobRecord
from reporting_pipeline.stores.mongo import Record
from reporting_pipeline.stores.releases import Meaning
from reporting_pipeline.usecases.callers.shapes.base import Shape

LookedAt = Annotated[
    str, Field(pattern=r"^[0-9a-f]{64}$", description="The SHA-256 of the file that you have looked at.")
]
Reason = Annotated[str, Field(min_length=3, max_length=500)]


class ReleaseRequest(Shape):
    """A signature under a report: what it means, and why."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "meaning": "approval",
                    "reason": "The jump is a site that opened",
                }
            ]
        }
    )

    sha256: LookedAt
    meaning: Meaning = Field(description="What the signature means: review, approval or responsibility.")
    reason: Reason


class RejectRequest(Shape):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "reason": "The laboratory sent a test file",
                }
            ]
        }
    )

    sha256: LookedAt
    reason: Reason


class ReleaseAnswer(Shape):
    """Who decided what, of which file."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "report": "rep_0a1b2c3d4e5f60718293",
                    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "decision": "released",
                    "meaning": "approval",
                    "by": "usr_ada",
                    "name": "Ada Example",
                    "reason": "The jump is a site that opened",
                    "at": "2026-11-23T07:41:00Z",
                }
            ]
        }
    )

    report: str
    sha256: str
    decision: str
    meaning: str
    by: str
    name: str
    reason: str
    at: datetime

    @classmethod
    def of(cls, record: Record) -> ReleaseAnswer:
        return cls(**{name: record[name] for name in cls.model_fields})


class WaitReason(Shape):
    """One reason why a report waits."""

    concern: str
    trial: str
    said: str

    @classmethod
    def of(cls, record: Record) -> WaitReason:
        return cls(**{name: str(record.get(name) or "") for name in cls.model_fields})


class ReportAwaitingRelease(Shape):
    """A report that waits for a person."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "execution": "job_0d5a3c1e7b9f42a6c8e01357",
                    "report": "rep_0a1b2c3d4e5f60718293",
                    "subscription": "sub_5f0c2a7d9e3b41c8a6d2f014",
                    "period": "2026-11-16",
                    "due_at": "2026-11-23T06:00:00Z",
                    "awaiting_release_since": "2026-11-23T00:07:31Z",
                    "held_at": "2026-11-23T00:07:31Z",
                    "reasons": [
                        {
                            "concern": "beyond_the_last_periods",
                            "trial": "CDISCPILOT01",
                            "said": "adverse events: 141, and at most 52 in the last 12 periods",
                        }
                    ],
                }
            ]
        }
    )

    execution: str
    report: str
    subscription: str
    period: str
    due_at: datetime
    awaiting_release_since: datetime
    held_at: datetime = Field(description="The former name of `awaiting_release_since`.")
    reasons: list[WaitReason]

    @classmethod
    def of(cls, job: JobRecord) -> ReportAwaitingRelease:
        awaiting = job.get("awaiting_release") or AwaitingRelease(reasons=[], at=job["created_at"])
        return cls(
            execution=job["_id"],
            report=job["report"],
            subscription=job["subscription"],
            period=job["period"],
            due_at=job["due_at"],
            awaiting_release_since=awaiting["at"],
            held_at=awaiting["at"],
            reasons=[WaitReason.of(one) for one in awaiting["reasons"]],
        )


class ReportsAwaitingRelease(Shape):
    items: list[ReportAwaitingRelease]
    next_cursor: str | None = None
