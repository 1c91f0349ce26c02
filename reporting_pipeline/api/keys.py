"""Where the key that checks a token comes from: the identity provider's JWKS, or one shared secret.

The provider is believed about keys and about nothing else: its answer is bounded in size and time, it
may send us nowhere, and whatever is wrong with the answer, the keys last read serve on.
"""

from __future__ import annotations

import http.client
import json
import logging
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from email.message import Message
from pathlib import Path
from typing import Any, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.exceptions import PyJWTError

from reporting_pipeline.domain.keyring import BARE, Keyring
from reporting_pipeline.settings import Settings
from reporting_pipeline.settings.values import refuse_open_keys

log = logging.getLogger(__name__)

ASYMMETRIC = {"RSA": "RS256", "EC": "ES256"}
RSA_BITS = range(2048, 8192 + 1)  # RFC 7518 asks for 2048; checking with an immense one takes seconds
JWKS_LIFESPAN_SECONDS = 300.0
JWKS_PAUSE_SECONDS = 10.0  # an unknown key id asks the provider again, at most this often
JWKS_DEADLINE_SECONDS = 5.0  # of one answer, from the name's look-up to the last byte
JWKS_LARGEST_BYTES = 1_000_000
CHUNK = 65_536


class Keys(Protocol):
    """Where the key that checks a token comes from."""

    algorithms: list[str]

    def find(self, token: str) -> Any:
        """The key for this token; PyJWTError when there is none."""
        ...


class SharedSecret:
    """One secret for both sides: local work, tests, or a deployment that set its own.

    Several while they change (`Keyring`): a token names the one that signed it by `kid`, none the bare one.
    """

    def __init__(self, secret: str) -> None:
        self.algorithms = ["HS256"]
        self._keys = Keyring.read(secret)

    def find(self, token: str) -> bytes:
        name = jwt.get_unverified_header(token).get("kid", BARE)
        if not isinstance(name, str) or name not in self._keys.keys:
            raise jwt.InvalidTokenError("the token names an unknown key")
        return self._keys.keys[name]


class JwksUnreadable(ValueError):
    """The answer is no JWKS, or none that came whole and in time."""


class Jwks:
    """The identity provider's public keys, kept for five minutes.

    When the provider does not answer, or answers with no usable key, the keys last read serve on: its
    outage is not ours.
    """

    def __init__(self, read: Callable[[], Any], clock: Callable[[], float] = time.monotonic) -> None:
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
            try:
                keys = {str(key.key_id): key for key in usable_keys(_entries(self._read()))}
            except (OSError, ValueError, RecursionError, http.client.HTTPException) as error:
                log.warning("the JWKS could not be read: %s: %s", type(error).__name__, str(error)[:200])
            else:
                self._keys = keys
            finally:
                # After the reading: others that waited for it do not read again.
                self._read_at = self._clock()


def _entries(document: Any) -> list[Any]:
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise JwksUnreadable("it is no JSON object with a list of keys")
    return entries


def usable_keys(entries: Iterable[Any]) -> list[jwt.PyJWK]:
    """The signing keys with a name among a JWKS's entries; symmetric and other ones are left out.

    Raises JwksUnreadable when there is none: a provider without keys is a provider out of order.
    """
    keys = [key for entry in entries if (key := _usable(entry)) is not None]
    if not keys:
        raise JwksUnreadable("it holds no usable key")
    return keys


def _usable(entry: Any) -> jwt.PyJWK | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    algorithm = ASYMMETRIC.get(str(entry.get("kty")))
    name = entry.get("kid")
    if algorithm is None or entry.get("alg", algorithm) != algorithm or not name or not isinstance(name, str):
        return None
    try:
        key = jwt.PyJWK(entry, algorithm=algorithm)
    except (PyJWTError, ValueError, TypeError, AttributeError, KeyError) as error:
        log.warning("a key of the JWKS is not usable: %s", type(error).__name__)
        return None
    if not _has_the_right_form(key.key):
        log.warning("a key of the JWKS is not usable: it has the wrong size or curve")
        return None
    return key


def _has_the_right_form(key: object) -> bool:
    """PyJWT would check ES256 over any curve, and RS256 with a key of any size."""
    if isinstance(key, RSAPublicKey):
        return key.key_size in RSA_BITS
    return isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)


def keys_of(settings: Settings) -> Keys:
    """Where this deployment's keys come from. ValueError for a JWKS address that is not HTTPS."""
    if settings.jwks_url:
        refuse_open_keys(settings.jwks_url, settings.environment)
        return Jwks(JwksAddress(settings.jwks_url))
    if settings.jwks_file:
        path = Path(settings.jwks_file)
        return Jwks(lambda: json.loads(path.read_bytes()))
    return SharedSecret(settings.jwt_secret.get_secret_value())


# --- one GET -----------------------------------------------------------------------------------


class JwksAddress:
    """Reads the document behind a URL: no redirect, JWKS_LARGEST_BYTES at most, in `deadline` seconds.

    A socket's timeout starts again with every byte, and looking up a name has none. So the reading has
    a thread of its own that is not waited for any longer; while one still hangs no other is started.
    """

    def __init__(self, url: str, deadline: float = JWKS_DEADLINE_SECONDS) -> None:
        self._url = url
        self._deadline = deadline
        self._under_way: threading.Thread | None = None

    def __call__(self) -> Any:
        """The JSON document. OSError, ValueError or HTTPException when it cannot be had."""
        if self._under_way is not None and self._under_way.is_alive():
            raise TimeoutError("the request before this one still hangs")
        answers: list[bytes] = []
        problems: list[Exception] = []
        thread = threading.Thread(target=self._get, args=(answers, problems), daemon=True, name="jwks")
        self._under_way = thread
        thread.start()
        thread.join(self._deadline)
        if problems:
            raise problems[0]
        if not answers:
            raise TimeoutError(f"no whole answer in {self._deadline:g} s")
        return json.loads(answers[0])

    def _get(self, answers: list[bytes], problems: list[Exception]) -> None:
        try:
            answers.append(self._body(time.monotonic() + self._deadline))
        except Exception as error:  # it is raised where it is waited for
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            problems.append(error)

    def _body(self, until: float) -> bytes:
        opener = urllib.request.build_opener(_NoRedirects())
        request = urllib.request.Request(self._url, headers={"Accept": "application/json"})  # noqa: S310 - keys_of saw to the scheme
        body = bytearray()
        with opener.open(request, timeout=self._deadline) as response:
            while chunk := response.read1(CHUNK):
                body += chunk
                if len(body) > JWKS_LARGEST_BYTES:
                    raise JwksUnreadable(f"it is larger than {JWKS_LARGEST_BYTES} bytes")
                if time.monotonic() > until:
                    raise TimeoutError("the answer drips")
            if response.length:  # read1 does not say that the end is missing
                raise http.client.IncompleteRead(bytes(body[:0]), response.length)
        return bytes(body)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The keys are at the address that the deployment names; a 3xx is an outage."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None
