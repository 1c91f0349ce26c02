"""Processes of a command: ports that no other command takes, and children that are started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from reporting_pipeline.cli.local import processes
from reporting_pipeline.cli.local.processes import Child, claim_port, running, stop_together
from reporting_pipeline.embedded.processes import free_ports
from reporting_pipeline.settings import SettingsError
from reporting_pipeline_tests.waiting import PATIENCE, wait_until

CLAIM = """
import sys
from contextlib import ExitStack
from reporting_pipeline.cli.local.processes import claim_port
with ExitStack() as stack:
    print(claim_port(stack, int(sys.argv[1])), flush=True)
    sys.stdin.read()
"""


def test_commands_that_start_at_once_get_ports_of_their_own() -> None:
    (wanted,) = free_ports(1)
    command = [sys.executable, "-c", CLAIM, str(wanted)]
    with ExitStack() as stack:
        claimers = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            for _ in range(6)
        ]
        ports = [int(claimer.stdout.readline()) for claimer in claimers if claimer.stdout]
        for claimer in claimers:
            assert claimer.stdin is not None
            claimer.stdin.close()
    assert wanted in ports
    assert len(set(ports)) == 6


def test_a_port_that_somebody_has_is_passed_over_and_a_claim_ends_with_its_block() -> None:
    with socket.socket() as foreign, ExitStack() as first:
        foreign.bind((processes.HOST, free_ports(1)[0]))  # bound is enough; nobody need listen yet
        taken = foreign.getsockname()[1]
        port = claim_port(first, taken)
        assert port > taken
        with ExitStack() as second:
            assert claim_port(second, port) > port
        first.close()
        with ExitStack() as third:
            assert claim_port(third, port) == port


#: Interrupted, it says so and ends once all the others were told, too; SIGTERM ends it with another code.
TOGETHER = """
import pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
def told(*_):
    (folder / f"{sys.argv[2]}.told").touch()
    while len(list(folder.glob("*.told"))) < 3:
        time.sleep(0.02)
    sys.exit(0)
signal.signal(signal.SIGINT, told)
(folder / f"{sys.argv[2]}.ready").touch()
while True:
    time.sleep(0.1)
"""


def test_children_are_told_to_end_all_at_once(tmp_path: Path) -> None:
    """One after the other took the sum of their times; here the first would wait for the others for ever."""
    children = [
        Child(
            name,
            [sys.executable, "-c", TOGETHER, str(tmp_path), name],
            dict(os.environ),
            tmp_path / f"{name}.log",
        )
        for name in ("daemon", "webserver", "api")
    ]
    wait_until("all are up", lambda: len(list(tmp_path.glob("*.ready"))) == 3)
    stop_together(children)
    assert [child.process.returncode for child in children] == [0, 0, 0]
    stop_together(children)  # once more does no harm
    stop_together([])


class Clock:
    def __init__(self) -> None:
        self.at = 1_000.0

    def __call__(self) -> float:
        return self.at


def child_of(tmp_path: Path, script: str, clock: Clock) -> Child:
    command = [sys.executable, "-c", script]
    return Child("probe", command, dict(os.environ), tmp_path / "probe.log", clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lasting(tmp_path: Path, clock: Clock) -> Iterator[Child]:
    child = child_of(tmp_path, "import time; time.sleep(100_000)", clock)
    yield child
    child.process.kill()
    child.process.wait(PATIENCE)


def test_a_child_that_was_killed_is_started_again_as_often_as_that_happens(
    lasting: Child, clock: Clock
) -> None:
    assert lasting.keep() is None
    for _ in range(processes.SHORT_LIVES + 1):
        clock.at += processes.SHORT_LIFE_SECONDS + 1
        before = lasting.pid
        os.kill(before, signal.SIGKILL)
        lasting.process.wait(PATIENCE)
        assert lasting.keep() == -signal.SIGKILL
        assert lasting.pid != before
        assert lasting.keep() is None


def test_a_child_that_cannot_run_is_given_up_with_its_last_words(tmp_path: Path, clock: Clock) -> None:
    child = child_of(tmp_path, "raise SystemExit('no such setting')", clock)
    for _ in range(processes.SHORT_LIVES - 1):
        child.process.wait(PATIENCE)
        assert child.keep() == 1
    child.process.wait(PATIENCE)
    with pytest.raises(SettingsError, match=r"probe ended with code 1[\s\S]*no such setting"):
        child.keep()
    assert (tmp_path / "probe.log").read_text().count("no such setting") == processes.SHORT_LIVES


def test_what_was_started_again_ends_with_the_block(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(100_000)"]
    with running("probe", command, dict(os.environ), tmp_path / "logs" / "probe.log") as child:
        os.kill(child.pid, signal.SIGKILL)
        wait_until("it is started again", lambda: child.keep() is not None)
    assert child.process.poll() is not None
