"""The problem answers of the OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from reporting_pipeline.api.errors import MEDIA_TYPE, PROBLEM_TYPE
from reporting_pipeline.usecases.callers.problems import PROBLEMS


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    pointer: str | None = Field(None, description="JSON pointer into the body.")
    parameter: str | None = Field(None, description="Name of a query, path or header parameter.")
    in_: str | None = Field(None, alias="in")
    detail: str


class ProblemDetails(BaseModel):
    """RFC 9457 problem details."""

    model_config = ConfigDict(
        extra="allow",
        title="Problem",
        json_schema_extra={
            "examples": [
                {
                    "type": PROBLEM_TYPE + "validation",
                    "title": PROBLEMS["validation"][1],
                    "status": 422,
                    "detail": "#/filters/trials/0: there is no such trial",
                    "instance": "/api/subscriptions",
                    "errors": [{"pointer": "#/filters/trials/0", "detail": "there is no such trial"}],
                }
            ]
        },
    )

    type: str
    title: str
    status: int
    detail: str | None = None
    instance: str | None = None
    errors: list[FieldProblem] | None = None


_SAID = {
    400: "The request is malformed.",
    401: "No valid bearer token.",
    403: "The caller's role does not allow it, or the caller is deactivated.",
    404: "Not there, or of another organisation.",
    405: "The method is not one of this address.",
    409: "The state does not allow it, or the idempotency key stands for another request.",
    410: "The link has expired.",
    412: "Changed since it was read.",
    413: "The body is too large.",
    415: "The content type is not one of this address.",
    422: "The request does not describe something valid.",
    429: "A limit is used up; Retry-After says when to come back.",
    500: "It went wrong on our side; `request_id` finds it in the log.",
    503: "A store does not answer.",
}
_RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds to wait; not where a quota is used up.",
        "schema": {"type": "integer"},
    }
}
_CHALLENGE = {"WWW-Authenticate": {"description": "How to come in.", "schema": {"type": "string"}}}
_HEADERS = {401: _CHALLENGE, 429: _RETRY_AFTER, 503: _RETRY_AFTER}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem answers of a route, for the OpenAPI document."""
    return {status: _documented(status) for status in sorted(statuses)}


_LOCATION = {"Location": {"description": "Where it is read.", "schema": {"type": "string"}}}
_ETAG = {"ETag": {"description": "Its version, for `If-Match`.", "schema": {"type": "string"}}}


def located(status: int, *, versioned: bool = False) -> dict[int | str, dict[str, Any]]:
    """The good answer of a route that says where what it made is read, for the OpenAPI document."""
    return {status: {"headers": _LOCATION | (_ETAG if versioned else {})}}


def _documented(status: int) -> dict[str, Any]:
    slug = next(slug for slug, (number, _) in PROBLEMS.items() if number == status)
    example = {"type": PROBLEM_TYPE + slug, "title": PROBLEMS[slug][1], "status": status}
    return {
        "description": _SAID[status],
        **({"headers": _HEADERS[status]} if status in _HEADERS else {}),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
    }


READ = problems(400, 401, 403, 404, 422, 429, 500, 503)
WRITE = problems(400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 503)
CHANGE = problems(400, 401, 403, 404, 409, 412, 413, 415, 422, 429, 500, 503)
OPEN = problems(400, 404, 422, 429, 500, 503)
#: The good answer of a route that tells a version.
VERSIONED: dict[int | str, dict[str, Any]] = {200: {"headers": _ETAG}}
