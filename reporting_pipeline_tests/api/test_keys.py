"""The identity provider's keys over HTTP: taken up, rotated, and not missed while it is out of order."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from reporting_pipeline.api.keys import (
    JWKS_LARGEST_BYTES,
    JWKS_LIFESPAN_SECONDS,
    JWKS_PAUSE_SECONDS,
    Jwks,
    JwksAddress,
    keys_of,
    usable_keys,
)
from reporting_pipeline.settings import Settings
from reporting_pipeline_tests.api.conftest import Api
from reporting_pipeline_tests.api.test_rights import claims_for
from reporting_pipeline_tests.waiting import wait_until

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
DEADLINE = 120.0  # seconds, where there is an answer
SHORT = 1.0  # where there never is one

Answer = Callable[[BaseHTTPRequestHandler], None]


def jwk(key: Any, kid: str) -> dict[str, Any]:
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    algorithm = jwt.algorithms.RSAAlgorithm if is_rsa else jwt.algorithms.ECAlgorithm
    public: dict[str, Any] = algorithm.to_jwk(key.public_key(), as_dict=True)
    return {**public, "kid": kid, "use": "sig", "alg": "RS256" if is_rsa else "ES256"}


def document(**keys: Any) -> bytes:
    return json.dumps({"keys": [jwk(key, kid) for kid, key in keys.items()]}).encode()


def serving(body: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return answer


class Provider:
    """A web server that answers as `answer` says, and counts."""

    def __init__(self) -> None:
        self.answer: Answer = serving(document(rsa=RSA, ec=EC))
        self.asked = 0
        self.over = threading.Event()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked += 1
                with suppress(BrokenPipeError, ConnectionResetError):  # the other side had enough
                    provider.answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing to the test's output."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks"

    def __enter__(self) -> Provider:
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(provider: Provider, clock: Clock) -> Jwks:
    return Jwks(JwksAddress(provider.url, DEADLINE), clock)


def token(key: Any, kid: str, claims: dict[str, Any] | None = None) -> str:
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    return jwt.encode(claims or {"sub": "x"}, key, algorithm, headers={"kid": kid})


def is_known(keys: Jwks, kid: str) -> bool:
    try:
        return keys.find(token(RSA, kid)).key_id == kid
    except jwt.InvalidTokenError:
        return False


def test_tokens_are_accepted_by_the_keys_behind_the_url(
    serve: Callable[..., Api], provider: Provider
) -> None:
    api = serve(jwks_url=provider.url)
    claims = claims_for(api.settings)
    for kid, key in (("rsa", RSA), ("ec", EC)):
        assert api.with_token(token(key, kid, claims)).get("/api/subscriptions").status_code == 200
    assert provider.asked == 1, "the keys are kept"
    other = rsa.generate_private_key(65537, 2048)
    for bad in (token(other, "rsa", claims), token(EC, "rsa", claims), token(RSA, "unknown", claims)):
        assert api.with_token(bad).get("/api/subscriptions").status_code == 401
    shared = jwt.encode(claims, api.settings.jwt_secret.get_secret_value(), "HS256", headers={"kid": "rsa"})
    assert api.with_token(shared).get("/api/subscriptions").status_code == 401


def test_a_new_key_is_taken_up_and_a_removed_one_dropped(
    provider: Provider, keys: Jwks, clock: Clock
) -> None:
    assert is_known(keys, "rsa")
    provider.answer = serving(document(next=RSA))
    assert not is_known(keys, "next"), "so soon after the last time the provider is not asked"
    clock.at += JWKS_PAUSE_SECONDS + 1
    assert is_known(keys, "next")
    assert not is_known(keys, "rsa")
    assert provider.asked == 2


def test_a_removed_key_is_good_for_five_minutes_at_most(provider: Provider, keys: Jwks, clock: Clock) -> None:
    assert is_known(keys, "rsa")
    provider.answer = serving(document(next=RSA))
    clock.at += JWKS_LIFESPAN_SECONDS - 1
    assert is_known(keys, "rsa")
    clock.at += 2
    assert not is_known(keys, "rsa")


def test_unknown_keys_do_not_make_us_ask_without_end(provider: Provider, keys: Jwks) -> None:
    for number in range(20):
        assert not is_known(keys, f"made-up-{number}")
    assert provider.asked == 1


def drip(request: BaseHTTPRequestHandler) -> None:
    """A byte now and then, within any socket's timeout."""
    request.send_response(200)
    request.end_headers()
    while True:  # until the other side hangs up
        request.wfile.write(b" ")
        time.sleep(0.05)


