"""Every error the API gives, as RFC 9457 problem details with a stable `type`.

`PROBLEMS` is the whole list: a type never changes its meaning, and docs/api.md repeats it. Nothing
here tells a caller about the inside: no stack trace, no query, no name of a server.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

PROBLEM_TYPE = "urn:reporting-pipeline:problem:"
MEDIA_TYPE = "application/problem+json"

#: slug -> (status, title)
PROBLEMS: Mapping[str, tuple[int, str]] = {
    "bad-request": (400, "The request is malformed"),
    "unauthenticated": (401, "A valid bearer token is needed"),
    "forbidden": (403, "Your role does not allow this"),
    "not-found": (404, "There is no such thing, or it is not yours to see"),
    "method-not-allowed": (405, "This address does not take that method"),
    "conflict": (409, "The state it is in does not allow this"),
    "duplicate-subscription": (409, "A subscription that asks for the same is active"),
    "edition-exists": (409, "This edition was opened already"),
    "illegal-transition": (409, "This change of state is not allowed"),
    "already-running": (409, "A job of this subscription is running"),
    "idempotency-key-reused": (409, "This idempotency key was used for another request"),
    "idempotency-in-progress": (409, "The first request with this idempotency key is still running"),
    "gone": (410, "This link has expired"),
    "precondition-failed": (412, "It was changed since you read it"),
    "body-too-large": (413, "The body is too large"),
    "unsupported-media-type": (415, "This address does not take that content type"),
    "validation": (422, "The request does not describe something valid"),
    "quota-exceeded": (429, "A quota is used up"),
    "rate-limited": (429, "Too many requests"),
    "internal": (500, "Something went wrong on our side"),
    "unavailable": (503, "A store that this needs does not answer"),
}

_BY_STATUS = {
    400: "bad-request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    409: "conflict",
    412: "precondition-failed",
    413: "body-too-large",
    415: "unsupported-media-type",
    422: "validation",
    429: "rate-limited",
}


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field: a JSON pointer (RFC 6901) into the body, or where it came from."""

    pointer: str  # "#/schedule/time"; for others "query:limit", "header:If-Match", "path:id"
    detail: str

    def as_json(self) -> dict[str, str]:
        where, _, name = self.pointer.partition(":")
        if where in ("query", "header", "path"):
            return {"parameter": name, "in": where, "detail": self.detail}
        return {"pointer": self.pointer, "detail": self.detail}


class Problem(Exception):
    """An answer that is an error. `slug` is one of PROBLEMS; `more` are further members of the answer."""

    def __init__(
        self,
        slug: str,
        detail: str = "",
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail or slug)
        self.slug = slug
        self.status, self.title = PROBLEMS[slug]
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.more = more


def invalid(pointer: str, detail: str) -> Problem:
    """A 422 about one field."""
    return Problem("validation", f"{pointer.rpartition('/')[2]}: {detail}", [FieldError(pointer, detail)])


def not_found(what: str) -> Problem:
    """A 404; the same whether it does not exist or belongs to another organisation."""
    return Problem("not-found", f"There is no such {what}.")


def problem_response(problem: Problem, instance: str = "") -> Response:
    """The problem as an HTTP answer."""
    body: dict[str, Any] = {
        "type": PROBLEM_TYPE + problem.slug,
        "title": problem.title,
        "status": problem.status,
    }
    if problem.detail:
        body["detail"] = problem.detail
    if instance:
        body["instance"] = instance
    if problem.errors:
        body["errors"] = [error.as_json() for error in problem.errors]
    body.update(problem.more)
    headers = dict(problem.headers)
    if problem.status == 401:
        headers.setdefault("WWW-Authenticate", 'Bearer realm="reporting-pipeline"')
    # ensure_ascii keeps lone surrogates from hostile input out of the UTF-8 encoder.
    content = json.dumps(body, ensure_ascii=True).encode()
    return Response(content, problem.status, headers, media_type=MEDIA_TYPE)


def from_validation(error: RequestValidationError) -> Problem:
    """Pydantic's findings as one problem with a pointer per field."""
    found = [_field_error(one) for one in error.errors()][:50]
    return Problem(
        "validation",
        "; ".join(f"{one.pointer}: {one.detail}" for one in found[:3]),
        found,
    )


def install(app: FastAPI) -> None:
    """Turn every exception a route may raise into a problem."""

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)  # noqa: S101 - what it is registered for
        return problem_response(error, request.url.path)

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        return problem_response(from_validation(error), request.url.path)

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        slug = _BY_STATUS.get(error.status_code, "bad-request" if error.status_code < 500 else "internal")
        return problem_response(Problem(slug, headers=error.headers), request.url.path)

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)


def _field_error(error: Mapping[str, Any]) -> FieldError:
    where, *path = [str(part) for part in error["loc"]] or ["body"]
    detail = str(error["msg"]).removeprefix("Value error, ")
    if error.get("type") == "json_invalid":
        return FieldError("#", "the body is not valid JSON")
    if where in ("query", "header", "path"):
        return FieldError(f"{where}:{'.'.join(path)}", detail)
    escaped = (part.replace("~", "~0").replace("/", "~1") for part in path)
    return FieldError("#" + "".join(f"/{part}" for part in escaped), detail)
