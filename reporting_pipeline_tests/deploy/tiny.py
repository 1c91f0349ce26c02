"""The smallest job that leaves an event and a line in its compute log, importable by a run's process."""

from __future__ import annotations

import sys

from dagster import job, op

LINE = "a line for the compute log"


@op
def speak() -> None:
    sys.stdout.write(f"{LINE}\n")


@job
def tiny_job() -> None:
    speak()
