"""What all shapes share: strictness, one-line texts, and the problem answers of the OpenAPI document."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from reporting_pipeline.api.errors import MEDIA_TYPE, PROBLEM_TYPE, PROBLEMS


class Shape(BaseModel):
    """A request or answer in snake_case. Unknown members are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CamelShape(BaseModel):
    """A request or answer in camelCase. Unknown members are refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


#: Embeddings, overrides and isolates: with them a name can be read as another.
_TURNING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def one_line(value: str) -> str:
    """`value` without outer blanks. ValueError for line breaks, control characters and what nobody sees."""
    if any(unicodedata.category(each) in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp") for each in value):
        raise ValueError("no line breaks or control characters")
    if any(unicodedata.bidirectional(each) in _TURNING for each in value):
        raise ValueError("no characters that turn the direction of the text around them")
    if not any(unicodedata.category(character)[0] in "LNPS" for character in value):
        raise ValueError("must not be empty: it holds nothing that is seen")
    return value.strip()


def identifier(value: str) -> str:
    """An opaque id. ValueError for what no id of ours holds."""
    if any(character in "|,\\" or not character.isprintable() for character in value) or ".." in value:
        raise ValueError("an id has no '|', ',', '..' or control characters")
    return value


#: Ours, and the words of the third vocabulary for two of them.
RecipientType = Literal["email", "user", "slack", "webhook", "user_id", "slack_channel"]
Line = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(one_line)]
Identifier = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(identifier)]


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
    503: "A store does not answer.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem answers of a route, for the OpenAPI document."""
    return {status: _documented(status) for status in sorted(statuses)}


def _documented(status: int) -> dict[str, Any]:
    slug = next(slug for slug, (number, _) in PROBLEMS.items() if number == status)
    example = {"type": PROBLEM_TYPE + slug, "title": PROBLEMS[slug][1], "status": status}
    return {
        "description": _SAID[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
    }


READ = problems(400, 401, 403, 404, 422, 429)
WRITE = problems(400, 401, 403, 404, 409, 413, 415, 422, 429)
CHANGE = problems(400, 401, 403, 404, 409, 412, 413, 415, 422, 429)
OPEN = problems(400, 404, 422, 429)
