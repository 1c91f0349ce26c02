"""A delivery worker that kills itself at a named place: `python -m … PLACE HITS NOW SEED`.

The clock stands still at NOW (ISO), so leases pass only when the test says so. PLACE `none` lives.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import datetime
from random import Random

from reporting_pipeline.delivery.channels.deliverer import Deliverer, open_deliverer
from reporting_pipeline.delivery.sender.worker import deliver_due
from reporting_pipeline.settings import load_settings
from reporting_pipeline.stores.mongo import open_database
from reporting_pipeline.stores.objects import ObjectStore


def main(place: str, hits: int, now: datetime, seed: int) -> None:
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


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), datetime.fromisoformat(sys.argv[3]), int(sys.argv[4]))
