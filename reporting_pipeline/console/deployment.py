"""What a page asks for: the deployment's parts, and the person in front of the screen."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Request
from starlette.datastructures import FormData

from reporting_pipeline.console.sessions import Cookies, Visitor, visitor_of
from reporting_pipeline.usecases.callers.context import Context

SIGN_IN = "/console/sign-in"
MOST_FIELDS = 1_000
#: Sent by a page that fetches itself anew (console.js): that is no use of a session.
RENEWS_ITSELF = "x-renews-itself"


class SignInNeeded(Exception):
    """Nobody is signed in; `target` is where to go on afterwards."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.target = f"{SIGN_IN}?next={quote(target)}"


class FormRefused(Exception):
    """A form that was not sent from a page of this session. `visitor`: who is signed in, if somebody is."""

    def __init__(self, visitor: Visitor | None = None) -> None:
        super().__init__("the form is not of this session")
        self.visitor = visitor


async def _parts(request: Request) -> Context:
    parts: Context = request.app.state.context
    return parts


def _cookies(request: Request) -> Cookies:
    cookies: Cookies = request.app.state.cookies
    return cookies


Parts = Annotated[Context, Depends(_parts)]
Jar = Annotated[Cookies, Depends(_cookies)]


def _visitor(request: Request, parts: Parts, cookies: Jar) -> Visitor:
    by_themselves = RENEWS_ITSELF not in request.headers
    found = visitor_of(parts.database, cookies, request, parts.now, by_themselves=by_themselves)
    return _signed_in(found, request)


def _listener(request: Request, parts: Parts, cookies: Jar) -> Visitor:
    found = visitor_of(parts.database, cookies, request, parts.now, by_themselves=False)
    return _signed_in(found, request)


def _signed_in(found: Visitor | None, request: Request) -> Visitor:
    if found is None:
        target = request.url.path if request.method == "GET" else "/console/"
        raise SignInNeeded(f"{target}?{request.url.query}" if request.url.query else target)
    return replace(found, done=request.query_params.get("done", ""))


Person = Annotated[Visitor, Depends(_visitor)]
#: A person whose page asks by itself: that is no use of their session.
Listener = Annotated[Visitor, Depends(_listener)]


class Form:
    """The fields of a posted form, as text; a field may come several times."""

    def __init__(self, data: FormData) -> None:
        self._data = data

    def text(self, name: str, default: str = "") -> str:
        value = self._data.get(name)
        return value.strip() if isinstance(value, str) else default

    def all(self, name: str) -> tuple[str, ...]:
        return tuple(value.strip() for value in self._data.getlist(name) if isinstance(value, str))

    def has(self, name: str) -> bool:
        return name in self._data

    def written(self) -> list[tuple[str, str]]:
        """Every field but the token of the session, as it was sent."""
        pairs = self._data.multi_items()
        return [(name, value) for name, value in pairs if isinstance(value, str) and name != "csrf"]


async def read_form(request: Request) -> Form:
    return Form(await request.form(max_files=0, max_fields=MOST_FIELDS))


Posted = Annotated[Form, Depends(read_form)]


def _own_form(form: Posted, visitor: Person) -> Form:
    if not visitor.sent_by_us(form.text("csrf")):
        raise FormRefused(visitor)
    return form


#: A form of this session. Every route that changes something takes it.
OwnForm = Annotated[Form, Depends(_own_form)]
