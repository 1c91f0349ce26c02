"""Signing in and out: OpenID Connect (code flow with PKCE), and one click per role on one's own machine."""

from __future__ import annotations

import hmac
import secrets
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from reporting_pipeline.api.tokens import local_user
from reporting_pipeline.console.deployment import Form, FormRefused, Jar, OwnForm, Parts, Person, Posted
from reporting_pipeline.console.rendering import html
from reporting_pipeline.domain.access import Role
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import audit, sessions

router = APIRouter(prefix="/console")

HOME = "/console/"
_PRE = "sign-in"  # a cookie of the sign-in page, so that nobody can sign a stranger in by a form of theirs


def is_local(settings: Settings) -> bool:
    """Whether roles may be tried by one click: never where real people are."""
    return settings.environment in ("local", "test")


@router.get("/sign-in")
def sign_in_page(
    request: Request, parts: Parts, next: Annotated[str, Query(max_length=2000)] = HOME
) -> Response:
    token = secrets.token_urlsafe(24)
    page = html(
        "sign_in.html",
        roles=[role.value for role in Role if role is not Role.SERVICE] if is_local(parts.settings) else [],
        next=safe_target(next),
        token=token,
        single_sign_on=request.app.state.provider is not None,
    )
    page.set_cookie(_PRE, token, max_age=3600, httponly=True, samesite="strict", path="/console/sign-in")
    return page


@router.post("/sign-in/local")
def sign_in_locally(request: Request, form: Posted, parts: Parts, cookies: Jar) -> Response:
    """As this machine's own user of a role. Refused outside a local deployment."""
    if not is_local(parts.settings):
        raise FormRefused
    _check_first_form(request, form)
    role = form.text("role")
    if role not in {one.value for one in Role if one is not Role.SERVICE}:
        raise FormRefused
    user = local_user(parts.database, parts.settings, role, parts.now)
    return signed_in(parts, cookies, user, safe_target(form.text("next")))


def signed_in(parts: Parts, cookies: Jar, user: str, target: str) -> Response:
    """Begin a session of `user` and go on to `target`."""
    token = sessions.begin_session(parts.database, user, parts.now)
    audit.record(
        parts.database,
        audit.Action.SIGNED_IN,
        user,
        user,
        parts.now,
        organisation=parts.settings.organisation,
    )
    answer = RedirectResponse(target, 303)
    cookies.write(answer, token)
    answer.delete_cookie(_PRE, path="/console/sign-in")
    return answer


@router.post("/sign-out")
def sign_out(form: OwnForm, visitor: Person, parts: Parts, cookies: Jar) -> Response:
    """End this session, or with `everywhere` all of this person's."""
    if form.has("everywhere"):
        sessions.end_sessions_of(parts.database, visitor.user.id)
    sessions.end_session(parts.database, visitor.session.id)
    answer = RedirectResponse("/console/sign-in", 303)
    cookies.clear(answer)
    return answer


def safe_target(target: str) -> str:
    """A page of this console, or its home: never another host."""
    plain = target.startswith("/console/") and not any(c in target for c in "\\\r\n\t")
    return target if plain and "//" not in target.partition("?")[0] else HOME


def _check_first_form(request: Request, form: Form) -> None:
    expected = request.cookies.get(_PRE, "")
    if not expected or not hmac.compare_digest(form.text("csrf").encode(), expected.encode()):
        raise FormRefused
