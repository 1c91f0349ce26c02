"""What every request passes first and every answer last: sizes, content types, headers, the last catch.

Rules about who may do what are in `auth` and the routes.
"""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import AbstractAsyncContextManager, nullcontext
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reporting_pipeline.api.errors import problem_response
from reporting_pipeline.operations import logs
from reporting_pipeline.stores.away import AWAY, away
from reporting_pipeline.usecases.callers.names import NOT_OURS, PROBES, Names
from reporting_pipeline.usecases.callers.problems import Problem

log = logging.getLogger(__name__)

JSON_LIMIT_BYTES = 1_000_000
EVENTS_LIMIT_BYTES = 5_000_000  # a batch of a mail provider
MULTIPART_OVERHEAD_BYTES = 100_000
BATCH_PATH = "/api/documents:batch"
BATCH_LIMIT_BYTES = 200_000_000  # read as a stream: a line at a time is in memory
UPLOADS_AT_ONCE = 4  # of one process
COMPARE_PREFIX = "/v/"  # a file to be compared with a report
COMPARISONS_AT_ONCE = 2
BODY_PAUSE_SECONDS = 30.0  # between two pieces of a body
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_JSON = re.compile(r"application/(json|[a-z0-9.!#$&^_-]+\+json)\s*(;.*)?", re.IGNORECASE)
_LINES = re.compile(r"application/(x-ndjson|ndjson|jsonl|x-jsonlines)\s*(;.*)?", re.IGNORECASE)
_SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": (
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class _TooLarge(HTTPException):
    """The body went over the limit while it was read. An HTTPException, because FastAPI lets those pass."""

    def __init__(self, limit: int) -> None:
        super().__init__(413)
        self.limit = limit


class GuardMiddleware:
    """The outermost layer: answers 413 and 415, adds security headers, makes what nobody caught a 500."""

    def __init__(self, app: ASGIApp, upload_limit: int, https: bool, called: Names) -> None:
        self._app = app
        self._upload_limit = upload_limit
        self._called = called
        self._uploading = asyncio.Semaphore(UPLOADS_AT_ONCE)
        self._comparing = asyncio.Semaphore(COMPARISONS_AT_ONCE)
        self._headers = dict(_SECURITY_HEADERS)
        if https:
            self._headers["strict-transport-security"] = "max-age=31536000; includeSubDomains"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
        started = False

        async def finish(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                answer = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    answer.setdefault(name, value)
                answer["x-request-id"] = request_id
            await send(message)

        limit = self._limit(scope)
        try:
            self._check_host(scope, headers)
            _check(scope, headers, limit)
            async with self._turn(scope):
                with logs.bound(request=request_id):
                    await self._app(scope, _counted(receive, limit), finish)
        except Exception as error:
            if started:
                raise
            problem = _problem(error, request_id)
            await problem_response(problem, scope["path"])(scope, receive, finish)

    def _check_host(self, scope: Scope, headers: Headers) -> None:
        """Refuse what was meant for another name, such as a rebound domain. Probes come by address."""
        if scope["path"] not in PROBES and not self._called.fit(headers.get("host", "")):
            raise Problem("bad-request", f"{NOT_OURS}.")

    def _turn(self, scope: Scope) -> AbstractAsyncContextManager[object]:
        """Uploads wait for one another: each holds a file in memory while it is stored."""
        if _is_comparison(scope):
            return self._comparing  # apart: strangers hold up nobody's documents
        return self._uploading if _is_upload(scope) else nullcontext()

    def _limit(self, scope: Scope) -> int:
        if scope["path"] == BATCH_PATH:
            return BATCH_LIMIT_BYTES
        if _is_upload(scope) or _is_comparison(scope):
            return self._upload_limit + MULTIPART_OVERHEAD_BYTES
        return EVENTS_LIMIT_BYTES if scope["path"] == "/webhooks/sendgrid" else JSON_LIMIT_BYTES


def _problem(error: Exception, request_id: str) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, _TooLarge):
        return _too_large(error.limit)
    if isinstance(error, AWAY):
        log.warning("request %s: %s", request_id, away(error))
        return Problem("unavailable", "Try again in a moment.", headers={"Retry-After": "5"})
    # The log has the trace, the caller has the id that finds it.
    log.exception("request %s failed", request_id)
    return Problem("internal", f"Tell the operators this request id: {request_id}", request_id=request_id)


def _check(scope: Scope, headers: Headers, limit: int) -> None:
    length = headers.get("content-length", "0")
    if not length.isdecimal():
        raise Problem("bad-request", "Content-Length is not a number.")
    if int(length) > limit:
        raise _too_large(limit)
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Problem("unsupported-media-type", "Send the body as it is, without Content-Encoding.")
    has_body = int(length) > 0 or "transfer-encoding" in headers
    if has_body and scope["method"] in ("POST", "PUT", "PATCH"):
        _check_content_type(scope["path"], headers.get("content-type", ""))


def _check_content_type(path: str, content_type: str) -> None:
    if path.startswith(("/unsubscribe/", "/confirm-address/")):
        return  # mail programs (RFC 8058) and browsers send a form; nothing of it is read
    if path == "/api/documents" or path.startswith(COMPARE_PREFIX):
        if not content_type.lower().startswith("multipart/form-data"):
            raise Problem("unsupported-media-type", "Send multipart/form-data.")
    elif path == BATCH_PATH:
        if not _LINES.fullmatch(content_type):
            raise Problem("unsupported-media-type", "Send application/x-ndjson: one document a line.")
    elif not _JSON.fullmatch(content_type):
        raise Problem("unsupported-media-type", "Send application/json.")


def _counted(receive: Receive, limit: int) -> Receive:
    seen, whole = 0, False

    async def counted() -> Message:
        nonlocal seen, whole
        message = await _in_time(receive, whole)
        whole = not message.get("more_body", False)
        seen += len(message.get("body", b""))
        if seen > limit:
            raise _TooLarge(limit) from _too_large(limit)
        return message

    return counted


async def _in_time(receive: Receive, whole: bool) -> Message:
    """The next message; a body that stops coming is given up. What comes after it may take long."""
    if whole:
        return await receive()
    try:
        async with asyncio.timeout(BODY_PAUSE_SECONDS):
            return await receive()
    except TimeoutError:
        raise Problem("bad-request", "The body stopped coming.") from None


def _is_upload(scope: Scope) -> bool:
    return bool(scope["path"] == "/api/documents" and scope["method"] == "POST")


def _is_comparison(scope: Scope) -> bool:
    return bool(scope["path"].startswith(COMPARE_PREFIX) and scope["method"] == "POST")


def _too_large(limit: int) -> Problem:
    return Problem("body-too-large", f"The limit here is {limit:,} bytes.")
