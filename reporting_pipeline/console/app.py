"""The console as an application of its own, beside the API in one process (`reporting_pipeline.sidecar`)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pymongo.errors import PyMongoError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reporting_pipeline.console import signing_in
from reporting_pipeline.console.deployment import FormRefused, SignInNeeded
from reporting_pipeline.console.kept_forms import comes_from_here, kept_page, written_in
from reporting_pipeline.console.pages import ROUTERS, reference
from reporting_pipeline.console.pages.layout import Page
from reporting_pipeline.console.provider import IdentityProvider
from reporting_pipeline.console.rendering import html, tokens_css
from reporting_pipeline.console.sessions import Cookies, Visitor, visitor_of
from reporting_pipeline.usecases.callers.context import Context
from reporting_pipeline.usecases.callers.names import NOT_OURS, Names
from reporting_pipeline.usecases.callers.problems import Problem
from reporting_pipeline.usecases.callers.strangers import Strangers
from reporting_pipeline.usecases.callers.traced import TracedMiddleware
from reporting_pipeline.usecases.report_types import report_types

log = logging.getLogger(__name__)

FORM_LIMIT_BYTES = 300_000
UPLOAD_PATH = "/console/documents/new"
STATIC = "/console/static/"
TOO_MUCH = "Nothing was done. Go back: what you wrote stands there; shorten it, or choose a smaller file."
FOREIGN = "Nothing was done. Open the page here, and send its form from there."
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "object-src 'self'; frame-src 'self'; form-action 'self'; frame-ancestors 'self'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_STATIC = {"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml"}


def create_console(
    context: Context, api_document: Callable[[], Mapping[str, Any]] = reference.nothing
) -> ASGIApp:
    """The console of a deployment, on the API's own parts: the same stores, limits and clock.

    `api_document` gives the OpenAPI document that /docs shows.
    """
    app = _empty_app()
    app.router.routes.extend(_served_routes())
    app.state.context = context
    app.state.api_document = api_document
    app.state.cookies = Cookies(context.settings)
    app.state.provider = IdentityProvider(context.settings) if context.settings.oidc_issuer else None
    _errors(app)
    # Inside the framework's own last catch, which would answer before ours.
    app.add_middleware(
        _Front,
        https=context.settings.public_url.startswith("https:"),
        called=Names.of(context.settings),
        upload_limit=context.settings.upload_limit_bytes,
        cookies=app.state.cookies,
        strangers=Strangers(context.settings.anonymous_per_minute, context.settings.trusted_networks),
    )
    app.add_middleware(TracedMiddleware)
    return app


def _empty_app() -> FastAPI:
    return FastAPI(title="Console", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)


@lru_cache(maxsize=1)
def _served_routes() -> list[BaseRoute]:
    """The routes as they are served, one set for all applications of a process, as the API's are."""
    app = _empty_app()
    before = len(app.router.routes)
    app.include_router(signing_in.router)
    for router in ROUTERS:
        app.include_router(router)
    app.add_api_route("/console/static/{name}", _static, methods=["GET"])
    app.add_api_route("/console/static/types/{name}.png", _type_picture, methods=["GET"])
    return app.router.routes[before:]


def _static(name: str) -> Response:
    headers = {"cache-control": "public, max-age=300"}
    if name == "tokens.css":
        return Response(tokens_css(), media_type="text/css", headers=headers)
    if name not in _STATIC:
        raise HTTPException(404)
    text = files("reporting_pipeline.console").joinpath("static", name).read_text(encoding="utf-8")
    return Response(text, media_type=_STATIC[name], headers=headers)


def _type_picture(name: str) -> Response:
    """A page of a report type, as its renderer made it of the sample trial (.ci/type_pictures.py)."""
    if name not in report_types():
        raise HTTPException(404)
    picture = files("reporting_pipeline.console").joinpath("static", "types", f"{name}.png")
    if not picture.is_file():
        raise HTTPException(404)
    headers = {"cache-control": "public, max-age=86400"}
    return Response(picture.read_bytes(), media_type="image/png", headers=headers)


