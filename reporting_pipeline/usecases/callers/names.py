"""The names that a deployment is called by: what was meant for another one is answered by nobody here.

A page of a stranger can have its own name lead to this machine and then read what is answered (DNS
rebinding). It cannot do so with a number, nor with a name that only this machine or its network has.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from reporting_pipeline.settings import Settings

#: What load balancers and Prometheus ask, by address and often.
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
NOT_OURS = "This deployment has another name: the host of REPORTING_PUBLIC_URL"


@dataclass(frozen=True)
class Names:
    """The host of the public address; `near`: also numbers, and names without a dot (local work)."""

    public: str
    near: bool

    @classmethod
    def of(cls, settings: Settings) -> Names:
        host = urlsplit(settings.public_url).hostname or ""
        return cls(host.lower(), settings.environment in ("local", "test"))

    def fit(self, header: str) -> bool:
        """Whether the header `Host` is one of them, whatever its port."""
        try:
            parts = urlsplit(f"//{header}")
            name = (parts.hostname or "").rstrip(".")
        except ValueError:
            return False
        if not name or "@" in header:
            return False
        return name == self.public or (self.near and _is_near(name))


def _is_near(name: str) -> bool:
    if "." not in name or name.endswith(".localhost"):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
