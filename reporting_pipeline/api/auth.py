"""Who is calling: bearer tokens, checked before any route is looked at.

The token says who (`sub`), and nothing else is taken from it: organisation, roles and trials are read
from `users` at every request, so that what is withdrawn is withdrawn at once. What a role may do is
in `domain.access` and asked for in the routes (`deps`).

Which algorithms are good is decided by the deployment, never by the token: with a JWKS only RS256 and
ES256 by the key's own type, without one only HS256 with the deployment's secret. A public key can so
never serve as an HMAC secret.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jwt
from jwt.exceptions import PyJWTError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reporting_pipeline.api.errors import problem_response
from reporting_pipeline.api.keys import Keys, keys_of
from reporting_pipeline.domain.access import User
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import users
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.usecases.callers.problems import Problem
from reporting_pipeline.usecases.callers.tokens import authenticated_at

REQUIRED_CLAIMS = ("exp", "iat", "sub", "aud", "iss")
LEEWAY_SECONDS = 10  # between the clocks of two machines
LONGEST_TOKEN_TEXT = 8192
REFUSED = frozenset({401, 403, 404})
LONGEST_LIFE_SECONDS = 30 * 86_400 + LEEWAY_SECONDS


class Authenticator:
    """Tells who is calling. Safe to share between threads."""

    def __init__(self, settings: Settings, database: Database, keys: Keys | None = None) -> None:
        self._settings = settings
        self._database = database
        self._keys = keys or keys_of(settings)

    def user(self, authorization: str | None) -> User:
        """The caller of a request with this Authorization header. Raises Problem (401, 403)."""
        claims = self._claims(_bearer(authorization))
        user = users.get_user(self._database, str(claims["sub"]))
        if user is None:
            raise Problem("unauthenticated", "The token names nobody known here.")
        if not user.active:
            raise Problem("forbidden", "This user is deactivated.")
        return replace(user, authenticated_at=authenticated_at(claims))

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._keys.find(token),
                algorithms=self._keys.algorithms,
                audience=self._settings.jwt_audience,
                issuer=self._settings.jwt_issuer,
                leeway=LEEWAY_SECONDS,
                # PyJWT takes a token without exp unless it is told to require it.
                options={"require": list(REQUIRED_CLAIMS)},
            )
        except jwt.ExpiredSignatureError:
            raise Problem("unauthenticated", "The token has expired.") from None
        except (PyJWTError, ValueError, TypeError, RecursionError):
            # One answer for every other fault: which check failed is no business of a forger.
            raise Problem("unauthenticated", "The token is not valid.") from None
        lifetime = float(claims["exp"]) - float(claims["iat"])
        if lifetime > LONGEST_LIFE_SECONDS:
            raise Problem("unauthenticated", "The token lives too long; 30 days is the most.")
        return claims


class AuthenticationMiddleware:
    """Lets nothing but public addresses through without a good token; puts the caller into the state."""

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        is_public: Callable[[str], bool],
        admit: Callable[[User], None],
        check_role: Callable[[User, Scope], None] = lambda _caller, _scope: None,
        note_refusal: Callable[[User | None, Scope, int], None] = lambda _caller, _scope, _status: None,
        admit_stranger: Callable[[Scope], None] = lambda _scope: None,
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._is_public = is_public
        self._admit = admit  # the rate limit; raises Problem
        self._check_role = check_role  # what the address needs; raises Problem
        self._note_refusal = note_refusal  # into the audit log
        self._admit_stranger = admit_stranger  # the limit of those without a good token; raises Problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._is_public(scope["path"]):
            try:
                self._admit_stranger(scope)
            except Problem as problem:
                await problem_response(problem, scope["path"])(scope, receive, send)
                return
            await self._app(scope, receive, send)
            return
        caller: User | None = None

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in REFUSED:
                await run_in_threadpool(self._note_refusal, caller, scope, message["status"])
            await send(message)

        try:
            try:
                caller = await run_in_threadpool(self._enter, Headers(scope=scope).get("authorization"))
            except Problem as problem:
                if problem.status == 401:
                    self._admit_stranger(scope)
                raise
            self._check_role(caller, scope)  # before the first byte of the body is read
        except Problem as problem:
            await problem_response(problem, scope["path"])(scope, receive, noted)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, noted)

    def _enter(self, authorization: str | None) -> User:
        user = self._authenticator.user(authorization)
        self._admit(user)
        return user


def _bearer(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Problem("unauthenticated", "Send a token: Authorization: Bearer …")
    if len(token) > LONGEST_TOKEN_TEXT:
        raise Problem("unauthenticated", "The token is not valid.")
    return token.strip()
