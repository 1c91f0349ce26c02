"""Requests without a good token are counted by the network they come from, and by nothing a caller writes."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network

import pytest
from starlette.types import Scope

from reporting_pipeline.settings import SettingsError, load_settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.usecases.callers.problems import Problem
from reporting_pipeline.usecases.callers.refusals import NOTED_OF_A_NETWORK
from reporting_pipeline.usecases.callers.strangers import Strangers
from reporting_pipeline_tests.api.conftest import Api

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def request(peer: str, forwarded: str = "", path: str = "/metrics") -> Scope:
    headers = [(b"x-forwarded-for", part.encode()) for part in forwarded.split("|") if part]
    return {"type": "http", "path": path, "client": (peer, 1), "headers": headers}


def test_strangers_of_one_network_are_counted_together_and_others_go_on() -> None:
    strangers = Strangers(2)
    strangers.admit(request("192.0.2.1"))
    strangers.admit(request("192.0.2.250"))
    with pytest.raises(Problem) as refused:
        strangers.admit(request("192.0.2.77"))
    assert refused.value.status == 429
    assert 1 <= int(refused.value.headers["Retry-After"]) <= 60
    strangers.admit(request("192.0.3.1"))
    for last in ("1", "2"):
        strangers.admit(request(f"2001:db8::{last}"))
    with pytest.raises(Problem):
        strangers.admit(request("2001:db8:0:0:ffff::1"))
    strangers.admit(request("2001:db8:0:1::1"))
    for _ in range(3):
        strangers.admit(request("192.0.2.1", path="/healthz"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "believed"),
    [
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("10.1.1.1", "203.0.113.9", "203.0.113.9"),
        ("10.1.1.1", "198.51.100.7, 203.0.113.9", "203.0.113.9"),
        ("10.1.1.1", "198.51.100.7, 203.0.113.9, 10.2.2.2", "203.0.113.9"),
        ("10.1.1.1", "198.51.100.7|203.0.113.9", "203.0.113.9"),
        ("fd00::1", "2001:db8::1", "2001:db8::1"),
        ("10.1.1.1", "", "10.1.1.1"),
        ("10.1.1.1", "nonsense", "nonsense"),
        ("10.1.1.1", "203.0.113.9,", "10.1.1.1"),
        ("::ffff:10.1.1.1", "203.0.113.9", "203.0.113.9"),
        ("10.1.1.1", "203.0.113.9:4711", "203.0.113.9"),
        ("fd00::1", "203.0.113.9, [fd00::2]:4711", "203.0.113.9"),
        ("10.1.1.1", "198.51.100.7, 203.0.113.9, ::ffff:10.2.2.2", "203.0.113.9"),
    ],
)
def test_the_header_is_believed_as_far_as_trusted_proxies_wrote_it(
    peer: str, forwarded: str, believed: str
) -> None:
    assert Strangers(1, PROXIES).address_of(request(peer, forwarded)) == believed


def test_bad_tokens_and_open_addresses_end_and_people_go_on(serve: Callable[..., Api]) -> None:
    api = serve(anonymous_per_minute=3)
    somebody = api.as_("usr_default_subscriber")
    assert [api.with_token("x").get("/api/subscriptions").status_code for _ in range(3)] == [401, 401, 401]
    assert api.with_token("x").get("/api/subscriptions").status_code == 429
    assert api.get("/openapi.json").status_code == 429
    assert [api.get("/unsubscribe/x").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert api.get("/r/x").status_code != 429
    assert api.call("POST", "/webhooks/sendgrid", json=[]).status_code != 429
    assert somebody.get("/api/subscriptions").status_code == 200
    assert api.get("/healthz").status_code == 200


def test_a_network_that_is_none_is_refused_with_its_variable() -> None:
    with pytest.raises(SettingsError, match="REPORTING_TRUSTED_PROXIES"):
        load_settings({"REPORTING_ENVIRONMENT": "test", "REPORTING_TRUSTED_PROXIES": "10.0.0.0/8,caddy"})


def test_who_is_refused_is_counted_by_where_they_come_from_behind_the_proxy(
    serve: Callable[..., Api], database: Database
) -> None:
    """So many of a network are noted in a minute: those behind one proxy do not use up each other's."""
    api = serve(trusted_proxies="127.0.0.0/8").with_token("x")
    for network in range(3):
        for _ in range(NOTED_OF_A_NETWORK):
            api.get("/api/audit", headers={"x-forwarded-for": f"198.51.{network}.7"})
    assert database.audit.count_documents({"action": "access.refused"}) == 3 * NOTED_OF_A_NETWORK