def _errors(app: FastAPI) -> None:
    async def to_sign_in(request: Request, error: Exception) -> Response:
        assert isinstance(error, SignInNeeded)  # noqa: S101 - what it is registered for
        if request.method != "POST":
            return RedirectResponse(error.target, 303)
        return kept_page(request, await written_in(request), None)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, FormRefused)  # noqa: S101
        if error.visitor is not None and comes_from_here(request):
            return kept_page(request, await written_in(request), error.visitor)
        # Without the navigation: it has a form, whose token is for pages alone that a browser vouches for.
        return _error_page(403, "This form is not good any more", "Load its page again, and retry.")

    async def problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)  # noqa: S101
        return await _told(request, error.status, error.title, error.detail)

    async def http(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        words = "There is no such page." if status in (404, 405, 422) else "That did not work."
        return await _told(request, status, words, "")

    app.add_exception_handler(SignInNeeded, to_sign_in)
    app.add_exception_handler(FormRefused, refused)
    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, http)


async def _told(request: Request, status: int, title: str, detail: str) -> Response:
    """What went wrong, with the way to the pages of whoever is signed in."""
    visitor = await run_in_threadpool(_who_is_there, request)
    return _error_page(status, title, detail, Page(visitor, "") if visitor else None)


def _who_is_there(request: Request) -> Visitor | None:
    """Who is signed in, if somebody is; an error page is no use of their session."""
    context: Context = request.app.state.context
    try:
        cookies = request.app.state.cookies
        return visitor_of(context.database, cookies, request, context.now, by_themselves=False)
    except PyMongoError:
        return None  # the page says what went wrong, also while nobody can be looked up


def _error_page(status: int, title: str, detail: str, page: Page | None = None) -> Response:
    return html("error.html", status, title=title, detail=detail, page=page)


class _Front:
    """Sizes, origins, headers and the last catch, before and after every page."""

    def __init__(
        self,
        app: ASGIApp,
        https: bool,
        called: Names,
        upload_limit: int,
        cookies: Cookies,
        strangers: Strangers,
    ) -> None:
        self._app = app
        self._called = called
        self._cookies = cookies
        self._strangers = strangers
        self._upload_limit = upload_limit + FORM_LIMIT_BYTES  # a file, and the fields beside it
        self._headers = dict(_HEADERS)
        if https:
            self._headers["strict-transport-security"] = "max-age=31536000; includeSubDomains"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        started = False

        async def finish(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                answer = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    answer.setdefault(name, value)
            await send(message)

        if not self._called.fit(headers.get("host", "")):
            await _error_page(400, NOT_OURS, "")(scope, receive, finish)
            return
        length = headers.get("content-length", "0")
        most = self._upload_limit if scope["path"] == UPLOAD_PATH else FORM_LIMIT_BYTES
        if not length.isdecimal() or int(length) > most or "transfer-encoding" in headers:
            await _error_page(413, "That is too much for a form", TOO_MUCH)(scope, receive, finish)
            return
        # A browser says where a form comes from; one of another site changes nothing here.
        if scope["method"] == "POST" and headers.get("sec-fetch-site", "same-origin") != "same-origin":
            await _error_page(403, "This form came from another site", FOREIGN)(scope, receive, finish)
            return
        try:
            if self._is_strangers(scope):
                self._strangers.admit(scope)
            await self._app(scope, receive, finish)
        except Problem as problem:
            page = _error_page(problem.status, problem.title, problem.detail)
            page.headers.update(problem.headers)
            await page(scope, receive, finish)
        except Exception:
            if started:
                raise
            number = uuid4().hex
            log.exception("console request %s failed", number)
            page = _error_page(500, "Something went wrong on our side", f"Tell the operators: {number}")
            await page(scope, receive, finish)

    def _is_strangers(self, scope: Scope) -> bool:
        """Whether a request costs more than a file of ours and shows no session that we signed: what somebody
        who is not signed in makes us do has a limit, as with the API."""
        return not scope["path"].startswith(STATIC) and self._cookies.read(Request(scope)) is None
