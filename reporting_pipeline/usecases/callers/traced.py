"""The outermost layer of the API and of the console: a request is a span.

What a caller says in `traceparent` is continued. The span has the route's template for its name, since
addresses hold tokens of links.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reporting_pipeline import tracing
from reporting_pipeline.usecases.callers.names import PROBES


class TracedMiddleware:
    """Makes no span for probes, and none where nothing is traced."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES or not tracing.on():
            await self._app(scope, receive, send)
            return
        parent = tracing.adopted(Headers(scope=scope).get("traceparent", ""))
        with tracing.span(scope["method"], parent) as span:

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    route = getattr(scope.get("route"), "path", "")
                    if route:
                        span.named(f"{scope['method']} {route}")
                    span.note(**{"http.response.status_code": message["status"], "http.route": route})
                    if message["status"] >= 500:
                        span.failed(str(message["status"]))
                await send(message)

            await self._app(scope, receive, noted)
