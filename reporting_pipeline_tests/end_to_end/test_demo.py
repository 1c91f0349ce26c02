"""The demo, as a visitor runs it: one command, a fresh home, everything there; and once more, nothing new."""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from reporting_pipeline_tests.end_to_end.deployment import bare_environment, program, recipients

pytestmark = pytest.mark.slow

SUBSCRIPTIONS = 12


def demo(home: Path) -> str:
    """What it prints. Fails with that when it does not end well."""
    done = subprocess.run(
        [program("reporting-pipeline"), "demo", "--subscriptions", str(SUBSCRIPTIONS)],
        env=bare_environment(REPORTING_HOME=str(home), COLUMNS="200"),
        cwd=home.parent,
        capture_output=True,
        text=True,
        timeout=1_800,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def port_in_mails(outbox: Path) -> int:
    """Where the links of a mail lead."""
    text = next(outbox.glob("*.eml")).read_text()
    found = re.search(r"http://127\.0\.0\.1:(\d+)", text)
    assert found is not None
    return int(found.group(1))


def left_behind(home: Path) -> list[str]:
    """Processes of this home that still run."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or [])
        if str(home) in command:
            found.append(command)
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "home"


def test_the_demo_makes_and_mails_a_report_for_everybody_and_nothing_twice(home: Path) -> None:
    printed = demo(home)
    outbox = home / "outbox"
    mails = {path.name: path.read_bytes() for path in outbox.glob("*.eml")}
    people = recipients(outbox)
    reports = sorted((home / "demo" / "reports").iterdir())
    assert len(people) >= SUBSCRIPTIONS
    assert len(set(people)) == len(people), "one mail each"
    assert len(reports) == len(people)
    pdfs = [path for path in reports if path.suffix == ".pdf"]
    assert len(pdfs) >= SUBSCRIPTIONS - 3, "most are PDF"
    assert all(path.read_bytes().startswith(b"%PDF-") for path in pdfs)
    assert all(path.stat().st_size > 0 for path in reports)
    assert "completed" in printed
    assert f"({len(people)} new)" in printed
    assert left_behind(home) == []

    with socket.socket() as neighbour:  # the port in the mails has another owner by now
        neighbour.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        neighbour.bind(("127.0.0.1", port_in_mails(outbox)))
        neighbour.listen()
        again = demo(home)
    assert "(0 new)" in again
    assert {path.name: path.read_bytes() for path in outbox.glob("*.eml")} == mails
    assert left_behind(home) == []
