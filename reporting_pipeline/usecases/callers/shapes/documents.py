"""Documents of the trials, and their upload."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field

from reporting_pipeline.intake.checking import SubmittedDocument
from reporting_pipeline.usecases.callers.shapes.base import Lines, Shape
from reporting_pipeline.usecases.documents import DocumentOutcome


class FileAnswer(Shape):
    name: str
    size: int = Field(description="Bytes.")
    sha256: str
    content_type: str


_DOCUMENT_EXAMPLE: dict[str, Any] = {
    "id": "doc_0a1b2c3d4e5f60718293a4b5",
    "trial": "CDISCPILOT01",
    "site": "701",
    "subject": "01-701-1015",
    "kind": "ecg",
    "title": "ECG strip, week 8",
    "external_id": "ecg-2026-17",
    "version": 1,
    "received_at": "2026-11-17T14:03:00Z",
    "updated_at": "2026-11-17T14:03:00Z",
    "collected": "2026-11-16",
    "note": None,
    "synthetic": True,
    "data": {},
    "withheld": [],
    "file": {
        "name": "strip.png",
        "size": 20480,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "content_type": "image/png",
    },
}


class DocumentAnswer(Shape):
    model_config = ConfigDict(json_schema_extra={"examples": [_DOCUMENT_EXAMPLE]})

    id: str
    trial: str
    site: str
    subject: str
    kind: str  # as stored: a record of an unknown kind fails no page
    title: str
    received_at: datetime
    updated_at: datetime
    collected: str
    note: str | None
    synthetic: bool
    data: dict[str, Any]
    file: FileAnswer | None
    external_id: str = Field("", description="The caller's own id; empty when it gave none.")
    version: int = 1
    withheld: list[str] = Field(
        default_factory=list,
        description="Fields that were emptied or shortened, because the caller's audience must not see them.",
    )

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
            external_id=record.get("external_id", ""),
            version=record.get("version", 1),
            withheld=record.get("withheld", []),
        )


_FINDING_EXAMPLE: dict[str, Any] = {
    "code": "seriousness_not_stated",
    "field": "data.serious",
    "detail": "Nobody stated whether the adverse event is serious; it counts as unknown.",
}


class PayloadFinding(Shape):
    """What is odd about a payload. It keeps no document out; the report tells it, too."""

    code: str
    field: str
    detail: str


class StoredDocument(DocumentAnswer):
    """A document as it stands now, and what is odd about its payload."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**_DOCUMENT_EXAMPLE, "findings": [_FINDING_EXAMPLE]}]}
    )

    findings: list[PayloadFinding] = Field(default_factory=list)

    @classmethod
    def of_outcome(cls, outcome: DocumentOutcome) -> StoredDocument:
        answer = DocumentAnswer.of(outcome.record)
        findings = [PayloadFinding(**one) for one in outcome.findings]
        return cls(**answer.model_dump(), findings=findings)


class Correction(Shape):
    """A document's new content, whole, and why."""

    document: SubmittedDocument
    reason: Lines = Field(min_length=1, max_length=500, examples=["Unit corrected by the laboratory"])


class DocumentVersion(Shape):
    version: int
    state: Literal["current", "corrected", "withdrawn"]
    until: datetime | None = Field(description="When it was replaced or withdrawn; null for the current one.")
    by: str | None = Field(description="Who replaced or withdrew it.")
    reason: str | None
    document: DocumentAnswer


class DocumentVersions(Shape):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        {
                            "version": 1,
                            "state": "current",
                            "until": None,
                            "by": None,
                            "reason": None,
                            "document": _DOCUMENT_EXAMPLE,
                        }
                    ]
                }
            ]
        }
    )

    items: list[DocumentVersion]

    @classmethod
    def of(cls, current: dict[str, Any] | None, older: list[dict[str, Any]]) -> DocumentVersions:
        items = []
        if current is not None:
            document = DocumentAnswer.of(current)
            items.append(
                DocumentVersion(
                    version=document.version,
                    state="current",
                    until=None,
                    by=None,
                    reason=None,
                    document=document,
                )
            )
        for one in older:
            items.append(
                DocumentVersion(
                    version=one["version"],
                    state="withdrawn" if one["withdrawn"] else "corrected",
                    until=one["until"],
                    by=one["actor"],
                    reason=one["reason"],
                    document=DocumentAnswer.of(one["record"]),
                )
            )
        return cls(items=items)


class DocumentPage(Shape):
    items: list[DocumentAnswer]
    next_cursor: str | None = None
    skipped: list[str] = Field(default_factory=list, description="Records that cannot be shown, by id.")
