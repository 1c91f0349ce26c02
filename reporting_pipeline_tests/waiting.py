"""Waiting in tests: for what must happen at all, never for how soon.

No test says anything of the machine's speed. What is waited for gets minutes, so that only a test that
has failed takes them; what must run into a limit of time is made to last for ever.
"""

import time
from collections.abc import Callable

#: Seconds, for a machine with ten times as much to do as it can.
PATIENCE = 600.0


def wait_until(what: str, holds: Callable[[], bool], every: float = 0.01, seconds: float = PATIENCE) -> None:
    """Look often until `what` holds; an assertion names it where it never comes to hold."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(every)
