"""Problems as the API answers them: RFC 9457 problem details, whose `type` ends with the problem's word.

What there are of them is in `usecases.callers.problems`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute

from reporting_pipeline.api.methods import allowed
from reporting_pipeline.domain.wrong_values import told_once, words_of
from reporting_pipeline.usecases.callers.problems import FieldError, Problem

PROBLEM_TYPE = "urn:reporting-pipeline:problem:"
MEDIA_TYPE = "application/problem+json"

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
    found = [_field_error(one) for one in told_once(error.errors())][:50]
    return Problem(
        "validation",
        "; ".join(f"{one.pointer}: {one.detail}" for one in found[:3]),
        found,
    )


def install(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Turn every exception a route may raise into a problem. `routes` are what a 405 says in `Allow`."""

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)  # noqa: S101 - what it is registered for
        return problem_response(error, request.url.path)

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        return problem_response(from_validation(error), request.url.path)

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        if isinstance(error.__cause__, Problem):  # met while FastAPI read the body: it tells the status alone
            return problem_response(error.__cause__, request.url.path)
        slug = _BY_STATUS.get(error.status_code, "bad-request" if error.status_code < 500 else "internal")
        headers = dict(error.headers or {})
        if error.status_code == 405:  # the router names the methods of the first route alone
            of_framework = ", ".join(sorted(headers.get("Allow", "").split(", ")))  # in any order, of a set
            headers["Allow"] = allowed(routes, request.url.path) or of_framework
        return problem_response(Problem(slug, headers=headers), request.url.path)

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)


def _field_error(error: Mapping[str, Any]) -> FieldError:
    where, *path = [str(part) for part in error["loc"]] or ["body"]
    detail = words_of(error)
    if error.get("type") == "json_invalid":
        return FieldError("#", "the body is not valid JSON")
    if where == "body" and not path:
        return FieldError("#", "a body is needed" if error.get("type") == "missing" else detail)
    if where in ("query", "header", "path"):
        return FieldError(f"{where}:{'.'.join(path)}", detail)
    escaped = (part.replace("~", "~0").replace("/", "~1") for part in path)
    return FieldError("#" + "".join(f"/{part}" for part in escaped), detail)
