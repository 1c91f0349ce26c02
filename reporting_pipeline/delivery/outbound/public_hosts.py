"""Where a webhook may connect to: public addresses only, looked up once and connected to as looked up.

The check is on the addresses, not the name, and nothing looks the name up a second time: a name that
changes between a look and a connection changes nothing here.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from reporting_pipeline.delivery.outbound.client import Connect

Resolve = Callable[[str, int], list[str]]

#: Of a host that has more, so many are tried.
ADDRESSES_TRIED = 4

# Some of these pass `is_global`: they are public by number and lead elsewhere by translation.
_REFUSED = tuple(
    ip_network(net)
    for net in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # carriers' NAT, and some clouds' metadata
        "169.254.0.0/16",
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",  # IPv4-compatible, the loopback and the unspecified address
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # IPv4-translated
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",  # Teredo, ORCHID, benchmarking
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)


class AddressRefused(OSError):
    """The host has an address that is not public."""


def is_public(address: str) -> bool:
    """Whether an IP address, in any spelling `ipaddress` reads, is a host of the public internet."""
    try:
        parsed: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if not parsed.is_global or parsed.is_multicast or parsed.is_reserved or parsed.is_unspecified:
        return False
    return not any(parsed.version == net.version and parsed in net for net in _REFUSED)


def resolve(host: str, port: int) -> list[str]:
    """Every address of a host. Also reads the numeric spellings that libraries do (127.1, 2130706433)."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def open_line(address: str, port: int, timeout: float) -> socket.socket:
    return socket.create_connection((address, port), timeout)


def public_hosts_only(
    private: frozenset[str] = frozenset(), resolve: Resolve = resolve, open_line: Connect = open_line
) -> Connect:
    """A Connect that refuses every host one of whose addresses is not public.

    `private` names the `host:port` pairs that are let through for local use.
    """

    def connect(host: str, port: int, timeout: float) -> socket.socket:
        addresses = resolve(host, port)
        if f"{host.lower()}:{port}" not in private:
            refused = [address for address in addresses if not is_public(address)]
            if refused or not addresses:
                raise AddressRefused(f"{host} is not a public host")
        return _first_that_answers(addresses[:ADDRESSES_TRIED], port, timeout, open_line)

    return connect


def _first_that_answers(addresses: list[str], port: int, timeout: float, open_line: Connect) -> socket.socket:
    """A line to the first that takes one, in the time of one: where one family or server is out of reach, the
    others may not be. Raises what the last one said."""
    share = timeout / len(addresses)
    line: socket.socket | None = None
    for address in addresses[:-1]:
        with suppress(OSError):
            line = open_line(address, port, share)
            break
    line = line or open_line(addresses[-1], port, share)
    line.settimeout(timeout)  # of what is said on it
    return line
