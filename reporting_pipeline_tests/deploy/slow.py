"""A job that runs until it is ended, importable by a worker's process."""

from __future__ import annotations

import time

from dagster import in_process_executor, job, op


@op
def wait() -> None:
    time.sleep(600)


@job(executor_def=in_process_executor)
def slow_job() -> None:
    wait()
