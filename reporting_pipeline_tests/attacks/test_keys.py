"""Keys follow one another: the new one signs, what the older ones signed is good until they are taken out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import jwt
import pytest
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

from reporting_pipeline.api.keys import SharedSecret
from reporting_pipeline.console.sessions import Cookies
from reporting_pipeline.delivery.links.tokens import link_token, read_link_token
from reporting_pipeline.settings import Settings, SettingsError, load_settings
from reporting_pipeline.stores.audit import audit_keys
from reporting_pipeline.usecases.callers.cursors import Cursors
from reporting_pipeline.usecases.callers.problems import Problem
from reporting_pipeline.usecases.callers.tokens import mint_token

OLD, NEW, OTHER = ("8f3a1c9e5d7b2046" * 2, "b17e4d9c02a6f835" * 2, "3d5f7a9b1c0e2846" * 2)
BARE, ROTATING, GONE = OLD, f"b:{NEW},0:{OLD}", f"b:{NEW}"
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def with_secret(text: str) -> Settings:
    names = ("REPORTING_LINK_SECRET", "REPORTING_JWT_SECRET")
    return load_settings({"REPORTING_ENVIRONMENT": "test", **dict.fromkeys(names, text)})


def cursor_goes_on(before: Settings, after: Settings) -> bool:
    try:
        return Cursors(after).read("list", Cursors(before).write("list", ["x", 1])) == ["x", 1]
    except Problem:
        return False


def token_goes_on(before: Settings, after: Settings) -> bool:
    token = mint_token(before, "usr_x", datetime.now(UTC))
    keys = SharedSecret(after.jwt_secret.get_secret_value())
    try:
        return bool(jwt.decode(token, keys.find(token), ["HS256"], audience=after.jwt_audience))
    except jwt.PyJWTError:
        return False


def link_goes_on(before: Settings, after: Settings) -> bool:
    secrets = [one.link_secret.get_secret_value() for one in (before, after)]
    token = link_token(secrets[0], "dlv_1", "rep_1", NOW + timedelta(days=1))
    return read_link_token(secrets[1], token, NOW) is not None


def session_goes_on(before: Settings, after: Settings) -> bool:
    answer = Response()
    Cookies(before).write(answer, "a-session")
    cookie = answer.headers["set-cookie"].partition(";")[0].encode()
    request = Request({"type": "http", "headers": [(b"cookie", cookie)]})
    return Cookies(after).read(request) == "a-session"


def audit_goes_on(before: Settings, after: Settings) -> bool:
    old = audit_keys(before)
    return audit_keys(after).verifies(b"a row", old.sign(b"a row"), old.current)


@pytest.mark.parametrize(
    "goes_on", [cursor_goes_on, token_goes_on, link_goes_on, session_goes_on, audit_goes_on]
)
def test_what_an_older_key_signed_is_good_until_it_is_taken_out(goes_on: object) -> None:
    assert callable(goes_on)
    assert goes_on(with_secret(BARE), with_secret(ROTATING))
    assert goes_on(with_secret(ROTATING), with_secret(GONE)), "the new one signs"
    assert not goes_on(with_secret(BARE), with_secret(GONE))
    assert not goes_on(with_secret(OTHER), with_secret(ROTATING))


@pytest.mark.parametrize("kid", ["", "c", "../b", 7, None, ["b"]])
def test_a_token_that_names_no_key_of_ours_is_none(kid: object) -> None:
    token = jwt.encode({"sub": "x"}, NEW, "HS256", headers={"kid": "b"} if kid is None else None)
    head = {"alg": "HS256", "kid": kid}
    if kid is not None:
        raw = jwt.utils.base64url_encode(str(head).replace("'", '"').encode()).decode()
        token = ".".join([raw, *token.split(".")[1:]])
    with pytest.raises(jwt.PyJWTError):
        jwt.decode(token, SharedSecret(f"a:{OLD}").find(token), ["HS256"])


SECRETS = ("LINK", "JWT", "WEBHOOK", "AUDIT")


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("weak", ["aaaa" * 20, "short", "changeme" * 6])
def test_each_key_of_a_secret_is_a_good_one(name: str, weak: str) -> None:
    variable = f"REPORTING_{name}_SECRET"
    with pytest.raises(SettingsError, match=variable) as caught:
        load_settings(staging(**{variable: f"b:{NEW[::-1]},a:{weak}"}))
    assert weak not in str(caught.value)


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("text", [":", "b:", f"b:{NEW},{OLD}", f"b:{NEW},b:{OLD}"])
def test_a_secret_that_is_written_wrongly_is_named(name: str, text: str) -> None:
    variable = f"REPORTING_{name}_SECRET"
    with pytest.raises(SettingsError, match=variable) as caught:
        load_settings(staging(**{variable: text}))
    assert OLD not in str(caught.value)


@pytest.mark.parametrize("name", [one for one in SECRETS if one != "LINK"])
def test_no_key_serves_two_purposes_not_even_an_old_one(name: str) -> None:
    variable = f"REPORTING_{name}_SECRET"
    with pytest.raises(SettingsError, match="must not be the same"):
        load_settings(staging(**{variable: f"z:{OTHER[::-1]},y:{OLD}", "REPORTING_LINK_SECRET": OLD}))


def staging(**secrets: str) -> dict[str, str]:
    base = {"REPORTING_LINK_SECRET": OLD, "REPORTING_JWT_SECRET": OTHER}
    return {"REPORTING_ENVIRONMENT": "staging", **base, **secrets}


def test_a_secret_is_printed_by_nothing() -> None:
    settings = with_secret(ROTATING)
    assert isinstance(settings.link_secret, SecretStr)
    assert OLD not in repr(settings)
    assert OLD not in repr(audit_keys(settings))
