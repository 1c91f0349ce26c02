"""The organisation's identity provider: OpenID Connect, code flow with PKCE (RFC 7636).

What it says is taken for two things only: who signed in (`sub`, the id of a user here), and when they did
(`auth_time`). Roles and trials are read from `users`, as for the API's tokens.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import jwt
import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session

from reporting_pipeline.settings import Settings
from reporting_pipeline.usecases.callers.tokens import authenticated_at

ALGORITHMS = ["RS256", "ES256", "PS256"]  # signed with a key of the provider's, never with a shared secret
LEEWAY_SECONDS = 10
TIMEOUT_SECONDS = 10


class SignInFailed(Exception):
    """The provider did not say who this is; the message is for the log, not for the screen."""


@dataclass(frozen=True)
class Attempt:
    """What one sign-in has to prove when the browser comes back."""

    state: str
    nonce: str
    verifier: str
    target: str  # where to go on to
    anew: bool = False  # the person has to prove who they are, also where the provider knows them still


@dataclass(frozen=True)
class SignedIn:
    """Who came back from the provider."""

    user: str
    authenticated_at: datetime | None  # when they proved who they are; None where the provider does not say


class IdentityProvider:
    """One provider, by its issuer. What it publishes about itself is read at the first use."""

    def __init__(self, settings: Settings) -> None:
        self._issuer = (settings.oidc_issuer or "").rstrip("/")
        self._client = settings.oidc_client_id
        secret = settings.oidc_client_secret
        self._secret = secret.get_secret_value() if secret else None
        self._callback = settings.public_url.rstrip("/") + "/console/sign-in/callback"

    def begin(self, target: str, *, anew: bool = False) -> tuple[str, Attempt]:
        """The address to send the browser to, and what to keep until it comes back.

        `anew`: the provider has to ask for the proof again, and to say when it was given (OpenID Connect
        Core 1.0, 3.1.2.1); a session that it keeps is not enough for a signature.
        """
        attempt = Attempt(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            target=target,
            anew=anew,
        )
        asked = {"prompt": "login", "max_age": "0"} if anew else {}
        url, _ = self._session().create_authorization_url(
            self._published["authorization_endpoint"],
            state=attempt.state,
            nonce=attempt.nonce,
            code_verifier=attempt.verifier,
            **asked,
        )
        return url, attempt

    def finish(self, query: str, attempt: Attempt) -> SignedIn:
        """Who came back with `query` at the callback. Raises SignInFailed where it does not prove that."""
        try:
            token = self._session(attempt.state).fetch_token(
                self._published["token_endpoint"],
                authorization_response=f"{self._callback}?{query}",
                code_verifier=attempt.verifier,
                timeout=TIMEOUT_SECONDS,
            )
            claims = self._claims(token["id_token"])
        except (AuthlibBaseError, jwt.PyJWTError, requests.RequestException, KeyError, ValueError) as error:
            raise SignInFailed(f"{type(error).__name__}: {error}") from None
        if not secrets.compare_digest(str(claims.get("nonce", "")), attempt.nonce):
            raise SignInFailed("the nonce is not that of this sign-in")
        return SignedIn(str(claims["sub"]), authenticated_at(claims))

    def _session(self, state: str | None = None) -> OAuth2Session:
        return OAuth2Session(
            self._client,
            self._secret,
            scope="openid",
            redirect_uri=self._callback,
            state=state,
            code_challenge_method="S256",
        )

    def _claims(self, token: str) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(
            token,
            _key_of(token, self._published["jwks_uri"]),
            algorithms=ALGORITHMS,
            audience=self._client,
            issuer=self._published["issuer"],
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "iat", "sub", "aud", "iss"]},
        )
        return claims

    @property
    def _published(self) -> dict[str, Any]:
        return _discover(self._issuer)


@lru_cache(maxsize=8)
def _discover(issuer: str) -> dict[str, Any]:
    """What the provider says of itself; a failure is not kept."""
    answer = requests.get(
        f"{issuer}/.well-known/openid-configuration", timeout=TIMEOUT_SECONDS, allow_redirects=False
    )
    answer.raise_for_status()
    published: dict[str, Any] = answer.json()
    if str(published.get("issuer", "")).rstrip("/") != issuer:
        raise ValueError(f"{issuer} says that it is {published.get('issuer')}")
    return published


@lru_cache(maxsize=8)
def _keys(address: str) -> jwt.PyJWKClient:
    return jwt.PyJWKClient(address, timeout=TIMEOUT_SECONDS)


def _key_of(token: str, address: str) -> Any:
    """The provider's key that signed `token`. A provider with one key need not name it."""
    keys = _keys(address)
    if jwt.get_unverified_header(token).get("kid") is not None:
        return keys.get_signing_key_from_jwt(token).key
    signing = keys.get_signing_keys()
    if len(signing) != 1:
        raise ValueError("the token does not name its key, and the provider has several")
    return signing[0].key
