"""No webhook reaches an address that is not public, whatever it is called and whenever that changes."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest

from reporting_pipeline.delivery.outbound.client import NotSent, OutboundRequest, post
from reporting_pipeline.delivery.outbound.public_hosts import (
    AddressRefused,
    is_public,
    public_hosts_only,
    resolve,
)
from reporting_pipeline_tests.delivery.provider import provider

REFUSED = [
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",  # noqa: S104 - refused, not bound
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.8",
    "192.88.99.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "::127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:8.8.8.8",
    "::ffff:0:7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "fc00::1",
    "fd12::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "not an address",
    "",
]


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:4700:4700::1111"])
def test_a_public_address_is_let_through(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "127.0.0.1", "0", "::1"]
)
def test_no_spelling_of_this_host_reaches_the_canary(host: str) -> None:
    with provider() as canary:
        port = urlsplit(canary.url).port
        assert port is not None
        with pytest.raises(OSError):  # noqa: PT011 - refused here, or not a name on this system
            public_hosts_only()(host, port, 1.0)
        assert canary.connections == 0


@pytest.mark.parametrize("address", [address for address in REFUSED if address not in ("", "not an address")])
def test_a_name_that_leads_to_such_an_address_is_refused_before_any_connection(address: str) -> None:
    opened: list[str] = []

    def open_line(host: str, _port: int, _timeout: float) -> socket.socket:
        opened.append(host)
        raise AssertionError("a connection was opened")

    connect = public_hosts_only(resolve=lambda _host, _port: ["8.8.8.8", address], open_line=open_line)
    with pytest.raises(AddressRefused):
        connect("hooks.example.org", 443, 1.0)
    assert opened == []


def test_a_name_that_changes_after_the_look_up_changes_nothing() -> None:
    with provider() as canary:
        port = urlsplit(canary.url).port
        assert port is not None
        answers = [["8.8.8.8"], ["127.0.0.1"], ["127.0.0.1"]]
        opened: list[str] = []

        def open_line(host: str, port: int, timeout: float) -> socket.socket:
            opened.append(host)
            if host == "8.8.8.8":  # as if nobody listened there
                raise ConnectionRefusedError
            return socket.create_connection((host, port), timeout)

        connect = public_hosts_only(resolve=lambda _host, _port: answers.pop(0), open_line=open_line)
        outbound = OutboundRequest(1.0, 2.0, connect)
        with pytest.raises(NotSent):
            post(f"http://flip.example.org:{port}/hook", b"{}", {}, outbound)
        assert opened == ["8.8.8.8"]
        assert len(answers) == 2
        assert canary.connections == 0


def test_a_flip_to_a_private_address_is_refused_at_the_next_attempt() -> None:
    with provider() as canary:
        port = urlsplit(canary.url).port
        outbound = OutboundRequest(1.0, 2.0, public_hosts_only(resolve=lambda _host, _port: ["127.0.0.1"]))
        with pytest.raises(NotSent) as caught:
            post(f"http://flip.example.org:{port}/hook", b"{}", {}, outbound)
        assert isinstance(caught.value.__cause__, AddressRefused)
        assert canary.connections == 0


def test_only_the_named_endpoint_is_let_through_for_local_use() -> None:
    with provider() as named, provider() as other:
        host, port = "127.0.0.1", urlsplit(named.url).port
        connect = public_hosts_only(frozenset({f"{host}:{port}"}))
        assert post(f"{named.url}/hook", b"{}", {}, OutboundRequest(1.0, 2.0, connect)).status == 200
        with pytest.raises(NotSent):
            post(f"{other.url}/hook", b"{}", {}, OutboundRequest(1.0, 2.0, connect))
        assert (named.connections, other.connections) == (1, 0)


def test_resolving_gives_numbers() -> None:
    assert resolve("2130706433", 80) == ["127.0.0.1"]


def test_of_a_host_with_several_addresses_one_that_answers_is_enough() -> None:
    """Its first server is down, or this machine has no way to its family of addresses."""
    with provider() as answering:
        port = urlsplit(answering.url).port
        assert port is not None
        opened: list[str] = []

        def open_line(host: str, port: int, timeout: float) -> socket.socket:
            opened.append(host)
            if host == "93.184.215.14":
                return socket.create_connection(("127.0.0.1", port), timeout)
            raise OSError("Network is unreachable")

        addresses = ["2606:4700:4700::1111", "8.8.8.8", "93.184.215.14"]
        connect = public_hosts_only(resolve=lambda _host, _port: addresses, open_line=open_line)
        answer = post(
            f"http://hooks.example.org:{port}/hook", b"{}", {}, OutboundRequest(60.0, 90.0, connect)
        )
        assert answer.status == 200
        assert opened == addresses
        line = connect("hooks.example.org", port, 60.0)
        assert line.gettimeout() == 60.0
        line.close()
