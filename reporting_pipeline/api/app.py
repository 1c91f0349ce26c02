"""The application: its layers, its routes, and what they share.

From outside in: guard (sizes, headers, last catch), HEAD as GET, authentication and the request limit,
idempotency, routes. `create_app` needs no environment; `app_from_environment` is what uvicorn's workers call.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.responses import JSONResponse
from starlette.routing import BaseRoute

from reporting_pipeline import tracing
from reporting_pipeline.api import errors, openapi
from reporting_pipeline.api.auth import AuthenticationMiddleware, Authenticator
from reporting_pipeline.api.deps import (
    known_parameters,
    no_surplus_body,
    no_vain_condition,
    role_check,
    unambiguous_body,
)
from reporting_pipeline.api.guard import GuardMiddleware
from reporting_pipeline.api.idempotency import IdempotencyMiddleware
from reporting_pipeline.api.methods import HeadMiddleware
from reporting_pipeline.api.refusals import note_refusal
from reporting_pipeline.api.routes import ROUTERS
from reporting_pipeline.delivery.links.masking import mask_links_in_logs
from reporting_pipeline.domain.access import User
from reporting_pipeline.operations import logs
from reporting_pipeline.settings import Settings, current_settings
from reporting_pipeline.stores import audit
from reporting_pipeline.stores.mongo import Database, open_database
from reporting_pipeline.stores.objects import ObjectStore, open_object_store
from reporting_pipeline.usecases.callers.context import Context
from reporting_pipeline.usecases.callers.cursors import Cursors
from reporting_pipeline.usecases.callers.limits import RateLimits
from reporting_pipeline.usecases.callers.names import Names
from reporting_pipeline.usecases.callers.strangers import Strangers
from reporting_pipeline.usecases.callers.traced import TracedMiddleware

log = logging.getLogger(__name__)

PUBLIC = frozenset(
    {
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/webhooks/sendgrid",
        "/.well-known/report-keys.json",
    }
)
PUBLIC_PREFIXES = ("/r/", "/unsubscribe/", "/confirm-address/", "/v/")


def utc_now() -> datetime:
    return datetime.now(UTC)


def is_public(path: str) -> bool:
    """Whether an address needs no bearer token. Everything that is not named here needs one."""
    return path in PUBLIC or path.startswith(PUBLIC_PREFIXES)


def create_app(
    settings: Settings,
    database: Database | None = None,
    objects: ObjectStore | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> FastAPI:
    """The API of a deployment. Stores that are not given are opened from `settings`.

    Raises ValueError without MONGODB_URI, or for a JWKS address that is not HTTPS. From then on no log of
    this process holds a link.
    """
    mask_links_in_logs()
    if database is None:
        if settings.mongodb_uri is None:
            raise ValueError("MONGODB_URI is not set; `reporting-pipeline dev` starts an embedded server")
        database = open_database(settings.mongodb_uri.get_secret_value(), settings.mongodb_database)
    context = Context(
        settings=settings,
        database=database,
        objects=objects or open_object_store(settings),
        limits=RateLimits(settings, database),
        cursors=Cursors(settings),
        clock=clock,
    )
    app = _bare_app()
    app.state.context = context

    @app.api_route("/openapi.json", methods=["GET", "HEAD"], include_in_schema=False)
    def openapi_json() -> JSONResponse:
        return JSONResponse(openapi_document())

    _add_layers(app, context)
    return app


def app_from_environment() -> FastAPI:
    """For `uvicorn --factory reporting_pipeline.api.app:app_from_environment`."""
    os.umask(0o077)  # logs and caches are read by nobody else
    logs.set_up(current_settings())
    tracing.set_up(current_settings())
    app = create_app(current_settings())
    context: Context = app.state.context
    try:  # from the first row on: what is not anchored yet could be deleted whole
        audit.anchor_when_due(context.database, context.objects, context.now)
    except Exception:
        log.exception("the audit log could not be anchored")
    return app


@lru_cache(maxsize=1)
def openapi_document() -> dict[str, Any]:
    """The OpenAPI document, without any server or store."""
    return openapi.document(_bare_app(), version("reporting-pipeline"), is_public)


def _bare_app() -> FastAPI:
    app = _empty_app()
    errors.install(app, _routes())
    app.router.routes.extend(_served_routes())
    return app


def _empty_app() -> FastAPI:
    # The interactive pages load scripts from a public CDN, so they are off; the document is served.
    return FastAPI(
        title="Reporting pipeline",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        generate_unique_id_function=openapi.operation_id,
    )


@lru_cache(maxsize=1)
def _served_routes() -> list[BaseRoute]:
    """The routes as they are served, one set for all applications of a process.

    FastAPI works out what each one takes at its first request, which is half a second of work. Routes know
    no deployment: theirs is in the state of the application that serves them.
    """
    app = _empty_app()
    before = len(app.router.routes)
    strict = [
        Depends(each) for each in (known_parameters, unambiguous_body, no_surplus_body, no_vain_condition)
    ]
    for router in ROUTERS:
        app.include_router(router, dependencies=strict)
    return app.router.routes[before:]


def _routes() -> list[BaseRoute]:
    return [route for router in ROUTERS for route in router.routes]


def _add_layers(app: FastAPI, context: Context) -> None:
    """The last one added is the outermost."""
    settings = context.settings

    def admit(caller: User) -> None:
        context.limits.request(caller.id)

    routes = _routes()
    app.add_middleware(IdempotencyMiddleware, database=context.database, clock=context.clock)
    app.add_middleware(
        AuthenticationMiddleware,
        authenticator=Authenticator(settings, context.database),
        is_public=is_public,
        admit=admit,
        check_role=role_check(routes),
        admit_stranger=Strangers(
            settings.anonymous_per_minute, settings.trusted_networks, (*PUBLIC_PREFIXES, "/webhooks/")
        ).admit,
        note_refusal=lambda caller, scope, status: note_refusal(context, scope, caller, status, routes),
    )
    app.add_middleware(HeadMiddleware, routes=routes)
    app.add_middleware(
        GuardMiddleware,
        upload_limit=settings.upload_limit_bytes,
        https=settings.public_url.startswith("https:"),
        called=Names.of(settings),
    )
    app.add_middleware(TracedMiddleware)
