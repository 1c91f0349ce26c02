"""What the page behind a report's code tells a machine."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from reporting_pipeline.delivery.links.verification import Standing
from reporting_pipeline.usecases.callers.shapes.base import Shape


class Verified(Shape):
    """What is known of the report with a code; nothing of what it says."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"standing": "genuine", "since": None, "same_file": True}]}
    )

    standing: Standing
    since: datetime | None = Field(description="When it was superseded or revoked (UTC).")
    same_file: bool | None = Field(
        description="Whether the file that was compared is the report; null: none was."
    )
