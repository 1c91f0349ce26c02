"""Who is calling: bearer tokens, checked before any route is looked at.

The token says who (`sub`), and nothing else is taken from it: organisation, roles and trials are read
from `users` at every request, so that what is withdrawn is withdrawn at once. What a role may do is
in `domain.access` and asked for in the routes (`deps`).

Which algorithms are good is decided by the deployment, never by the token: with a JWKS only RS256 and
ES256 by the key's own type, without one only HS256 with the deployment's secret. A public key can so
never serve as an HMAC secret.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import jwt
from jwt.exceptions import PyJWKClientError, PyJWTError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from reporting_pipeline.api.errors import Problem, problem_response
from reporting_pipeline.domain.access import User
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database

log = logging.getLogger(__name__)

REQUIRED_CLAIMS = ("exp", "iat", "sub", "aud", "iss")
ASYMMETRIC = {"RSA": "RS256", "EC": "ES256"}
LEEWAY_SECONDS = 10  # between the clocks of two machines
JWKS_LIFESPAN_SECONDS = 300.0
JWKS_PAUSE_SECONDS = 10.0  # an unknown key id asks the provider again, at most this often
LONGEST_TOKEN_TEXT = 8192


class Keys(Protocol):
    """Where the key that checks a token comes from."""

    algorithms: list[str]

    def find(self, token: str) -> Any:
        """The key for this token; PyJWTError when there is none."""
        ...


class SharedSecret:
    """One secret for both sides: local work, tests, or a deployment that set its own."""

    def __init__(self, secret: str) -> None:
        self.algorithms = ["HS256"]
        self._secret = secret

    def find(self, token: str) -> str:
        return self._secret


class Jwks:
    """The identity provider's public keys, kept for five minutes.

    When the provider does not answer, the keys last read serve on: its outage is not ours.
    """

    def __init__(
        self, read: Callable[[], dict[str, Any]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.algorithms = sorted(ASYMMETRIC.values())
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at = float("-inf")

    def find(self, token: str) -> jwt.PyJWK:
        kid = jwt.get_unverified_header(token).get("kid")
        if not isinstance(kid, str):
            raise jwt.InvalidTokenError("the token names no key")
        age = self._clock() - self._read_at
        if age > JWKS_LIFESPAN_SECONDS or (kid not in self._keys and age > JWKS_PAUSE_SECONDS):
            self._refresh()
        try:
            return self._keys[kid]
        except KeyError:
            raise jwt.InvalidTokenError("the token names an unknown key") from None

    def _refresh(self) -> None:
        with self._lock:
            if self._clock() - self._read_at < JWKS_PAUSE_SECONDS:
                return  # another thread has just read them
            self._read_at = self._clock()
            try:
                document = self._read()
            except (OSError, ValueError, PyJWKClientError) as error:
                log.warning("the JWKS could not be read: %s", type(error).__name__)
                return
            self._keys = {key.key_id: key for key in usable_keys(document.get("keys", [])) if key.key_id}


def usable_keys(entries: Iterable[Any]) -> list[jwt.PyJWK]:
    """The signing keys among a JWKS's entries. Symmetric keys and other algorithms are left out."""
    keys = []
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
            continue
        algorithm = ASYMMETRIC.get(str(entry.get("kty")))
        if algorithm is None or entry.get("alg", algorithm) != algorithm:
            continue
        try:
            keys.append(jwt.PyJWK(entry, algorithm=algorithm))
        except PyJWTError:
            log.warning("a key of the JWKS is not usable")
    return keys


def keys_of(settings: Settings) -> Keys:
    """Where this deployment's keys come from. ValueError for a JWKS address that is not HTTPS."""
    if settings.jwks_url:
        parts = urlsplit(settings.jwks_url)
        near = settings.environment in ("local", "test") and parts.hostname in ("127.0.0.1", "localhost")
        if parts.scheme != "https" and not (parts.scheme == "http" and near):
            raise ValueError("REPORTING_JWKS_URL must be https")
        client = jwt.PyJWKClient(settings.jwks_url, cache_jwk_set=False, timeout=5)
        return Jwks(client.fetch_data)
    if settings.jwks_file:
        path = Path(settings.jwks_file)
        return Jwks(lambda: json.loads(path.read_bytes()))
    return SharedSecret(settings.jwt_secret.get_secret_value())


class Authenticator:
    """Tells who is calling. Safe to share between threads."""

    def __init__(self, settings: Settings, database: Database, keys: Keys | None = None) -> None:
        self._settings = settings
        self._database = database
        self._keys = keys or keys_of(settings)

    def user(self, authorization: str | None) -> User:
        """The caller of a request with this Authorization header. Raises Problem (401, 403)."""
        record = self._database.users.find_one({"_id": self._subject(_bearer(authorization))})
        if record is None:
            raise Problem("unauthenticated", "The token names nobody known here.")
        user = User.from_record(record)
        if not user.active:
            raise Problem("forbidden", "This user is deactivated.")
        return user

    def _subject(self, token: str) -> str:
        try:
            claims = jwt.decode(
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
        return str(claims["sub"])


class AuthenticationMiddleware:
    """Lets nothing but public addresses through without a good token; puts the caller into the state."""

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        is_public: Callable[[str], bool],
        admit: Callable[[User], None],
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._is_public = is_public
        self._admit = admit  # the rate limit; raises Problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_public(scope["path"]):
            await self._app(scope, receive, send)
            return
        try:
            caller = await run_in_threadpool(self._enter, Headers(scope=scope).get("authorization"))
        except Problem as problem:
            await problem_response(problem, scope["path"])(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)

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
