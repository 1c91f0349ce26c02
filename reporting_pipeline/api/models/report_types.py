"""The bodies of the report types."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline.usecases.callers.shapes.base import Shape

_EXAMPLE: dict[str, Any] = {
    "name": "safety_summary",
    "title": "safety summary",
    "description": "Adverse events and results out of range, without the rest.",
    "formats": ["pdf", "csv", "xlsx"],
    "figures": ["adverse_events", "serious_adverse_events"],
    "audiences": ["monitor", "safety_board"],
    "parameters": {"type": "object", "properties": {"attach": {"type": "boolean"}}},
}


class ReportTypeAnswer(Shape):
    """One report type."""

    name: str = Field(description="What `report_type` takes.")
    title: str
    description: str
    formats: list[Format]
    figures: list[str] = Field(description="The key figures of its cover, in order.")
    audiences: list[Audience] = Field(description="Who may have it; another's subscription is refused.")
    parameters: dict[str, Any] = Field(
        description="The JSON schema of `report_parameters.options`; what does not fit it is a 422."
    )


class ReportTypeList(Shape):
    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [_EXAMPLE]}]})

    items: list[ReportTypeAnswer]
