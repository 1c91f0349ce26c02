"""Documents of the trials, and their upload."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field

from reporting_pipeline.api.models.base import Shape
from reporting_pipeline.domain.documents import Kind


class FileAnswer(Shape):
    name: str
    size: int = Field(description="Bytes.")
    sha256: str
    content_type: str


class DocumentAnswer(Shape):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "doc_0a1b2c3d4e5f60718293a4b5",
                    "trial": "CDISCPILOT01",
                    "site": "701",
                    "subject": "01-701-1015",
                    "kind": "ecg",
                    "title": "ECG strip, week 8",
                    "received_at": "2026-11-17T14:03:00Z",
                    "updated_at": "2026-11-17T14:03:00Z",
                    "collected": "2026-11-16",
                    "note": None,
                    "synthetic": True,
                    "data": {},
                    "file": {
                        "name": "strip.png",
                        "size": 20480,
                        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                        "content_type": "image/png",
                    },
                }
            ]
        }
    )

    id: str
    trial: str
    site: str
    subject: str
    kind: Kind
    title: str
    received_at: datetime
    updated_at: datetime
    collected: str
    note: str | None
    synthetic: bool
    data: dict[str, Any]
    file: FileAnswer | None

    @classmethod
    def of(cls, record: dict[str, Any]) -> DocumentAnswer:
        file = record.get("file")
        return cls(
            id=record["_id"],
            trial=record["trial"],
            site=record["site"],
            subject=record.get("subject", ""),
            kind=record["kind"],
            title=record["title"],
            received_at=record["received_at"],
            updated_at=record["updated_at"],
            collected=record.get("collected", ""),
            note=record.get("note"),
            synthetic=record.get("synthetic", False),
            data=record.get("data", {}),
            file=file
            and FileAnswer(
                name=file["name"],
                size=file["size"],
                sha256=file["sha256"],
                content_type=file["content_type"],
            ),
        )


class DocumentPage(Shape):
    items: list[DocumentAnswer]
    next_cursor: str | None = None
