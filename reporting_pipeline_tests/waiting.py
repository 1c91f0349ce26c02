"""Waiting in tests: for what must happen at all, never for how soon.

No test says anything of the machine's speed. What is waited for gets minutes, so that only a test that
has failed takes them; what must run into a limit of time is made to last for ever.
"""

import time
from collections.abc import Callable

#: Seconds, for a machine with ten times as much to do as it can.
PATIENCE = 600.0
#: The longest pause between two looks, and its part of what was waited so far: a look asks a server, and a
#: hundred of them a second take a quarter of a core from what is waited for.
PAUSE, PART = 0.1, 0.02


def wait_until(what: str, holds: Callable[[], bool], every: float = 0.01, seconds: float = PATIENCE) -> None:
    """Look each `every` seconds at first, less often the longer it takes; what never holds is named."""
    started = time.monotonic()
    while not holds():
        waited = time.monotonic() - started
        assert waited < seconds, f"not within {seconds:g} s: {what}"
        time.sleep(pause_after(waited, every))


def pause_after(waited: float, every: float) -> float:
    """How long to the next look, after `waited` seconds of looking each `every`."""
    return max(every, min(PAUSE, PART * waited))
