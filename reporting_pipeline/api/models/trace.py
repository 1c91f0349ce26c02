"""Where a figure comes from, and what a report says otherwise than before."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from reporting_pipeline.usecases.callers.shapes.base import Shape


class TracedTrial(Shape):
    """The documents of one trial behind a figure."""

    trial: str
    dataset_version: str
    value: float | None = Field(description="In the report; null for a share of nothing.")
    documents: list[str]


class Trace(Shape):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "report": "rep_3f9c1a7d5e2b48c0a6d4",
                    "figure": "serious_adverse_events",
                    "label": "Serious adverse events",
                    "definition": "Those adverse events that are stated to be serious.",
                    "trials": [
                        {
                            "trial": "CDISCPILOT01",
                            "dataset_version": "0a1b2c3d4e5f6071",
                            "value": 1,
                            "documents": ["doc_0a1b2c3d4e5f60718293a4b5"],
                        }
                    ],
                }
            ]
        }
    )

    report: str
    figure: str
    label: str
    definition: str
    trials: list[TracedTrial]


class Rendering(Shape):
    """A file of a report whose place another has taken."""

    sha256: str
    rendered_at: datetime


class ChangedFigure(Shape):
    """A figure before and after; null where a rendering does not have it, or for a share of nothing."""

    trial: str
    figure: str
    label: str
    before: float | None
    after: float | None
    documents_added: list[str]
    documents_gone: list[str] = Field(description="Withdrawn, or counted no longer.")


class Restatement(Shape):
    """What the rendering that stands says otherwise than an earlier one of the same report."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "report": "rep_3f9c1a7d5e2b48c0a6d4",
                    "sha256": "9f" * 32,
                    "rendered_at": "2026-11-25T09:12:03Z",
                    "superseded": [{"sha256": "3c" * 32, "rendered_at": "2026-11-23T06:01:40Z"}],
                    "compared_with": "3c" * 32,
                    "changes": [
                        {
                            "trial": "CDISCPILOT01",
                            "figure": "serious_adverse_events",
                            "label": "Serious adverse events",
                            "before": 1,
                            "after": 2,
                            "documents_added": ["doc_0a1b2c3d4e5f60718293a4b5"],
                            "documents_gone": [],
                        }
                    ],
                }
            ]
        }
    )

    report: str
    sha256: str = Field(description="Of the file that stands.")
    rendered_at: datetime
    superseded: list[Rendering] = Field(description="Earlier files of this report, the oldest first.")
    compared_with: str | None = Field(description="SHA-256 of the earlier file; null when there is none.")
    changes: list[ChangedFigure]
