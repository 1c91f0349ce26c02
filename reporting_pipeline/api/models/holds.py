"""Reports that no rule deletes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from reporting_pipeline.stores.holds import HoldKind
from reporting_pipeline.usecases.callers.shapes.base import Shape


class HoldRequest(Shape):
    """Why a report is kept."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"kind": "legal_hold", "reason": "Inspection of November"}]}
    )

    kind: HoldKind = Field(
        "legal_hold",
        description="`legal_hold` (a duty: whoever placed it or an admin lifts it) or `critical` (kept "
        "because it is needed: any manager lifts it).",
    )
    reason: Annotated[str, Field(min_length=3, max_length=500)]


class Hold(Shape):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "report": "rep_0a1b2c3d4e5f60718293",
                    "kind": "legal_hold",
                    "reason": "Inspection of November",
                    "edition": "weekly:2026-11-16",
                    "subscription": "sub_5f0c2a7d9e3b41c8a6d2f014",
                    "by": "usr_demo",
                    "at": "2026-11-23T07:41:00Z",
                }
            ]
        }
    )

    report: str
    kind: HoldKind
    reason: str
    edition: str
    subscription: str
    by: str = Field(description="Who placed it; `system` is the command line.")
    at: datetime


class HoldPage(Shape):
    items: list[Hold]
    next_cursor: str | None = None
