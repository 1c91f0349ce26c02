"""`reporting-pipeline dev`, for real: two at once, and whatever of one is killed comes back."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import psutil
import pytest

from reporting_pipeline.embedded import servers
from reporting_pipeline.settings import child_environment, load_settings
from reporting_pipeline_tests.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.slow


class Dev:
    """One `dev` on a home of its own."""

    def __init__(self, home: Path, process: subprocess.Popen[bytes], output: Path) -> None:
        self.home, self.process, self.output = home, process, output

    def url(self, what: str) -> str:
        """The address that `dev` printed for "UI" or "API"; empty while it has not."""
        found = re.search(rf"{what}\s+(http://\S+)", self.output.read_text())
        return found.group(1) if found else ""

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.output.read_text()
        return bool(self.url("API")) and answers(f"{self.url('API')}/readyz") and answers(self.url("UI"))

    def child(self, word: str) -> psutil.Process:
        (found,) = [
            one
            for one in psutil.Process(self.process.pid).children()
            if any(word in argument for argument in one.cmdline())
        ]
        return found


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310 - a loopback address that dev printed
            return bool(answer.status == 200)
    except (HTTPError, URLError, ConnectionError):
        return False


@contextmanager
def dev(folder: Path) -> Iterator[Dev]:
    folder.mkdir()
    environment = child_environment({"REPORTING_HOME": str(folder / "home"), "COLUMNS": "200"})
    for name in ("MONGODB_URI", "S3_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        environment.pop(name, None)
    program = Path(sys.executable).parent / "reporting-pipeline"
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [str(program), "dev", "--port", "3300"],
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield Dev(folder / "home", process, folder / "output")
    finally:
        process.terminate()
        process.wait(PATIENCE)


def test_two_at_once_get_ports_of_their_own_and_what_dies_is_started_again(tmp_path: Path) -> None:
    with ExitStack() as stack:
        both = [stack.enter_context(dev(tmp_path / name)) for name in ("one", "two")]
        for one in both:
            wait_until(f"{one.home} is ready", one.is_ready, every=0.5)
        assert both[0].url("UI") != both[1].url("UI")
        assert both[0].url("API") != both[1].url("API")

        first = both[0]
        assert "There is no data yet" in first.output.read_text()
        database = servers.status(load_settings({"REPORTING_HOME": str(first.home)}))[0]
        assert database.pid is not None
        api = first.child("uvicorn")
        os.kill(database.pid, signal.SIGKILL)
        os.kill(api.pid, signal.SIGKILL)
        wait_until("they are started again", lambda: "ended with code -9" in first.output.read_text())
        wait_until("it is ready again", first.is_ready, every=0.5)
        assert "mongodb ended and is started again" in first.output.read_text()
        wait_until("the other one still is", both[1].is_ready, every=0.5)
    assert not any(
        str(tmp_path) in " ".join(one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"])
    )
