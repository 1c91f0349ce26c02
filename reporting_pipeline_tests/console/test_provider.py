"""Signing in by an identity provider, held against a real OpenID Connect server."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from pydantic import SecretStr

from reporting_pipeline.api.app import create_app
from reporting_pipeline.embedded.processes import free_ports
from reporting_pipeline.settings import Settings, SettingsError, load_settings
from reporting_pipeline.sidecar import sidecar_of
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.sessions import SIGN_IN_WITHIN
from reporting_pipeline_tests.api.conftest import Server
from reporting_pipeline_tests.api.world import NOW
from reporting_pipeline_tests.console.conftest import Browser, House
from reporting_pipeline_tests.waiting import PATIENCE


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """A provider in a process of its own, on a port of its own."""
    (port,) = free_ports(1)
    command = [str(Path(sys.executable).with_name("oidc-provider-mock")), "--port", str(port), "-n", "true"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    base = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{base}/.well-known/openid-configuration", process)
        yield base
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            requests.get(address, timeout=5).raise_for_status()
            return
        except requests.RequestException:
            time.sleep(0.1)
    raise AssertionError("the identity provider did not start")


@pytest.fixture
def federated(
    database: Database, objects: ObjectStore, settings: Settings, organisations: None, issuer: str
) -> Iterator[House]:
    """A deployment whose people sign in at `issuer`."""
    server = Server(None)  # type: ignore[arg-type]  # its address is a setting of the application
    chosen = settings.model_copy(
        update={"oidc_issuer": issuer, "oidc_client_secret": SecretStr("a secret"), "public_url": server.base}
    )
    server.config.app = sidecar_of(create_app(chosen, database, objects, clock=lambda: NOW))
    with server:
        yield House(server.base, chosen, database)


def back_from_provider(browser: Browser, user: str, more: str = "") -> str:
    """Go to the provider, say there that one is `user`, and return the address it sends one back to."""
    away = browser.get(f"/console/sign-in/provider?next=/console/subscribe{more}").headers["location"]
    assert "code_challenge_method=S256" in away
    answer = requests.post(away, data={"sub": user}, timeout=PATIENCE, allow_redirects=False)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"].removeprefix(browser.base)


def test_a_person_signs_in_by_the_provider_and_goes_on_where_they_wanted(federated: House) -> None:
    browser = federated.stranger()
    assert "Sign in with your organisation" in browser.get("/console/sign-in").text
    answer = browser.get(back_from_provider(browser, "usr_default_manager"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/subscribe")
    assert "Manager" in browser.get("/console/").text
    row = federated.database.audit.find_one({"action": "signed.in"}) or {}
    assert (row["actor"], row["organisation"]) == ("usr_default_manager", "default")


def test_who_is_no_user_here_or_deactivated_does_not_get_in(federated: House) -> None:
    federated.database.users.update_one({"_id": "usr_default_analyst"}, {"$set": {"active": False}})
    for user in ("usr_nobody", "usr_default_analyst"):
        browser = federated.stranger()
        assert browser.get(back_from_provider(browser, user)).status_code == 403
        assert browser.get("/console/").status_code == 303


def test_a_way_back_is_good_once_in_the_browser_that_began_it(federated: House) -> None:
    browser, thief = federated.stranger(), federated.stranger()
    address = back_from_provider(browser, "usr_default_manager")
    assert thief.get(address).status_code == 403
    assert browser.get(address).status_code == 303
    assert browser.get(address).status_code == 403


def test_another_state_or_code_or_a_late_way_back_is_refused(federated: House) -> None:
    for spoil in (
        lambda address: re.sub(r"state=[^&]+", "state=other", address),
        lambda address: re.sub(r"code=[^&]+", "code=other", address),
        lambda address: address.partition("?")[0],
        lambda address: address.partition("?")[0] + "?error=access_denied&state=x",
    ):
        browser = federated.stranger()
        address = back_from_provider(browser, "usr_default_manager")
        assert browser.get(spoil(address)).status_code == 403
    browser = federated.stranger()
    address = back_from_provider(browser, "usr_default_manager")
    federated.database.console_sign_ins.update_many({}, {"$set": {"expires_at": NOW - SIGN_IN_WITHIN}})
    assert browser.get(address).status_code == 403


def test_the_answer_to_another_sign_in_is_refused(federated: House) -> None:
    """A code that the provider gave for one attempt is no good in another: nonce and verifier differ."""
    one, other = federated.stranger(), federated.stranger()
    code = re.search(r"code=([^&]+)", back_from_provider(one, "usr_default_admin"))
    assert code is not None
    mine = back_from_provider(other, "usr_default_subscriber")
    assert other.get(re.sub(r"code=[^&]+", f"code={code[1]}", mine)).status_code == 403


@pytest.mark.parametrize("said", [None, 60, -3600, "yesterday"])
def test_when_somebody_signed_in_is_what_the_provider_says_and_nothing_else(
    federated: House, issuer: str, said: float | str | None
) -> None:
    """`said`: seconds before now, as `auth_time`; -3600: an hour from now, which cannot be."""
    told = said if said is None or isinstance(said, str) else int(time.time() - said)
    requests.put(
        f"{issuer}/users/usr_default_manager", json={"auth_time": told}, timeout=PATIENCE
    ).raise_for_status()
    browser = federated.stranger()
    assert browser.get(back_from_provider(browser, "usr_default_manager")).status_code == 303
    (session,) = federated.database.console_sessions.find({"user": "usr_default_manager"})
    kept = session["authenticated_at"]
    assert (kept.timestamp() if kept else None) == (told if said == 60 else None)


def test_for_a_signature_the_provider_has_to_ask_anew(federated: House) -> None:
    browser = federated.stranger()
    page = browser.get("/console/sign-in?anew=1&next=/console/jobs/job_1").text
    (way,) = re.findall(r'href="(/console/sign-in/provider[^"]+)"', page)
    away = parse_qs(urlsplit(browser.get(unescape(way)).headers["location"]).query)
    assert (away["prompt"], away["max_age"]) == (["login"], ["0"])
    usual = browser.get("/console/sign-in/provider").headers["location"]
    assert "prompt=" not in usual
    assert browser.get(back_from_provider(browser, "usr_default_manager", "&anew=1")).status_code == 303


def test_an_unencrypted_provider_is_refused_where_people_are() -> None:
    secret = "x9" * 20
    with pytest.raises(SettingsError, match="REPORTING_OIDC_ISSUER"):
        load_settings(
            {
                "REPORTING_ENVIRONMENT": "staging",
                "REPORTING_LINK_SECRET": secret + "a",
                "REPORTING_JWT_SECRET": secret + "b",
                "REPORTING_OIDC_ISSUER": "http://id.example",
            }
        )


def test_two_tabs_of_a_browser_sign_in_side_by_side(federated: House) -> None:
    """The session ended overnight, and both tabs begin before either is back."""
    browser = federated.stranger()
    first = back_from_provider(browser, "usr_default_manager")
    second = back_from_provider(browser, "usr_default_manager")
    assert [browser.get(one).status_code for one in (first, second)] == [303, 303]
    assert not [one for one in browser.session.cookies if one.name.startswith("sign-in-under-way")]


def test_what_a_stranger_makes_the_console_keep_has_a_limit(
    database: Database, objects: ObjectStore, settings: Settings, organisations: None, issuer: str
) -> None:
    chosen = settings.model_copy(
        update={"oidc_issuer": issuer, "anonymous_per_minute": 3, "trusted_proxies": "127.0.0.0/8"}
    )
    app = sidecar_of(create_app(chosen, database, objects, clock=lambda: NOW))
    with Server(app) as server:
        house = House(server.base, chosen, database)
        person, stranger = house.signed_in("usr_default_manager"), house.stranger()
        begun = [stranger.get("/console/sign-in/provider") for _ in range(5)]
        assert [one.status_code for one in begun] == [303, 303, 303, 429, 429]
        assert 1 <= int(begun[-1].headers["retry-after"]) <= 60
        assert database.console_sign_ins.count_documents({}) == 3
        elsewhere = {"x-forwarded-for": "203.0.113.9"}
        assert stranger.get("/console/sign-in/provider", headers=elsewhere).status_code == 303
        assert stranger.get("/console/static/console.css").status_code == 200
        assert person.get("/console/").status_code == 200
