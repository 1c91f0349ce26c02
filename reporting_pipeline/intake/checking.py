"""One document that a caller sends, checked field by field before anything is stored.

The strict way in (API, batch); files of strangers are read with more patience by `ndjson`. A refusal
names every bad field with a JSON pointer. What the payload says is not refused but told, as findings.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from reporting_pipeline.domain.clinical.checking import check_payload
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.wrong_values import words_of
from reporting_pipeline.stores.documents import document_id

MOST_FINDINGS = 50  # of one document that are told in an answer


@dataclass(frozen=True)
class DocumentProblem:
    """What is wrong with one field of a document: a JSON pointer (RFC 6901) into it."""

    pointer: str
    detail: str


class DocumentRefused(ValueError):
    """A document that cannot be taken in, with what is wrong and what to do."""

    def __init__(self, problems: list[DocumentProblem], *, conflict: bool = False) -> None:
        self.problems = problems
        self.conflict = conflict  # its id stands for another content
        super().__init__("; ".join(f"{one.pointer}: {one.detail}" for one in problems))


def refused(pointer: str, detail: str) -> DocumentRefused:
    return DocumentRefused([DocumentProblem(pointer, detail)])


def _written(value: object) -> object:
    if value is not None and not isinstance(value, (str, datetime)):
        raise ValueError("give an ISO 8601 instant as text, as in 2026-11-17T09:30:00Z")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_written)]


class SubmittedDocument(BaseModel):
    """A document as a caller gives it. Unknown fields are refused."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "lab-2026-17",
                    "trial": "CDISCPILOT01",
                    "site": "701",
                    "subject": "01-701-1015",
                    "kind": "lab",
                    "title": "Chemistry, week 8",
                    "collected": "2026-11-16",
                    "data": {
                        "results": [
                            {
                                "test_code": "GLUC",
                                "specimen": "SERUM",
                                "value": 5.1,
                                "unit": "mmol/L",
                                "low": 3.9,
                                "high": 5.6,
                            }
                        ]
                    },
                }
            ]
        },
    )

    id: str | None = Field(
        None, min_length=1, max_length=200, description="The caller's own id, unique in the trial."
    )
    trial: str = Field(min_length=1, max_length=64)
    site: str = Field(min_length=1, max_length=64)
    kind: Kind
    title: str = Field(min_length=1, max_length=1000)
    subject: str = Field("", max_length=200)
    collected: str = Field("", max_length=1000, description="ISO 8601, possibly partial.")
    note: str | None = Field(None, max_length=500_000)
    synthetic: bool = False
    received_at: Instant | None = Field(
        None, description="When it arrived, for the service role alone; everybody else's arrives now."
    )
    data: dict[str, Any] = Field(default_factory=dict, description="The payload of its kind.")


def parsed_line(line: bytes) -> Mapping[str, Any]:
    """A line of JSON in UTF-8 as an object. Raises DocumentRefused."""
    try:
        value = strict_json(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise refused("", f"the line is not valid JSON ({str(error)[:120]})") from None
    if not isinstance(value, dict):
        raise refused("", "the line must hold a JSON object")
    return value


def strict_json(text: str) -> Any:
    """The value of `text`. Raises ValueError, also where readers of JSON differ: a member that stands twice,
    a number that is none."""
    return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        name = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise ValueError(f"the member {name[:60]!r} stands twice in one object")
    return made


def checked(source: Mapping[str, Any]) -> SubmittedDocument:
    """`source` as a document. Raises DocumentRefused that names every bad field."""
    try:
        return SubmittedDocument.model_validate(source)
    except ValidationError as error:
        raise DocumentRefused([_problem(one) for one in error.errors(include_url=False)][:50]) from None


def record_of(
    submitted: SubmittedDocument, organisation: str, identifier: str, now: datetime
) -> dict[str, Any]:
    """The record as `domain.documents` describes it, without `updated_at` and file."""
    return {
        "_id": identifier,
        "organisation": organisation,
        "trial": submitted.trial,
        "site": submitted.site,
        "subject": submitted.subject,
        "kind": submitted.kind.value,
        "title": submitted.title,
        "received_at": (submitted.received_at or now).astimezone(UTC),
        "collected": submitted.collected,
        "note": submitted.note,
        "synthetic": submitted.synthetic,
        "data": submitted.data,
        "file": None,
        "external_id": submitted.id or "",
    }


def stored_id(organisation: str, trial: str, source_id: str) -> str:
    """The `_id` of the document that a caller calls `source_id`: one in each trial."""
    return document_id(organisation, trial, "source", source_id)


def findings_of(record: Mapping[str, Any], zone: ZoneInfo) -> list[dict[str, str]]:
    """What is odd about the payload, as the report will tell it: code, field and detail."""
    arrived: date = record["received_at"].astimezone(zone).date()
    found = check_payload(record["kind"], record["data"], arrived)
    return [
        {"code": one.code, "field": f"data.{one.field}", "detail": one.detail}
        for one in found[:MOST_FINDINGS]
    ]


def pointer_of(*path: object) -> str:
    """A JSON pointer as a URI fragment: #/data/results/0."""
    return "#" + "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def _problem(error: Any) -> DocumentProblem:
    advice = {
        "extra_forbidden": "is not a field of a document; remove it",
        "timezone_aware": "has no timezone; give an offset, as in 2026-11-17T09:30:00Z",
        "enum": f"is no kind of document; give one of {', '.join(Kind)}",
    }
    return DocumentProblem(pointer_of(*error["loc"]), words_of(error, advice))


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
