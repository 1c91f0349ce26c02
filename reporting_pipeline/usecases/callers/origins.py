"""Where a request comes from, as far as it can be believed, and the network that is counted for it.

Behind proxies that are trusted (`REPORTING_TRUSTED_PROXIES`) it is the last address that the proxies did not
write of themselves; what a caller writes into the header is never believed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

LONGEST_WAY = 20  # addresses of a header that are looked at
UNKNOWN = "unknown"
#: An address with a port, as some proxies write it: "203.0.113.9:4711", "[2001:db8::1]:4711".
_WITH_PORT = re.compile(r"\[(?P<six>[^\]]+)\](?::\d+)?|(?P<four>[^:]+):\d+")


def origin_of(peer: str, forwarded: Sequence[str], trusted: Sequence[IPv4Network | IPv6Network] = ()) -> str:
    """The address a request comes from. `peer`: of the connection; `forwarded`: X-Forwarded-For, by line."""
    host = peer
    for before in reversed(",".join(forwarded).split(",")[-LONGEST_WAY:]):
        address = _address(host)
        believed = address is not None and any(address in network for network in trusted)
        if not believed or not before.strip():
            break
        host = before.strip()
    address = _address(host)
    return host if address is None else str(address)


def network_of(host: str) -> str:
    """The network that a request comes from: /24 of IPv4, /64 of IPv6."""
    address = _address(host)
    if address is None:
        return UNKNOWN
    if isinstance(address, IPv6Address):
        return address.exploded[:19]
    return str(address).rpartition(".")[0]


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """An address as it was written; one of IPv4 in IPv6's clothes ("::ffff:192.0.2.1") is one of IPv4."""
    written = _WITH_PORT.fullmatch(host.strip())
    try:
        address = ip_address(written["six"] or written["four"] if written else host.strip())
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped
