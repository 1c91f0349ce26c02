"""Several processes of several threads that start the same work at the same moment."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.synchronize import Barrier
from typing import Any

from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database, open_database
from reporting_pipeline_tests.waiting import PATIENCE

_gate: Barrier | None = None

Work = Callable[[Database, str], Any]


def race(settings: Settings, work: Work, processes: int, threads: int) -> list[Any]:
    """What each `work(database, name)` returned, a function of a module; names are "process-thread"."""
    assert settings.mongodb_uri is not None
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(processes)
    with ProcessPoolExecutor(processes, context, initializer=_keep, initargs=(gate,)) as pool:
        uri = settings.mongodb_uri.get_secret_value()
        running = [
            pool.submit(_in_threads, uri, settings.mongodb_database, work, number, threads)
            for number in range(processes)
        ]
        return [outcome for one in running for outcome in one.result()]


def _keep(gate: Barrier) -> None:
    global _gate
    _gate = gate


def _in_threads(uri: str, name: str, work: Work, process: int, threads: int) -> list[Any]:
    database = open_database(uri, name)
    assert _gate is not None
    _gate.wait(PATIENCE)
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda thread: work(database, f"{process}-{thread}"), range(threads)))
