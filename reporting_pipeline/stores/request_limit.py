"""How many requests all processes together send to S3 in a second: providers answer more with 503.

A process takes a portion from the bucket that all share (`token_buckets`) and spends it request by
request, so that a limit of hundreds costs a few look-ups a second. What it does not spend soon is let go.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any

from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.token_buckets import take

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NAME = "s3"
#: A process takes what all may send in this part of a second, and keeps it for a second.
PORTION = 0.05
KEPT_SECONDS = 1.0
LONGEST_PAUSE = 1.0


class SharedLimit:
    """`per_second` over all processes on `database`. Safe between threads, which wait in turn."""

    def __init__(
        self,
        database: Database,
        per_second: float,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._per_second = per_second
        self._portion = max(1, int(per_second * PORTION))
        self._pause, self._clock = pause, clock
        self._left, self._taken_at = 0, 0.0
        self._turn = Lock()

    def wait(self) -> None:
        """Return when one request may be sent. Raises PyMongoError where the database does not answer."""
        with self._turn:
            if self._clock() - self._taken_at > KEPT_SECONDS:
                self._left = 0
            while self._left < 1:
                burst = max(1.0, self._portion)
                waited = take(self._database, NAME, self._portion, self._per_second, burst)
                if waited:
                    self._pause(min(waited.total_seconds(), LONGEST_PAUSE))
                else:
                    self._left, self._taken_at = self._portion, self._clock()
            self._left -= 1


def limit_requests(client: S3Client, limit: SharedLimit) -> None:
    """Let every request of `client`, each try of it too, wait for its turn."""

    def before_send(**_: Any) -> None:
        limit.wait()

    client.meta.events.register("before-send.s3", before_send)