def drip_headers(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.0 200 OK\r\n")
    while True:
        request.wfile.write(b"X: y\r\n")
        time.sleep(0.05)


def endless(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    for _ in range(JWKS_LARGEST_BYTES // 1000):
        request.wfile.write(b" " * 10_000)


def hang_up(request: BaseHTTPRequestHandler) -> None:
    request.connection.shutdown(socket.SHUT_RDWR)


def half(request: BaseHTTPRequestHandler) -> None:
    whole = document(other=RSA)
    request.send_response(200)
    request.send_header("Content-Length", str(len(whole) + 100))
    request.end_headers()
    request.wfile.write(whole)


def deep(_: object = None) -> bytes:
    return b'{"keys":' + b"[" * 200_000 + b"]" * 200_000 + b"}"


OUT_OF_ORDER: dict[str, Answer] = {
    "500": serving(b"no", 500),
    "204": serving(b"", 204),
    "empty": serving(b""),
    "a page": serving(b"<html>down for maintenance</html>"),
    "not UTF-8": serving(b"\xff\xfe\x00"),
    "a list": serving(b"[]"),
    "null": serving(b"null"),
    "no keys": serving(b"{}"),
    "keys of another type": serving(b'{"keys": 7}'),
    "an empty set": serving(b'{"keys": []}'),
    "deeply nested": serving(deep()),
    "large": serving(b'{"keys": ["' + b"x" * JWKS_LARGEST_BYTES + b'"]}'),
    "endless": endless,
    "cut off": half,
    "hung up": hang_up,
    "dripping": drip,
    "dripping headers": drip_headers,
}


@pytest.mark.parametrize("answer", OUT_OF_ORDER.values(), ids=OUT_OF_ORDER.keys())
def test_while_the_provider_is_out_of_order_the_old_keys_serve_on(
    provider: Provider, keys: Jwks, clock: Clock, answer: Answer
) -> None:
    assert is_known(keys, "rsa")
    provider.answer = answer
    if answer in (drip, drip_headers):
        keys._read = JwksAddress(provider.url, SHORT)
    clock.at += JWKS_LIFESPAN_SECONDS + 1
    assert is_known(keys, "rsa")
    assert not is_known(keys, "other")
    wait_until("the provider was asked again", lambda: provider.asked == 2)
    provider.answer = serving(document(mended=RSA))
    clock.at += JWKS_LIFESPAN_SECONDS + 1
    if answer in (drip, drip_headers):
        return  # the request before may still hang; see below
    assert is_known(keys, "mended")


def test_one_hanging_request_is_the_most_there_is(provider: Provider, clock: Clock) -> None:
    keys = Jwks(JwksAddress(provider.url, 0.1), clock)
    provider.answer = drip_headers
    before = set(threading.enumerate())
    for _ in range(5):
        assert not is_known(keys, "rsa")
        clock.at += JWKS_PAUSE_SECONDS + 1
    wait_until("the one request arrived", lambda: provider.asked == 1)
    begun = [one for one in set(threading.enumerate()) - before if one.name == "jwks"]
    assert len(begun) <= 1


def test_requests_at_once_ask_the_provider_once(provider: Provider, keys: Jwks) -> None:
    def slowly(request: BaseHTTPRequestHandler) -> None:
        time.sleep(0.1)
        serving(document(rsa=RSA))(request)

    provider.answer = slowly
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(lambda _: is_known(keys, "rsa"), range(64)))
    assert provider.asked == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(provider: Provider, keys: Jwks, clock: Clock, status: int) -> None:
    with Provider() as elsewhere:
        elsewhere.answer = serving(document(stolen=RSA))
        for target in (elsewhere.url, "file:///etc/passwd", provider.url + "/again"):
            asked = provider.asked
            provider.answer = serving(b"", status, Location=target)
            clock.at += JWKS_LIFESPAN_SECONDS + 1
            assert not is_known(keys, "stolen")
            assert provider.asked == asked + 1
        assert elsewhere.asked == 0


def test_one_bad_key_does_not_spoil_the_others() -> None:
    good = jwk(EC, "good")
    weak = jwk(rsa.generate_private_key(65537, 1024), "weak")  # noqa: S505 - to be refused
    bad: list[Any] = [
        None,
        7,
        {},
        weak,
        {**good, "use": "enc"},
        {**good, "kid": 7},
        {**good, "kid": ["a"]},
        {name: value for name, value in good.items() if name != "kid"},
        {**good, "x": "!!"},
        {**good, "x": 7},
        {**good, "y": None},
        {**good, "crv": "P-1"},
        {
            name: value
            for name, value in jwk(ec.generate_private_key(ec.SECP384R1()), "p").items()
            if name != "alg"
        },
        {**jwk(RSA, "r"), "n": ""},
        {**jwk(RSA, "r"), "e": []},
        {**jwk(RSA, "r"), "alg": "RS512"},
        {"kty": "oct", "kid": "o", "k": "c2VjcmV0", "alg": "HS256"},
        {"kty": ["RSA"], "kid": "l"},
    ]
    assert [key.key_id for key in usable_keys([*bad, good, *bad])] == ["good"]


@pytest.mark.parametrize("url", ["http://id.example.org/jwks", "file:///etc/passwd", "ftp://127.0.0.1/jwks"])
def test_only_https_is_asked_for_keys(settings: Settings, url: str) -> None:
    with pytest.raises(ValueError, match="must be https"):
        keys_of(settings.model_copy(update={"jwks_url": url}))
