"""Rate limits that hold across workers: one count in MongoDB, per principal.

Counts are kept per user, never per address and never per X-Forwarded-For, which the caller writes.
Windows are fixed (requests, clicks) or exact (run now): `stores.rate_counters`. Of requests a process takes a
sixtieth of the limit at a time.
"""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta

from limits import RateLimitItem, RateLimitItemPerHour
from limits.strategies import MovingWindowRateLimiter

from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.rate_counters import Portions, SharedStorage, hit
from reporting_pipeline.usecases.callers.problems import Problem

MINUTE = timedelta(minutes=1)
#: Looks at codes that nobody knows, of everybody together: so many times the clicks that one link may have.
UNKNOWN_CODES = 20
ADDRESSES_PER_HOUR = 30


class RateLimits:
    """The limits of a deployment. Methods raise Problem (429) with Retry-After."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._portions = Portions(database)
        self._moving = MovingWindowRateLimiter(SharedStorage(database))
        self._requests_per_minute = settings.requests_per_minute
        self._run_now = RateLimitItemPerHour(settings.run_now_per_hour)
        self._requeue = RateLimitItemPerHour(settings.requeues_per_hour)
        self._addresses = RateLimitItemPerHour(ADDRESSES_PER_HOUR)
        self._clicks_per_minute = settings.link_clicks_per_minute

    def request(self, principal: str) -> None:
        """Count one request of a principal; taken in portions, since every request comes by here."""
        name, most = f"requests/{principal}", self._requests_per_minute
        reset_at = self._portions.hit(name, most, MINUTE, datetime.now(UTC))
        if reset_at is not None:
            raise _exceeded("requests", most, "minute", reset_at.timestamp())

    def run_now(self, principal: str) -> None:
        """Count one run-now of a principal."""
        self._in_hour("run-now", principal, self._run_now)

    def requeue(self, organisation: str) -> None:
        """Count one requeue by filter of an organisation."""
        self._in_hour("requeue", organisation, self._requeue)

    def address(self, principal: str) -> None:
        """Count one address that a principal has asked to be confirmed: a mail to a stranger."""
        self._in_hour("address", principal, self._addresses)

    def link(self, token_digest: str) -> None:
        """Count one click on a link."""
        self._in_minute("link", token_digest, self._clicks_per_minute)

    def verification(self, code_digest: str | None) -> None:
        """Count one look at a report's code; None: one that nobody knows, which all strangers share."""
        if code_digest is None:
            self._in_minute("verification", "unknown", self._clicks_per_minute * UNKNOWN_CODES)
        else:
            self._in_minute("verification", code_digest, self._clicks_per_minute)

    def may_note(self, whose: str, most: int) -> bool:
        """Whether one more refusal of somebody is noted in this minute: an audit log is no place to fill."""
        name = f"refused/{whose}"
        return hit(self._database, name, most, MINUTE, datetime.now(UTC)) is None

    def _in_minute(self, what: str, who: str, most: int) -> None:
        reset_at = hit(self._database, f"{what}/{who}", most, MINUTE, datetime.now(UTC))
        if reset_at is not None:
            raise _exceeded(what, most, "minute", reset_at.timestamp())

    def _in_hour(self, what: str, who: str, item: RateLimitItem) -> None:
        if not self._moving.hit(item, what, who):
            reset_at = self._moving.get_window_stats(item, what, who).reset_time
            raise _exceeded(what, item.amount, item.GRANULARITY.name, reset_at)


def _exceeded(what: str, most: int, unit: str, reset_at: float) -> Problem:
    seconds = max(1, math.ceil(reset_at - time.time()))
    return Problem(
        "rate-limited",
        f"The limit is {most} {what} per {unit}; try again in {seconds} s.",
        headers={"Retry-After": str(seconds)},
    )
