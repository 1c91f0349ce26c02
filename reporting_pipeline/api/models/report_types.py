"""The bodies of the report types."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from reporting_pipeline.api.models.base import Shape
from reporting_pipeline.domain.subscriptions import Format

_EXAMPLE: dict[str, Any] = {
    "name": "safety_summary",
    "title": "safety summary",
    "description": "Adverse events and results out of range, without the rest.",
    "formats": ["pdf", "csv", "xlsx"],
    "figures": ["adverse_events", "serious_adverse_events"],
}


class ReportTypeAnswer(Shape):
    """One report type."""

    name: str = Field(description="What `report_type` takes.")
    title: str
    description: str
    formats: list[Format]
    figures: list[str] = Field(description="The key figures of its cover, in order.")


class ReportTypeList(Shape):
    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [_EXAMPLE]}]})

    items: list[ReportTypeAnswer]
