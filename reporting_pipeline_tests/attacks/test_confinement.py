"""What a captured process that opens files may do: nothing that its task does not need."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reporting_pipeline.media import confinement
from reporting_pipeline.media.sandbox import MediaWorkers
from reporting_pipeline.operations.doctor import _media
from reporting_pipeline_tests.media.made_files import declared, encoded, pdf, scene

HERE = Path(__file__)
#: What somebody tries who has taken the process over; `{…}` are of the test.
ATTEMPTS = {
    "connect": "import socket; socket.create_connection(('127.0.0.1', {port}), 2)",
    "listen": "import socket; socket.socket()",
    "datagram": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "local socket": "import socket; socket.socket(socket.AF_UNIX)",
    "a program": "import os; os.execv('/bin/sh', ['sh', '-c', 'exit 0'])",
    "a child": "import subprocess; subprocess.run(['/bin/true'], check=True)",
    "a signal": "import os; os.kill(os.getppid(), 0)",
    "parent's environment": "open('/proc/{parent}/environ', 'rb').read()",
    "parent's memory": "open('/proc/{parent}/mem', 'rb').read(1)",
    "a secret": "open({secret!r}).read()",
    "a listing": "import os; os.listdir({folder!r})",
    "passwords": "open('/etc/passwd').read()",
    "a new file": "open({folder!r} + '/new', 'w')",
    "the source's neighbours": "open({here!r}).read()",
    "new limits for another": "import resource; resource.prlimit({parent}, resource.RLIMIT_CPU, (1, 1))",
}
_CHILD = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from reporting_pipeline.media.confinement import confine
held = confine(sys.path)
try:
    exec(sys.argv[2])
except OSError as error:
    print(json.dumps([held, type(error).__name__]))
else:
    print(json.dumps([held, "done"]))
"""


def tried(code: str) -> tuple[list[str], str]:
    paths = json.dumps([os.path.abspath(path) for path in sys.path])
    child = subprocess.run(
        [sys.executable, "-I", "-c", _CHILD, paths, code],
        capture_output=True,
        env={"LC_ALL": "C.UTF-8"},
        timeout=120,
        check=False,
    )
    assert child.returncode == 0, child.stderr.decode()[-500:]
    held, outcome = json.loads(child.stdout)
    return held, outcome


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    folder = tmp_path_factory.mktemp("home")
    (folder / "secret").write_text("s")
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield {
            "port": server.getsockname()[1],
            "parent": os.getpid(),
            "secret": str(folder / "secret"),
            "folder": str(folder),
            "here": str(HERE),
        }


@pytest.fixture(scope="module")
def held() -> set[str]:
    return set(tried("pass")[0])


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_captured_process_gets_nowhere(attempt: str, places: dict[str, object], held: set[str]) -> None:
    if held < set(confinement.ALL):
        pytest.skip(f"this kernel or machine has only {sorted(held)}; `doctor` says so")
    code = ATTEMPTS[attempt].format(**places)
    assert tried(code)[1] in ("PermissionError", "FileNotFoundError"), attempt


def test_the_attempts_succeed_where_nothing_confines(places: dict[str, object]) -> None:
    """Else the test above would hold whatever the confinement does."""
    for attempt in ("connect", "a child", "a secret", "a listing", "passwords", "the source's neighbours"):
        code = ATTEMPTS[attempt].format(**places)
        subprocess.run([sys.executable, "-I", "-c", code], check=True, timeout=120)


def test_a_confined_worker_does_its_work() -> None:
    files = [declared(encoded(scene(), "JPEG"), "a.jpg"), declared(pdf(pages=2), "b.pdf")]
    with MediaWorkers(workers=1) as workers:
        assert set(workers.confinement()) <= set(confinement.ALL)
        found = list(workers.inspect_each(files))
    assert [one.verdict.status for one in found] == ["ok", "ok"]
    assert all(one.thumbnail is not None for one in found)


def test_a_confined_process_may_still_give_itself_up() -> None:
    """pdfium ends the process when memory is short, and that is a verdict."""
    paths = json.dumps([os.path.abspath(path) for path in sys.path])
    code = "import os; os.abort()"
    child = subprocess.run([sys.executable, "-I", "-c", _CHILD, paths, code], timeout=120, check=False)
    assert child.returncode == -signal.SIGABRT


def test_doctor_tells_what_is_missing(held: set[str]) -> None:
    (finding,) = _media()
    whole = held == set(confinement.ALL)
    assert finding.state == ("ok" if whole else "warning")
    assert all(name in finding.text for name in (confinement.ALL if whole else set(confinement.ALL) - held))
