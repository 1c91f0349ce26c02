"""What somebody without a good token may cost: so many requests a minute from one network, in each process.

Counted in memory, for a count in a store would be work that strangers cause. Links in mails, events of the
mail provider and everything else are counted apart: whoever tries tokens holds up nobody's link, also where
all come from one network because no proxy is trusted.
"""

from __future__ import annotations

import math
import time
from ipaddress import IPv4Network, IPv6Network

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from starlette.datastructures import Headers
from starlette.types import Scope

from reporting_pipeline.usecases.callers.origins import network_of, origin_of
from reporting_pipeline.usecases.callers.problems import Problem

#: Orchestrators ask these, all from one address; they cost no look at a store, or one that is kept a while.
UNCOUNTED = frozenset({"/healthz", "/readyz"})


class Strangers:
    """The count of one process."""

    def __init__(
        self,
        per_minute: int,
        trusted: tuple[IPv4Network | IPv6Network, ...] = (),
        apart: tuple[str, ...] = (),
    ) -> None:
        """`apart`: what addresses begin with that are counted by themselves."""
        self._item = RateLimitItemPerMinute(per_minute)
        self._counted = FixedWindowRateLimiter(MemoryStorage())
        self._trusted = trusted
        self._apart = apart

    def admit(self, scope: Scope) -> None:
        """Count one request. Raises Problem (429) with Retry-After."""
        if scope["path"] in UNCOUNTED:
            return
        whose = (self._counted_with(scope["path"]), network_of(self.address_of(scope)))
        if not self._counted.hit(self._item, *whose):
            reset_at = self._counted.get_window_stats(self._item, *whose).reset_time
            seconds = max(1, math.ceil(reset_at - time.time()))
            raise Problem(
                "rate-limited",
                f"The limit is {self._item.amount} requests per minute of one network without a token; "
                f"try again in {seconds} s.",
                headers={"Retry-After": str(seconds)},
            )

    def address_of(self, scope: Scope) -> str:
        """Where a request comes from, as far as it can be believed."""
        peer = (scope.get("client") or ("",))[0]
        return origin_of(str(peer), Headers(scope=scope).getlist("x-forwarded-for"), self._trusted)

    def _counted_with(self, path: str) -> str:
        return next((one for one in self._apart if path.startswith(one)), "")
