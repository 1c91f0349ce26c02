"""Idempotency-Key on writes: the same key and request give the same answer, run once.

Works on the finished answer, outside the routes, so that no route can forget it. What is kept is
decided by `keeps`: answers that would be the same again; not a failure of ours, not a refusal that
time or rights may lift, not a file, which nothing stands behind. An answer was given by the rights of its
moment: to somebody whose rights are others by now it is not given again.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256

from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reporting_pipeline.api.errors import problem_response
from reporting_pipeline.stores import idempotency
from reporting_pipeline.stores.changes import rights_mark
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.usecases.callers.problems import FieldError, Problem

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
LONGEST_KEY = 255
_KEY = re.compile(rf"[!-~]{{1,{LONGEST_KEY}}}")  # as the OpenAPI document says
WAIT_SECONDS = 20.0  # for the first request, before a duplicate is told to come back
_KEPT_HEADERS = ("content-type", "etag", "location")


def keeps(status: int, content_type: str = "") -> bool:
    """Whether an answer of this status and type is given again to the same key."""
    told = not content_type or content_type.partition(";")[0].endswith(("/json", "+json"))
    return told and status < 500 and status not in (401, 403, 429)


class IdempotencyMiddleware:
    """Stands inside authentication: keys belong to a principal."""

    def __init__(self, app: ASGIApp, database: Database, clock: Callable[[], datetime]) -> None:
        self._app = app
        self._database = database
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = scope.get("state", {}).get("caller")
        keys = Headers(scope=scope).getlist("idempotency-key") if scope["type"] == "http" else []
        if caller is None or not keys or scope["method"] not in WRITES:
            await self._app(scope, receive, send)
            return
        try:
            key = _one_key(keys)
            body = await _read(receive)
            first = await self._claim(caller.id, key, _fingerprint(scope, body, rights_mark(caller)))
        except Problem as problem:
            await problem_response(problem, scope["path"])(scope, receive, send)
            return
        if isinstance(first, idempotency.StoredResponse):
            await _replay(first, send)
            return
        await self._run(first, scope, body, receive, send)

    async def _claim(
        self, principal: str, key: str, fingerprint: str
    ) -> idempotency.Claim | idempotency.StoredResponse:
        deadline = time.monotonic() + WAIT_SECONDS
        pause = 0.02
        while True:
            try:
                return await run_in_threadpool(
                    idempotency.claim, self._database, principal, key, fingerprint, self._clock()
                )
            except idempotency.KeyReused:
                raise Problem(
                    "idempotency-key-reused",
                    "Use a new Idempotency-Key for a different request, and when your rights have changed.",
                ) from None
            except idempotency.InProgress:
                if time.monotonic() > deadline:
                    raise Problem(
                        "idempotency-in-progress", "Ask again later.", headers={"Retry-After": "5"}
                    ) from None
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)

    async def _run(
        self, claim: idempotency.Claim, scope: Scope, body: bytes, receive: Receive, send: Send
    ) -> None:
        sent: list[Message] = []

        async def keep(message: Message) -> None:
            sent.append(message)

        try:
            await self._app(scope, _again(body, receive), keep)
            answer = _answer(sent)
        except BaseException:
            await run_in_threadpool(idempotency.release, self._database, claim)
            raise
        # Kept before it is sent: a caller that saw the answer gets the same one again.
        if keeps(answer.status, answer.headers.get("content-type", "")):
            await run_in_threadpool(idempotency.keep_answer, self._database, claim, answer)
        else:
            await run_in_threadpool(idempotency.release, self._database, claim)
        for message in sent:
            await send(message)


def _one_key(keys: list[str]) -> str:
    """The key of a request. Problem (422) for what is none, and for several."""
    if len(keys) == 1 and _KEY.fullmatch(keys[0]):
        return keys[0]
    detail = f"one key of 1 to {LONGEST_KEY} printable ASCII characters without blanks"
    raise Problem("validation", f"Idempotency-Key: {detail}", [FieldError("header:Idempotency-Key", detail)])


def _fingerprint(scope: Scope, body: bytes, rights: str) -> str:
    digest = sha256()
    headers = Headers(scope=scope)
    for part in (
        scope["method"].encode(),
        scope["path"].encode("utf-8", "surrogatepass"),
        scope.get("query_string", b""),
        headers.get("if-match", "").encode(),
        _without_boundary(headers.get("content-type", ""), body),
        rights.encode(),
    ):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _without_boundary(content_type: str, body: bytes) -> bytes:
    """A multipart body with one name for its boundary, which clients draw anew for each request."""
    kind, parameters = parse_options_header(content_type)
    boundary = parameters.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        return body
    return re.sub(rb"(\A|\r\n)--" + re.escape(boundary), rb"\1--boundary", body)


async def _read(receive: Receive) -> bytes:
    """The whole body; its size is bounded by `guard`, which stands outside."""
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem("bad-request", "The body was cut off.")
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


def _again(body: bytes, receive: Receive) -> Receive:
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _answer(sent: list[Message]) -> idempotency.StoredResponse:
    start = next(message for message in sent if message["type"] == "http.response.start")
    headers = Headers(raw=start["headers"])
    body = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
    return idempotency.StoredResponse(start["status"], kept, body)


async def _replay(answer: idempotency.StoredResponse, send: Send) -> None:
    start: Message = {"type": "http.response.start", "status": answer.status, "headers": []}
    headers = MutableHeaders(scope=start)
    for name, value in answer.headers.items():
        headers[name] = value
    if answer.status != 204:
        headers["content-length"] = str(len(answer.body))
    headers["idempotency-replayed"] = "true"
    await send(start)
    await send({"type": "http.response.body", "body": answer.body})
