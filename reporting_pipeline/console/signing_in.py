"""Signing in and out: OpenID Connect (code flow with PKCE), and one click per role on one's own machine."""

from __future__ import annotations

import hmac
import logging
import secrets
from dataclasses import asdict
from datetime import datetime
from hashlib import sha256
from typing import Annotated

import requests
from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from reporting_pipeline.console.deployment import Form, FormRefused, Jar, OwnForm, Parts, Person, Posted
from reporting_pipeline.console.pages.layout import done_at
from reporting_pipeline.console.provider import Attempt, IdentityProvider, SignInFailed
from reporting_pipeline.console.rendering import html
from reporting_pipeline.console.wording import DONE
from reporting_pipeline.domain.access import Role, User
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import audit, sessions, users
from reporting_pipeline.stores.subscription_lists import last_owner_of_type
from reporting_pipeline.usecases.callers.context import Context
from reporting_pipeline.usecases.callers.origins import origin_of
from reporting_pipeline.usecases.callers.problems import Problem
from reporting_pipeline.usecases.callers.refusals import note_refusal
from reporting_pipeline.usecases.callers.tokens import local_user, local_user_id

log = logging.getLogger(__name__)

router = APIRouter(prefix="/console")

HOME = "/console/"
_UNDER_WAY = "sign-in-under-way"  # and a mark of its state: each tab comes back by its own
_PRE = "sign-in"  # a cookie of the sign-in page, so that nobody can sign a stranger in by a form of theirs


def is_local(settings: Settings) -> bool:
    """Whether roles may be tried by one click: never where real people are."""
    return settings.environment in ("local", "test")


@router.get("/sign-in")
def sign_in_page(
    request: Request,
    parts: Parts,
    next: Annotated[str, Query(max_length=2000)] = HOME,
    anew: bool = False,
    done: str = "",
) -> Response:
    """`anew`: for what a recent sign-in is needed; the provider asks again then."""
    token = secrets.token_urlsafe(24)
    page = html(
        "sign_in.html",
        roles=[role.value for role in Role if role is not Role.SERVICE] if is_local(parts.settings) else [],
        readers=_readers(parts) if is_local(parts.settings) else {},
        next=safe_target(next),
        anew=anew,
        token=token,
        single_sign_on=request.app.state.provider is not None,
        done=DONE.get(done, ""),
    )
    page.set_cookie(
        _PRE,
        token,
        max_age=3600,
        httponly=True,
        secure=parts.settings.public_url.startswith("https:"),
        samesite="strict",
        path="/console/sign-in",
    )
    return page


@router.post("/sign-in/local")
def sign_in_locally(request: Request, form: Posted, parts: Parts, cookies: Jar) -> Response:
    """As this machine's own user of a role or a reader of an audience. Refused outside a local deployment."""
    if not is_local(parts.settings):
        raise FormRefused
    _check_first_form(request, form)
    reader, role = form.text("reader"), form.text("role")
    if reader:
        found = _readers(parts).get(reader)
        if found is None:
            raise FormRefused
        return signed_in(parts, cookies, found.id, safe_target(form.text("next")), parts.now)
    if role not in {one.value for one in Role if one is not Role.SERVICE}:
        raise FormRefused
    user = local_user(parts.database, parts.settings, role, parts.now)
    return signed_in(parts, cookies, user, safe_target(form.text("next")), parts.now)


def _readers(parts: Context) -> dict[str, User]:
    """A reader of each audience, and one who gets listings of data, where there is one beside the roles' own
    users.
    """
    database, home = parts.database, parts.settings.organisation
    taken = {local_user_id(role.value) for role in Role}
    found: dict[str, User] = {}
    lister = users.get_user(database, last_owner_of_type(database, home, "data_listing") or "", home)
    reads_alone = lister is not None and lister.active and lister.roles == {Role.SUBSCRIBER}
    listing = lister if lister is not None and reads_alone and lister.id not in taken else None
    taken |= {listing.id} if listing else set()
    for audience in Audience:
        if (reader := users.last_of_audience(database, home, audience, taken)) is not None:
            found[audience.value] = reader
    return {**found, "data_manager": listing} if listing else found


