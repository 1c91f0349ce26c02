"""Rate limits that hold across workers: one count in MongoDB, per principal.

Counts are kept per user, never per address and never per X-Forwarded-For, which the caller writes.
`limits` does the counting; its sliding-window counter needs update pipelines with date arithmetic that
not every MongoDB-compatible server has, so windows are fixed (requests) or exact (run now).
"""

from __future__ import annotations

import math
import time
from typing import Any

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage.mongodb import MongoDBStorageBase
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, RateLimiter

from reporting_pipeline.api.errors import Problem
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database


class SharedStorage(MongoDBStorageBase):
    """limits' MongoDB storage on the connection that the process has already, closed by its owner."""

    STORAGE_SCHEME: list[str] = []  # noqa: RUF012 - the base class's attribute; [] keeps it unregistered

    def __init__(self, database: Database) -> None:
        super().__init__(
            "mongodb://",
            database_name=database.name,
            counter_collection_name="rate_counters",
            window_collection_name="rate_windows",
        )
        self._shared = database

    @property
    def _database(self) -> Any:
        return self._shared

    def _init_mongo_client(self, uri: str | None, **options: int | str | bool) -> Any:
        return self._shared.client

    def __del__(self) -> None:
        """The connection is not ours to close."""


class RateLimits:
    """The limits of a deployment. Methods raise Problem (429) with Retry-After."""

    def __init__(self, settings: Settings, database: Database) -> None:
        storage = SharedStorage(database)
        self._fixed = FixedWindowRateLimiter(storage)
        self._moving = MovingWindowRateLimiter(storage)
        self._requests = RateLimitItemPerMinute(settings.requests_per_minute)
        self._run_now = RateLimitItemPerHour(settings.run_now_per_hour)
        self._requeue = RateLimitItemPerHour(settings.requeues_per_hour)
        self._downloads = RateLimitItemPerMinute(settings.link_clicks_per_minute)

    def request(self, principal: str) -> None:
        """Count one request of a principal."""
        _hit(self._fixed, self._requests, "requests", principal)

    def run_now(self, principal: str) -> None:
        """Count one run-now of a principal."""
        _hit(self._moving, self._run_now, "run-now", principal)

    def requeue(self, organisation: str) -> None:
        """Count one requeue by filter of an organisation."""
        _hit(self._moving, self._requeue, "requeue", organisation)

    def link(self, token_digest: str) -> None:
        """Count one click on a link."""
        _hit(self._fixed, self._downloads, "link", token_digest)


def _hit(limiter: RateLimiter, item: RateLimitItem, what: str, who: str) -> None:
    if limiter.hit(item, what, who):
        return
    reset_at = limiter.get_window_stats(item, what, who).reset_time
    seconds = max(1, math.ceil(reset_at - time.time()))
    raise Problem(
        "rate-limited",
        f"The limit is {item.amount} {what} per {item.GRANULARITY.name}; try again in {seconds} s.",
        headers={"Retry-After": str(seconds)},
    )
