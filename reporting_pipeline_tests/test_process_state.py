"""No test finds what another did to the process of both."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reporting_pipeline.delivery.links.masking import LinkMask, mask_links_in_logs
from reporting_pipeline.operations import logs
from reporting_pipeline.settings import current_settings
from reporting_pipeline.stores.measures import MEASURES
from reporting_pipeline_tests.process_state import ProcessState, process_of_its_own

NAME = "REPORTING_LEFT_BY_A_TEST"

CHANGES: dict[str, Callable[[], object]] = {
    "a variable": lambda: os.environ.update({NAME: "1"}),
    "a variable taken away": lambda: os.environ.pop("PATH"),
    "the folder": lambda: os.chdir("/"),
    "the mask of new files": lambda: os.umask(0o007),
    "who takes SIGTERM": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "JSON lines": logs.write_json,
    "masked links": mask_links_in_logs,
    "no log lines": lambda: logging.disable(logging.CRITICAL),
    "a logger's level": lambda: logging.getLogger("reporting_pipeline").setLevel(logging.CRITICAL),
    "a default of sockets": lambda: socket.setdefaulttimeout(3.0),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_a_test_did_to_its_process_is_put_back(change: Callable[[], object]) -> None:
    before = ProcessState()
    with process_of_its_own():
        change()
        assert ProcessState() != before
    assert ProcessState() == before


def test_a_time_zone_of_a_test_ends_with_it() -> None:
    before = time.tzname
    with process_of_its_own():
        os.environ["TZ"] = "Asia/Kathmandu"
        time.tzset()
        assert time.tzname != before
    assert time.tzname == before


def test_a_filter_that_an_api_put_on_the_loggers_is_not_there_for_the_next() -> None:
    """Else a test of what is written to logs would pass by what an API before it did."""
    with process_of_its_own():
        mask_links_in_logs()
    assert not any(isinstance(each, LinkMask) for each in logging.getLogger("reporting_pipeline").filters)


def test_measurements_that_wait_and_settings_that_were_read_are_not_the_next_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Kept:
        flushed: list[Any]

        def __init__(self) -> None:
            self.flushed = []
            self.measures = self

        def bulk_write(self, adding: list[Any], **_: Any) -> None:
            self.flushed += adding

    for name, text in {"MONGODB_URI": "mongodb://127.0.0.1:1", "REPORTING_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("REPORTING_ENVIRONMENT", "test")
    with process_of_its_own():
        MEASURES.count("bounces", kind="bounce")
        os.environ["REPORTING_MONGODB_DATABASE"] = "another"
        assert current_settings().mongodb_database == "another"
    after = Kept()
    with process_of_its_own():
        MEASURES.flush(after)  # type: ignore[arg-type]
        assert after.flushed == []
        assert current_settings().mongodb_database == "reporting"
