"""A tick that finds nothing to ask for stays and watches for what it waits for.

Dagster's daemon begins a look at its sensors every five seconds and not more often, whatever a sensor's
interval says. What is compared while a tick watches is asked for twice a second, so it must cost little;
and a tick ends before the daemon's next, so that it holds one of its threads and no other sensor up.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep

#: Seconds between two ticks of a sensor that watches at least, and between two of its glances.
INTERVAL, GLANCE = 2, 0.5


def end_of_watch(seconds: float) -> float:
    """When a tick that begins now ends its watch, on the monotonic clock."""
    return monotonic() + seconds


def changes(standing: Callable[[], object], seen: object, until: float) -> bool:
    """Wait for another `standing` than `seen`, at most to `until`, which is of `end_of_watch`."""
    while monotonic() + GLANCE < until:
        sleep(GLANCE)
        if standing() != seen:
            return True
    return False