def signed_in(
    parts: Parts, cookies: Jar, user: str, target: str, authenticated_at: datetime | None
) -> Response:
    """Begin a session of `user`, who proved it then, and go on to `target`."""
    known = users.get_user(parts.database, user)
    token = sessions.begin_session(parts.database, user, parts.now, authenticated_at)
    audit.record(
        parts.database,
        audit.AuditAction.SIGNED_IN,
        user,
        user,
        parts.now,
        organisation=known.organisation if known else parts.settings.organisation,
    )
    answer = RedirectResponse(target, 303)
    cookies.write(answer, token)
    answer.delete_cookie(_PRE, path="/console/sign-in")
    return answer


@router.get("/sign-in/provider")
def to_provider(
    request: Request,
    parts: Parts,
    next: Annotated[str, Query(max_length=2000)] = HOME,
    anew: bool = False,
) -> Response:
    """Off to the identity provider; what the way back has to prove stays here."""
    provider = provider_of(request)
    try:
        address, attempt = provider.begin(safe_target(next), anew=anew)
    except (requests.RequestException, ValueError, KeyError) as error:
        log.warning("the identity provider does not answer as it should: %s", error)
        raise Problem("unavailable", "The identity provider does not answer; try again later.") from None
    token = sessions.begin_sign_in(parts.database, asdict(attempt), parts.now)
    answer = RedirectResponse(address, 303)
    # Lax: the browser comes back from another site, by a link.
    answer.set_cookie(
        _under_way(attempt.state),
        token,
        max_age=int(sessions.SIGN_IN_WITHIN.total_seconds()),
        httponly=True,
        secure=parts.settings.public_url.startswith("https:"),
        samesite="lax",
        path="/console/sign-in",
    )
    return answer


@router.get("/sign-in/callback")
def from_provider(request: Request, parts: Parts, cookies: Jar) -> Response:
    """Back from the identity provider. Whatever is wrong, the answer is the same."""
    provider = provider_of(request)
    begun = _under_way(request.query_params.get("state", ""))
    kept = sessions.take_sign_in(parts.database, request.cookies.get(begun, ""), parts.now)
    try:
        if kept is None:
            raise SignInFailed("this browser began no sign-in, or too long ago")
        attempt = Attempt(**kept)
        proved = provider.finish(request.url.query, attempt)
        user = users.get_user(parts.database, proved.user)
        if user is None or not user.active:
            raise SignInFailed("the provider names nobody active here")
    except SignInFailed as failure:
        log.warning("sign-in refused: %s", failure)
        note_refusal(
            parts,
            None,
            403,
            method=request.method,
            route=request.url.path,
            subject=request.url.path.strip("/").replace("/", "."),
            host=origin_of(
                request.client.host if request.client else "",
                request.headers.getlist("x-forwarded-for"),
                parts.settings.trusted_networks,
            ),
        )
        raise Problem("forbidden", "You could not be signed in. Begin anew, or ask your admins.") from None
    answer = signed_in(parts, cookies, user.id, attempt.target, proved.authenticated_at)
    answer.delete_cookie(begun, path="/console/sign-in")
    return answer


def _under_way(state: str) -> str:
    """The cookie of one way to the provider and back."""
    return f"{_UNDER_WAY}-{sha256(state.encode()).hexdigest()[:16]}"


def provider_of(request: Request) -> IdentityProvider:
    provider = request.app.state.provider
    if not isinstance(provider, IdentityProvider):
        raise Problem("not-found", "This deployment has no identity provider.")
    return provider


@router.post("/sign-out")
def sign_out(form: OwnForm, visitor: Person, parts: Parts, cookies: Jar) -> Response:
    """End this session, or with `everywhere` all of this person's."""
    if form.has("everywhere"):
        sessions.end_sessions_of(parts.database, visitor.user.id)
    sessions.end_session(parts.database, visitor.session.id)
    user = visitor.user
    audit.record(
        parts.database,
        audit.AuditAction.SIGNED_OUT,
        user.id,
        user.id,
        parts.now,
        organisation=user.organisation,
        details={"everywhere": form.has("everywhere")},
    )
    answer = done_at("/console/sign-in", "signed-out-everywhere" if form.has("everywhere") else "signed-out")
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
