"""A delivery run that SIGTERM ends at a named place, as a run of Dagster hears it: `… PLACE HITS`.

Two loops over one ledger, as a run has them; the signal becomes a KeyboardInterrupt of the main thread.
"""

from __future__ import annotations

import os
import signal
import sys
from random import Random
from threading import Lock

from reporting_pipeline.delivery.channels.deliverer import Deliverer, open_deliverer
from reporting_pipeline.delivery.sender.worker import deliver_at_once, deliver_due
from reporting_pipeline.settings import load_settings
from reporting_pipeline.stores.deliveries import Due
from reporting_pipeline.stores.mongo import open_database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.delivery.seeds import NOW


def main(place: str, hits: int) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = load_settings()
    assert settings.mongodb_uri is not None
    database = open_database(settings.mongodb_uri.get_secret_value(), settings.mongodb_database)
    left, turn = hits, Lock()

    def failpoint(reached: str) -> None:
        nonlocal left
        with turn:
            if reached == place:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGTERM)

    deliverer = Deliverer(open_deliverer(settings).senders, Random(1), lambda _seconds: None, failpoint)
    no_files = ObjectStore(None, "none")  # type: ignore[arg-type]  # link mails read none
    due = Due(database, Random(1))
    for _ in deliver_at_once(
        2, lambda: deliver_due(deliverer, database, no_files, settings, lambda: NOW, 1_000, None, due)
    ):
        pass


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
