"""Delivery workers that kill themselves at a named place, each a fork of one process: `python -m …`.

What all of them import is imported once; a start of Python for each took most of a trial's time. A line of
input is a JSON list of workers that run at once, `{"environment", "place", "hits", "now", "seed"}` each; the
line of output has their return codes, as `subprocess` gives them. A worker's clock stands still at `now`
(ISO), so that leases pass only when the test says so. The place `none` lives.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from datetime import datetime
from random import Random
from typing import Any

from reporting_pipeline.delivery.channels.deliverer import Deliverer, open_deliverer
from reporting_pipeline.delivery.sender.worker import deliver_due
from reporting_pipeline.settings import load_settings
from reporting_pipeline.stores.mongo import open_database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.waiting import PATIENCE


def work(place: str, hits: int, now: datetime, seed: int) -> None:
    settings = load_settings()
    assert settings.mongodb_uri is not None
    database = open_database(settings.mongodb_uri.get_secret_value(), settings.mongodb_database)
    left = hits

    def failpoint(reached: str) -> None:
        nonlocal left
        if reached == place:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    deliverer = Deliverer(open_deliverer(settings).senders, Random(seed), lambda _seconds: None, failpoint)
    no_files = ObjectStore(None, "none")  # type: ignore[arg-type]  # link mails read none
    for _ in deliver_due(deliverer, database, no_files, settings, lambda: now, 100_000):
        pass


def forked(worker: dict[str, Any]) -> int:
    """The process id of the worker."""
    assert threading.active_count() == 1, "a fork has none of the threads that its parent started"
    child = os.fork()
    if child:
        return child
    code = 1
    signal.alarm(int(PATIENCE))  # it ends in any case, and says how
    try:
        os.environ.clear()
        os.environ.update(worker["environment"])
        work(worker["place"], worker["hits"], datetime.fromisoformat(worker["now"]), worker["seed"])
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    for line in sys.stdin:
        running = [forked(worker) for worker in json.loads(line)]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in running]
        sys.stdout.write(json.dumps(codes) + "\n")
        sys.stdout.flush()
