"""Which methods an address takes: the whole of `Allow`, and HEAD, which is GET without the body (RFC 9110).

The router knows the first route of an address only, and gives HEAD to none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def allowed(routes: Sequence[BaseRoute], path: str) -> str:
    """The methods of all routes of `path`, as the header `Allow` names them (RFC 9110, 10.2.1)."""
    found: set[str] = set()
    for route in _at(routes, path):
        found |= route.methods or set()
        if _answers_head(route):
            found.add("HEAD")
    return ", ".join(sorted(found))


class HeadMiddleware:
    """Answers HEAD as GET does, without the body, where that is told by a model of ours.

    Not files, links of mails and streams: looking at them is noted as a download, or never ends.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = scope["type"] == "http" and scope["method"] == "HEAD"
        if not head or not any(_answers_head(route) for route in _at(self._routes, scope["path"])):
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET"}, receive, without_body)


def _at(routes: Sequence[BaseRoute], path: str) -> Iterator[APIRoute]:
    return (route for route in routes if isinstance(route, APIRoute) and route.path_regex.match(path))


def _answers_head(route: APIRoute) -> bool:
    return "GET" in (route.methods or ()) and route.response_field is not None
