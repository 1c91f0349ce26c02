"""The sidecar process: the API for machines and the console for people, side by side on one port.

Neither knows the other; what both do is in `usecases`. `app_from_environment` is what uvicorn's
workers call.
"""

from __future__ import annotations

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from reporting_pipeline.api.app import app_from_environment as api_from_environment
from reporting_pipeline.api.app import openapi_document
from reporting_pipeline.console.app import create_console


class Sidecar:
    """Sends each request to the console or to the API, by its address."""

    def __init__(self, api: FastAPI, console: ASGIApp) -> None:
        self._api = api
        self._console = console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        people = scope["type"] == "http" and (path in ("/", "/docs") or path.startswith("/console/"))
        await (self._console if people else self._api)(scope, receive, send)


def sidecar_of(api: FastAPI) -> Sidecar:
    """The console on the parts of an API that stands."""
    return Sidecar(api, create_console(api.state.context, openapi_document))


def app_from_environment() -> Sidecar:
    """For `uvicorn --factory reporting_pipeline.sidecar:app_from_environment`."""
    return sidecar_of(api_from_environment())
